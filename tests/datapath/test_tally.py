"""Flows named, by zone and class, against a dict."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from tests.datapath.names import CLASS, naming
from tests.datapath.packets import DHT_PING, V4, V6, tcp, udp


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.booleans()), max_size=60))
def test_like_a_dict(flows: list[tuple[int, bool]]) -> None:
    made = Classifier(naming(), endpoints=Shared())
    twin: Counter[tuple[int, int]] = Counter()
    for port, (zone, ssh) in enumerate(flows, 2000):
        packet = tcp(V6, port, 22, 1, b"SSH-2.0-x\r\n") if ssh else udp(V4, port, 9, DHT_PING)
        made.packet(packet, 5, zone=zone)
        twin[zone, CLASS["ssh" if ssh else "bittorrent"]] += 1
    assert made.named_flows() == twin


def test_what_finds_no_place_is_counted() -> None:
    made = Classifier(naming(), endpoints=Shared())
    for zone in range(6000):
        made.packet(udp(V4, 1 + zone, 9, DHT_PING), 5, zone=zone)
    counted = made.named_flows()
    overflow = made.counts()["tally_overflow"]
    assert overflow > 0
    assert sum(counted.values()) + overflow == 6000
