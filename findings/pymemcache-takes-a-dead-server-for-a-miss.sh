#!/usr/bin/env bash
# pymemcache's HashClient with a memcached that is not there raises ConnectionRefusedError once a second alone: the calls in between
# return None, as where there is no such key, and False for set(), even with ignore_exc=False, its default. Some two seconds later
# all calls raise "All servers seem to be down", for a minute (dead_timeout), also once memcached is up. The plain Client raises each
# time, and finds memcached at once.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends memcached python3 python3-venv >/dev/null 2>&1
dpkg-query -W memcached
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pymemcache==4.0.0
cat >look.py <<'PY'
"""Calls of three clients to a memcached that is not there; then it comes up, and holds the key."""
import socket, subprocess, time
import pymemcache
print('pymemcache', pymemcache.__version__)
with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    server = ('127.0.0.1', free.getsockname()[1])
def call(what):
    try:
        return repr(what())
    except Exception as error:
        return f'{type(error).__name__} {error}'
plain, impatient, hashed = pymemcache.Client(server), pymemcache.HashClient([server], dead_timeout=4), pymemcache.HashClient([server])
print('plain:', *(call(lambda: plain.get('key')) for _ in range(2)), sep=' | ')
print('hashed:', call(lambda: hashed.get('key')), call(lambda: hashed.get('key')), call(lambda: hashed.set('key', 'x')), sep=' | ')
answers = []
for _ in range(40):
    answers.append(call(lambda: hashed.get('key')))
    call(lambda: impatient.get('key'))
    time.sleep(0.1)
print('of 40 more in four seconds:', *(f'{answers.count(a)} {a}' for a in dict.fromkeys(answers)), sep=' | ', flush=True)
memcached = subprocess.Popen(['memcached', '-u', 'nobody', '-l', server[0], '-p', str(server[1])])
while call(lambda: plain.set('key', 'x', noreply=False)) != 'True':
    time.sleep(0.1)
begun = time.time()
print('up:', 'plain', call(lambda: plain.get('key')), '| hashed', call(lambda: hashed.get('key')), flush=True)
while call(lambda: impatient.get('key')) != "b'x'" and time.time() - begun < 30:
    time.sleep(0.1)
print(f'dead_timeout=4: found again after {time.time() - begun:.0f} s', flush=True)
time.sleep(max(0, begun + 12 - time.time()))
print('up for 12 s:', 'plain', call(lambda: plain.get('key')), '| hashed', call(lambda: hashed.get('key')))
memcached.terminate()
memcached.wait()
PY
timeout 100 venv/bin/python look.py | tee seen
grep -q '^plain: | ConnectionRefusedError [^|]*| ConnectionRefusedError ' seen
grep -q '^hashed: | ConnectionRefusedError [^|]*| None | False$' seen
grep -qE '^of 40 more .*\| [0-9]+ None \| [1-4] ConnectionRefusedError .*\| [0-9]+ MemcacheError All servers seem to be down' seen
grep -q "^up: plain b'x' | hashed MemcacheError All servers seem to be down" seen
grep -qE '^dead_timeout=4: found again after [0-4] s$' seen
grep -q "^up for 12 s: plain b'x' | hashed MemcacheError All servers seem to be down" seen
