#!/usr/bin/env bash
# aria2c --max-tries=60 --retry-wait=1 has made all of its tries after a moment where the port is closed, or the connection ends
# without an answer, and exits 1: it waits the seconds "between retries" of its manual after a 502, 503 or 504. One would expect
# a minute for a server to come up, as with `wget --retry-connrefused --waitretry=1 --tries=60`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends aria2 wget python3 >/dev/null 2>&1
dpkg-query -W aria2 wget
cat >look.py <<'PY'
"""How many tries aria2c makes, with 6 of them and a second between, and in what time; and of a server that is up after 3 s."""
import os, socket, subprocess, threading, time
def port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]
def serve(answer, at=0, after=0):
    def answers():
        time.sleep(after)
        with socket.create_server(('127.0.0.1', at)) as s:
            bound.append(s.getsockname()[1])
            while True:
                client, _ = s.accept()
                client.recv(4000)
                client.sendall(answer)
                client.close()
    bound = []
    threading.Thread(target=answers, daemon=True).start()
    while not at and not bound:
        time.sleep(0.05)
    return at or bound[0]
def says(status):
    return f'HTTP/1.1 {status} x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'.encode()
env = {name: value for name, value in os.environ.items() if not name.lower().endswith('_proxy')} | {'HOME': os.getcwd(), 'LC_ALL': 'C'}
def run(*command):
    begun = time.time()
    process = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    return process.returncode, time.time() - begun
def aria2c(title, at, tries=6):
    if os.path.exists('log'):
        os.remove('log')
    status, took = run('aria2c', '--no-conf', '--no-netrc', '--out=file', '--allow-overwrite=true', '--log=log', '--log-level=info',
                       f'--max-tries={tries}', '--retry-wait=1', f'http://127.0.0.1:{at}/')
    made = sum(f'Connecting to 127.0.0.1:{at}' in line for line in open('log'))
    print(f'aria2c, {title}: exits {status} after {took:.1f} s, tries: {made}', flush=True)
aria2c('200', serve(says(200)))
for status in 502, 503, 504:
    aria2c(status, serve(says(status)))
aria2c('closed without an answer', serve(b''))
aria2c('a port that is closed', port())
aria2c('a port that opens after 3 s, 60 tries', serve(says(200), port(), 3), 60)
status, took = run('wget', '--no-config', '--no-netrc', '-q', '-O', 'file', '--retry-connrefused', '--waitretry=1', '--tries=60',
                   f'http://127.0.0.1:{serve(says(200), port(), 3)}/')
print(f'wget, a port that opens after 3 s, 60 tries: exits {status} after {took:.1f} s')
PY
timeout 100 python3 look.py | tee seen
grep -qE '^aria2c, 200: exits 0 after [01]\.[0-9] s, tries: 1$' seen
for status in 502 503 504; do
    grep -qE "^aria2c, $status: exits 29 after [5-8]\.[0-9] s, tries: 6$" seen
done
grep -qE '^aria2c, closed without an answer: exits 1 after [01]\.[0-9] s, tries: 6$' seen
grep -qE '^aria2c, a port that is closed: exits 1 after [01]\.[0-9] s, tries: 6$' seen
grep -qE '^aria2c, a port that opens after 3 s, 60 tries: exits 1 after [01]\.[0-9] s, tries: 60$' seen
grep -qE '^wget, a port that opens after 3 s, 60 tries: exits 0 after [3-6]\.[0-9] s$' seen
