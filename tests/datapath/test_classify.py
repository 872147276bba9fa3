"""Packets in, mark bits out: budgets, directions, names, and whatever bytes a stranger sends."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.classifier import Classifier
from citygate.datapath.decode import ODDITIES
from citygate.datapath.endpoints import Shared
from citygate.datapath.naming import Naming
from tests.datapath.names import CLASS, NOT_FINAL, naming
from tests.datapath.packets import (
    ACK,
    DHT_PING,
    DNS_QUERY,
    FAMILIES,
    NOBODYS,
    SSH_LINE,
    SYN,
    V4,
    V6,
    back,
    ip,
    tcp,
    udp,
)

HTTP_GET = b"GET /index.html HTTP/1.1\r\nUser-Agent: test\r\nHost: www.example.org\r\n\r\n"


def classifier(names: Naming | None = None, **options: Any) -> Classifier:
    return Classifier(names or naming(), endpoints=Shared(), **options)


def balance(made: Classifier) -> None:
    """Every packet and every flow is accounted for."""
    counts = made.counts()
    assert counts["packets"] == counts["answered_0"] + counts["answered_final"] + counts["answered_not_final"]
    here = counts["flows_asking"] + counts["flows_named_waiting"]
    gone = ("flows_forgotten", "flows_evicted_named", "flows_evicted_unnamed", "flows_restarted_unnamed")
    assert counts["flows_made"] == here + sum(counts[name] for name in gone)
    gave_up = sum(count for name, count in counts.items() if name.startswith("gave_up_"))
    changed = counts["renamed"] + counts["refined"]
    assert sum(made.named_flows().values()) + counts["tally_overflow"] == counts["named"] + changed + gave_up


@pytest.mark.parametrize("ends", FAMILIES)
class TestUdp:
    def test_named_by_its_first_datagram(self, ends: tuple[str, str]) -> None:
        made = classifier()
        assert made.packet(udp(ends, 4000, 4001, DHT_PING), 77, zone=9) == CLASS["bittorrent"]
        [named] = made.take_named(10)
        assert named[:7] == (77, 17, ends[0], 4000, ends[1], 4001, 4 if ends is V4 else 6)
        assert (named.service, named.protocol, named.host) == ("bittorrent", "bittorrent", "")
        assert (named.class_number, named.zone, named.final) == (CLASS["bittorrent"], 9, True)
        assert (named.packets, named.payloads, named.bytes) == (1, 1, len(DHT_PING))
        assert named.why
        balance(made)

    def test_given_up_after_the_packet_budget(self, ends: tuple[str, str]) -> None:
        made = classifier(packet_budget=5)
        answers = [made.packet(udp(ends, 4000, 4001, NOBODYS), 1) for _ in range(7)]
        assert answers == [0] * 4 + [CLASS["unknown"]] * 3
        [named] = made.take_named(10)
        assert (named.service, named.why, named.packets) == ("unknown", "packet budget", 5)
        assert made.counts()["gave_up_packet_budget"] == 1
        assert made.flows_unnamed() == []
        balance(made)

    def test_a_later_datagram_may_name_it(self, ends: tuple[str, str]) -> None:
        made = classifier()
        assert [made.packet(udp(ends, 1, 2, data), 1) for data in (NOBODYS, b"", NOBODYS, DHT_PING)] == [
            0, 0, 0, CLASS["bittorrent"],
        ]  # fmt: skip
        [named] = made.take_named(10)
        assert (named.packets, named.payloads) == (4, 3)
        assert made.counts()["payloads_to_name"] == 3

    def test_many_messages_each_with_its_class(self, ends: tuple[str, str]) -> None:
        made = classifier(naming(hosts=(("*.example.org", "example"),)))
        other = DNS_QUERY.replace(b"example", b"elpmaxe")
        answers = [made.packet(udp(ends, 4000, 53, data), 1) for data in (DNS_QUERY, NOBODYS, other, b"", DNS_QUERY)]
        example, dns = CLASS["example"] | NOT_FINAL, CLASS["dns"] | NOT_FINAL
        assert answers == [example, example, dns, dns, example]
        assert [(named.service, named.host, named.final) for named in made.take_named(10)] == [
            ("example", "www.example.org", False),
            ("dns", "www.elpmaxe.org", False),
            ("example", "www.example.org", False),
        ]
        assert (made.counts()["named"], made.counts()["renamed"]) == (1, 2)
        balance(made)

    def test_a_flow_of_many_messages_has_no_budget(self, ends: tuple[str, str]) -> None:
        made = classifier()
        assert {made.packet(udp(ends, 4000, 53, DNS_QUERY), 1) for _ in range(50)} == {CLASS["dns"] | NOT_FINAL}


@pytest.mark.parametrize("ends", FAMILIES)
class TestTcp:
    def test_the_syn_names_the_client(self, ends: tuple[str, str]) -> None:
        made = classifier()
        assert made.packet(tcp(ends, 22, 4000, 100, b"", SYN), 1) == 0
        assert made.packet(tcp(back(ends), 4000, 22, 500, b"", SYN | ACK), 2) == 0
        assert made.packet(tcp(back(ends), 4000, 22, 501, SSH_LINE), 3) == CLASS["ssh"]
        [named] = made.take_named(10)
        assert (named.src, named.sport, named.packets, named.payloads) == (ends[0], 22, 3, 1)

    def test_an_answered_syn_names_the_client_too(self, ends: tuple[str, str]) -> None:
        made = classifier()
        made.packet(tcp(back(ends), 4000, 4001, 500, b"", SYN | ACK), 2)
        assert made.flows_unnamed()[0].src == ends[0]

    @pytest.mark.parametrize(("sport", "dport", "client"), [(22, 4000, 1), (4000, 22, 0), (22, 80, 0), (4000, 4001, 0)])
    def test_without_a_syn_the_system_port_is_the_server(
        self, ends: tuple[str, str], sport: int, dport: int, client: int
    ) -> None:
        made = classifier()
        made.packet(tcp(ends, sport, dport, 1, NOBODYS), 1)
        assert made.flows_unnamed()[0].src == ends[client]

    @pytest.mark.parametrize("start", [1000, 0xFFFFFFF0])
    @pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
    @pytest.mark.parametrize("syn", [True, False])
    def test_segments_in_any_order(self, ends: tuple[str, str], start: int, order: tuple[int, ...], syn: bool) -> None:
        made = classifier(naming(hosts=(("www.example.org", "example"),)))
        if syn:
            made.packet(tcp(ends, 4000, 80, start - 1, b"", SYN), 1)
        size = -(-len(HTTP_GET) // 4)
        for part in order:
            data = HTTP_GET[part * size : (part + 1) * size]
            answer = made.packet(tcp(ends, 4000, 80, start + part * size, data), 1)
        assert answer == CLASS["example"]
        balance(made)

    def test_byte_by_byte(self, ends: tuple[str, str]) -> None:
        """As those do who hope to be overlooked: a recogniser that wants more gets it, beyond the packet budget."""
        made = classifier(naming(hosts=(("www.example.org", "example"),)), packet_budget=16)
        answers = [made.packet(tcp(ends, 4000, 80, 7 + at, HTTP_GET[at : at + 1]), 1) for at in range(len(HTTP_GET))]
        assert answers[-1] == CLASS["example"]

    def test_wanting_more_without_end_is_given_up(self, ends: tuple[str, str]) -> None:
        made = classifier(packet_budget=4)
        answers = [made.packet(tcp(ends, 4000, 80, 7, b"G"), 1) for _ in range(40)]
        assert answers.index(CLASS["unknown"]) == 31
        assert made.counts()["gave_up_packet_budget"] == 1

    def test_byte_budget(self, ends: tuple[str, str]) -> None:
        """A DNS message over TCP that says it has 8 kB is waited for; a stream of 64 bytes will never hold it."""
        made = classifier(byte_budget=64)
        message = b"\x20\x00" + DNS_QUERY[:12] + b"\x3f" + b"a" * 63
        assert made.packet(tcp(back(ends), 53, 4000, 1, NOBODYS * 20), 1) == 0
        assert made.packet(tcp(ends, 4000, 53, 1, message[:20]), 1) == 0
        assert made.packet(tcp(ends, 4000, 53, 21, message[20:]), 1) == CLASS["unknown"]
        assert made.take_named(1)[0].why == "byte budget"
        assert made.counts()["gave_up_byte_budget"] == 1
        balance(made)

    def test_both_directions_ruled_out(self, ends: tuple[str, str]) -> None:
        made = classifier()
        nobodys = NOBODYS * 20
        answers = [made.packet(tcp(ends, 4000, 4001, 1, nobodys), 1)]
        answers.append(made.packet(tcp(back(ends), 4001, 4000, 1, nobodys), 1))
        assert answers == [0, CLASS["encrypted"]]
        assert made.counts()["gave_up_no_recogniser"] == 1

    def test_a_new_connection_on_the_same_ports(self, ends: tuple[str, str]) -> None:
        made = classifier()
        made.packet(tcp(ends, 4000, 80, 100, b"", SYN), 1)
        made.packet(tcp(ends, 4000, 80, 100, b"", SYN), 2)  # the same SYN again
        assert made.counts()["flows_restarted_unnamed"] == 0
        made.packet(tcp(ends, 4000, 80, 101, b"GE"), 3)
        made.packet(tcp(ends, 4000, 80, 9000, b"", SYN), 4)
        assert made.counts()["flows_restarted_unnamed"] == 1
        assert made.packet(tcp(ends, 4000, 80, 9001, HTTP_GET), 5) == CLASS["http"]

    def test_a_syn_with_payload_does_not_begin_budgets_again(self, ends: tuple[str, str]) -> None:
        made = classifier(packet_budget=4)
        answers = [made.packet(tcp(ends, 4000, 4001, 1000 * at, NOBODYS, SYN), 1) for at in range(40)]
        assert CLASS["unknown"] in answers
        assert made.counts()["flows_restarted_unnamed"] == 0

    def test_early_data_in_the_syn(self, ends: tuple[str, str]) -> None:
        made = classifier()
        assert made.packet(tcp(ends, 4000, 22, 100, SSH_LINE, SYN), 1) == CLASS["ssh"]

    def test_no_buffer_left(self, ends: tuple[str, str]) -> None:
        """The oldest flow under reassembly loses its buffer, is given up in time, and both are counted."""
        made = classifier(stream_buffers=1)
        for port in (4000, 4001):
            made.packet(tcp(ends, port, 80, 1, HTTP_GET[:10]), 1)
        assert made.counts()["stream_buffers_taken_over"] == 1
        assert made.packet(tcp(ends, 4001, 80, 11, HTTP_GET[10:]), 1) == CLASS["http"]
        answers = [made.packet(tcp(ends, 4000, 80, 11, HTTP_GET[10:]), 1) for _ in range(8)]
        assert answers[-1] == CLASS["unknown"]
        balance(made)


@pytest.mark.parametrize("ends", FAMILIES)
def test_other_protocols_at_once(ends: tuple[str, str]) -> None:
    made = classifier()
    assert made.packet(ip(*ends, 50, b"\x12\x34\x56\x78\x00\x00\x00\x01" + bytes(40)), 1) == CLASS["ipsec"]
    assert made.packet(ip(*ends, 89, bytes(24)), 1) == CLASS["unknown"]
    assert {named.sport for named in made.take_named(10)} == {0}


def test_odd_packets_are_counted_by_name_and_asked_about_again() -> None:
    made = classifier()
    fragment = ip(*V6, 17, bytes(20), extensions=struct.pack("!BBHI", 17, 0, 80, 7), first=44)
    for packet in (b"", b"\x77" + bytes(30), fragment, udp(V4, 1, 2, b"x")[:24]):
        assert made.packet(packet, 1) == CLASS["unknown"] | NOT_FINAL
    counts = made.counts()
    names = ("truncated_header", "bad_version", "later_fragment", "bad_length")
    assert [counts[f"odd_{name}"] for name in names] == [1, 1, 1, 1]
    assert [f"odd_{name}" in counts for name in ODDITIES[1:]] == [True] * (len(ODDITIES) - 1)
    balance(made)


@pytest.mark.parametrize("ends", FAMILIES)
def test_a_cut_copy_is_enough_and_counts_whole(ends: tuple[str, str]) -> None:
    made = classifier()
    packet = tcp(ends, 4000, 22, 1, SSH_LINE + bytes(30000))
    assert made.packet(packet[:200], 1, wire_length=len(packet)) == CLASS["ssh"]
    assert made.take_named(1)[0].bytes == len(SSH_LINE) + 30000


payloads = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([DNS_QUERY, DHT_PING, SSH_LINE, HTTP_GET, NOBODYS, b""]),
    st.just(HTTP_GET[:9]),
)


def bare(ends: tuple[str, str], proto: int, body: bytes) -> bytes:
    return ip(*ends, proto, body)


ends_ = st.sampled_from([*FAMILIES, back(V4), back(V6)])
ports = st.sampled_from([22, 53, 80, 4000, 4001])
packets = st.one_of(
    st.builds(udp, ends_, ports, ports, payloads),
    st.builds(
        tcp, ends_, ports, ports, st.integers(-20, 90), payloads, st.sampled_from([ACK, SYN, SYN | ACK, 0xFF, 0])
    ),
    st.builds(bare, ends_, st.integers(0, 255), payloads),
)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, int | None]:
    """A packet with some bytes changed, perhaps cut, and its length on the wire."""
    packet = bytearray(draw(packets))
    for _ in range(draw(st.integers(0, 3))):
        packet[draw(st.integers(0, len(packet) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.one_of(st.none(), st.integers(0, len(packet))))
    return bytes(packet[:cut]), draw(st.sampled_from([None, len(packet), 70_000]))


@given(st.lists(st.tuples(damaged(), st.integers(0, 200_000)), max_size=80), st.integers(2, 20), st.integers(1, 4))
def test_any_packets(sent: list[tuple[tuple[bytes, int | None], int]], flows: int, buffers: int) -> None:
    """Whatever comes: an answer of the allowed bits, and all books balance."""
    made = classifier(flows=flows, queue_length=1, stream_buffers=buffers, byte_budget=64, events=8, packet_budget=3)
    for (packet, wire_length), now in sent:
        answer = made.packet(packet, now, wire_length=wire_length, zone=1)
        assert answer & ~NOT_FINAL in (0, *CLASS.values())
        assert answer != NOT_FINAL
    assert made.counts()["packets"] == len(sent)
    balance(made)
