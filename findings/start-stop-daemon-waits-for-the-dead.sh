#!/usr/bin/env bash
# Debian's `start-stop-daemon --background --notify-await` does not see that the program has ended before it said READY=1: it goes
# on to wait for that until --notify-timeout (60 s by default) is over, exits 2, and says no more than "timed out". Where the
# program is well and only slow, it exits 2 all the same and leaves it running: the start has failed, and the server comes up. One
# would expect an error as soon as the program is dead, and nothing left of a start that failed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends python3 >/dev/null 2>&1
dpkg-query -W dpkg
cat >program.py <<'PY'
"""Does what it is told to: exits, dies, or says something to whoever started it, and stays for a while."""
import os, signal, socket, sys, time
def say(what):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(what, os.environ['NOTIFY_SOCKET'].replace('@', '\0', 1))
what = sys.argv[1]
if what.startswith('exit'):
    sys.exit(int(what.split()[1]))
if what == 'die':
    os.kill(os.getpid(), signal.SIGKILL)
if what == 'fail':
    say(b'ERRNO=2')
    sys.exit(1)
time.sleep(1 if what == 'soon' else 9)
say(b'READY=1')
time.sleep(10)
PY
cat >look.py <<'PY'
"""What start-stop-daemon exits with, after how long, and whether the program is there then; it waits for 7 s at most."""
import os, signal, subprocess, sys, threading, time
def look(number, title, what):
    pid = f'{os.getcwd()}/{number}.pid'
    begun = time.time()
    start = subprocess.run(['start-stop-daemon', '--start', '--background', '--make-pidfile', '--pidfile', pid, '--notify-await',
                            '--notify-timeout', '7', '--startas', sys.executable, '--', os.getcwd() + '/program.py', what],
                           capture_output=True, text=True, timeout=30)
    took = time.time() - begun
    time.sleep(1)
    program = int(open(pid).read())
    there = os.path.exists(f'/proc/{program}') and open(f'/proc/{program}/stat').read().rsplit(')', 1)[1].split()[0] != 'Z'
    if there:
        os.kill(program, signal.SIGKILL)
    said = start.stderr.strip().split(': ', 1)[-1]
    seen[number] = f'{title}: {start.returncode} after {took:.1f} s, the program {"is there" if there else "has gone"}; "{said}"'
seen = {}
looks = [threading.Thread(target=look, args=(number, *one)) for number, one in enumerate((
    ('READY=1 after 1 s', 'soon'), ('ERRNO=2, and it exits', 'fail'), ('it exits 3 at once', 'exit 3'),
    ('it exits 0 at once', 'exit 0'), ('it dies of a signal at once', 'die'), ('READY=1 after 9 s', 'late')))]
for one in looks:
    one.start()
for one in looks:
    one.join()
for number in sorted(seen):
    print(seen[number])
PY
timeout 60 python3 look.py | tee seen
grep -qE '^READY=1 after 1 s: 0 after [1-3]\.[0-9] s, the program is there; ""$' seen
grep -qE '^ERRNO=2, and it exits: 2 after [0-2]\.[0-9] s, the program has gone; "program failed to initialize \(No such file or directory\)"$' seen
grep -qE '^it exits 3 at once: 2 after [78]\.[0-9] s, the program has gone; "timed out waiting for a notification"$' seen
grep -qE '^it exits 0 at once: 2 after [78]\.[0-9] s, the program has gone; "timed out waiting for a notification"$' seen
grep -qE '^it dies of a signal at once: 2 after [78]\.[0-9] s, the program has gone; "timed out waiting for a notification"$' seen
grep -qE '^READY=1 after 9 s: 2 after [78]\.[0-9] s, the program is there; "timed out waiting for a notification"$' seen
