#!/usr/bin/env bash
# `runuser -u app -- COMMAND` and `su -c` pass SIGTERM on to COMMAND, sleep for two seconds whether it has ended or not, kill
# it, and die of SIGTERM themselves: what COMMAND exited with is lost, a stop always lasts two seconds, and an application
# that needs three to finish its requests is killed, however long the grace period of `docker stop` is. As PID 1 they exit 143
# then. One expects them to wait for COMMAND, as they do without a signal. setpriv becomes COMMAND.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends util-linux python3 >/dev/null 2>&1
dpkg-query -W util-linux
cat >look.py <<'PY'
"""Sends SIGTERM to a wrapper around a program that needs some seconds to end, and then exits 5."""
import os, signal, subprocess, time
PROGRAM = """trap 'echo TERM >>trace; sleep %s; echo ended >>trace; exit 5' TERM; echo up >>trace; for i in $(seq 600); do sleep 0.05; done"""
def trace():
    with open('trace') as file:
        return file.read().split()
def handles_term(pid):
    with open(f'/proc/{pid}/status') as file:
        caught = next(line for line in file if line.startswith('SigCgt'))
    return int(caught.split()[1], 16) >> signal.SIGTERM - 1 & 1
def look(name, seconds, *command, first=False):
    open('trace', 'w').close()
    quiet = dict.fromkeys(('stdin', 'stdout', 'stderr'), subprocess.DEVNULL)
    process = subprocess.Popen([*command, PROGRAM % seconds], **quiet)
    while 'up' not in trace() and process.poll() is None:
        time.sleep(0.05)
    told = process.pid
    if first:
        # unshare is the parent of PID 1.
        with open(f'/proc/{process.pid}/task/{process.pid}/children') as file:
            told = int(file.read().split()[0])
    while not handles_term(told):
        time.sleep(0.05)
    begun = time.time()
    os.kill(told, signal.SIGTERM)
    status = process.wait(30)
    took = time.time() - begun
    end = f'dies of {signal.Signals(-status).name}' if status < 0 else f'exits {status}'
    program = 'ended' if 'ended' in trace() else 'killed'
    print(f'{name}, a program that needs {seconds} s: {end} after {took:.0f} s, the program: {program}', flush=True)
for seconds in 0, 3:
    look('runuser', seconds, 'runuser', '-u', 'root', '--', 'sh', '-c')
    look('su', seconds, 'su', '-c')
    look('setpriv', seconds, 'setpriv', '--reuid=0', 'sh', '-c')
    look('runuser as PID 1', seconds, 'unshare', '--pid', '--fork', '--kill-child', 'runuser', '-u', 'root', '--', 'sh', '-c', first=True)
PY
python3 look.py | tee seen
for name in runuser su; do
    grep -q "^$name, a program that needs 0 s: dies of SIGTERM after [23] s, the program: ended$" seen
    grep -q "^$name, a program that needs 3 s: dies of SIGTERM after [23] s, the program: killed$" seen
done
grep -q "^runuser as PID 1, a program that needs 3 s: exits 143 after [23] s, the program: killed$" seen
grep -q "^setpriv, a program that needs 3 s: exits 5 after [34] s, the program: ended$" seen
