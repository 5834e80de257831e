#!/usr/bin/env bash
# nats-py's connect(max_reconnect_attempts=0) to a server that is not there tries for ever: zero stands for "without end" there, where
# one would expect a single try; one and three stand for two and four. connect(allow_reconnect=False) does not raise at the first
# refusal either: it makes the 61 tries of the default, two minutes with the usual two seconds between them.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends python3 python3-venv >/dev/null 2>&1
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check nats-py==2.16.0
cat >look.py <<'PY'
"""How often four clients try to reach a NATS server at a port that is closed, with a tenth of a second between tries."""
import asyncio, importlib.metadata, socket
import nats
print('nats-py', importlib.metadata.version('nats-py'))
with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    server = 'nats://127.0.0.1:%d' % free.getsockname()[1]
async def look(**options):
    tries = 0
    async def refused(error):
        nonlocal tries
        tries += isinstance(error, ConnectionRefusedError)
    try:
        await asyncio.wait_for(nats.connect(server, error_cb=refused, reconnect_time_wait=0.1, **options), 12)
        end = 'connected'
    except nats.errors.NoServersError:
        end = 'gave up'
    except asyncio.TimeoutError:
        end = 'still at it after 12 s'
    print(f'{options}: {end}, {tries if tries <= 61 else "more than 61"} tries', flush=True)
async def main():
    await look(max_reconnect_attempts=3)
    await look(max_reconnect_attempts=1)
    await look(max_reconnect_attempts=0)
    await look(allow_reconnect=False)
asyncio.run(main())
PY
timeout 100 venv/bin/python look.py | tee seen
grep -q "^{'max_reconnect_attempts': 3}: gave up, 4 tries$" seen
grep -q "^{'max_reconnect_attempts': 1}: gave up, 2 tries$" seen
grep -q "^{'max_reconnect_attempts': 0}: still at it after 12 s, more than 61 tries$" seen
grep -q "^{'allow_reconnect': False}: gave up, 61 tries$" seen
