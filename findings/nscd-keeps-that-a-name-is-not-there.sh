#!/usr/bin/env bash
# nscd keeps an answer "no such name" for about half a minute, whatever time the name server gave it (none here: NXDOMAIN
# without a SOA record). A name that comes up meanwhile is seen late by every glibc program of the host, and at once without nscd.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends nscd iproute2 python3 libc-bin >/dev/null 2>&1
dpkg-query -W nscd libc6
cat >server.py <<'PY'
"""A name server: db.example is not there until the file `up` is."""
import os, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', 53))
print('ready', flush=True)
while True:
    query, client = s.recvfrom(512)
    end = query.index(b'\0', 12) + 5
    question, kind = query[12:end], query[end - 3]
    if not os.path.exists('up'):
        s.sendto(query[:2] + b'\x81\x83\0\x01\0\0\0\0\0\0' + question, client)
    elif kind == 1:
        record = b'\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\x09\x08\x07'
        s.sendto(query[:2] + b'\x81\x80\0\x01\0\x01\0\0\0\0' + question + record, client)
    else:
        s.sendto(query[:2] + b'\x81\x80\0\x01\0\0\0\0\0\0' + question, client)
PY
cat >inside.sh <<'EOF'
ip link set lo up
# getent asks for families that the host has (AI_ADDRCONFIG); loopback does not count.
ip address add 10.9.8.1/24 dev lo
mkdir -p /run/nscd
mount -t tmpfs none /run/nscd
mount --bind "$PWD/resolv.conf" /etc/resolv.conf
python3 server.py >server.log & server=$!
until grep -q ready server.log; do sleep 0.05; done
# $1: what it is called.
measure() {
    rm -f up
    ! getent ahostsv4 db.example >/dev/null || exit 1
    touch up
    local begun=$(date +%s%N)
    for _ in $(seq 900); do
        getent ahostsv4 db.example >/dev/null && break
        sleep 0.1
    done
    echo "$1: the name is seen after $(( ($(date +%s%N) - begun) / 1000000000 )) s"
}
measure without
nscd -F >nscd.log 2>&1 & cache=$!
until [ -S /run/nscd/socket ]; do sleep 0.05; done
measure nscd
kill $cache $server; wait || true
EOF
echo "nameserver 127.0.0.1" >resolv.conf
unshare --net --mount --pid --fork --kill-child bash inside.sh | tee seen
grep -q '^without: the name is seen after [01] s$' seen
grep -qE '^nscd: the name is seen after (1[5-9]|[2-4][0-9]) s$' seen
