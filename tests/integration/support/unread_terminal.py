"""Runs a command whose output goes to a terminal that nobody reads, after filling it; prints how it ended."""
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time

which, signal_after, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
# Full to the brim: not a byte more is taken.
flags = fcntl.fcntl(slave, fcntl.F_GETFL)
fcntl.fcntl(slave, fcntl.F_SETFL, flags | os.O_NONBLOCK)
try:
    while os.write(slave, b"x" * 64):
        pass
except BlockingIOError:
    pass
fcntl.fcntl(slave, fcntl.F_SETFL, flags)
begun = time.monotonic()
# The terminal is its own, as one that a shell has is.
take = lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
process = subprocess.Popen(command, stdin=slave, start_new_session=True, preexec_fn=take, **{which: slave})
if signal_after:
    time.sleep(signal_after)
    begun = time.monotonic()
    process.terminate()
try:
    status = process.wait(30)
except subprocess.TimeoutExpired:
    process.kill()
    status = "it hangs"
print(status, round((time.monotonic() - begun) * 1000), fcntl.fcntl(slave, fcntl.F_GETFL) == flags)
