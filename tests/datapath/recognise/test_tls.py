"""TLS from its first records and from its middle."""

from __future__ import annotations

import pytest

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from tests.datapath.names import CLASS, NOT_FINAL, naming
from tests.datapath.packets import FAMILIES, SYN, back, tcp
from tests.datapath.recognise.certificates import certificate, message, names_extension
from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, stream
from tests.datapath.recognise.hellos import (
    ENCRYPTED,
    client_hello,
    extension,
    handshake,
    protocols,
    record,
    server_hello,
)

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


TLS_1_3 = extension(43, b"\x03\x04")
FINAL = 0
GUESS = 1


def test_a_hello_without_a_name_is_a_guess() -> None:
    said = ask_both("tls", record(client_hello(None)), ip_proto=TCP)
    assert (said.answer, said.host, said.rank) == ("yes", "", GUESS)


@pytest.mark.parametrize(
    ("flight", "rank"),
    [
        (record(server_hello(TLS_1_3)), FINAL),  # its certificate is hidden
        (record(server_hello(extension(65281, b"\0") + TLS_1_3)), FINAL),
        (record(server_hello()) + b"\x14\x03\x03\x00\x01\x01", FINAL),  # a session taken up again: ChangeCipherSpec
        (record(server_hello()) + record(handshake(4, bytes(8))), FINAL),  # the same with a new ticket
        (record(server_hello() + handshake(4, bytes(8))), FINAL),
        (record(server_hello()), GUESS),
        (record(server_hello(extension(43, b"\x03\x03"))), GUESS),
    ],
)
def test_what_the_server_says_of_it(flight: bytes, rank: int) -> None:
    said = ask_both("tls", flight, ip_proto=TCP, from_client=False)
    assert (said.answer, said.host, said.rank) == ("yes", "", rank)


@pytest.mark.parametrize("ends", FAMILIES)
def test_name_from_the_certificate_of_the_server(ends: tuple[str, str]) -> None:
    made = Classifier(naming(hosts=(("*.example.com", "example"),)), endpoints=Shared())
    made.packet(tcp(ends, 4000, 443, 99, b"", SYN), 1)
    made.packet(tcp(back(ends), 443, 4000, 499, b"", SYN), 1)
    hello = record(client_hello(None))
    assert made.packet(tcp(ends, 4000, 443, 100, hello), 1) == CLASS["tls"] | NOT_FINAL
    flight = record(server_hello()) + record(message(certificate(names_extension(b"www.example.com"))))
    assert made.packet(tcp(back(ends), 443, 4000, 500, flight[:300]), 1) == CLASS["tls"] | NOT_FINAL
    assert made.packet(tcp(back(ends), 443, 4000, 800, flight[300:]), 1) == CLASS["example"]
    first, last = made.take_named(10)
    assert (first.service, first.host, first.final) == ("tls", "", False)
    assert (last.service, last.host, last.final, last.why) == ("example", "www.example.com", True, "tls certificate")


@pytest.mark.parametrize("ends", FAMILIES)
@pytest.mark.parametrize("in_order", [True, False])
def test_post_quantum_hello_over_two_segments(ends: tuple[str, str], in_order: bool) -> None:
    """A key share of 1.2 KB behind or before the name; nothing is told before all of it is there."""
    hello = record(client_hello(more=extension(51, bytes(1216)) + protocols(b"h2") + ENCRYPTED))
    made = Classifier(naming(hosts=(("*.example.com", "example"),)), endpoints=Shared())
    made.packet(tcp(ends, 4000, 443, 99, b"", SYN), 1)
    segments = [tcp(ends, 4000, 443, 100, hello[:1400]), tcp(ends, 4000, 443, 1500, hello[1400:])]
    answers = [made.packet(segment, 1) for segment in (segments if in_order else segments[::-1])]
    assert answers == [0, CLASS["example"]]
    [named] = made.take_named(10)
    assert (named.host, named.final) == ("www.example.com", True)


def test_dns_inside() -> None:
    dot = record(client_hello(None, more=protocols(b"dot")))
    said = ask_both("tls", dot, ip_proto=TCP)
    assert (said.protocol, said.alpn, said.rank) == ("dns-over-tls", "dot", FINAL)
    said = ask_both("tls", record(client_hello()), ip_proto=TCP, server_port=853)
    assert (said.protocol, said.host) == ("dns-over-tls", "www.example.com")
    assert ask_both("tls", DATA, ip_proto=TCP, server_port=853).protocol == "dns-over-tls"
    assert ask_both("tls", b"\x17\x03\x09", ip_proto=TCP, server_port=853).answer == "no"


@pytest.mark.parametrize(("port", "name"), [(465, "smtp"), (993, "imap"), (995, "pop3"), (443, "tls")])
def test_mail_inside(port: int, name: str) -> None:
    assert ask_both("tls", record(client_hello()), ip_proto=TCP, server_port=port).protocol == name
    assert ask_both("tls", record(server_hello()), ip_proto=TCP, from_client=False, server_port=port).protocol == name


@pytest.mark.parametrize("port", [465, 853, 993, 995])
def test_a_client_does_not_choose_its_name_by_its_own_port(port: int) -> None:
    assert ask_both("tls", record(client_hello()), ip_proto=TCP, client_port=port, server_port=443).protocol == "tls"


@pytest.mark.parametrize("ends", FAMILIES)
@pytest.mark.parametrize(("port", "name"), [(443, "example"), (853, "dns-over-tls")])
def test_an_offer_of_dns_hides_no_site(ends: tuple[str, str], port: int, name: str) -> None:
    made = Classifier(naming(hosts=(("*.example.com", "example"),)), endpoints=Shared())
    hello = record(client_hello(b"www.example.com", more=protocols(b"dot", b"h2")))
    made.packet(tcp(ends, 4000, port, 99, b"", SYN), 1)
    assert made.packet(tcp(ends, 4000, port, 100, hello), 1) == CLASS[name]


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
