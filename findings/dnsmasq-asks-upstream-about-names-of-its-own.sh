#!/usr/bin/env bash
# dnsmasq passes the question for AAAA on to its upstream where it has the name itself, in its hosts file or as a host-record,
# with an IPv4 address alone. glibc asks for both kinds and waits for both answers: before an upstream that is silent, a name
# that dnsmasq knows all the time is found after 15 s. One would expect the empty answer at once, as unbound gives it for its
# local-data; dnsmasq does so once it is told local=/NAME/.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends \
    dnsmasq-base unbound libc-bin iproute2 python3 >/dev/null 2>&1
dpkg-query -W dnsmasq-base unbound libc6
cat >unbound.conf <<EOF
server:
  interface: 127.0.0.2
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "$work"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  module-config: "iterator"
  local-data: "db.example. A 10.1.2.3"
forward-zone:
  name: "."
  forward-addr: 127.0.0.9
remote-control:
  control-enable: no
EOF
echo '10.1.2.3 db.example' >names
cat >look.py <<'PY'
"""How a name server of the own network, before one that is silent, answers for its own names, and how long getaddrinfo takes."""
import os, socket, struct, subprocess, time
upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
upstream.bind(('127.0.0.9', 53))
upstream.setblocking(False)
def ask(kind):
    """The answer's RCODE and number of records, or None after 3 s; at first the server may not be up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(3)
        s.connect(('127.0.0.2', 53))
        for _ in range(100):
            try:
                s.send(b'\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x02db\x07example\0' + struct.pack('!HH', kind, 1))
                answer = s.recv(512)
                return answer[3] & 15, answer[7]
            except ConnectionRefusedError:
                time.sleep(0.1)
            except TimeoutError:
                return None
def look(title, *command):
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for name, kind in ('A', 1), ('AAAA', 28):
            try:
                while True:
                    upstream.recv(512)
            except BlockingIOError:
                pass
            answer = ask(kind)
            said = 'no answer in 3 s' if answer is None else 'RCODE {}, records {}'.format(*answer)
            try:
                asked = 'asked' if upstream.recv(512) else ''
            except BlockingIOError:
                asked = 'not asked'
            print(f'{title}, {name}: {said}, upstream {asked}', flush=True)
        for what, database in ('either', 'ahosts'), ('IPv4', 'ahostsv4'):
            begun = time.time()
            found = subprocess.run(['getent', database, 'db.example'], stdout=subprocess.PIPE, timeout=60).stdout.startswith(b'10.1.2.3 ')
            print(f'{title}, getent, {what}: {"found" if found else "not found"} after {time.time() - begun:.0f} s', flush=True)
    finally:
        server.terminate()
        server.wait()
dnsmasq = ['dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', '--pid-file=', '--user=root', '--no-hosts', '--no-resolv',
           '--listen-address=127.0.0.2', '--bind-interfaces', '--server=127.0.0.9']
look('dnsmasq, hosts file', *dnsmasq, '--addn-hosts=' + os.getcwd() + '/names')
look('dnsmasq, host-record', *dnsmasq, '--host-record=db.example,10.1.2.3')
look('dnsmasq, hosts file and local', *dnsmasq, '--addn-hosts=' + os.getcwd() + '/names', '--local=/db.example/')
look('unbound, local-data', 'unbound', '-d', '-c', 'unbound.conf')
PY
cat >inside.sh <<'EOF'
ip link set lo up
# getent asks for families that the host has (AI_ADDRCONFIG); loopback does not count.
ip address add 10.9.8.1/24 dev lo
ip address add fd00::1/64 dev lo nodad
mkdir -p /run/nscd
mount -t tmpfs none /run/nscd
echo 'nameserver 127.0.0.2' >resolv.conf
echo '127.0.0.1 localhost' >hosts
echo 'hosts: files dns' >nsswitch.conf
for file in resolv.conf hosts nsswitch.conf; do
    mount --bind $file /etc/$file
done
exec timeout 100 python3 look.py
EOF
unshare --net --mount --pid --fork --kill-child bash inside.sh | tee seen
for how in "hosts file" host-record; do
    grep -q "^dnsmasq, $how, A: RCODE 0, records 1, upstream not asked$" seen
    grep -q "^dnsmasq, $how, AAAA: no answer in 3 s, upstream asked$" seen
    grep -qE "^dnsmasq, $how, getent, either: found after (9|1[0-7]) s$" seen
    grep -qE "^dnsmasq, $how, getent, IPv4: found after [01] s$" seen
done
for how in "dnsmasq, hosts file and local" "unbound, local-data"; do
    grep -q "^$how, A: RCODE 0, records 1, upstream not asked$" seen
    grep -q "^$how, AAAA: RCODE 0, records 0, upstream not asked$" seen
    grep -qE "^$how, getent, either: found after [01] s$" seen
done
