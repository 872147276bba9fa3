"""DNS messages over UDP and TCP."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import ask
from tests.datapath.names import CLASS, naming
from tests.datapath.packets import FAMILIES, back, tcp, udp
from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, four_ways_udp

QUERY = bytes.fromhex(
    "1a2b"  # id
    "0100"  # query, recursion desired
    "0001 0000 0000 0000"  # one question
    "03777777 07 6578616d706c65 03636f6d 00"  # www.example.com
    "0001 0001"  # A, IN
)
ANSWER = bytes.fromhex(
    "1a2b"  # id
    "8180"  # response, recursion available
    "0001 0001 0000 0001"  # a question, an answer, an additional record
    "03777777 07 6578616d706c65 03636f6d 00"  # www.example.com
    "001c 0001"  # AAAA, IN
    "c00c 001c 0001 0000003c 0010 20010db8000000000000000000000001"  # pointer to the question, TTL 60
    "00 0029 04d0 00000000 0000"  # EDNS, 1232 bytes
)
MDNS_ANSWER = bytes.fromhex(
    "0000 8400"  # id 0, authoritative response
    "0000 0001 0000 0000"  # an answer without a question
    "0670726e746572 056c6f63616c 00".replace("0670726e746572", "06 7072696e7431")  # print1.local
    + "0001 8001 00000078 0004 c0000205"  # A, cache flush, 192.0.2.5
)
NETBIOS = bytes.fromhex(
    "8f5f 0110"  # query, broadcast
    "0001 0000 0000 0000"
    "20" + "4341" * 16 + "00"  # 32 letters A to P
    "0020 0001"  # NB, IN
)


def test_query() -> None:
    said = four_ways_udp("dns", QUERY, "www.example.com")
    assert said.keep_asking


def test_answer() -> None:
    four_ways_udp("dns", ANSWER, "www.example.com", from_client=False)


def test_message_over_tcp() -> None:
    framed = len(QUERY).to_bytes(2, "big") + QUERY
    said = four_ways_tcp("dns", framed, "www.example.com")
    assert said.keep_asking
    four_ways_tcp("dns", len(ANSWER).to_bytes(2, "big") + ANSWER, "www.example.com", from_client=False)


def test_name_is_in_lower_case() -> None:
    assert ask_both("dns", QUERY.replace(b"www", b"WwW")).host == "www.example.com"


def test_junk_is_forgiven_on_the_port_of_dns() -> None:
    assert ask_both("dns", QUERY + b"\0\0", server_port=53).answer == "yes"
    assert ask_both("dns", QUERY + b"\0\0", server_port=5300).answer == "no"


def test_multicast_answer_without_a_question() -> None:
    assert ask_both("dns", MDNS_ANSWER, client_port=5353, server_port=5353).answer == "yes"
    assert ask_both("dns", MDNS_ANSWER).answer == "no"


def test_error_without_a_question() -> None:
    refused = bytes.fromhex("1a2b 8001 0000 0000 0000 0000")
    assert ask_both("dns", refused, from_client=False, server_port=53).answer == "yes"
    assert ask_both("dns", refused, from_client=False).answer == "no"


def test_netbios_is_not_dns() -> None:
    assert ask_both("dns", NETBIOS, server_port=137).answer == "no"


def test_odd_bytes_in_the_name_leave_no_host() -> None:
    said = ask_both("dns", QUERY.replace(b"www", b"w\x00w"))
    assert (said.answer, said.host) == ("yes", "")


@pytest.mark.parametrize(
    ("at", "byte", "what"),
    [
        (2, 0x79, "opcode 15"),
        (3, 0x40, "the reserved bit"),
        (5, 2, "a second question that is not there"),
        (7, 1, "an answer in a query"),
        (12, 0x40, "a label of 64"),
        (32, 9, "class 9"),
    ],
)
def test_one_byte_off(at: int, byte: int, what: str) -> None:
    data = QUERY[:at] + bytes([byte]) + QUERY[at + 1 :]
    assert ask_both("dns", data).answer == "no", what


def test_pointer_forward_is_refused() -> None:
    forward = ANSWER.replace(b"\xc0\x0c", b"\xc0\x40")
    assert ask_both("dns", forward).answer == "no"


@given(labels=st.lists(st.from_regex(r"[a-z0-9_-]{1,63}", fullmatch=True), min_size=1, max_size=4))
def test_any_name(labels: list[str]) -> None:
    name = b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"
    said = ask("dns", QUERY[:12] + name + b"\0\x01\0\x01")
    text = ".".join(labels)
    assert (said.answer, said.host) == (("yes", text) if len(text) <= 253 else ("no", ""))


@given(data=st.binary(max_size=300))
def test_stream_of_any_bytes(data: bytes) -> None:
    assert ask("dns", data, ip_proto=TCP).answer in ("no", "more", "yes")


CLIENT = {4: bytes(10) + b"\xff\xff\xc0\x00\x02\x01", 6: ip_address("2001:db8::1").packed}


def record(name: bytes, kind: int, data: bytes, *, ttl: int = 300, group: int = 1) -> bytes:
    head = name + kind.to_bytes(2, "big") + group.to_bytes(2, "big") + ttl.to_bytes(4, "big")
    return head + len(data).to_bytes(2, "big") + data


def answer(*records: bytes, flags: bytes = b"\x81\x80") -> bytes:
    """To the question for www.example.com."""
    return QUERY[:2] + flags + b"\0\1" + len(records).to_bytes(2, "big") + bytes(4) + QUERY[12:] + b"".join(records)


def a(address: str, **how: int) -> bytes:
    packed = ip_address(address).packed
    return record(b"\xc0\x0c", 1 if len(packed) == 4 else 28, packed, **how)


def mapped(address: str) -> bytes:
    packed = ip_address(address).packed
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


def told(data: bytes, address: str, now: int = 0, **how: Any) -> str:
    """The host kept for ``address``, ``now`` milliseconds after the answer; the same for a client of either family."""
    hosts = set()
    for family in (4, 6):
        shared = Shared()
        asked: dict[str, Any] = {"from_client": False, "server_port": 53, "earlier": [(QUERY, True)]} | how
        ask("dns", data, family=family, endpoints=shared, **asked)
        hosts.add(shared.host_of(CLIENT[family], mapped(address), now))
    [host] = hosts
    return host.decode()


def test_addresses_are_kept_under_the_name_asked_for() -> None:
    alias = record(b"\xc0\x0c", 5, b"\3cdn\7example\3net\0")
    data = answer(alias, a("192.0.2.80"), a("2001:db8::80"))
    for address in ("192.0.2.80", "2001:db8::80"):
        assert told(data, address) == "www.example.com"
    assert told(data, "192.0.2.81") == ""
    over_tcp = [(len(QUERY).to_bytes(2, "big") + QUERY, True)]
    assert told(len(data).to_bytes(2, "big") + data, "192.0.2.80", ip_proto=TCP, earlier=over_tcp) == "www.example.com"
    assert told(data + b"\0", "192.0.2.80") == "www.example.com"
    assert told(data[:-1], "192.0.2.80", length=len(data)) == "www.example.com"


@pytest.mark.parametrize(("ttl", "seconds"), [(0, 60), (61, 61), (300, 300), (600, 600), (1 << 31, 600)])
def test_time_to_live_within_bounds(ttl: int, seconds: int) -> None:
    data = answer(a("192.0.2.80", ttl=ttl))
    assert told(data, "192.0.2.80", seconds * 1000 - 1)
    assert not told(data, "192.0.2.80", seconds * 1000)


def test_at_most_sixteen_addresses() -> None:
    data = answer(*(a(f"192.0.2.{i}") for i in range(20)))
    assert [bool(told(data, f"192.0.2.{i}")) for i in range(20)] == [True] * 16 + [False] * 4


@pytest.mark.parametrize(
    ("data", "how"),
    [
        (answer(a("192.0.2.80"), flags=b"\x81\x83"), {}),  # no such name
        (answer(a("192.0.2.80", group=3)), {}),  # of another class
        (answer(record(b"\xc0\x0c", 1, bytes(16))), {}),  # an IPv4 address of sixteen bytes
        (answer(a("192.0.2.80")), {"server_port": 5355}),  # nobody's resolver
        (answer(a("192.0.2.80")), {"from_client": True, "server_port": 53}),
        (answer(a("192.0.2.80")), {"earlier": []}),  # nobody asked
        (answer(a("192.0.2.80")), {"earlier": [(answer(), True), (QUERY, False)]}),
        (answer(a("192.0.2.80")).replace(b"www", b"w\0w"), {}),  # a name that is none
    ],
)
def test_what_is_not_kept(data: bytes, how: dict[str, Any]) -> None:
    assert told(data, "192.0.2.80", **how) == ""


@pytest.mark.parametrize("ends", FAMILIES)
@pytest.mark.parametrize("over_tcp", [False, True])
def test_an_answer_nobody_asked_for_names_nothing(ends: tuple[str, str], over_tcp: bool) -> None:
    """A stranger's, sent from port 53 to somebody else."""
    made = Classifier(naming(hosts=(("*.example.com", "example"),)), endpoints=Shared())
    stranger = ("10.9.2.1" if "." in ends[0] else "fd09:2::1", ends[0])
    reply = answer(a(ends[1]))
    if over_tcp:
        made.packet(tcp(stranger, 53, 5000, 100, len(reply).to_bytes(2, "big") + reply), 1)
    else:
        made.packet(udp(stranger, 53, 5000, reply), 1)
    assert made.packet(tcp(ends, 4000, 80, 100, b"GET / HTTP/1.0\r\n\r\n"), 1) == CLASS["http"]


@pytest.mark.parametrize("ends", FAMILIES)
@pytest.mark.parametrize("over_tcp", [False, True])
def test_a_flow_without_a_host_goes_by_the_name_asked_for(ends: tuple[str, str], over_tcp: bool) -> None:
    made = Classifier(naming(hosts=(("*.example.com", "example"),)), endpoints=Shared())
    client, server = ends
    resolver = (client, "10.9.1.53" if "." in client else "fd09:1::53")
    reply = answer(a(server))
    if over_tcp:
        made.packet(tcp(resolver, 5000, 53, 100, len(QUERY).to_bytes(2, "big") + QUERY), 1)
        made.packet(tcp(back(resolver), 53, 5000, 900, len(reply).to_bytes(2, "big") + reply), 1)
    else:
        made.packet(udp(resolver, 5000, 53, QUERY), 1)
        made.packet(udp(back(resolver), 53, 5000, reply), 1)
    made.take_named(10)
    assert made.packet(tcp(ends, 4000, 80, 100, b"GET / HTTP/1.0\r\n\r\n"), 1) == CLASS["example"]
    [named] = made.take_named(10)
    assert (named.service, named.host) == ("example", "www.example.com")


@given(records=st.binary(max_size=200), count=st.integers(0, 65535))
def test_any_records(records: bytes, count: int) -> None:
    data = QUERY[:2] + b"\x81\x80\0\1" + count.to_bytes(2, "big") + bytes(4) + QUERY[12:] + records
    assert ask("dns", data, server_port=53, from_client=False, endpoints=Shared()).answer in ("no", "yes")
