"""The server name in a ClientHello, as the recogniser of TLS finds it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import TCP, ask_both
from tests.datapath.recognise.hellos import ENCRYPTED, client_hello, extension, protocols, record


def named(hello: bytes) -> tuple[str, str]:
    said = ask_both("tls", record(hello), ip_proto=TCP)
    return said.answer, said.host


def test_server_name() -> None:
    assert named(client_hello(b"WWW.Example.COM")) == ("yes", "www.example.com")


def test_no_server_name() -> None:
    assert named(client_hello(None)) == ("yes", "")


@pytest.mark.parametrize(
    ("offer", "alpn"),
    [
        (protocols(b"h2", b"http/1.1"), "h2"),
        (protocols(b"http/1.1"), "http/1.1"),
        (protocols(b"\x0a\x0a", b"h2"), ""),  # a made-up value
        (protocols(b"x" * 32), "x" * 32),
        (protocols(b"x" * 33), ""),
        (protocols(), ""),
        (extension(16, b"\0\x09\x20h2"), ""),  # a name longer than its list
    ],
)
def test_first_protocol_offered(offer: bytes, alpn: str) -> None:
    said = ask_both("tls", record(client_hello(more=offer)), ip_proto=TCP)
    assert (said.host, said.alpn, said.ech) == ("www.example.com", alpn, False)


def test_encrypted_hello_inside() -> None:
    assert ask_both("tls", record(client_hello(more=ENCRYPTED)), ip_proto=TCP).ech
    assert not ask_both("tls", record(client_hello()), ip_proto=TCP).ech


def test_extensions_behind_the_name_are_waited_for() -> None:
    data = record(client_hello(more=extension(51, bytes(1200)) + protocols(b"h2") + ENCRYPTED))
    assert ask_both("tls", data[:1400], ip_proto=TCP).answer == "more"
    said = ask_both("tls", data[:1400], ip_proto=TCP, last=True)
    assert (said.answer, said.host, said.rank) == ("yes", "www.example.com", 0)
    said = ask_both("tls", data, ip_proto=TCP)
    assert (said.host, said.alpn, said.ech) == ("www.example.com", "h2", True)


def test_hello_without_extensions() -> None:
    body = b"\x03\x01" + bytes(32) + b"\x00" + b"\x00\x02\x00\x2f" + b"\x01\x00"
    assert named(b"\x01" + len(body).to_bytes(3, "big") + body) == ("yes", "")


@pytest.mark.parametrize("host", [b"a" * 254, b"bad name", b"", b"\xc3\xa4.example"])
def test_no_host_from_a_name_that_is_none(host: bytes) -> None:
    assert named(client_hello(host)) == ("yes", "")


@pytest.mark.parametrize(
    ("at", "byte", "what"),
    [
        (4, 2, "version 2.3"),
        (38, 33, "a session id of 33"),
        (72, 3, "an odd length of cipher suites"),
        (77, 0, "no compression method at all"),
    ],
)
def test_one_byte_off(at: int, byte: int, what: str) -> None:
    hello = bytearray(client_hello())
    hello[at] = byte
    assert named(bytes(hello))[0] == "no", what


def test_extensions_must_fill_the_hello() -> None:
    hello = client_hello() + b"\0"
    longer = hello[:1] + (len(hello) - 4).to_bytes(3, "big") + hello[4:]
    assert named(longer)[0] == "no"


@given(at=st.integers(0, 180), byte=st.integers(0, 255))
def test_any_byte_changed(at: int, byte: int) -> None:
    hello = bytearray(client_hello())
    hello[at % len(hello)] = byte
    assert ask("tls", record(bytes(hello)), ip_proto=TCP).answer in ("no", "more", "yes")
