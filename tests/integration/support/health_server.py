"""gRPC's own server with its health service: the port, then states of services on standard input."""
import sys
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))

class Failing(health_pb2_grpc.HealthServicer):
    def Check(self, request, context):
        context.abort(grpc.StatusCode.INTERNAL, "the table “jobs” is missing")


servicer = Failing() if "--failing" in sys.argv else health.HealthServicer()
if "--without-health" not in sys.argv:
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
if "--tls" in sys.argv:
    cert, key = sys.argv[sys.argv.index("--tls") + 1:][:2]
    pair = (open(key, "rb").read(), open(cert, "rb").read())
    server.add_secure_port("127.0.0.1:" + sys.argv[1], grpc.ssl_server_credentials([pair]))
else:
    server.add_insecure_port("127.0.0.1:" + sys.argv[1])
if "--failing" not in sys.argv:
    servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
server.start()
print("ready", flush=True)
for line in sys.stdin:
    state, _, service = line.rstrip("\n").partition(" ")
    servicer.set(service, getattr(health_pb2.HealthCheckResponse, state))
    print("set", flush=True)
