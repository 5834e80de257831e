"""Members of a replica set, as far as drivers need them to find the one to use and to log in.

The one argument is JSON: {"password": ..., "mechanism": ..., "members": [{"port", "hello"}, ...]}. Says `ready`.
"""
import hashlib
import json
import socketserver
import struct
import sys
import threading

import bson
from scram import Server

settings = json.loads(sys.argv[1])
mechanism = settings.get("mechanism", "SCRAM-SHA-256")
password = settings.get("password", "").encode()
if mechanism == "SCRAM-SHA-1":
    password = hashlib.md5(b"app:mongo:" + password).hexdigest().encode()
VERSIONS = {"minWireVersion": 0, "maxWireVersion": 25, "maxBsonObjectSize": 16777216}


class Member(socketserver.BaseRequestHandler):
    def setup(self):
        self.scram, self.is_let_in = Server(mechanism, password), "password" not in settings

    def read(self, length):
        data = b""
        while len(data) < length:
            more = self.request.recv(length - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def answer(self, command):
        name = next(iter(command))
        if name.lower() in ("hello", "ismaster"):
            more = {"saslSupportedMechs": [mechanism]} if "saslSupportedMechs" in command else {}
            return {**self.server.hello, **VERSIONS, **more, "ok": 1.0}
        refused = {"ok": 0.0, "code": 18, "codeName": "AuthenticationFailed", "errmsg": "Authentication failed."}
        if name == "saslStart":
            payload = self.scram.first(command["payload"])
            return {"conversationId": 1, "done": False, "payload": payload, "ok": 1.0}
        if name == "saslContinue":
            payload = self.scram.final(command["payload"]) if command["payload"] else b""
            self.is_let_in |= payload is not None
            # As servers before 4.4: the empty exchange comes last.
            return refused if payload is None else {"conversationId": 1, "done": not payload, "payload": payload, "ok": 1.0}
        return {"ok": 1.0} if self.is_let_in else {**refused, "code": 13}

    def handle(self):
        try:
            while True:
                length, number, _, code = struct.unpack("<iiii", self.read(16))
                body = self.read(length - 16)
                if code == 2013:
                    document = bson.encode(self.answer(bson.decode(body[5:])))
                    out, code = struct.pack("<iB", 0, 0) + document, 2013
                else:
                    # The first words of drivers: OP_QUERY, answered by OP_REPLY.
                    document = bson.encode(self.answer(bson.decode(body[body.index(b"\0", 4) + 9 :])))
                    out, code = struct.pack("<iqii", 8, 0, 0, 1) + document, 1
                self.request.sendall(struct.pack("<iiii", 16 + len(out), 1, number, code) + out)
        except (EOFError, ConnectionError):
            pass


class Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True


for member in settings["members"]:
    listener = Listener(("127.0.0.1", member["port"]), Member)
    listener.hello = member["hello"]
    threading.Thread(target=listener.serve_forever, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
