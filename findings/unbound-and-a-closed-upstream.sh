#!/usr/bin/env bash
# unbound that forwards to a port at which nothing listens says nothing at all to its first client, for more than 15 s,
# although the kernel tells it at once (ICMP port unreachable). bind in the same place answers SERVFAIL at once.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends unbound bind9 iproute2 python3 >/dev/null 2>&1
dpkg-query -W unbound bind9
cat >unbound.conf <<EOF
server:
  interface: 127.0.0.1
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "$work"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  module-config: "iterator"
forward-zone:
  name: "."
  forward-addr: 127.0.0.2
remote-control:
  control-enable: no
EOF
mkdir bind
cat >named.conf <<EOF
options { directory "$work/bind"; listen-on { 127.0.0.1; }; listen-on-v6 { none; }; forward only;
  forwarders { 127.0.0.2; }; dnssec-validation no; pid-file none; session-keyfile "$work/bind/key"; };
controls { };
EOF
cat >ask.py <<'PY'
"""Asks 127.0.0.1 for an address, and waits for 16 s."""
import socket, sys, time
query = b'\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0' + b'\x02db\x07example\0' + b'\0\x01\0\x01'
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(16)
s.connect(('127.0.0.1', 53))
begun = time.time()
for _ in range(50):
    try:
        s.send(query)
        answer = s.recv(512)
        print(f'{sys.argv[1]}: RCODE {answer[3] & 15} after {time.time() - begun:.1f} s')
        break
    except ConnectionRefusedError:
        # The server is not up yet.
        time.sleep(0.2)
        begun = time.time()
    except TimeoutError:
        print(f'{sys.argv[1]}: no answer in 16 s')
        break
PY
cat >inside.sh <<'EOF'
ip link set lo up
unbound -c unbound.conf >unbound.log 2>&1 &
server=$!
python3 ask.py unbound
kill $server; wait $server || true
named -f -c named.conf >named.log 2>&1 &
server=$!
python3 ask.py bind
kill $server; wait $server || true
EOF
unshare --net --pid --fork --kill-child bash inside.sh | tee seen
grep -q '^unbound: no answer in 16 s$' seen
grep -q '^bind: RCODE 2 after [01]\.' seen
