# A Node application with its tools: more than a hundred thousand files, most of them small, over
# several layers that rewrite one another's. The largest image, and the one that is measured.
. "$RECIPES/common.sh"

command -v npm >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends npm

# Packages from npm into one directory of the image, without running their scripts: the machine's own
# configuration of npm says where they come from.
npm_install() {
    npm install --prefix "$ROOT/srv/app" --cache "$WORK/npm" --ignore-scripts --no-audit --no-fund \
        --no-progress --loglevel=error --legacy-peer-deps --omit=optional "$@"
    chown -R 1000:1000 "$ROOT/srv/app"
}

from_image base
open_image
apt_install nodejs
rm -r "$ROOT"/var/lib/apt/lists/*
commit "apt-get install nodejs"

apt_install git python3 make
rm -r "$ROOT"/var/lib/apt/lists/*
commit "apt-get install build tools"

mkdir -p "$ROOT/srv/app"
echo '{"name":"app","version":"1.0.0","private":true}' >"$ROOT/srv/app/package.json"
npm_install express lodash react react-dom next
commit "npm install the application"

npm_install typescript webpack eslint prettier jest @babel/core @babel/preset-env rollup vite
commit "npm install the build tools"

npm_install aws-sdk googleapis @angular/cli @angular/core @mui/material @mui/icons-material react-native antd
commit "npm install libraries"

npm_install date-fns rxjs core-js @fortawesome/fontawesome-free three monaco-editor
find "$ROOT/srv/app/node_modules" -name '*.map' -path '*/monaco-editor/*' -delete
commit "npm install more, remove maps"

umoci config --image "$OUT:latest" --config.cmd node --config.workingdir /srv/app --config.user 1000:1000
