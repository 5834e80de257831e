#!/usr/bin/env bash
# Knot's khost, which takes options as BIND's host does, exits 0 where the name is not there (NXDOMAIN) and where the server
# answers SERVFAIL or REFUSED; host exits 1. A loop `until khost db` is told yes by the first answer of any kind. BIND's own
# delv exits 0 for all of these, and where nothing answers at all, for which dig exits 9, and host and khost 1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends \
    knot-host bind9-host bind9-dnsutils python3 >/dev/null 2>&1
dpkg-query -W knot-host bind9-host bind9-dnsutils
cat >look.py <<'PY'
"""A name server whose answer depends on the first label, and what four clients make of it."""
import os, socket, subprocess, threading
CODES = {'there': 0, 'nxdomain': 3, 'servfail': 2, 'refused': 5}
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(('127.0.0.1', 0))
port = str(server.getsockname()[1])
def serve():
    while True:
        query, client = server.recvfrom(1500)
        question = query[12:query.index(b'\0', 12) + 5]
        label = question[1:1 + question[0]].decode().lower()
        if label not in CODES:
            continue
        # An A record for the name that is there, and no record of another type.
        record = b'\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04\x0a\x01\x02\x03' if label == 'there' and question[-3] == 1 else b''
        head = bytes([0x81, 0x80 | CODES[label], 0, 1, 0, len(record) // 16, 0, 0, 0, 0])
        server.sendto(query[:2] + head + question + record, client)
threading.Thread(target=serve, daemon=True).start()
clients = {
    'host': lambda name: ['host', '-W', '2', '-R', '1', '-p', port, name, '127.0.0.1'],
    'khost': lambda name: ['khost', '-W', '2', '-R', '0', name, f'[127.0.0.1]:{port}'],
    'dig': lambda name: ['dig', '+time=2', '+tries=1', '-p', port, '@127.0.0.1', name],
    'delv': lambda name: ['delv', '-i', '-p', port, '@127.0.0.1', name],
}
for label in (*CODES, 'silence'):
    status = {client: subprocess.run(command(f'{label}.example.'), env=os.environ | {'HOME': os.getcwd()}, stdin=subprocess.DEVNULL,
                                     stdout=open(f'{client}.{label}', 'w'), stderr=subprocess.STDOUT, timeout=60).returncode
              for client, command in clients.items()}
    print(f'{label}: ' + ', '.join(f'{client} {code}' for client, code in status.items()), flush=True)
for client, label in ('khost', 'nxdomain'), ('delv', 'silence'):
    print(f'{client} says for {label}: ' + [line for line in open(f'{client}.{label}').read().splitlines() if line.strip(' ;')][-1])
PY
timeout 100 python3 look.py | tee seen
grep -q '^there: host 0, khost 0, dig 0, delv 0$' seen
grep -q '^nxdomain: host 1, khost 0, dig 0, delv 0$' seen
grep -q '^servfail: host 1, khost 0, dig 0, delv 0$' seen
grep -q '^refused: host 1, khost 0, dig 0, delv 0$' seen
grep -q '^silence: host 1, khost 1, dig 9, delv 0$' seen
