"""A Kafka broker, as far as a login by SCRAM and Metadata go: MECHANISM, PASSWORD, PORT. Says `ready`."""
import socketserver
import struct
import sys

from scram import Server

mechanism, password, port = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


class Broker(socketserver.StreamRequestHandler):
    def answer(self, api, version, body):
        if api == 18:
            # Those that are answered here; a later ApiVersions is told so (UNSUPPORTED_VERSION).
            versions = [(3, 4, 4), (17, 1, 1), (18, 0, 0), (36, 0, 0)]
            return struct.pack(">hi", 35 if version else 0, len(versions)) + b"".join(struct.pack(">hhh", *one) for one in versions)
        if api == 17:
            wanted = body[2:].decode()
            return struct.pack(">hi", 0 if wanted == mechanism else 33, 1) + text(mechanism)
        if api == 36:
            payload = body[4:]
            out = self.scram.first(payload) if payload.startswith(b"n,,") else self.scram.final(payload)
            self.is_let_in |= out is not None and out.startswith(b"v=")
            error, words = (58, "Authentication failed") if out is None else (0, "")
            return struct.pack(">h", error) + text(words) + struct.pack(">i", len(out or b"")) + (out or b"")
        if api == 3 and self.is_let_in:
            broker = struct.pack(">i", 1) + text("127.0.0.1") + struct.pack(">ih", port, -1)
            return struct.pack(">ii", 0, 1) + broker + text("cluster") + struct.pack(">ii", 1, 0)
        return None

    def handle(self):
        self.scram, self.is_let_in = Server(mechanism, password), False
        while head := self.rfile.read(4):
            request = self.rfile.read(struct.unpack(">i", head)[0])
            api, version, number, client = struct.unpack(">hhih", request[:10])
            out = self.answer(api, version, request[10 + client :])
            if out is None:
                return
            self.wfile.write(struct.pack(">ii", len(out) + 4, number) + out)


class Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True


with Listener(("127.0.0.1", port), Broker) as listener:
    print("ready", flush=True)
    listener.serve_forever()
