#!/usr/bin/env bash
# redis-py 8 sends a command again once its socket_timeout is over, up to ten times by default. INCR of a new counter, at a
# server that is stopped for 3 s and had the command already, answers 2; and a PING with socket_timeout=1, as in a health check,
# takes 11 to 18 s where the server is silent, and some seconds where the port is closed. One would expect the error after 1 s,
# or at once, and nothing that changes data to be sent twice, as with redis-py 5.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill -9 "$server"; wait "$server" || true; } 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends redis-server python3 python3-venv >/dev/null 2>&1
dpkg-query -W redis-server
for version in 5.2.1 8.1.0; do
    python3 -m venv $version
    $version/bin/pip install -q --disable-pip-version-check redis==$version
done
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir data
chmod 755 "$work"
chown nobody data
setpriv --reuid=nobody --regid=nogroup --clear-groups \
    redis-server --bind 127.0.0.1 --port "$port" --save "" --appendonly no --dir "$work/data" >/dev/null 2>&1 &
server=$!
for _ in $(seq 150); do
    [ "$(redis-cli -h 127.0.0.1 -p "$port" ping 2>&1)" != PONG ] || break
    sleep 0.2
done
cat >look.py <<'PY'
"""What a command does that is given 1 s, at a server that is stopped for a while, and at a port that is closed."""
import os, signal, socket, sys, threading, time
import redis
port, server = int(sys.argv[1]), int(sys.argv[2])
with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    closed = s.getsockname()[1]
def look(title, client, command, *args):
    begun = time.time()
    try:
        end = f'answers {client.execute_command(command, *args)}'
    except redis.RedisError as error:
        end = type(error).__name__
    print(f'redis {redis.__version__}, {title}: {end} after {time.time() - begun:.1f} s', flush=True)
def stopped(seconds):
    """A client that is connected to the server, which is stopped for some seconds from now on."""
    client = redis.Redis('127.0.0.1', port, socket_timeout=1)
    client.ping()
    os.kill(server, signal.SIGSTOP)
    timer = threading.Timer(seconds, os.kill, (server, signal.SIGCONT))
    timer.start()
    return client, timer
counter = f'counter {redis.__version__}'
client, timer = stopped(3)
look('INCR, a server that is stopped for 3 s', client, 'INCR', counter)
timer.join()
time.sleep(1)
print(f'redis {redis.__version__}, the counter: {int(redis.Redis("127.0.0.1", port).get(counter))}')
client, timer = stopped(22)
look('PING, a server that is stopped', client, 'PING')
timer.cancel()
os.kill(server, signal.SIGCONT)
look('PING, a port that is closed', redis.Redis('127.0.0.1', closed, socket_timeout=1), 'PING')
PY
for version in 5.2.1 8.1.0; do
    timeout 60 $version/bin/python look.py "$port" "$server"
done | tee seen
grep -qE '^redis 5.2.1, INCR, a server that is stopped for 3 s: TimeoutError after [12]\.[0-9] s$' seen
grep -q '^redis 5.2.1, the counter: 1$' seen
grep -qE '^redis 5.2.1, PING, a server that is stopped: TimeoutError after [12]\.[0-9] s$' seen
grep -qE '^redis 5.2.1, PING, a port that is closed: ConnectionError after [01]\.[0-9] s$' seen
grep -qE '^redis 8.1.0, INCR, a server that is stopped for 3 s: answers 2 after [3-6]\.[0-9] s$' seen
grep -q '^redis 8.1.0, the counter: 2$' seen
grep -qE '^redis 8.1.0, PING, a server that is stopped: TimeoutError after 1[1-9]\.[0-9] s$' seen
grep -qE '^redis 8.1.0, PING, a port that is closed: ConnectionError after (0\.[5-9]|[1-8]\.[0-9]) s$' seen
