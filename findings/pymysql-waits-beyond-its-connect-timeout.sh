#!/usr/bin/env bash
# PyMySQL's and aiomysql's connect(connect_timeout=2) waits for ever where the server accepts and says nothing, as one that is
# stopped or a proxy before it does: the time is for the TCP connection alone, and reading has none by default. One would expect
# an error after 2 s, as from mysql.connector, MariaDB's own client, and psycopg. An application, or a health check, with
# connect_timeout alone hangs, and does not try again.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends mariadb-client python3 python3-venv >/dev/null 2>&1
dpkg-query -W mariadb-client
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
    PyMySQL==1.2.4 aiomysql==0.3.2 mysql-connector-python==26.10.0 psycopg-binary==3.3.9 psycopg==3.3.9
cat >look.py <<'PY'
"""How long five clients wait that are given 2 s to connect, within 20 s."""
import asyncio, importlib.metadata, inspect, os, socket, subprocess, threading, time
import aiomysql, mysql.connector, psycopg, pymysql
for name in 'PyMySQL', 'aiomysql', 'mysql-connector-python', 'psycopg':
    print(name, importlib.metadata.version(name))
print('by default: connect_timeout', inspect.signature(pymysql.connections.Connection.__init__).parameters['connect_timeout'].default, 's')
# It accepts, as the kernel does that for it, and never says anything.
listener = socket.create_server(('127.0.0.1', 0), backlog=50)
silent = listener.getsockname()[1]
with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    closed = s.getsockname()[1]
def by_pymysql(port, **settings):
    pymysql.connect(host='127.0.0.1', port=port, user='app', password='x', connect_timeout=2, **settings)
def by_aiomysql(port):
    asyncio.run(aiomysql.connect(host='127.0.0.1', port=port, user='app', password='x', connect_timeout=2))
def by_connector(port):
    mysql.connector.connect(host='127.0.0.1', port=port, user='app', password='x', connection_timeout=2, use_pure=True)
def by_client(port):
    subprocess.run(['mariadb', '--no-defaults', '-h', '127.0.0.1', '-P', str(port), '-u', 'app', '--connect-timeout=2', '-e', 'select 1'],
                   check=True, timeout=30, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
def by_psycopg(port):
    psycopg.connect(f'host=127.0.0.1 port={port} user=app dbname=app connect_timeout=2')
def look(number, title, connect):
    begun = time.time()
    try:
        connect()
        end = 'connected'
    except Exception as error:
        end = type(error).__name__
    seen[number] = f'{title}: {end} after {time.time() - begun:.0f} s'
titles = (
    ('PyMySQL, a silent server', lambda: by_pymysql(silent)), ('aiomysql, a silent server', lambda: by_aiomysql(silent)),
    ('PyMySQL with read_timeout=2, a silent server', lambda: by_pymysql(silent, read_timeout=2)),
    ('mysql.connector, a silent server', lambda: by_connector(silent)), ('mariadb, a silent server', lambda: by_client(silent)),
    ('psycopg, a silent server', lambda: by_psycopg(silent)),
    ('PyMySQL, a port that is closed', lambda: by_pymysql(closed)), ('aiomysql, a port that is closed', lambda: by_aiomysql(closed)))
seen = {number: f'{title}: goes on after 20 s' for number, (title, _) in enumerate(titles)}
looks = [threading.Thread(target=look, args=(number, *one), daemon=True) for number, one in enumerate(titles)]
for one in looks:
    one.start()
until = time.time() + 20
for one in looks:
    one.join(max(0, until - time.time()))
for number in sorted(seen):
    print(seen[number], flush=True)
# Not by the end of the threads: some have none.
os._exit(0)
PY
env -u PGHOST -u PGHOSTADDR HOME="$work" timeout 90 venv/bin/python look.py | tee seen
grep -q '^by default: connect_timeout 10 s$' seen
for name in PyMySQL aiomysql; do
    grep -q "^$name, a silent server: goes on after 20 s$" seen
    grep -qE "^$name, a port that is closed: OperationalError after [01] s$" seen
done
grep -qE '^PyMySQL with read_timeout=2, a silent server: OperationalError after [2-4] s$' seen
grep -qE '^mysql.connector, a silent server: [A-Za-z]*Error after [2-4] s$' seen
grep -qE '^mariadb, a silent server: CalledProcessError after [2-4] s$' seen
grep -qE '^psycopg, a silent server: ConnectionTimeout after [2-4] s$' seen
