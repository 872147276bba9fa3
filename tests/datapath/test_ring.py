"""Namings between the packet loop and Python: in order, bounded, counted when left out."""

from __future__ import annotations

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from tests.datapath.names import naming
from tests.datapath.packets import DHT_PING, V6, udp


def test_in_order_and_in_pieces() -> None:
    made = Classifier(naming(), endpoints=Shared(), events=8)
    taken = []
    for port in range(1, 31):  # several times round the ring
        made.packet(udp(V6, port, 9, DHT_PING), 5)
        if port % 5 == 0:
            taken += made.take_named(3) + made.take_named(100)
    assert [named.sport for named in taken] == list(range(1, 31))
    assert made.take_named(100) == []
    assert made.counts()["events_left_out"] == 0


def test_a_full_ring_keeps_the_oldest_and_counts_the_rest() -> None:
    made = Classifier(naming(), endpoints=Shared(), events=4)
    for port in range(1, 11):
        made.packet(udp(V6, port, 9, DHT_PING), 5)
    assert [named.sport for named in made.take_named(100)] == [1, 2, 3, 4]
    assert made.counts()["events_left_out"] == 6
    assert made.counts()["named"] == 10
