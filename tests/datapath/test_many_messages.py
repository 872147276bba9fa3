"""Flows of many messages, each named for itself: nothing else can hide behind the first of them."""

from __future__ import annotations

import random
import struct

import pytest

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from tests.datapath.names import CLASS, NOT_FINAL, naming
from tests.datapath.packets import DNS_QUERY, FAMILIES, V4, back, tcp, udp

DNS_PORTS = (40000, 53)
SIP_PORTS = (40000, 5060)
OPTIONS = b"OPTIONS sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n\r\n"
BINDING = struct.pack("!HHI12s", 1, 0, 0x2112A442, b"transaction.")  # RFC 5626, 3.5.2: a keep-alive
FOREIGN = 64
NOISE = random.Random(1).randbytes(400)


def classifier() -> Classifier:
    return Classifier(naming(), endpoints=Shared())


def rtp(number: int) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, number, 160 * number, 0x1234) + bytes(range(160))


@pytest.mark.parametrize("queries", [1, 8, 30])
@pytest.mark.parametrize("ends", FAMILIES)
def test_what_needs_several_packets_is_told_behind_any_number_of_messages(ends: tuple[str, str], queries: int) -> None:
    made = classifier()
    for now in range(queries):
        assert made.packet(udp(ends, *DNS_PORTS, DNS_QUERY), now) == CLASS["dns"] | NOT_FINAL
    answers = [made.packet(udp(ends, *DNS_PORTS, rtp(number)), 100 + number) for number in range(12)]
    assert answers[-1] == CLASS["rtp"]


@pytest.mark.parametrize(
    ("first", "ports", "name"), [(DNS_QUERY, DNS_PORTS, "dns"), (OPTIONS, SIP_PORTS, "sip")], ids=["dns", "sip"]
)
@pytest.mark.parametrize("ends", FAMILIES)
def test_what_nobody_knows_ends_it(ends: tuple[str, str], first: bytes, ports: tuple[int, int], name: str) -> None:
    made = classifier()
    made.packet(udp(ends, *ports, first), 0)
    answers = [made.packet(udp(ends, *ports, NOISE), now) for now in range(1, FOREIGN + 2)]
    assert answers == [CLASS[name] | NOT_FINAL] * (FOREIGN - 1) + [CLASS["encrypted"]] * 2
    told = made.take_named(10)
    assert [(named.service, named.final) for named in told] == [(name, False), ("encrypted", True)]
    counts = made.counts()
    assert (counts["named"], counts["gave_up_no_message"], counts["flows_named_waiting"]) == (1, 1, 1)
    assert sum(made.named_flows().values()) == 2


def test_a_message_between_them_begins_the_count_anew() -> None:
    made = classifier()
    for now in range(4 * FOREIGN):
        data = DNS_QUERY if now % (FOREIGN - 1) == 0 else NOISE
        assert made.packet(udp(V4, *DNS_PORTS, data), now) == CLASS["dns"] | NOT_FINAL


@pytest.mark.parametrize("keep_alive", [b"\r\n\r\n", b"\0"])
def test_keep_alives_end_nothing(keep_alive: bytes) -> None:
    made = classifier()
    for data in (OPTIONS, *[keep_alive] * 300, OPTIONS):
        assert made.packet(udp(V4, *SIP_PORTS, data), 1) == CLASS["sip"] | NOT_FINAL


@pytest.mark.parametrize("ends", FAMILIES)
def test_a_guess_about_one_message_does_not_become_final(ends: tuple[str, str]) -> None:
    made = classifier()
    made.packet(udp(ends, *SIP_PORTS, OPTIONS), 1)
    assert {made.packet(udp(ends, *SIP_PORTS, BINDING), 1) for _ in range(100)} == {CLASS["stun"] | NOT_FINAL}
    assert made.packet(udp(back(ends), *SIP_PORTS[::-1], OPTIONS), 1) == CLASS["sip"] | NOT_FINAL


def test_a_stream_of_many_messages_stays_one() -> None:
    """The middle of a long answer is no message of its own."""
    made = classifier()
    query = len(DNS_QUERY).to_bytes(2, "big") + DNS_QUERY
    made.packet(tcp(V4, *DNS_PORTS, 100, query), 1)
    for number in range(300):
        segment = tcp(back(V4), *DNS_PORTS[::-1], 900 + len(NOISE) * number, NOISE)
        assert made.packet(segment, 1) == CLASS["dns"] | NOT_FINAL
