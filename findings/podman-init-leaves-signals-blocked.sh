#!/usr/bin/env bash
# A command under `podman run --init` starts with SIGTSTP, SIGTTIN and SIGTTOU blocked, and so do all of its children: Ctrl-Z
# does nothing there. Without --init none is.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends podman runc catatonit busybox-static >/dev/null 2>&1
dpkg-query -W podman catatonit
# Its own defaults are more than a container that it may itself run in allows.
printf '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n' >containers.conf
export CONTAINERS_CONF="$work/containers.conf"
mkdir -p tree/bin
cp /bin/busybox tree/bin/busybox
p() { podman --root "$work/root" --runroot "$work/run" --runtime runc --cgroup-manager cgroupfs --storage-driver vfs "$@"; }
tar -C tree -c . | p import -q - look >/dev/null
blocked() { p run --rm --network none "$@" look /bin/busybox grep SigBlk /proc/self/status | tr -d '\t' | sed 's/.*://'; }
echo "without --init: $(blocked)" | tee seen
echo "with --init: $(blocked --init)" | tee -a seen
# Bits 19, 20 and 21 (from 0): signals 20 TSTP, 21 TTIN, 22 TTOU.
grep -q '^without --init: 0000000000000000$' seen
grep -q '^with --init: 0000000000380000$' seen
