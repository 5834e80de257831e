#!/usr/bin/env bash
# asyncpg.connect(host=[first, second], timeout=3) does not ask the second server where the first accepts and says nothing: its
# time (60 s by default) is for all hosts together, and one that is silent, as a stopped or overloaded one is, uses all of it
# up. libpq, and psycopg with it, gives each host the whole of connect_timeout, and is let in by the second. So an application
# with a list of servers stays outside, with each new try, while the second is well.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill -INT "$server"; wait "$server" || true; } 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends \
    postgresql-15 postgresql-client-15 python3 python3-venv >/dev/null 2>&1
dpkg-query -W postgresql-15 libpq5
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check asyncpg==0.32.0 psycopg-binary==3.3.9 psycopg==3.3.9
bin=/usr/lib/postgresql/15/bin
chmod 755 "$work"
mkdir data
chown nobody data
cd data
setpriv --reuid=nobody --regid=nogroup --clear-groups \
    $bin/initdb --no-sync --auth=trust --username=app --encoding=UTF8 --locale=C -D "$work/data/db" >/dev/null
good=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
setpriv --reuid=nobody --regid=nogroup --clear-groups \
    $bin/postgres -D "$work/data/db" -h 127.0.0.1 -p "$good" -k "" -F >log 2>&1 &
server=$!
cd "$work"
for _ in $(seq 150); do
    ! $bin/pg_isready -q -h 127.0.0.1 -p "$good" || break
    sleep 0.2
done
cat >look.py <<'PY'
"""Three clients with two servers each, of which the second is well, and 3 s."""
import asyncio, os, socket, subprocess, sys, time
import asyncpg, psycopg
print('asyncpg', asyncpg.__version__)
print('psycopg', psycopg.__version__, 'libpq', psycopg.pq.version())
psql, good = sys.argv[1], int(sys.argv[2])
# It accepts, as the kernel does that for it, and never answers.
silent = socket.create_server(('127.0.0.1', 0), backlog=20)
with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    closed = s.getsockname()[1]
def of_libpq(first):
    return f'host=127.0.0.1,127.0.0.1 port={first},{good} user=app dbname=postgres connect_timeout=3 sslmode=disable gssencmode=disable'
async def by_asyncpg(first):
    connection = await asyncpg.connect(host=['127.0.0.1', '127.0.0.1'], port=[first, good], user='app', database='postgres',
                                       timeout=3, ssl='disable')
    port = await connection.fetchval('select inet_server_port()')
    await connection.close()
    return port
def by_psycopg(first):
    with psycopg.connect(of_libpq(first)) as connection:
        return connection.execute('select inet_server_port()').fetchone()[0]
def by_psql(first):
    return int(subprocess.run([psql, '-X', '-At', '-c', 'select inet_server_port()', of_libpq(first)], check=True, timeout=30,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
for what, first in ('closed', closed), ('silent', silent.getsockname()[1]):
    for name, connect in (('asyncpg', lambda port: asyncio.run(by_asyncpg(port))), ('psycopg', by_psycopg), ('psql', by_psql)):
        begun = time.time()
        try:
            end = 'let in by the second' if connect(first) == good else 'let in by another'
        except Exception as error:
            end = type(error).__name__
        print(f'{name}, the first is {what}: {end} after {time.time() - begun:.0f} s', flush=True)
PY
env -u PGHOST -u PGPORT -u PGSERVICE -u PGPASSFILE HOME="$work" timeout 90 venv/bin/python look.py $bin/psql "$good" | tee seen
for client in asyncpg psycopg psql; do
    grep -qE "^$client, the first is closed: let in by the second after [01] s$" seen
done
grep -qE '^asyncpg, the first is silent: TimeoutError after [34] s$' seen
for client in psycopg psql; do
    grep -qE "^$client, the first is silent: let in by the second after [345] s$" seen
done
