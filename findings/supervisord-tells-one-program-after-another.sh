#!/usr/bin/env bash
# supervisord that is told to end (SIGTERM) tells its programs one after another: the next gets its SIGTERM only once the one
# before has ended, or was killed after its stopwaitsecs (10 s by default). Three programs of 3 s each take more than 9 s, and
# where the first ignores the signal the others hear nothing before the 10 s of `docker stop` are over. One would expect it to
# tell all of them at once, as it does where they are in one [group:…].
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends supervisor python3 >/dev/null 2>&1
dpkg-query -W supervisor
cat >program.py <<'PY'
"""Notes when it is told to end, and needs some seconds for that; with a minus it takes no notice of it."""
import signal, sys, time
name, seconds = sys.argv[1], float(sys.argv[2])
def told(*_):
    print(name, time.time(), file=open(name, 'w'), flush=True)
    if seconds >= 0:
        time.sleep(seconds)
        sys.exit(0)
signal.signal(signal.SIGTERM, told)
open(name + '.up', 'w').close()
until = time.time() + 60
while time.time() < until:
    time.sleep(1)
PY
cat >look.py <<'PY'
"""When each of three programs hears that supervisord ends, and how long all of it takes."""
import os, subprocess, sys, threading, time
def look(number, title, needs, grouped):
    home = f'{os.getcwd()}/{number}'
    os.mkdir(home)
    names = 'abc'
    with open(home + '/conf', 'w') as conf:
        conf.write(f'[supervisord]\nnodaemon=true\nuser=root\nlogfile={home}/log\npidfile={home}/pid\n')
        for name, seconds in zip(names, needs):
            conf.write(f'[program:{name}]\ncommand={sys.executable} {os.getcwd()}/program.py {name} {seconds}\ndirectory={home}\n')
        if grouped:
            conf.write('[group:all]\nprograms=a,b,c\n')
    daemon = subprocess.Popen(['/usr/bin/supervisord', '-c', home + '/conf'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        if all(os.path.exists(f'{home}/{name}.up') for name in names):
            break
        time.sleep(0.1)
    time.sleep(2)
    begun = time.time()
    daemon.terminate()
    try:
        daemon.wait(timeout=50)
    finally:
        daemon.kill()
    took = time.time() - begun
    told = sorted(float(open(f'{home}/{name}').read().split()[1]) - begun for name in names)
    seen[number] = f'{title}: told after ' + ', '.join(f'{t:.1f}' for t in told) + f' s, ended after {took:.1f} s'
seen = {}
looks = [threading.Thread(target=look, args=a) for a in (
    (0, 'three of 3 s each', (3, 3, 3), False), (1, 'three of 3 s each in one group', (3, 3, 3), True),
    (2, 'one that ignores it and two of 0 s', (0, 0, -1), False))]
for one in looks:
    one.start()
for one in looks:
    one.join()
for number in sorted(seen):
    print(seen[number])
PY
timeout 100 python3 look.py | tee seen
grep -qE '^three of 3 s each: told after [01]\.[0-9], [345]\.[0-9], [6-9]\.[0-9] s, ended after (9|1[0-4])\.' seen
grep -qE '^three of 3 s each in one group: told after [01]\.[0-9], [01]\.[0-9], [01]\.[0-9] s, ended after [345]\.' seen
grep -qE '^one that ignores it and two of 0 s: told after [01]\.[0-9], 1[01]\.[0-9], 1[0-2]\.[0-9] s, ended after 1[0-4]\.' seen
