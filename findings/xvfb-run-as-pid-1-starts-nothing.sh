#!/usr/bin/env bash
# xvfb-run as PID 1, as in ENTRYPOINT ["xvfb-run", …], starts its X server and then never its command: it waits for the SIGUSR1
# by which an X server says that it is ready, and that sends none to a parent whose number is 1. It says nothing, waits for
# ever, and takes no notice of SIGTERM. One would expect it to start the command after a second, as it does behind tini, or
# under a shell.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends \
    xvfb xauth tini python3 >/dev/null 2>&1
dpkg-query -W xvfb tini
cat >look.py <<'PY'
"""Whether xvfb-run starts its command, which exits 5, within 15 s, and what it does at SIGTERM otherwise."""
import os, signal, subprocess, time
def children(pid):
    return [int(child) for child in open(f'/proc/{pid}/task/{pid}/children').read().split()]
def name(pid):
    return open(f'/proc/{pid}/comm').read().strip()
def look(title, *command):
    if os.path.exists('started'):
        os.remove('started')
    begun = time.time()
    # Its child is PID 1, and all that it leaves ends with it.
    process = subprocess.Popen(['unshare', '--pid', '--mount-proc', '--fork', '--kill-child', *command], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        status = process.wait(15)
        end = f'exits {status} after {time.time() - begun:.0f} s'
    except subprocess.TimeoutExpired:
        init = children(process.pid)[0]
        runs = ', '.join(map(name, children(init)))
        os.kill(init, signal.SIGTERM)
        try:
            end = f'exits {process.wait(3)} at SIGTERM'
        except subprocess.TimeoutExpired:
            end = f'goes on after SIGTERM, with {runs}'
            process.kill()
    said = process.communicate(timeout=10)[0].decode().strip()
    started = 'started' if os.path.exists('started') else 'not started'
    print(f'{title}: the command is {started}, it {end}, and says "{said}"', flush=True)
xvfb = ['xvfb-run', '-a', 'sh', '-c', 'echo "$DISPLAY" >started; exit 5']
look('xvfb-run as PID 1', *xvfb)
look('xvfb-run behind tini', 'tini', '--', *xvfb)
look('xvfb-run under a shell', 'sh', '-c', '"$@"; exit $?', 'sh', *xvfb)
PY
cat >inside.sh <<'EOF'
# Displays leave things in /tmp.
mount -t tmpfs none /tmp
mkdir /tmp/work
cp *.py /tmp/work
cd /tmp/work
exec timeout 80 python3 look.py
EOF
unshare --mount --pid --mount-proc --fork --kill-child bash inside.sh | tee seen
grep -q '^xvfb-run as PID 1: the command is not started, it goes on after SIGTERM, with Xvfb, and says ""$' seen
grep -qE '^xvfb-run behind tini: the command is started, it exits 5 after [0-9] s, and says ""$' seen
grep -qE '^xvfb-run under a shell: the command is started, it exits 5 after [0-9] s, and says ""$' seen
