#!/usr/bin/env bash
# sshd with MaxStartups unauthenticated connections does not close a further one in silence: it says "Exceeded MaxStartups" in
# the place of its identification string, which RFC 4253 (section 4.2) has begin with "SSH-". Clients that take the first
# line for that report another protocol, not a server that is full.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends openssh-server python3 >/dev/null 2>&1
dpkg-query -W openssh-server
ssh-keygen -q -t ed25519 -N '' -f key
mkdir -p /run/sshd
cat >look.py <<'PY'
"""Two connections that say nothing, and a third, at a server that allows two."""
import os, socket, subprocess, time
with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
server = subprocess.Popen(
    ['/usr/sbin/sshd', '-D', '-f', '/dev/null', '-o', f'Port={port}', '-o', 'ListenAddress=127.0.0.1', '-o', 'PidFile=none',
     '-o', f'HostKey={os.getcwd()}/key', '-o', 'MaxStartups=2:100:2'], stderr=subprocess.DEVNULL)
def connect():
    s = socket.create_connection(('127.0.0.1', port), timeout=5)
    return s, s.recv(255)
for _ in range(100):
    try:
        held = [connect()]
        break
    except ConnectionRefusedError:
        time.sleep(0.1)
held.append(connect())
print('first:', held[0][1])
print('third:', connect()[1])
server.terminate()
server.wait()
PY
python3 look.py | tee seen
grep -q "^first: b'SSH-2.0-" seen
grep -q "^third: b'Exceeded MaxStartups" seen
