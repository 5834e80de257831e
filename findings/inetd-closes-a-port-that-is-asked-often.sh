#!/usr/bin/env bash
# inetd (openbsd-inetd) starts a "nowait" server 256 times a minute at most. From then on the port still accepts, and closes at once
# without a byte: a client that asks whether the server is up every 0.2 s has it closed for everybody. Its manual says "for ten
# minutes"; it is answered again once the minute is over. "nowait.1000" sets the limit.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends openbsd-inetd python3 >/dev/null 2>&1
dpkg-query -W openbsd-inetd
cat >look.py <<'PY'
"""300 connections, one after the other, to each of two services of inetd, and more until the first answers again."""
import os, socket, subprocess, time
def free():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]
usual, raised = free(), free()
open('inetd.conf', 'w').write(f'''127.0.0.1:{usual} stream tcp nowait nobody /bin/echo echo hello
127.0.0.1:{raised} stream tcp nowait.1000 nobody /bin/echo echo hello
''')
inetd = subprocess.Popen(['/usr/sbin/inetd', '-i', os.path.abspath('inetd.conf')])
def ask(port):
    try:
        with socket.create_connection(('127.0.0.1', port), timeout=5) as s:
            return s.recv(80)
    except ConnectionResetError:
        return b''
for _ in range(100):
    try:
        ask(raised)
        break
    except ConnectionRefusedError:
        time.sleep(0.1)
begun = time.time()
for name, port in (('nowait', usual), ('nowait.1000', raised)):
    answers = [ask(port) for _ in range(300)]
    print(f'{name}: {sum(bool(a) for a in answers)} of 300 answered, the last: {answers[-1]}', flush=True)
while ask(usual) == b'' and time.time() - begun < 200:
    time.sleep(1)
print(f'nowait: answers again {time.time() - begun:.0f} s after the first')
inetd.terminate()
inetd.wait()
PY
timeout 300 python3 look.py | tee seen
grep -qE "^nowait: 25[4-6] of 300 answered, the last: b''$" seen
grep -qF "nowait.1000: 300 of 300 answered, the last: b'hello\\n'" seen
grep -qE '^nowait: answers again (59|6[0-9]) s after the first$' seen
