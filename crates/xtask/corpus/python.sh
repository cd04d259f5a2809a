# Python with packages over several layers, made by buildah: its layers are another tool's dialect of
# tar, with opaque directories as overlayfs finds them.
. "$RECIPES/common.sh"

python3 -m pip --version >/dev/null 2>&1 ||
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends python3-pip

# Storage of its own, so that nothing is left in the machine's.
store() {
    buildah --root "$WORK/storage" --runroot "$WORK/run" "$@"
}

# Packages from PyPI into the image. The machine's pip fetches them, by the machine's configuration;
# it is told to choose for the image's Python.
pip_install() {
    python3 -m pip install --quiet --no-compile --only-binary=:all: --python-version "$VERSION" \
        --upgrade --target "$ROOT/usr/local/lib/python$VERSION/dist-packages" "$@"
}

# The next layer of the container, on an image of the storage.
open_layer() {
    container=$(store from "$1")
    ROOT=$(store mount "$container")
}
close_layer() {
    store config --created-by "$1" "$container"
    store commit --quiet --rm "$container" next >/dev/null
}

store pull --quiet "oci:$CORPUS/base:latest" >"$WORK/id"
open_layer "$(cat "$WORK/id")"
apt_install python3 python3-pip
VERSION=$(chroot "$ROOT" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
close_layer "apt-get install python3"

open_layer next
rm -r "$ROOT"/var/lib/apt/lists/* "$ROOT/usr/share/doc"
pip_install requests==2.31.0 flask==2.3.3 'numpy<2.2'
close_layer "pip install the first versions"

# Newer versions replace older ones file by file, and a directory is made anew: buildah says the
# latter with an opaque marker.
open_layer next
pip_install requests flask numpy
rm -r "$ROOT/usr/share/python3"
mkdir "$ROOT/usr/share/python3"
echo "made anew" >"$ROOT/usr/share/python3/note"
close_layer "pip install newer versions"

open_layer next
pip_install pandas sqlalchemy pillow
python3 -m compileall -q "$ROOT/usr/local/lib/python$VERSION/dist-packages/flask" || true
store config --cmd python3 "$container"
close_layer "pip install more"

store push --quiet next "oci:$OUT:latest"
