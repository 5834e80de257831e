#!/usr/bin/env bash
# circusd tries a program that is not there five times within a moment, and then never again: the file may come up a second
# later (a volume, a build), and circusd goes on without it, in good health. A program that exits at once it does start
# again and again, but only when it looks around (check_delay), every five seconds: a gate that gave up is asked that late.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends python3 python3-venv >/dev/null 2>&1
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check circus==0.19.0
venv/bin/pip list --disable-pip-version-check 2>/dev/null | grep -i '^circus '
cat >look.py <<'PY'
"""Runs circusd for 18 s over a program that comes up after two, and one that exits with 124 at once."""
import os, socket, subprocess, time
def free():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]
open('circus.ini', 'w').write(f'''[circus]
endpoint = tcp://127.0.0.1:{free()}
pubsub_endpoint = tcp://127.0.0.1:{free()}
[watcher:late]
cmd = {os.getcwd()}/late
[watcher:quick]
cmd = {os.getcwd()}/quick
''')
def program(name, script):
    open(name + '.new', 'w').write('#!/bin/sh\n' + script)
    os.chmod(name + '.new', 0o755)
    os.rename(name + '.new', name)
program('quick', f'date +%s.%N >>{os.getcwd()}/starts\nexit 124\n')
begun = time.time()
circusd = subprocess.Popen(['venv/bin/circusd', 'circus.ini'], stdout=open('log', 'w'), stderr=subprocess.STDOUT)
while 'No such file' not in open('log').read() and time.time() - begun < 30:
    time.sleep(0.1)
time.sleep(2)
program('late', f'touch {os.getcwd()}/ran\nexec sleep 1000\n')
time.sleep(16)
tries = sum("error in 'late'" in line for line in open('log'))
print(f'the missing program: {tries} tries, {"run" if os.path.exists("ran") else "never run"} after it came up')
starts = [float(line) for line in open('starts')]
print('the program that exits: pauses of', *(round(b - a) for a, b in zip(starts, starts[1:])), 's')
print('circusd:', 'runs on' if circusd.poll() is None else circusd.returncode)
circusd.terminate()
circusd.wait(20)
PY
python3 look.py | tee seen
grep -q '^the missing program: 5 tries, never run after it came up$' seen
grep -qE '^the program that exits: pauses of ([456] )+s$' seen
grep -q '^circusd: runs on$' seen
