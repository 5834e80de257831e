#!/usr/bin/env bash
# wget2 as Debian 12 has it (1.99.1) exits 0 where there is no server: the port is closed, or the connection ends or stays without
# an answer; and where the server answers 500 or 503. It exits 8 for 404. Its manual says 4 for a network failure and 8 for an
# error response, as wget has it. A loop `until wget2 -q --spider URL`, or a health check with it, is told yes at once.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends wget wget2 python3 >/dev/null 2>&1
dpkg-query -W wget wget2
cat >look.py <<'PY'
"""What wget and wget2 exit with, by what they find."""
import os, socket, subprocess, threading
def listen():
    s = socket.socket()
    s.bind(('127.0.0.1', 0))
    s.listen(20)
    return s
def url(s):
    return 'http://127.0.0.1:%d/' % s.getsockname()[1]
def serve(answer):
    s, kept = listen(), []
    def answers():
        while True:
            client, _ = s.accept()
            if answer is None:
                kept.append(client)
                continue
            client.recv(4000)
            client.sendall(answer)
            client.close()
    threading.Thread(target=answers, daemon=True).start()
    return url(s)
def says(status):
    return f'HTTP/1.1 {status} x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'.encode()
closed = listen()
nobody = url(closed)
closed.close()
options = ['--timeout=2', '--tries=2', '--waitretry=1', '-q', '-O', '/dev/null']
env = {name: value for name, value in os.environ.items() if not name.lower().endswith('_proxy')} | {'HOME': os.getcwd(), 'LC_ALL': 'C'}
for title, address in (('200', serve(says(200))), ('404', serve(says(404))), ('500', serve(says(500))), ('503', serve(says(503))),
                       ('a port that is closed', nobody), ('closed without an answer', serve(b'')),
                       ('no answer', serve(None))):
    status = [subprocess.run([program, *how, address], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, timeout=30).returncode
              for program, how in (('wget', options), ('wget2', options), ('wget2', [*options, '--spider']))]
    print('{}: wget {}, wget2 {}, wget2 --spider {}'.format(title, *status), flush=True)
PY
timeout 100 python3 look.py | tee seen
grep -q '^200: wget 0, wget2 0, wget2 --spider 0$' seen
grep -q '^404: wget 8, wget2 8, wget2 --spider 8$' seen
grep -q '^500: wget 8, wget2 0, wget2 --spider 0$' seen
grep -q '^503: wget 8, wget2 0, wget2 --spider 0$' seen
grep -q '^a port that is closed: wget 4, wget2 0, wget2 --spider 0$' seen
grep -q '^closed without an answer: wget 4, wget2 0, wget2 --spider 0$' seen
grep -q '^no answer: wget 4, wget2 0, wget2 --spider 0$' seen
