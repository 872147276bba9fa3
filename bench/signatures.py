"""What a datagram costs beside 10, 100 and 1000 signatures, and beside as many as can be put in its way.

No network and no root. Signatures as sites write them: half of them on a port, half looked for by their bytes. The
datagrams fit none (nearly all do not) or one in ten. ``worst``: every bucket that a datagram meets is full of
signatures which all but fit; `check` refuses one more.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from citygate.catalogue.arrange import BUCKET, PLACES
from citygate.catalogue.model import Piece, Signature
from citygate.datapath.signatures import Compiled

DATAGRAMS = 2_000
ROUNDS = 500
TIMES = 5  # the best counts
PORT = 5060  # the server's, of every datagram
CLIENT_PORT = 40000  # that of ``Compiled.many``


def signature(chance: random.Random, i: int) -> Signature:
    value = chance.randbytes(4)
    ports = ((1024 + i, 1024 + i),) if i % 2 else ()
    return Signature("udp", ports, (Piece(0, value, b"\xff" * 4),))


def worst() -> tuple[list[Signature], bytes]:
    """Eight places and both ports, each with a full bucket; all of a signature but its last byte fits the datagram."""
    payload = bytes(range(8 * PLACES))
    found = []
    for place in range(0, 8 * PLACES, 8):
        piece = payload[place : place + 7]
        for i in range(BUCKET):
            found.append(Signature("udp", (), (Piece(place, piece + bytes([128 + i]), b"\xff" * 8),)))
    for port in (PORT, CLIENT_PORT):
        for i in range(BUCKET):
            found.append(Signature("udp", ((port, port),), (Piece(0, payload[:7] + bytes([128 + i]), b"\xff" * 8),)))
    return found, payload


def cost(signatures: Sequence[Signature], datagrams: Sequence[bytes]) -> float:
    """Nanoseconds a datagram."""
    compiled = Compiled([(one, 0) for one in signatures])
    best = float("inf")
    for _ in range(TIMES):
        start = time.perf_counter_ns()
        compiled.many(datagrams, ROUNDS, server_port=PORT)
        best = min(best, time.perf_counter_ns() - start)
    return best / ROUNDS / len(datagrams)


def main() -> None:
    chance = random.Random(1)
    listed = [signature(chance, i) for i in range(1000)]
    others = [chance.randbytes(chance.randint(20, 1200)) for _ in range(DATAGRAMS)]
    print(f"{'signatures':>10} {'fit none':>10} {'1 in 10 fits':>14}   ns a datagram")
    costs = {}
    for count in (0, 10, 100, 1000):
        used = listed[:count]
        without_port = [one for one in used if not one.ports]
        some = [
            chance.choice(without_port).pieces[0].value + data if without_port and i % 10 == 0 else data
            for i, data in enumerate(others)
        ]
        costs[count] = cost(used, others), cost(used, some)
        print(f"{count:10} {costs[count][0]:10.1f} {costs[count][1]:14.1f}")
    full, payload = worst()
    print(f"{'worst':>10} {cost(full, [payload] * DATAGRAMS):10.1f}")
    for count in (100, 1000):
        ratios = [late / early for late, early in zip(costs[count], costs[10], strict=True)]
        print(f"{count} / 10 signatures: {ratios[0]:.2f} where none fits, {ratios[1]:.2f} where some do")


if __name__ == "__main__":
    main()
