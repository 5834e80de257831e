#!/usr/bin/env bash
# pytest-xprocess, which starts a server for tests and waits for a line of its output, does not see that the server has ended: one
# that exits at once, or dies, is waited for until the time is over (120 s by default), and the error speaks of the line alone.
# mirakuru, with which pytest-postgresql and others start theirs, sees at once that one has failed, and waits an hour by default
# for one that has exited 0, as those do that go to the background. One would expect the end of a server to be seen at once.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends python3 python3-venv >/dev/null 2>&1
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pytest==9.2.0 pytest-xprocess==1.0.2 mirakuru==3.1.0
cat >test_look.py <<'PY'
"""How long a server is waited for that has ended, or comes up after a second, with 8 s to wait at most."""
import importlib.metadata, inspect, socket, sys, time
import mirakuru, pytest, xprocess as package
print()
for name in ('pytest-xprocess', 'mirakuru'):
    print(name, importlib.metadata.version(name))
servers = {
    'it comes up': 'import socket, sys, time; time.sleep(1); s = socket.create_server(("127.0.0.1", int(sys.argv[1]))); '
                   'print("up"); time.sleep(20)',
    'it exits 3 at once': 'import sys; sys.exit(3)',
    'it exits 0 at once': '',
    'it dies at once': 'import os; os.kill(os.getpid(), 9)',
}
def port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return str(s.getsockname()[1])
def measure(name, title, start):
    begun, end = time.time(), 'started'
    try:
        start()
    except (TimeoutError, RuntimeError, mirakuru.exceptions.ExecutorError) as error:
        end = type(error).__name__
    print(f'\n{name}, {title}: {end} after {time.time() - begun:.1f} s', flush=True)
@pytest.mark.parametrize('title', servers)
def test_xprocess(xprocess, title):
    class Server(package.ProcessStarter):
        pattern, timeout, terminate_on_interrupt = 'up', 8, True
        args = [sys.executable, '-u', '-c', servers[title], port()]
    name = title.replace(' ', '-')
    measure('pytest-xprocess', title, lambda: xprocess.ensure(name, Server))
    xprocess.getinfo(name).terminate()
@pytest.mark.parametrize('title', servers)
def test_mirakuru(title):
    at = port()
    server = mirakuru.TCPExecutor([sys.executable, '-u', '-c', servers[title], at], '127.0.0.1', int(at), timeout=8)
    measure('mirakuru', title, server.start)
    server.stop()
def test_defaults():
    of_mirakuru = inspect.signature(mirakuru.SimpleExecutor).parameters['timeout'].default
    print(f'\nby default: pytest-xprocess {package.ProcessStarter.timeout} s, mirakuru {of_mirakuru} s')
PY
timeout 110 venv/bin/python -m pytest -q -s test_look.py 2>&1 | tee all | grep -E '^(pytest-xprocess|mirakuru|by default)' | tee seen || cat all
grep -qE '^pytest-xprocess, it comes up: started after [1-3]\.' seen
grep -qE '^pytest-xprocess, it exits 3 at once: TimeoutError after [89]\.' seen
grep -qE '^pytest-xprocess, it exits 0 at once: TimeoutError after [89]\.' seen
grep -qE '^pytest-xprocess, it dies at once: TimeoutError after [89]\.' seen
grep -qE '^mirakuru, it comes up: started after [1-3]\.' seen
grep -qE '^mirakuru, it exits 3 at once: ProcessExitedWithError after [0-2]\.' seen
grep -qE '^mirakuru, it exits 0 at once: TimeoutExpired after [89]\.' seen
grep -qE '^mirakuru, it dies at once: ProcessExitedWithError after [0-2]\.' seen
grep -q '^by default: pytest-xprocess 120 s, mirakuru 3600 s$' seen
