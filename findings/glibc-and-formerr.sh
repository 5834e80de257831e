#!/usr/bin/env bash
# glibc gives a name up when its first name server answers FORMERR, without asking the second, which knows it; after
# SERVFAIL, REFUSED and NOTIMP it goes on. Old servers answer FORMERR to `options edns0`, and no name is found then at all.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends libc-bin iproute2 python3 >/dev/null 2>&1
dpkg-query -W libc6
cat >server.py <<'PY'
"""Two name servers: 127.0.0.3 answers with one RCODE, or as one that knows no EDNS; 127.0.0.2 knows the name."""
import select, socket, sys
good, bad = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
good.bind(('127.0.0.2', 53))
bad.bind(('127.0.0.3', 53))
print('ready', flush=True)
while True:
    for s in select.select([good, bad], [], [])[0]:
        query, client = s.recvfrom(512)
        end = query.index(b'\0', 12) + 5
        question, has_edns = query[12:end], query[11] > 0
        rcode = (1 if has_edns else 0) if sys.argv[1] == 'edns' else int(sys.argv[1])
        if s is bad and rcode:
            s.sendto(query[:2] + bytes([0x81, 0x80 | rcode]) + b'\0\x01\0\0\0\0\0\0' + question, client)
        else:
            record = b'\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\x09\x08\x07'
            s.sendto(query[:2] + b'\x81\x80\0\x01\0\x01\0\0\0\0' + question + record, client)
PY
cat >inside.sh <<'EOF'
ip link set lo up
# getent asks for families that the host has (AI_ADDRCONFIG); loopback does not count.
ip address add 10.9.8.1/24 dev lo
mkdir -p /run/nscd
mount -t tmpfs none /run/nscd
mount --bind resolv.conf /etc/resolv.conf
# $1: the RCODE, $2: what it is called, $3: more of resolv.conf
look() {
    printf 'nameserver 127.0.0.3\nnameserver 127.0.0.2\n%s\n' "$3" >resolv.conf
    python3 server.py $1 >server.log & server=$!
    until grep -q ready server.log; do sleep 0.05; done
    getent ahostsv4 db.example >/dev/null && found=yes || found=no
    echo "$2: found: $found"
    kill $server; wait $server || true
    : >server.log
}
look 2 SERVFAIL ""
look 5 REFUSED ""
look 4 NOTIMP ""
look 1 FORMERR ""
look edns "a server without EDNS, options edns0" "options edns0"
look edns "a server without EDNS" ""
EOF
: >resolv.conf
unshare --net --mount --pid --fork --kill-child bash inside.sh 2>/dev/null | tee seen
for name in SERVFAIL REFUSED NOTIMP "a server without EDNS"; do
    grep -q "^$name: found: yes" seen
done
grep -q "^FORMERR: found: no" seen
grep -q "^a server without EDNS, options edns0: found: no" seen
