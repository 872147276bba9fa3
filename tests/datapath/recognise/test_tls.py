"""TLS from its first records and from its middle."""

from __future__ import annotations

import pytest

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, stream
from tests.datapath.recognise.hellos import client_hello, record, server_hello

# Length with the top bit, type 1, version 3.1, three ciphers, no session, a challenge of 16 (RFC 5246, E.2).
SSL_2_HELLO = bytes.fromhex("8022 01 0301 0009 0000 0010 000005 00000a 010080") + bytes(range(16))
ALERT = bytes.fromhex("15 0303 0002 02 28")  # fatal, handshake failure
DATA = b"\x17\x03\x03\x00\x20" + bytes(range(32))


def test_client_hello() -> None:
    four_ways_tcp("tls", record(client_hello()), "www.example.com")
    assert stream("tls", record(client_hello())).host == "www.example.com"


def test_hello_over_three_segments() -> None:
    data = record(client_hello(padding=3000))
    assert ask_both("tls", data[:1400], ip_proto=TCP).answer == "more"
    assert ask_both("tls", data[:2800], ip_proto=TCP).answer == "more"
    assert ask_both("tls", data, ip_proto=TCP).host == "www.example.com"


@pytest.mark.parametrize("size", [1, 3, 50, 100])
def test_hello_over_several_records(size: int) -> None:
    hello = client_hello()
    data = b"".join(record(hello[at : at + size]) for at in range(0, len(hello), size))
    assert ask_both("tls", data, ip_proto=TCP).host == "www.example.com"


def test_name_that_never_comes() -> None:
    half = record(client_hello(padding=3000))[:1400]
    said = ask_both("tls", half, ip_proto=TCP, last=True)
    assert (said.answer, said.host) == ("yes", "")


def test_server_hello() -> None:
    four_ways_tcp("tls", record(server_hello()), from_client=False)


def test_hello_in_ssl_2_form() -> None:
    four_ways_tcp("tls", SSL_2_HELLO)


def test_alert() -> None:
    assert ask_both("tls", ALERT, ip_proto=TCP, from_client=False).why == "tls alert"


def test_running_connection() -> None:
    assert ask_both("tls", DATA, ip_proto=TCP, mid_stream=True).answer == "yes"
    assert ask_both("tls", DATA[:20], ip_proto=TCP, mid_stream=True).answer == "more"
    assert ask_both("tls", DATA + DATA[:9], ip_proto=TCP, mid_stream=True).answer == "yes"
    assert ask_both("tls", DATA + b"GET / HTTP", ip_proto=TCP, mid_stream=True).answer == "no"
    assert ask_both("tls", DATA[:20], ip_proto=TCP, earlier=[(DATA, False)]).answer == "yes"


@pytest.mark.parametrize(
    "foreign",
    [
        b"\x16\x03\x01\x00\x00",  # a record of no length: an imitation
        b"\x17\x03\x01\x00\x00",
        b"\x16\x02\x01\x00\x20",
        b"\x16\x03\x05\x00\x20",
        b"\x18\x03\x03\x00\x20",  # heartbeat
        b"\x16\x03\x01\xff\xff\x01",
        b"GET / HTTP/1.1\r\n",
        bytes.fromhex("8022 01 0301 0008 0000 0010 000005 00000a 010080"),  # ciphers not in threes
        bytes.fromhex("8023 01 0301 0009 0000 0010 000005 00000a 010080"),  # lengths that do not add up
        record(b"\x02" + (20).to_bytes(3, "big") + b"\x03\x03" + bytes(40)),  # too short for a ServerHello
    ],
)
def test_others_are_not_tls(foreign: bytes) -> None:
    assert ask_both("tls", foreign, ip_proto=TCP).answer == "no"
