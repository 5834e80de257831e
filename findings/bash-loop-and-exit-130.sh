#!/usr/bin/env bash
# bash goes on with a loop after Ctrl-C, if the program in it handles SIGINT and exits 130 instead of dying of it: 130 is
# what a shell itself reports for such a death, so one expects them to be alike. dash and busybox are asked too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends python3 >/dev/null 2>&1
for package in bash dash busybox-static; do
    apt-get -o APT::Sandbox::User=root download -q "$package" >/dev/null
    dpkg -x "$package"_*.deb root
    basename "$package"_*.deb
done
cat >loop.py <<'PY'
"""Types Ctrl-C at a shell's loop on a terminal, and counts how often the loop goes round."""
import os, pty, select, signal, sys, time

PROGRAM = """trap 'exit 130' INT; echo round; while :; do sleep 0.05; done"""
DIES = """echo round; while :; do sleep 0.05; done"""

def rounds(shell, program):
    script = f'until "$S" -c "$P"; do :; done'
    pid, terminal = pty.fork()
    if pid == 0:
        # A shell cannot set back what it was started with ignored, as it is under nohup and in the background of a script.
        for ignored in signal.SIGINT, signal.SIGQUIT, signal.SIGHUP:
            signal.signal(ignored, signal.SIG_DFL)
        os.environ.update(S=sys.argv[1] + '/usr/bin/dash' if os.path.exists(sys.argv[1] + '/usr/bin/dash') else sys.argv[1] + '/bin/dash', P=program)
        os.execv(shell[0], [*shell, '-c', script])
    seen, typed, end = 0, 0, time.time() + 5
    while time.time() < end and typed < 3:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                text = os.read(terminal, 1000)
            except OSError:
                break
            if not text:
                break
            fresh = text.count(b'round')
            seen += fresh
            if fresh:
                time.sleep(0.2)
                os.write(terminal, b'\x03')
                typed += 1
    time.sleep(0.3)
    ended = os.waitpid(pid, os.WNOHANG)[0] == pid
    if not ended:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    os.close(terminal)
    return seen, 'ended' if ended else 'goes on'

root = sys.argv[1]
find = lambda *names: next(p for n in names if os.path.exists(p := root + n))
shells = {'bash': [find('/usr/bin/bash', '/bin/bash')], 'dash': [find('/usr/bin/dash', '/bin/dash')],
          'busybox sh': [find('/usr/bin/busybox', '/bin/busybox'), 'sh']}
for name, shell in shells.items():
    for what, program in (('exits 130', PROGRAM), ('dies of SIGINT', DIES)):
        seen, state = rounds(shell, program)
        print(f'{name}: a program that {what}: rounds {seen}, the loop {"goes on" if seen > 1 or state == "goes on" else "ended"}')
PY
python3 loop.py "$work/root" | tee seen
grep -q '^bash: a program that exits 130: .* goes on$' seen
grep -q '^bash: a program that dies of SIGINT: .* ended$' seen
