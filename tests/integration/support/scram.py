"""The server's side of SCRAM (RFC 5802), by Python's own hashes."""
import base64
import hashlib
import hmac
import os


class Server:
    def __init__(self, mechanism, password, iterations=4096):
        self.hash = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}[mechanism]
        self.password, self.iterations, self.salt = password, iterations, os.urandom(16)

    def mac(self, key, message):
        return hmac.new(key, message, self.hash).digest()

    def first(self, client_first):
        """Answers the client's first message."""
        self.client_bare = client_first.decode().split(",", 2)[2]
        nonce = self.client_bare.split("r=", 1)[1] + base64.b64encode(os.urandom(12)).decode()
        salt = base64.b64encode(self.salt).decode()
        self.server_first = f"r={nonce},s={salt},i={self.iterations}"
        return self.server_first.encode()

    def final(self, client_final):
        """Answers the client's proof; None where it is wrong."""
        without_proof, proof = client_final.decode().rsplit(",p=", 1)
        signed = f"{self.client_bare},{self.server_first},{without_proof}".encode()
        salted = hashlib.pbkdf2_hmac(self.hash, self.password, self.salt, self.iterations)
        client_key = self.mac(salted, b"Client Key")
        signature = self.mac(hashlib.new(self.hash, client_key).digest(), signed)
        if base64.b64decode(proof) != bytes(a ^ b for a, b in zip(client_key, signature)):
            return None
        return b"v=" + base64.b64encode(self.mac(self.mac(salted, b"Server Key"), signed))
