"""For each line `PORT CA` on stdin: whether Python's ssl, and so redis-py, connects to localhost there."""

import socket
import ssl
import sys

for line in sys.stdin:
    port, ca = line.split()
    try:
        context = ssl.create_default_context(cafile=ca)
        with socket.create_connection(("127.0.0.1", int(port)), 10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost"):
                print("yes")
    except (ssl.SSLError, ssl.CertificateError, OSError) as error:
        print("no", str(error).replace("\n", " "))
