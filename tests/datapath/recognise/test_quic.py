"""QUIC's long headers, version negotiation, and Google's own header."""

from __future__ import annotations

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import ask
from tests.datapath.names import CLASS, naming
from tests.datapath.packets import FAMILIES, udp
from tests.datapath.recognise.feeding import ask_both, four_ways_udp
from tests.datapath.recognise.hellos import ENCRYPTED, client_hello, google_message, protocols
from tests.datapath.recognise.initials import SALTS, V1, V2, crypto, datagram, packet


def initial(version: bytes, first: int = 0xC3, size: int = 1200) -> bytes:
    """A client's first datagram."""
    head = (
        bytes([first])  # long header, fixed bit, Initial
        + version
        + b"\x08" + bytes(range(8))  # destination connection id
        + b"\x05" + bytes(5)  # source connection id
        + b"\x00"  # no token
    )  # fmt: skip
    rest = size - len(head) - 2
    return head + (0x4000 | rest).to_bytes(2, "big") + b"\x5a" * rest


VERSIONS = {"1": "00000001", "draft 29": "ff00001d", "mvfst": "faceb002", "Q050": "51303530", "T051": "54303531"}

NEGOTIATION = bytes.fromhex(
    "9f 00000000"  # long header, version 0
    "05 0000000000"  # the client's connection id
    "08 0001020304050607"
    "1a2a3a4a 00000001"  # a reserved version and version 1
)
GOOGLE_Q039 = bytes.fromhex("0d 0001020304050607 51303339 01") + b"\xa0" * 1200  # flags with version and connection id
GOOGLE_Q046 = bytes.fromhex("c3 51303436 50 0001020304050607 00000001") + b"\xa0" * 1200


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_initial(version: str) -> None:
    four_ways_udp("quic", initial(bytes.fromhex(version)), longer=True)


def test_initial_of_version_2() -> None:
    four_ways_udp("quic", initial(bytes.fromhex("6b3343cf"), 0xD3), longer=True)


def test_server_initial_may_be_short() -> None:
    assert ask_both("quic", initial(b"\0\0\0\1", size=120), from_client=False).answer == "yes"
    assert ask_both("quic", initial(b"\0\0\0\1", size=120)).answer == "no"


def test_negotiation() -> None:
    assert ask_both("quic", NEGOTIATION, from_client=False).answer == "yes"
    assert ask_both("quic", NEGOTIATION[:-1], from_client=False).answer == "no"
    assert ask_both("quic", NEGOTIATION[:19] + b"\1\2\3\4", from_client=False).answer == "no"


def test_version_that_asks_for_negotiation() -> None:
    assert ask_both("quic", initial(bytes.fromhex("1a2a3a4a"))).answer == "yes"


@pytest.mark.parametrize("packet", [GOOGLE_Q039, GOOGLE_Q046], ids=["Q039", "Q046"])
def test_google(packet: bytes) -> None:
    assert ask_both("quic", packet).answer == "yes"
    assert ask_both("quic", packet[:40]).answer == "no"


@pytest.mark.parametrize(
    ("at", "byte", "what"),
    [
        (0, 0x83, "no fixed bit"),
        (1, 0x12, "a version nobody has"),
        (5, 21, "a connection id of 21"),
        (20, 0x7F, "a token beyond the end"),
        (21, 0x7F, "a length beyond the end"),
    ],
)
def test_one_byte_off(at: int, byte: int, what: str) -> None:
    packet = bytearray(initial(b"\0\0\0\1"))
    packet[at] = byte
    assert ask_both("quic", bytes(packet)).answer == "no", what


def test_short_header_says_nothing() -> None:
    assert ask_both("quic", b"\x43" + bytes(range(60))).answer == "no"


HELLO = client_hello(more=protocols(b"h3"))
FINAL = 0
GUESS = 1


@pytest.mark.parametrize("version", SALTS, ids=hex)
def test_server_name(version: int) -> None:
    own_frames = version in (0x51303530, 0x54303530)  # Google's version 50 has its own numbers
    data = datagram(crypto(0, HELLO, 8 if own_frames else 6), version=version)
    said = ask_both("quic", data)
    assert (said.answer, said.protocol, said.host, said.alpn) == ("yes", "quic", "www.example.com", "h3")
    assert (said.ech, said.rank, said.why) == (False, FINAL, "quic client hello")
    assert ask_both("quic", data + bytes(99)).host == "www.example.com"


def test_hello_cut_at_each_length() -> None:
    data = datagram(crypto(0, HELLO))
    for size in range(len(data)):
        assert ask_both("quic", data[:size]).answer == "no"  # of a datagram that long nothing more is to come
        copied = ask_both("quic", data[:size], length=len(data))
        assert copied.protocol in ("quic", "none")
    said = ask_both("quic", data[:400], length=len(data))
    assert said.host == "www.example.com"  # the copy range


def test_hello_with_an_encrypted_one_inside() -> None:
    assert ask_both("quic", datagram(crypto(0, client_hello(more=ENCRYPTED)))).ech


def test_tokens_and_ids() -> None:
    for size in (0, 8, 20):
        data = datagram(crypto(0, HELLO), destination=bytes(range(size)), token=b"t" * 70)
        assert ask_both("quic", data).host == "www.example.com"


def test_several_packets_in_a_datagram() -> None:
    early = packet(bytes(60), kind=1)
    first = packet(crypto(0, HELLO))
    assert ask_both("quic", first + early + bytes(1200 - len(first + early))).host == "www.example.com"
    assert ask_both("quic", early + first + bytes(1200 - len(first + early))).host == "www.example.com"
    said = ask_both("quic", early * 15)  # the hello went another way
    assert (said.answer, said.rank) == ("yes", GUESS)


def test_retry_and_negotiation_are_guesses() -> None:
    retry = bytes.fromhex("f0 00000001 00 08 0001020304050607") + b"token" + bytes(16)
    assert ask_both("quic", retry, from_client=False).rank == GUESS
    assert ask_both("quic", retry[:24], from_client=False).answer == "no"
    assert ask_both("quic", NEGOTIATION, from_client=False).rank == GUESS


def test_dns_inside() -> None:
    assert ask_both("quic", datagram(crypto(0, client_hello(more=protocols(b"doq"))))).protocol == "dns-over-tls"
    assert ask_both("quic", datagram(crypto(0, HELLO)), server_port=853).protocol == "dns-over-tls"


@pytest.mark.parametrize("tag", [b"REJ\0", b"SHLO"])
def test_google_server_alone(tag: bytes) -> None:
    answer = google_message(tag, {b"STK\0": b"x" * 40})
    head = bytes.fromhex("08 0001020304050607 01") + bytes(12) + b"\xa0\x01\x00\x30"
    assert ask_both("quic", head + answer, from_client=False).answer == "yes"
    assert ask_both("quic", head + answer.replace(tag, b"NONE"), from_client=False).answer == "no"


def test_connection_picked_up_in_its_middle() -> None:
    def sent(first: int, rest: int = 0, client: bool = True) -> tuple[bytes, bool]:
        head = bytes([first]) + (b"\1\2\3\4\5\6\7\x08" if client else b"")
        return head + bytes(range(rest, rest + 24)), client

    earlier = [sent(0x48), sent(0x41, 9, False), sent(0x42, 7), sent(0x55, 3, False), sent(0x4A, 8)]
    data = sent(0x43, 1)[0]
    assert ask_both("quic", data, server_port=443, earlier=earlier).why == "quic short headers"
    assert ask_both("quic", data, server_port=4433, earlier=earlier).answer == "no"
    assert ask_both("quic", data, server_port=443, earlier=earlier[:-1]).answer == "more"
    assert ask_both("quic", data, server_port=443, earlier=[e for e in earlier if e[1]] * 2).answer == "more"
    another_id = b"\x4b" + bytes(8) + earlier[0][0][9:]
    assert ask_both("quic", data, server_port=443, earlier=[*earlier, (another_id, True)]).answer == "no"
    assert ask_both("quic", data, server_port=443, earlier=[*earlier, (b"\x80" + bytes(40), False)]).answer == "no"
    steady = [(b"\x48" + e[0][1:], e[1]) for e in earlier]  # OpenVPN's data packets begin so, each with the same byte
    assert ask_both("quic", b"\x48" + data[1:], server_port=443, earlier=steady).answer == "no"


@pytest.mark.parametrize("ends", FAMILIES)
@pytest.mark.parametrize("version", [V1, V2])
def test_client_of_aioquic(version: int, ends: tuple[str, str]) -> None:
    configuration = QuicConfiguration(alpn_protocols=["h3"], server_name="www.example.com", original_version=version)
    client = QuicConnection(configuration=configuration)
    client.connect(("192.0.2.1", 443), now=0.0)
    [(data, _)] = client.datagrams_to_send(now=0.0)
    made = Classifier(naming(hosts=(("*.example.com", "example"),)), endpoints=Shared())
    assert made.packet(udp(ends, 4000, 443, data), 1) == CLASS["example"]
    [named] = made.take_named(10)
    assert (named.host, named.alpn) == ("www.example.com", "h3")


@given(data=st.binary(min_size=14, max_size=100), first=st.integers(0, 255))
def test_any_bytes(data: bytes, first: int) -> None:
    assert ask("quic", bytes([first]) + b"\0\0\0\1" + data).answer in ("no", "more", "yes")
