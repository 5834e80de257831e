#!/usr/bin/env bash
# With several hosts psycopg 3 asks the next one after any error of the first: a wrong password, a database that is not there, a
# server that is full. libpq itself, on which it rests, and psycopg 2 with it, goes on only where a server cannot let
# anybody in yet (57P03), and fails otherwise. So one URL leads two applications to different servers.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends python3 python3-venv >/dev/null 2>&1
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check psycopg2-binary==2.9.13 psycopg-binary==3.3.9 psycopg==3.3.9
cat >look.py <<'PY'
"""Two servers that refuse each login with an error; which of them does a client ask?"""
import socket, struct, threading
import psycopg, psycopg2
print('psycopg2', psycopg2.__version__.split()[0], 'libpq', psycopg2.extensions.libpq_version())
print('psycopg', psycopg.__version__, 'libpq', psycopg.pq.version())

def packet(client):
    head = client.recv(4, socket.MSG_WAITALL)
    return client.recv(struct.unpack('!I', head)[0] - 4, socket.MSG_WAITALL)

def server(code):
    """Its port, and a list that grows by each login."""
    listener, logins = socket.create_server(('127.0.0.1', 0)), []
    def serve():
        while True:
            client = listener.accept()[0]
            # Requests for TLS and GSSAPI come before the login.
            while packet(client)[:4] in (b'\x04\xd2\x16\x2f', b'\x04\xd2\x16\x30'):
                client.sendall(b'N')
            logins.append(code)
            fields = b'SFATAL\0VFATAL\0C' + code.encode() + b'\0Mno\0\0'
            client.sendall(b'E' + struct.pack('!I', len(fields) + 4) + fields)
            client.close()
    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1], logins

for client in psycopg2, psycopg:
    for code, what in ('57P03', 'starting up'), ('28P01', 'wrong password'), ('3D000', 'no such database'), ('53300', 'full'):
        (first, asked_first), (second, asked_second) = server(code), server('57P03')
        try:
            client.connect(host='127.0.0.1,127.0.0.1', port=f'{first},{second}', user='app', password='x', dbname='app', connect_timeout=5)
        except client.OperationalError:
            pass
        assert len(asked_first) == 1
        print(f'{client.__name__}: first {what}: second {"asked" if asked_second else "not asked"}')
PY
venv/bin/python look.py | tee seen
for what in "wrong password" "no such database" "full"; do
    grep -q "^psycopg2: first $what: second not asked$" seen
    grep -q "^psycopg: first $what: second asked$" seen
done
for client in psycopg2 psycopg; do
    grep -q "^$client: first starting up: second asked$" seen
done
