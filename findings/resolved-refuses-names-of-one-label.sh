#!/usr/bin/env bash
# systemd-resolved's server on 127.0.0.53 answers REFUSED for a name of one label (`db`, as Compose and hosts' own name servers
# have them) and for names in .local, without asking its name server, which knows them: a host whose resolv.conf points to
# it finds no such name, whatever the name server says. One expects the question to be passed on, or NXDOMAIN. And it keeps a
# SERVFAIL for 10 s, where it keeps NXDOMAIN and empty answers without SOA and REFUSED not at all.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends libsystemd-shared libssl3 iproute2 python3 libc-bin >/dev/null 2>&1
# Not installed: it would take the place of this machine's own resolver.
apt-get -o APT::Sandbox::User=root download -q systemd-resolved >/dev/null
dpkg -x systemd-resolved_*.deb root
basename systemd-resolved_*.deb
cat >look.py <<'PY'
"""A name server that knows every name unless told otherwise, systemd-resolved before it, and a client of that."""
import socket, subprocess, threading, time
rcode, asked = 0, []
upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
upstream.bind(('10.9.8.1', 53))
def serve():
    while True:
        query, client = upstream.recvfrom(1500)
        question = query[12:query.index(b'\0', 12) + 5]
        asked.append(question)
        record = b'\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\x09\x08\x07' if rcode == 0 and question[-3] == 1 else b''
        upstream.sendto(query[:2] + bytes([0x81, 0x80 | max(rcode, 0), 0, 1, 0, len(record) // 16, 0, 0, 0, 0]) + question + record, client)
threading.Thread(target=serve, daemon=True).start()
resolved = subprocess.Popen(['root/lib/systemd/systemd-resolved'], stderr=subprocess.DEVNULL)
def ask(name):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect(('127.0.0.53', 53))
    labels = b''.join(bytes([len(part)]) + part.encode() for part in name.split('.'))
    s.send(b'\x12\x34\x01\0\0\x01\0\0\0\0\0\0' + labels + b'\0\0\x01\0\x01')
    answer = s.recv(512)
    return answer[3] & 15, answer[7]
for _ in range(100):
    try:
        ask('up.example')
        break
    except OSError:
        time.sleep(0.1)
for name in 'db.example', 'db.internal', 'db', 'db.local':
    asked.clear()
    code, answers = ask(name)
    print(f'{name}: RCODE {code}, answers {answers}, its name server was {"asked" if asked else "not asked"}', flush=True)
print('getent finds db:', subprocess.run(['getent', 'ahostsv4', 'db'], capture_output=True).returncode == 0)
# -1 is an empty answer.
for what, code in ('NXDOMAIN', 3), ('empty', -1), ('REFUSED', 5), ('SERVFAIL', 2):
    rcode = code
    ask(f'{what}.example')
    rcode, begun = 0, time.time()
    while not ask(f'{what}.example')[1] and time.time() - begun < 15:
        time.sleep(0.2)
    print(f'{what}: the address is seen after {time.time() - begun:.0f} s', flush=True)
resolved.terminate()
resolved.wait()
PY
cat >inside.sh <<'EOS'
ip link set lo up
# It asks nobody before a link other than loopback is up.
ip link add here type veth peer name there
ip address add 10.9.8.1/24 dev here
ip link set here up
ip link set there up
mount -t tmpfs none /run
mkdir -p /run/systemd/resolve /run/nscd
mkdir etc
cp -a /etc/passwd /etc/group /etc/nsswitch.conf etc/
grep -q ^systemd-resolve: etc/passwd || echo 'systemd-resolve:x:993:993::/:/usr/sbin/nologin' >>etc/passwd
grep -q ^systemd-resolve: etc/group || echo 'systemd-resolve:x:993:' >>etc/group
echo 'nameserver 127.0.0.53' >etc/resolv.conf
echo '127.0.0.1 localhost' >etc/hosts
mkdir etc/systemd
printf '[Resolve]\nDNS=10.9.8.1\nFallbackDNS=\nLLMNR=no\nMulticastDNS=no\nDNSSEC=no\n' >etc/systemd/resolved.conf
mount --bind etc /etc
chown systemd-resolve:systemd-resolve /run/systemd/resolve
python3 look.py
EOS
unshare --net --mount --pid --fork --kill-child bash inside.sh | tee seen
for name in db db.local; do
    grep -q "^$name: RCODE 5, answers 0, its name server was not asked$" seen
done
for name in db.example db.internal; do
    grep -q "^$name: RCODE 0, answers 1, its name server was asked$" seen
done
grep -q '^getent finds db: False$' seen
for what in NXDOMAIN empty REFUSED; do
    grep -qE "^$what: the address is seen after [01] s$" seen
done
grep -qE '^SERVFAIL: the address is seen after (9|1[0-2]) s$' seen
