"""Sends from Shanghai to the internet as soon as their links exist, and tells what arrives: early.py FILE

Started early in the boot, with Python's own library alone. A datagram every 5 ms over IPv4 and IPv6 each; FILE is
written again and again. Times are ``time.monotonic``, seconds since the kernel started.
"""

import json
import os
import socket
import sys
import time

ADDRESSES = (("10.20.0.5", "198.51.100.10"), ("fd00:20::5", "2001:db8:100::10"))
PORT = 4000
PAUSE = 0.005
BETWEEN_WRITES = 0.5


def opened(machine: str, address: str) -> socket.socket:
    """A socket of a namespace that may not be there yet, at an address that it may not have yet."""
    while True:
        try:
            with open(f"/run/netns/cg-lab-{machine}", "rb") as namespace:
                os.setns(namespace.fileno(), os.CLONE_NEWNET)  # type: ignore[attr-defined, unused-ignore]  # Python 3.12
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((address, PORT))
            made.setblocking(False)
            return made
        except OSError:
            time.sleep(0.002)


def main() -> None:
    file = sys.argv[1]
    pairs = [(opened("shanghai", source), opened("internet", target), target) for source, target in ADDRESSES]
    first_sent = first_arrived = None
    sent = arrived = 0
    written = 0.0
    while True:
        for caller, callee, target in pairs:
            try:
                caller.sendto(b"early", (target, PORT))
                sent += 1
                first_sent = first_sent or time.monotonic()
            except OSError:  # no route yet, or told of a refusal of the one before
                pass
            try:
                while callee.recv(100):
                    arrived += 1
                    first_arrived = first_arrived or time.monotonic()
            except BlockingIOError:
                pass
        if time.monotonic() - written > BETWEEN_WRITES:
            written = time.monotonic()
            with open(f"{file}.new", "w") as new:
                json.dump(
                    {"sent": sent, "first_sent": first_sent, "arrived": arrived, "first_arrived": first_arrived}, new
                )
            os.replace(f"{file}.new", file)
        time.sleep(PAUSE)


main()
