# The smallest image that boots: a static busybox, and an init that says so and powers off.
. "$RECIPES/common.sh"

root=$WORK/root
mkdir -p "$root"/{bin,sbin,etc,dev,proc,sys,tmp,root}
chmod 1777 "$root/tmp"
chmod 0700 "$root/root"
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in sh mount umount echo cat uname tr poweroff sync ls df touch; do
    ln -s busybox "$root/bin/$applet"
done
echo unlade >"$root/etc/hostname"
cat >"$root/sbin/init" <<'INIT'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
echo "unlade: booted, $(echo 'hello from the image' | tr a-z A-Z)"
echo "unlade: root is $(cat /proc/mounts | while read -r _ at kind options _; do [ "$at" = / ] && echo "$kind $options"; done)"
touch /written && echo "unlade: root is writable"
sync
mount -o remount,ro /
poweroff -f
INIT
chmod 0755 "$root/sbin/init"

new_image
tar --create --file "$WORK/layer.tar" --directory "$root" --sort=name --owner=0 --group=0 .
add_layer "$WORK/layer.tar" "busybox"
umoci config --image "$OUT:latest" --config.entrypoint /sbin/init
