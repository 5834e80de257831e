#!/usr/bin/env bash
# git daemon with --max-connections clients does not turn a further one away, as its manual has one think: it ends the youngest of those
# that share an address and have asked for nothing yet, and serves the newcomer. Behind a proxy or a container's published
# port all clients share one. With an address for each, or a clone each under way, the newcomer is reset, after a second.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends git python3 >/dev/null 2>&1
dpkg-query -W git
cat >look.py <<'PY'
"""Two connections at a git daemon that allows two, from one address or from two, silent or not; then a third client."""
import os, socket, subprocess, time
quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
subprocess.run(['/usr/bin/git', 'init', '-q', '--bare', 'a.git'], check=True)
open('a.git/git-daemon-export-ok', 'w')
def free():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]
def state(s):
    s.settimeout(0.5)
    try:
        return 'answered' if s.recv(16) else 'closed'
    except TimeoutError:
        return 'open'
    except ConnectionResetError:
        return 'closed'
def connect(port, address, asks):
    for _ in range(100):
        try:
            s = socket.create_connection(('127.0.0.1', port), timeout=5, source_address=(address, 0))
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    if asks:
        s.sendall(b'0028git-upload-pack /a.git\0host=anyhost\0')
    return s
def look(name, addresses, asks):
    port = free()
    daemon = subprocess.Popen(['/usr/lib/git-core/git-daemon', f'--port={port}', '--listen=127.0.0.1', '--max-connections=2',
                               f'--base-path={os.getcwd()}'], start_new_session=True, **quiet)
    held = [connect(port, address, asks) for address in addresses]
    before = [state(s) for s in held]
    begun = time.time()
    third = subprocess.run(['/usr/bin/git', 'ls-remote', f'git://127.0.0.1:{port}/a.git'], capture_output=True, text=True, timeout=20)
    print(f'{name}: {" and ".join(before)}; the third {"served" if third.returncode == 0 else third.stderr.strip()}, '
          f'after {time.time() - begun:.0f} s; then {" and ".join(state(s) for s in held)}', flush=True)
    for s in held:
        s.close()
    daemon.terminate()
    daemon.wait()
look('one address, silent', ['127.0.0.1', '127.0.0.1'], False)
look('two addresses, silent', ['127.0.0.1', '127.0.0.2'], False)
look('one address, asking', ['127.0.0.1', '127.0.0.1'], True)
PY
timeout 60 python3 look.py | tee seen
grep -qE '^one address, silent: open and open; the third served, after [012] s; then (open and closed|closed and open)$' seen
grep -qE '^two addresses, silent: open and open; the third .*Connection reset by peer, after [123] s; then open and open$' seen
grep -qE '^one address, asking: answered and answered; the third .*Connection reset by peer, after [123] s; then (answered|open) and' seen
