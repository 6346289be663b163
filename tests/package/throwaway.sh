# Makes the throwaway root directory of scripts/package-test, in the namespaces that it has made, and runs steps.sh in there.
set -euo pipefail

# Of this namespace alone, so nothing is left of it.
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
# A machine's root directory may consist of several file systems, of which an overlay takes one: what the package touches must be in it.
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
root=/mnt/root
mount -t tmpfs -o mode=755 tmpfs $root/run
mount -t tmpfs -o mode=1777 tmpfs $root/tmp
mount -t proc proc $root/proc
mount --rbind /dev $root/dev
mount -t tmpfs -o mode=755 tmpfs $root/opt
cp -r tests/package README.md tests/releases/0.1.0/data.tar.gz "$debs"/*.deb $root/opt
mkdir $root/opt/upper
mount --bind /mnt/upper $root/opt/upper
# Maintainer scripts look for it to tell whether systemd runs.
mkdir -p $root/run/systemd/system
mv $root/usr/bin/systemctl $root/usr/bin/systemctl.real
ln -s /opt/package/systemctl $root/usr/bin/systemctl
# Containers forbid services to start, and leave out what documents; a machine does neither.
rm -f $root/usr/sbin/policy-rc.d $root/etc/dpkg/dpkg.cfg.d/docker $root/etc/dpkg/dpkg.cfg.d/excludes
ip link set lo up 2>/dev/null || python3 - <<'PYTHON'
import fcntl, socket, struct
# SIOCSIFFLAGS with IFF_UP and IFF_RUNNING, without a package for it.
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 0x41))
PYTHON
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    chroot $root bash /opt/package/steps.sh
