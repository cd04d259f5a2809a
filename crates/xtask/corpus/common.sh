# What the recipes share. They run as root in bash with these set:
#   OUT     the OCI layout to make, tag `latest`
#   WORK    an empty directory, removed afterwards
#   CORPUS  where the finished images are
#   RECIPES where this file is
set -euo pipefail
export LC_ALL=C.UTF-8 TZ=UTC
umask 022

# An image without layers.
new_image() {
    umoci init --layout "$OUT"
    umoci new --image "$OUT:latest"
    umoci config --image "$OUT:latest" --os linux --architecture "$(dpkg --print-architecture)"
}

# A copy of a finished image, to put layers on. Blobs are never changed in place, so links do.
from_image() {
    mkdir -p "$OUT"
    cp -a "$CORPUS/$1/index.json" "$CORPUS/$1/oci-layout" "$OUT/"
    cp -al "$CORPUS/$1/blobs" "$OUT/"
}

# The tar in $1 as the next layer.
add_layer() {
    umoci raw add-layer --image "$OUT:latest" --history.created_by "$2" "$1"
}

# The image's files, to be changed in place: $ROOT.
open_image() {
    umoci unpack --image "$OUT:latest" "$WORK/bundle"
    ROOT=$WORK/bundle/rootfs
}

# What was changed in $ROOT since the last time, as the next layer.
commit() {
    umoci repack --image "$OUT:latest" --refresh-bundle --history.created_by "$1" "$WORK/bundle"
}

# Debian's packages into $ROOT, by its own apt. No service is started, and the host's way to the
# network is lent only while it runs.
apt_install() {
    cp /etc/resolv.conf "$ROOT/etc/resolv.conf"
    printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"
    chmod 0755 "$ROOT/usr/sbin/policy-rc.d"
    chroot "$ROOT" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive chroot "$ROOT" apt-get install -qq --no-install-recommends "$@"
    chroot "$ROOT" apt-get clean
    rm "$ROOT/usr/sbin/policy-rc.d"
    : >"$ROOT/etc/resolv.conf"
}
