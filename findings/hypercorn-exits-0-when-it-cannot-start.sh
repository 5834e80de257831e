#!/usr/bin/env bash
# hypercorn exits 0 when it cannot import the application, and when the application itself says that its start has failed
# (lifespan.startup.failed, as where a database is missing): to `&&`, `Restart=on-failure`, `restart: on-failure`, a Job and
# service_completed_successfully all went well, and nobody starts it again. uvicorn exits 1 or 3, granian 1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends python3 python3-venv >/dev/null 2>&1
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check hypercorn==0.18.0 uvicorn==0.54.0 granian==2.8.9
venv/bin/pip list --disable-pip-version-check 2>/dev/null | grep -iE '^(hypercorn|uvicorn|granian) '
echo 'raise RuntimeError("the settings are missing")' >broken.py
cat >failing.py <<'PY'
async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        await receive()
        await send({'type': 'lifespan.startup.failed', 'message': 'no database'})
PY
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# $1: what it is called, $2: the module, the rest: the server. 124: it still runs.
look() {
    local name=$1 module=$2 status=0
    shift 2
    timeout 20 venv/bin/"$@" "$module:app" >/dev/null 2>&1 || status=$?
    echo "$name, $module: exits $status"
}
for module in broken failing nowhere; do
    look hypercorn $module hypercorn --bind "127.0.0.1:$(port)"
    look "hypercorn with two workers" $module hypercorn --workers 2 --bind "127.0.0.1:$(port)"
    look uvicorn $module uvicorn --port "$(port)"
    look granian $module granian --interface asgi --port "$(port)"
done | tee seen
for module in broken failing nowhere; do
    grep -q "^hypercorn, $module: exits 0$" seen
    grep -q "^hypercorn with two workers, $module: exits 0$" seen
    grep -qE "^uvicorn, $module: exits (1|3)$" seen
    grep -q "^granian, $module: exits 1$" seen
done
