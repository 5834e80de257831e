#!/bin/sh
# Runs a systemd on the units of DIRECTORY, as PID 1 of new namespaces and in a control group of its own, to its end.
set -e
units=$1
hierarchy=/sys/fs/cgroup
[ ! -d $hierarchy/systemd ] || hierarchy=$hierarchy/systemd
own=$hierarchy/when-ready-$$
mkdir "$own"
trap 'find "$own" -depth -type d -exec rmdir {} \;' EXIT
inside='
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
if [ -d /sys/fs/cgroup/systemd ]; then
    mount -t tmpfs tmpfs /sys/fs/cgroup
    mkdir /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
else
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
export container=other SYSTEMD_UNIT_PATH="$0" SYSTEMD_LOG_TARGET=console
exec "$(command -v /usr/lib/systemd/systemd /lib/systemd/systemd | head -n 1)" --system --unit=try.target --show-status=no
'
sh -c 'echo 0 >"$1/cgroup.procs"; exec timeout --kill-after=1 60 unshare --pid --mount --uts --ipc --net --cgroup --fork \
    --kill-child sh -ec "$2" "$3"' sh "$own" "$inside" "$units"
