# A web server whose layers add, change, replace and remove.
. "$RECIPES/common.sh"

from_image base
open_image
apt_install nginx
commit "apt-get install nginx"

# What the first layer left behind goes: files and whole directories.
rm -r "$ROOT"/var/lib/apt/lists/* "$ROOT"/usr/share/doc/nginx* "$ROOT/usr/share/man"
rm "$ROOT/var/cache/debconf/templates.dat-old" "$ROOT/etc/nginx/sites-enabled/default"
commit "rm"

# Changed: content, and the mode or the time alone.
sed -i 's/^user .*/user www-data;/; 1i # changed' "$ROOT/etc/nginx/nginx.conf"
chmod 0640 "$ROOT/etc/nginx/fastcgi.conf"
chown 33:33 "$ROOT/etc/nginx/scgi_params"
touch -d '2001-02-03 04:05:06.789' "$ROOT/etc/nginx/mime.types"
# Replaced by another type: file by link, directory by file, link by directory, file by directory.
mkdir -p "$ROOT/var/log/nginx"
ln -sf /dev/stdout "$ROOT/var/log/nginx/access.log"
ln -sf /dev/stderr "$ROOT/var/log/nginx/error.log"
rm -r "$ROOT/etc/nginx/snippets" "$ROOT/etc/os-release" "$ROOT/etc/nginx/koi-utf"
echo "was a directory" >"$ROOT/etc/nginx/snippets"
mkdir "$ROOT/etc/os-release" "$ROOT/etc/nginx/koi-utf"
echo "was a link" >"$ROOT/etc/os-release/inside"
echo "was a file" >"$ROOT/etc/nginx/koi-utf/inside"
commit "change and replace"

# One directory anew, so that nothing of the lower one shows: an opaque directory.
mkdir "$WORK/html"
echo "<h1>unlade</h1>" >"$WORK/html/index.html"
echo "<h1>oops</h1>" >"$WORK/html/50x.html"
umoci insert --image "$OUT:latest" --opaque "$WORK/html" /usr/share/nginx/html
umoci insert --image "$OUT:latest" --whiteout /etc/nginx/win-utf

# And one name that had been removed is there again.
echo "server { listen 8080; root /usr/share/nginx/html; }" >"$WORK/default"
umoci insert --image "$OUT:latest" "$WORK/default" /etc/nginx/sites-enabled/default

umoci config --image "$OUT:latest" --config.entrypoint nginx --config.cmd=-g --config.cmd 'daemon off;' \
    --config.exposedports 8080/tcp
