#!/usr/bin/env bash
# MLServer with a model whose load() raises ends as a whole, with status 0, and takes the models along that are well: one that had
# said it was ready is gone. To "restart on failure", and to whoever waits for the process, this is a success. One would expect a
# server that stays, with /v2/health/ready at 400 as while the model loads, or a status that is not 0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends python3 python3-venv >/dev/null 2>&1
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check mlserver==1.7.1
mkdir both both/well both/broken alone alone/well
cat >both/runtimes.py <<'PY'
import asyncio
from mlserver import MLModel
class Well(MLModel):
    async def load(self):
        return True
class Broken(MLModel):
    async def load(self):
        await asyncio.sleep(4)
        raise RuntimeError('no weights')
PY
cp both/runtimes.py alone
echo '{"name": "well", "implementation": "runtimes.Well"}' | tee both/well/model-settings.json >alone/well/model-settings.json
echo '{"name": "broken", "implementation": "runtimes.Broken"}' >both/broken/model-settings.json
cat >look.py <<'PY'
"""MLServer with a model that is well, and with another beside it that needs four seconds to fail."""
import json, os, socket, subprocess, sys, time, urllib.error, urllib.request
def free():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]
def status(port, path):
    try:
        return urllib.request.urlopen(f'http://127.0.0.1:{port}/v2/{path}', timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
def look(name):
    port = free()
    json.dump({'host': '127.0.0.1', 'http_port': port, 'grpc_port': free(), 'metrics_port': free(), 'parallel_workers': 0},
              open(f'{name}/settings.json', 'w'))
    mlserver = subprocess.Popen([os.path.abspath('venv/bin/mlserver'), 'start', '.'], cwd=name, env={**os.environ, 'PYTHONPATH': '.'},
                                stdout=open(f'{name}.log', 'w'), stderr=subprocess.STDOUT)
    end, seen = time.time() + 45, []
    while mlserver.poll() is None and time.time() < end:
        now = status(port, 'models/well/ready'), status(port, 'health/ready')
        if now[0] == 200 and now not in seen:
            seen.append(now)
            print(f'{name}: the model that is well {now[0]}, the server {now[1]}', flush=True)
            end = time.time() + 12
        time.sleep(0.1)
    print(f'{name}:', 'still up' if mlserver.poll() is None else f'exited {mlserver.returncode}', flush=True)
    if mlserver.poll() is None:
        mlserver.terminate()
    mlserver.wait(30)
look('alone')
look('both')
PY
venv/bin/pip list --disable-pip-version-check 2>/dev/null | grep '^mlserver '
timeout 200 python3 look.py | tee seen
grep 'RuntimeError: no weights' both.log | sort -u
grep -q '^alone: the model that is well 200, the server 200$' seen
grep -q '^alone: still up$' seen
grep -q '^both: the model that is well 200, the server 400$' seen
grep -q '^both: exited 0$' seen
grep -q 'RuntimeError: no weights' both.log
