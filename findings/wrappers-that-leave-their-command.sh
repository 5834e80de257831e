#!/usr/bin/env bash
# dbus-run-session, xvfb-run, fakeroot, faketime, flock and GNU time die of SIGTERM at once and leave their command running,
# untold: where a script or a supervisor stops them, the server lives on and keeps its port, and the next start fails. Behind
# tini the command is killed untold. As PID 1 of a container they take no notice of the signal (xvfb-run starts nothing there).
# One would expect them to pass it on and wait, as tini does, or to become the command, as nice, setpriv, stdbuf and `flock -F`
# do.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends \
    dbus-daemon xvfb xauth fakeroot faketime util-linux time tini eatmydata coreutils python3 >/dev/null 2>&1
dpkg-query -W dbus-daemon xvfb fakeroot faketime util-linux time tini eatmydata coreutils
cat >program.py <<'PY'
"""A server with a port of its own that exits 7 when it is told to end; it ends by itself after a minute."""
import os, signal, socket, sys, time
def told(*_):
    open('told', 'w').close()
    sys.exit(7)
signal.signal(signal.SIGTERM, told)
listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))
open('up', 'w').close()
time.sleep(60)
PY
cat >look.py <<'PY'
"""Sends SIGTERM to a wrapper once its server is up; what becomes of both, and of the next start?"""
import concurrent.futures, os, signal, socket, subprocess, sys, time
def port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]
def is_open(at):
    with socket.socket() as s:
        return s.connect_ex(('127.0.0.1', at)) == 0
def start(home, command):
    for name in 'up', 'told':
        if os.path.exists(f'{home}/{name}'):
            os.remove(f'{home}/{name}')
    # Once the server is up, or the start has failed.
    process = subprocess.Popen(command, cwd=home, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.time() + 30
    while not os.path.exists(f'{home}/up') and process.poll() is None and time.time() < until:
        time.sleep(0.1)
    return process
def look(number, title, wrapper, as_init):
    home, at = str(number), port()
    os.mkdir(home)
    init = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'] if as_init else []
    command = [*init, *wrapper, sys.executable, '../program.py', str(at)]
    process = start(home, command)
    assert os.path.exists(f'{home}/up')
    target = process.pid
    if as_init:
        # unshare is the parent of PID 1.
        target = int(open(f'/proc/{process.pid}/task/{process.pid}/children').read().split()[0])
    os.kill(target, signal.SIGTERM)
    try:
        status = process.wait(4)
        end = f'dies of {signal.Signals(-status).name}' if status < 0 else f'exits {status}'
    except subprocess.TimeoutExpired:
        end = 'goes on'
    time.sleep(1)
    told, there = os.path.exists(f'{home}/told'), is_open(at)
    line = f'{title}: {end}, the server is {"told" if told else "not told"} and {"lives" if there else "has gone"}'
    if as_init:
        process.kill()
    else:
        process = start(home, command)
        line += f', the next start {"is well" if process.poll() is None else "fails"}'
    return line
flock = ['flock', '-n', 'lock']
wrappers = (
    ('dbus-run-session', ['dbus-run-session', '--']), ('xvfb-run', ['xvfb-run', '-a']), ('fakeroot', ['fakeroot']),
    ('faketime', ['faketime', '-f', '+0']), ('flock', flock), ('time', ['/usr/bin/time']), ('flock -F', ['flock', '-F', '-n', 'lock']),
    ('eatmydata', ['eatmydata']), ('nice', ['nice']), ('setpriv', ['setpriv', '--no-new-privs']), ('stdbuf', ['stdbuf', '-oL']),
    ('tini', ['tini', '-s', '--']))
looks = [(*one, False) for one in wrappers]
for title, wrapper in wrappers[:7]:
    if title != 'xvfb-run':
        looks.append((title + ' as PID 1', wrapper, True))
    looks.append((title + ' behind tini', ['tini', '--', *wrapper], True))
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    for line in pool.map(look, range(len(looks)), *zip(*looks)):
        print(line, flush=True)
PY
cat >inside.sh <<'EOS2'
# What displays, buses and faketime leave behind ends with this too.
mount -t tmpfs none /tmp
mount -t tmpfs none /dev/shm
mkdir /tmp/work
cp *.py /tmp/work
cd /tmp/work
exec timeout 110 python3 look.py
EOS2
# What is left running ends with its PID 1.
unshare --mount --pid --mount-proc --fork --kill-child bash inside.sh | tee seen
for name in dbus-run-session xvfb-run fakeroot faketime flock time; do
    grep -q "^$name: dies of SIGTERM, the server is not told and lives, the next start fails$" seen
    [ $name = xvfb-run ] || grep -q "^$name as PID 1: goes on, the server is not told and lives$" seen
    grep -q "^$name behind tini: exits 143, the server is not told and has gone$" seen
done
for name in "flock -F" eatmydata nice setpriv stdbuf tini; do
    grep -q "^$name: exits 7, the server is told and has gone, the next start is well$" seen
done
grep -q "^flock -F as PID 1: exits 7, the server is told and has gone$" seen
grep -q "^flock -F behind tini: exits 7, the server is told and has gone$" seen
