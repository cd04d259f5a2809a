# A Debian of the release and from the package sources that this machine has.
. "$RECIPES/common.sh"

release=$(. /etc/os-release && echo "$VERSION_CODENAME")

# One line per source of Debian's own; other sources of the machine are left out.
apt-get indextargets --format '$(ORIGIN) deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    sed -n 's/^Debian //p' | sort -u >"$WORK/sources.list"
if ! [ -s "$WORK/sources.list" ]; then
    echo "apt knows no Debian source: run 'apt-get update' first" >&2
    exit 1
fi

mmdebstrap --quiet --mode=root --variant=minbase --include=ca-certificates "$release" "$WORK/base.tar" "$WORK/sources.list"

new_image
add_layer "$WORK/base.tar" "mmdebstrap"
umoci config --image "$OUT:latest" --config.cmd /bin/bash \
    --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
