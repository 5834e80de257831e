#!/usr/bin/env bash
# PowerDNS Recursor keeps answers that carry no SOA record, and so no time, for about a minute: NXDOMAIN, an empty answer
# and SERVFAIL of the server that it forwards to. RFC 2308 (section 5) says that such answers should not be cached.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends pdns-recursor iproute2 python3 >/dev/null 2>&1
dpkg-query -W pdns-recursor
cat >look.py <<'PY'
"""A name server that fails in three ways until told otherwise, the recursor before it, and a client that counts seconds."""
import socket, subprocess, threading, time
up = False
upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
upstream.bind(('127.0.0.2', 53))

def serve():
    while True:
        query, client = upstream.recvfrom(1500)
        end = query.index(b'\0', 12) + 5
        first = query[13:13 + query[12]].lower()
        rcode = {b'servfail': 2, b'nxdomain': 3, b'nodata': 0}.get(first, 3)
        head, question = query[:2], query[12:end]
        if up:
            record = b'\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\x09\x08\x07'
            upstream.sendto(head + b'\x85\x80\0\x01\0\x01\0\0\0\0' + question + record, client)
        else:
            upstream.sendto(head + bytes([0x85, 0x80 | rcode]) + b'\0\x01\0\0\0\0\0\0' + question, client)

threading.Thread(target=serve, daemon=True).start()
recursor = subprocess.Popen(
    ['pdns_recursor', '--config-dir=.', '--socket-dir=.', '--local-address=127.0.0.1', '--forward-zones-recurse=.=127.0.0.2',
     '--dnssec=off', '--daemon=no', '--write-pid=no', '--hint-file=no', '--dont-query=', '--threads=1', '--setuid=', '--setgid='],
    stdout=open('log', 'w'), stderr=subprocess.STDOUT)

def ask(name):
    labels = b''.join(bytes([len(part)]) + part.encode() for part in (name, 'example'))
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(8)
    s.connect(('127.0.0.1', 53))
    s.send(b'\x12\x34\x01\0\0\x01\0\0\0\0\0\0' + labels + b'\0\0\x01\0\x01')
    answer = s.recv(512)
    return answer[3] & 15, answer[7]

for _ in range(100):
    try:
        ask('else')
        break
    except OSError:
        time.sleep(0.1)
names = ['servfail', 'nxdomain', 'nodata']
for name in names:
    print(f'{name}: before: RCODE {ask(name)[0]}')
up = True
begun, left = time.time(), set(names)
while left and time.time() - begun < 90:
    for name in sorted(left):
        if ask(name)[1]:
            print(f'{name}: the address is seen after {time.time() - begun:.0f} s', flush=True)
            left.discard(name)
    time.sleep(0.5)
for name in sorted(left):
    print(f'{name}: the address is not seen in 90 s')
recursor.terminate()
recursor.wait()
PY
unshare --net --pid --fork --kill-child bash -c 'ip link set lo up && python3 look.py' | tee seen
for name in servfail nxdomain nodata; do
    grep -qE "^$name: the address is seen after (5[0-9]|6[0-9]) s$" seen
done
