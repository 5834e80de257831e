#!/usr/bin/env bash
# util-linux's `script -e -c COMMAND`, which gives servers and CI jobs a terminal, exits with the command's status: 7 for 7, 143 for
# a death by SIGTERM. Once script itself gets SIGTERM, and passes it on, it exits 0, whatever its command made of the signal, and
# only two seconds later, though that ended at once. So a job under it that is stopped looks like one that succeeded.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends bsdutils python3 >/dev/null 2>&1
dpkg-query -W bsdutils
cat >look.py <<'PY'
"""What script -e exits with, when its command ends by itself and when script is told to end."""
import os, subprocess, time
def run(name, command, told):
    if os.path.exists('up'):
        os.remove('up')
    begun = time.time()
    script = subprocess.Popen(['script', '-q', '-e', '-c', command, '/dev/null'], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    if told:
        while not os.path.exists('up') and time.time() - begun < 10:
            time.sleep(0.05)
        time.sleep(0.3)
        begun = time.time()
        script.terminate()
    status = script.wait(timeout=30)
    print(f'{name}: {status} after {time.time() - begun:.1f} s', flush=True)
loop = 'touch up; for i in $(seq 100); do sleep 0.1; done'
run('the command exits 7', 'exit 7', False)
run('the command dies of SIGTERM', 'kill -TERM $$', False)
run('SIGTERM to script, the command dies of it', loop, True)
run('SIGTERM to script, the command exits 7', "trap 'date +%s.%N >ended; exit 7' TERM; " + loop, True)
print(f'the command had ended {time.time() - float(open("ended").read()):.1f} s before')
PY
python3 look.py | tee seen
grep -q '^the command exits 7: 7 after 0' seen
grep -q '^the command dies of SIGTERM: 143 after 0' seen
grep -qE '^SIGTERM to script, the command dies of it: 0 after (1\.9|2\.[0-9]) s' seen
grep -qE '^SIGTERM to script, the command exits 7: 0 after (1\.9|2\.[0-9]) s' seen
grep -qE '^the command had ended (1\.[5-9]|2\.[0-9]) s before' seen
