#!/usr/bin/env bash
# kazoo's KazooClient.start(timeout=2) is over only after the time of the session (10 s by default) where ZooKeeper accepts and
# says nothing, as one that is stopped does. And where the tries of its connection_retry are used up (max_tries), it waits on
# for the whole of the timeout, although nothing is tried any more. One would expect the error after 2 s, as with a closed port,
# and at once where nothing is tried again.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends python3 python3-venv >/dev/null 2>&1
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check kazoo==2.11.0
cat >look.py <<'PY'
"""How long KazooClient.start() takes, and when it tries for the last time."""
import importlib.metadata, inspect, logging, socket, threading, time
from kazoo.client import KazooClient
from kazoo.retry import KazooRetry
print('kazoo', importlib.metadata.version('kazoo'))
print('by default: session', inspect.signature(KazooClient.__init__).parameters['timeout'].default, 's, start',
      inspect.signature(KazooClient.start).parameters['timeout'].default, 's')
with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    closed = s.getsockname()[1]
# It accepts, as the kernel does that for it, and never answers.
listener = socket.create_server(('127.0.0.1', 0), backlog=20)
silent = listener.getsockname()[1]
class GivenUp(logging.Handler):
    """When the client says that it tries no more."""
    at = None
    def emit(self, record):
        if 'retry policy' in record.getMessage():
            self.at = time.time()
def look(number, title, port, wait, **settings):
    log = logging.getLogger(f'look{number}')
    log.propagate = False
    handler = GivenUp()
    log.addHandler(handler)
    client = KazooClient(f'127.0.0.1:{port}', logger=log, **settings)
    begun = time.time()
    try:
        client.start(timeout=wait)
        end = 'started'
    except Exception as error:
        end = type(error).__name__
    took = time.time() - begun
    tried = f', its last try ended after {handler.at - begun:.1f} s' if handler.at else ''
    seen[number] = f'{title}: {end} after {took:.1f} s{tried}'
seen = {}
def two():
    return KazooRetry(max_tries=2, delay=0.2)
looks = [threading.Thread(target=look, args=(number, *one[:3]), kwargs=one[3]) for number, one in enumerate((
    ('start(2), a session of 8 s, a port that is closed', closed, 2, dict(timeout=8)),
    ('start(2), a session of 8 s, a silent server', silent, 2, dict(timeout=8)),
    ('start(2), a session of 16 s, a silent server', silent, 2, dict(timeout=16)),
    ('start(2), two tries, a port that is closed', closed, 2, dict(connection_retry=two())),
    ('start(9), two tries, a port that is closed', closed, 9, dict(connection_retry=two()))))]
for one in looks:
    one.start()
for one in looks:
    one.join()
for number in sorted(seen):
    print(seen[number])
PY
timeout 60 venv/bin/python look.py | tee seen
grep -q '^by default: session 10.0 s, start 15 s$' seen
grep -qE '^start\(2\), a session of 8 s, a port that is closed: KazooTimeoutError after [23]\.[0-9] s, its last try ended after [23]\.[0-9] s$' seen
grep -qE '^start\(2\), a session of 8 s, a silent server: KazooTimeoutError after [89]\.[0-9] s, its last try ended after [89]\.[0-9] s$' seen
grep -qE '^start\(2\), a session of 16 s, a silent server: KazooTimeoutError after 1[67]\.[0-9] s, its last try ended after 1[67]\.[0-9] s$' seen
grep -qE '^start\(2\), two tries, a port that is closed: KazooTimeoutError after [23]\.[0-9] s, its last try ended after [01]\.[0-9] s$' seen
grep -qE '^start\(9\), two tries, a port that is closed: KazooTimeoutError after (9|10)\.[0-9] s, its last try ended after [01]\.[0-9] s$' seen
