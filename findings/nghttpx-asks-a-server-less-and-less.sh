#!/usr/bin/env bash
# nghttpx (nghttp2's proxy) asks a server that it could not reach again only after a pause, longer each time, up to two minutes
# (--backend-max-backoff): one that comes up after half a minute of requests gets none for 10 to 20 s more, and the clients get 502,
# though it is the only one. lighttpd asks again after a second or two, however long the server was away.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends nghttp2-proxy lighttpd python3 >/dev/null 2>&1
dpkg-query -W nghttp2-proxy lighttpd
cat >look.py <<'PY'
"""Proxies before a server that is not there; requests for a while; then the server comes up, and how long it gets none."""
import http.server, os, socket, subprocess, threading, time
def free():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()
    def log_message(self, *args):
        pass
def status(port):
    for _ in range(100):
        try:
            with socket.create_connection(('127.0.0.1', port), timeout=5) as s:
                s.sendall(b'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
                return int(s.recv(20).split()[1])
        except ConnectionRefusedError:
            time.sleep(0.1)
def nghttpx(port, server, *more):
    return ['nghttpx', f'--frontend=127.0.0.1,{port};no-tls', f'--backend=127.0.0.1,{server}', '--workers=1', '--conf=/dev/null',
            '--no-ocsp', '--errorlog-file=/dev/null', *more]
def capped(port, server):
    return nghttpx(port, server, '--backend-max-backoff=1s')
def lighttpd(port, server):
    open('lighttpd.conf', 'w').write(f'''server.document-root = "{os.getcwd()}"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ("mod_proxy")
proxy.server = ("" => (("host" => "127.0.0.1", "port" => {server})))
''')
    return ['lighttpd', '-D', '-f', 'lighttpd.conf']
def look(name, command, down):
    port, server = free(), free()
    proxy = subprocess.Popen(command(port, server), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun, first = time.time(), status(port)
    while time.time() - begun < down:
        time.sleep(0.3)
        assert status(port) == first
    threading.Thread(target=http.server.ThreadingHTTPServer(('127.0.0.1', server), Page).serve_forever, daemon=True).start()
    begun = time.time()
    while status(port) != 200 and time.time() - begun < 150:
        time.sleep(0.1)
    seen[name] = time.time() - begun
    proxy.terminate()
    proxy.wait()
seen = {}
looks = [threading.Thread(target=look, args=a) for a in (
    ('nghttpx, down for 0 s', nghttpx, 0), ('nghttpx, down for 30 s', nghttpx, 30),
    ('nghttpx with a backoff of 1 s at most, down for 30 s', capped, 30), ('lighttpd, down for 30 s', lighttpd, 30))]
for one in looks:
    one.start()
for one in looks:
    one.join()
for name, pause in seen.items():
    print(f'{name}: 200 after {pause:.1f} s')
PY
timeout 200 python3 look.py | tee seen
grep -qE '^nghttpx, down for 0 s: 200 after [0-3]\.' seen
grep -qE '^nghttpx, down for 30 s: 200 after ([6-9]|[12][0-9])\.' seen
grep -qE '^nghttpx with a backoff of 1 s at most, down for 30 s: 200 after [0-3]\.' seen
grep -qE '^lighttpd, down for 30 s: 200 after [0-3]\.' seen
