"""late.py COMMAND...: runs `COMMAND tcp://127.0.0.1:PORT` and listens only once it has said that
nobody does yet: a wait, on any processor. What is run in a command's place would have to be of that
processor, too, so there is none."""

import socket
import subprocess
import sys

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
port = listener.getsockname()[1]
words = sys.argv[1:] + ["--timeout", "60s", f"tcp://127.0.0.1:{port}"]
run = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
said = []
for line in run.stderr:
    said.append(line)
    if ": not ready: connection refused" in line:
        listener.listen()
        break
out, rest = run.communicate(timeout=90)
if (run.returncode, out) != (0, "") or ": ready: " not in rest:
    sys.exit(f"{words}: exit {run.returncode}\n{out}{''.join(said)}{rest}")
