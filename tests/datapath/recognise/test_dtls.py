"""DTLS: hellos whole and in fragments, the server's flight, sessions met in their middle, and what only looks alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import ask
from tests.datapath.names import CLASS, NOT_FINAL, naming
from tests.datapath.packets import FAMILIES as ENDS
from tests.datapath.packets import back, udp
from tests.datapath.recognise import certificates
from tests.datapath.recognise.feeding import ask_both, four_ways_udp
from tests.datapath.recognise.hellos import server_name

FINAL, SESSION = 0, 2  # ranks
SRTP = bytes.fromhex("000e 0005 0002 0001 00")  # RFC 5764, 4.1.1
SECRET = bytes.fromhex("0017 0000")  # extended master secret, RFC 7627


def record(content: bytes, kind: int = 22, epoch: int = 0, sequence: int = 0, version: int = 0xFEFD) -> bytes:
    head = bytes([kind]) + version.to_bytes(2, "big") + epoch.to_bytes(2, "big") + sequence.to_bytes(6, "big")
    return head + len(content).to_bytes(2, "big") + content


def fragment(kind: int, body: bytes, offset: int = 0, size: int | None = None, message: int = 0) -> bytes:
    """A fragment of a handshake message whose whole body is ``body``."""
    part = body[offset:] if size is None else body[offset : offset + size]
    return (
        bytes([kind])
        + len(body).to_bytes(3, "big")
        + message.to_bytes(2, "big")
        + offset.to_bytes(3, "big")
        + len(part).to_bytes(3, "big")
        + part
    )


def hello_body(host: bytes | None = None, cookie: bytes = b"", more: bytes = SECRET) -> bytes:
    extensions = more + (server_name(host) if host is not None else b"")
    return (
        b"\xfe\xfd"
        + bytes(range(32))
        + b"\x00"  # no session id
        + bytes([len(cookie)]) + cookie
        + b"\x00\x04\xc0\x2b\xc0\x2f"
        + b"\x01\x00"
        + len(extensions).to_bytes(2, "big") + extensions
    )  # fmt: skip


def hello(host: bytes | None = None, cookie: bytes = b"", version: int = 0xFEFF) -> bytes:
    return record(fragment(1, hello_body(host, cookie)), version=version)


def common_name(name: bytes) -> bytes:
    return bytes.fromhex("31 00 30 00 06 03 550403 0c") + bytes([len(name)]) + name


def certificate(*names: bytes) -> bytes:
    body = bytes(20) + b"".join(common_name(name) for name in names) + bytes(100)
    return fragment(11, body, message=1)


SERVER_HELLO = fragment(2, b"\xfe\xfd" + bytes(range(32)) + b"\x00\xc0\x2b\x00")
CIPHERED = record(bytes(range(40)), kind=23, epoch=1, sequence=7)


@pytest.mark.parametrize("version", [0xFEFF, 0xFEFD])
def test_hello_without_a_name_is_a_guess(version: int) -> None:
    said = four_ways_udp("dtls", hello(version=version))
    assert said.rank == SESSION


@pytest.mark.parametrize("cookie", [b"", bytes(20), bytes(255)])
def test_hello_with_a_name(cookie: bytes) -> None:
    said = four_ways_udp("dtls", hello(b"Media.Example.org", cookie), "media.example.org")
    assert said.rank == FINAL


def test_hello_in_fragments() -> None:
    body = hello_body(b"media.example.org")
    for offset, size in ((0, 30), (30, 40), (70, len(body) - 70)):
        said = ask_both("dtls", record(fragment(1, body, offset, size)))
        assert (said.answer, said.host, said.rank) == ("yes", "", SESSION)
    overlong = record(fragment(1, body, 40, 30).replace(b"\0\0\x28\0\0\x1e", b"\0\0\x28\0\xff\x1e"))
    assert ask_both("dtls", overlong).answer == "no"


def test_fragments_of_several_messages_in_one_record() -> None:
    both = record(fragment(1, hello_body(), 0, 30) + fragment(1, hello_body(), 30, 20))
    assert ask_both("dtls", both).answer == "yes"


def test_the_servers_flight_alone() -> None:
    parts = (SERVER_HELLO, certificate(b"Some Authority", b"*.media.example.org"))
    said = four_ways_udp("dtls", record(b"".join(parts)), "media.example.org", from_client=False)
    assert said.rank == FINAL
    apart = b"".join(record(part) for part in parts)
    assert ask_both("dtls", apart, from_client=False) == said


def test_alternative_names_come_before_the_common_one() -> None:
    chain = certificates.message(certificates.certificate(certificates.names_extension(b"*.media.example.org")))
    said = ask_both("dtls", record(SERVER_HELLO) + record(fragment(11, chain[4:], message=1)), from_client=False)
    assert (said.host, said.rank) == ("media.example.org", FINAL)
    for size in range(len(chain) - 4):
        cut = record(fragment(11, chain[4:], 0, size, message=1))
        assert ask_both("dtls", cut, from_client=False).host in ("", "media.example.org")


@pytest.mark.parametrize("name", [b"WebRTC", b"localhost", b"Example Root CA 2. Edition", b"", b".", b"a" * 120])
def test_other_common_names_are_no_host(name: bytes) -> None:
    said = ask_both("dtls", record(SERVER_HELLO) + record(certificate(name)), from_client=False)
    assert (said.answer, said.host, said.rank) == ("yes", "", SESSION)


def test_cipher_ends_the_guess() -> None:
    finished = record(b"\x01", kind=20) + record(bytes(40), epoch=1)
    assert (ask_both("dtls", finished).answer, ask_both("dtls", finished).rank) == ("yes", FINAL)
    short_header = record(SERVER_HELLO) + b"\x2e\x12\x34\x00\x10" + bytes(16)  # DTLS 1.3
    assert ask_both("dtls", short_header, from_client=False).rank == FINAL


def test_met_in_its_middle() -> None:
    said = four_ways_udp("dtls", CIPHERED)
    assert said.rank == FINAL
    assert ask_both("dtls", CIPHERED + CIPHERED).answer == "yes"


def test_connection_ids() -> None:
    for size in (1, 8, 20):
        packet = b"\x19\xfe\xfd\x00\x01" + bytes(5) + b"\x07" + b"\x5a" * size + b"\x00\x28" + bytes(range(40))
        said = four_ways_udp("dtls", packet)
        assert said.rank == FINAL
    assert ask_both("dtls", b"\x19\xfe\xfd\x00\x00" + bytes(6) + b"\x5a\x00\x03abc").answer == "no", "in clear"


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_a_name_across_fragments(ends: tuple[str, str], order: tuple[int, ...]) -> None:
    made = Classifier(naming(), endpoints=Shared())
    body = hello_body(b"media.example.org")
    cuts = [(0, 40), (40, 30), (70, len(body) - 70)]
    answers = [made.packet(udp(ends, 4000, 5000, record(fragment(1, body, *cuts[i]))), 1) for i in order]
    assert answers == [CLASS["dtls"] | NOT_FINAL, CLASS["dtls"] | NOT_FINAL, CLASS["dtls"]]


@pytest.mark.parametrize(
    "foreign",
    [
        record(fragment(1, hello_body()), version=0x0100),  # AnyConnect's
        record(fragment(1, hello_body()), version=0x0303),
        record(bytes(40), kind=23),  # application data in clear
        record(b"\x02\x28\x00", kind=21),
        record(b"\x01\x01", kind=20),
        record(fragment(7, b"abc")),  # no such message
        record(fragment(1, hello_body())[:-1]),
        record(b"", epoch=1),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),  # TLS
        bytes(13),
        b"\x80\x00\x00\x01" + bytes(160),  # RTP
        b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),  # STUN
    ],
)
def test_others_are_not_dtls(foreign: bytes) -> None:
    assert ask_both("dtls", foreign).answer == "no"


@pytest.mark.parametrize("ends", ENDS)
def test_a_hello_that_agrees_on_media_keys(ends: tuple[str, str]) -> None:
    made = Classifier(naming(), endpoints=Shared())
    hello = record(fragment(1, hello_body(more=SECRET + SRTP)), version=0xFEFF)
    assert ask_both("dtls", hello).protocol == "webrtc"
    answers = [
        made.packet(udp(ends, 40000, 40001, hello), 1),
        made.packet(udp(back(ends), 40001, 40000, record(fragment(11, bytes(3)))), 2),
        made.packet(udp(ends, 40000, 40001, record(bytes(40), epoch=1)), 3),
    ]
    assert answers == [CLASS["webrtc"] | NOT_FINAL, CLASS["webrtc"] | NOT_FINAL, CLASS["webrtc"]]


@pytest.mark.parametrize("ends", ENDS)
def test_dtls_after_stun(ends: tuple[str, str]) -> None:
    made = Classifier(naming(), endpoints=Shared())
    binding = bytes.fromhex("0001 0000 2112a442 000102030405060708090a0b")
    media = [b"\x80\x60\x00" + bytes([number]) + bytes(8) + bytes(60) for number in range(4)]
    assert made.packet(udp(ends, 4000, 5000, binding), 1) == CLASS["stun"] | NOT_FINAL
    assert made.packet(udp(ends, 4000, 5000, hello()), 1) == CLASS["dtls"] | NOT_FINAL
    for packet in media:
        assert made.packet(udp(ends, 4000, 5000, packet), 1) == CLASS["dtls"] | NOT_FINAL
    assert made.packet(udp(back(ends), 5000, 4000, CIPHERED), 1) == CLASS["dtls"]


@given(data=st.binary(max_size=300))
def test_random_content(data: bytes) -> None:
    ask("dtls", data)
    ask("dtls", record(data))
    ask("dtls", record(fragment(1, data)))
    ask("dtls", record(fragment(11, data)), from_client=False)
