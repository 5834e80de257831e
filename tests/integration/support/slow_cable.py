"""Joins two interfaces: slow_cable.py SECONDS ONE OTHER. Every frame comes out so much later."""
import collections
import os
import select
import socket
import sys
import time

ETH_P_ALL = 3
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23


def end(interface):
    it = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    # With each frame, what its sender has left to the hardware: the checksum, and cutting it up.
    it.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    it.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    it.bind((interface, ETH_P_ALL))
    return it


# A cable does not wait for a processor.
os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
delay = float(sys.argv[1])
one, other = end(sys.argv[2]), end(sys.argv[3])
opposite = {one: other, other: one}
under_way = collections.deque()
print("ready", flush=True)
while True:
    left = max(0, under_way[0][0] - time.monotonic()) if under_way else None
    for it in select.select([one, other], [], [], left)[0]:
        under_way.append((time.monotonic() + delay, opposite[it], it.recv(1 << 17)))
    while under_way and under_way[0][0] <= time.monotonic():
        _, there, frame = under_way.popleft()
        try:
            there.send(frame)
        except OSError:
            pass  # The link is down: a cable drops what cannot come out.
