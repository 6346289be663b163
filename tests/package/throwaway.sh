# Makes the throwaway root directory of scripts/package-test, in the namespaces that it has made, and starts systemd in there, which
# runs steps.sh and ends.
set -euo pipefail

# Of this namespace alone, so nothing is left of it.
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
# A machine's root directory may consist of several file systems, of which an overlay takes one: what the package touches must be in it.
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
root=/mnt/root
mount -t tmpfs -o mode=755 tmpfs $root/opt
cp -r tests/package README.md tests/releases/0.1.0/data.tar.gz "$debs"/*.deb $root/opt
mkdir $root/opt/upper
mount --bind /mnt/upper $root/opt/upper
mkfifo $root/opt/output
cat $root/opt/output &
# Containers forbid services to start, and leave out what documents; a machine does neither.
rm -f $root/usr/sbin/policy-rc.d $root/etc/dpkg/dpkg.cfg.d/docker $root/etc/dpkg/dpkg.cfg.d/excludes
# Beside the package's service and what each service needs, nothing of this machine runs.
cp tests/package/steps.service $root/etc/systemd/system
options=(--directory=$root --boot --private-network --machine=presenced-package-test --register=no
    --resolv-conf=off --timezone=off --link-journal=no --console=pipe)
if [ ! -d /run/systemd/system ]; then
    # No systemd outside would give it a unit, or has made a place for what is mounted later.
    options+=(--keep-unit)
    mount -t tmpfs -o mode=755 tmpfs /run
fi
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    systemd-nspawn --quiet "${options[@]}" -- --unit=steps.service --show-status=no </dev/null || code=$?
wait
exit ${code:-0}
