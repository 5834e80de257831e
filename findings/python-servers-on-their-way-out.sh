#!/usr/bin/env bash
# A Python server that was told to end (SIGTERM) and still works at a request: gunicorn, hypercorn and uvicorn with several
# workers go on to accept connections, and never answer them; uvicorn with one process and granian refuse them at once. A
# load balancer that asks for the port alone sends clients to the former.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends python3 python3-venv >/dev/null 2>&1
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check gunicorn==27.0.1 hypercorn==0.18.0 uvicorn==0.54.0 granian==2.8.9
venv/bin/pip list --disable-pip-version-check 2>/dev/null | grep -iE '^(gunicorn|hypercorn|uvicorn|granian) '
cat >app.py <<'PY'
import asyncio, time

async def asgi(scope, receive, send):
    if scope['type'] == 'lifespan':
        while True:
            message = await receive()
            await send({'type': message['type'] + '.complete'})
            if message['type'] == 'lifespan.shutdown':
                return
    if scope['path'] == '/long':
        await asyncio.sleep(5)
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'2')]})
    await send({'type': 'http.response.body', 'body': b'ok'})

def wsgi(environ, start):
    if environ['PATH_INFO'] == '/long':
        time.sleep(5)
    start('200 OK', [('Content-Length', '2')])
    return [b'ok']
PY
cat >look.py <<'PY'
"""Starts a server, has it work at a request, tells it to end, and connects once more."""
import signal, socket, subprocess, sys, time

def look(name, *command):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(['venv/bin/' + command[0], *(word.replace('PORT', str(port)) for word in command[1:])],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    def ask(path, patience):
        with socket.create_connection(('127.0.0.1', port), timeout=2) as s:
            s.sendall(f'GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'.encode())
            s.settimeout(patience)
            return s.recv(100)
    for _ in range(200):
        try:
            ask('/', 5)
            break
        except OSError:
            time.sleep(0.1)
    busy = socket.create_connection(('127.0.0.1', port))
    busy.sendall(b'GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    time.sleep(1)
    server.send_signal(signal.SIGTERM)
    time.sleep(1)
    try:
        answer = ask('/', 1)
        what = 'answered' if answer else 'accepted and closed'
    except TimeoutError:
        what = 'accepted and silent'
    except ConnectionRefusedError:
        what = 'refused'
    except ConnectionResetError:
        what = 'accepted and reset'
    print(f'{name}: {what}', flush=True)
    busy.close()
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()

web = ('--host', '127.0.0.1', '--port', 'PORT')
look('gunicorn', 'gunicorn', '--bind', '127.0.0.1:PORT', '--no-control-socket', 'app:wsgi')
look('gunicorn with threads', 'gunicorn', '--bind', '127.0.0.1:PORT', '--no-control-socket', '-k', 'gthread', '--threads', '4', 'app:wsgi')
look('hypercorn', 'hypercorn', '--bind', '127.0.0.1:PORT', 'app:asgi')
look('uvicorn with two workers', 'uvicorn', '--workers', '2', *web, 'app:asgi')
look('uvicorn', 'uvicorn', *web, 'app:asgi')
look('granian', 'granian', '--interface', 'asgi', *web, 'app:asgi')
PY
python3 look.py | tee seen
for name in gunicorn "gunicorn with threads" hypercorn "uvicorn with two workers"; do
    grep -q "^$name: accepted and silent$" seen
done
for name in uvicorn granian; do
    grep -q "^$name: refused$" seen
done
