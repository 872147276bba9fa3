"""DNS messages over UDP and TCP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import ask
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
