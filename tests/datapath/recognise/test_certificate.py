"""The host of a server's certificate, as the recogniser of TLS finds it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import Asked, ask
from tests.datapath.recognise.certificates import certificate, der, message, names_extension, sequence
from tests.datapath.recognise.feeding import TCP, ask_both
from tests.datapath.recognise.hellos import record, server_hello

KEY_USAGE = sequence(b"\x06\x03\x55\x1d\x0f", der(1, b"\xff"), der(4, b"\x03\x02\x05\xa0"))
ADDRESS = der(0x87, bytes(4))


def flight(*chain: bytes) -> bytes:
    return record(server_hello()) + record(message(*chain))


def named(*extensions: bytes) -> Asked:
    return ask_both("tls", flight(certificate(*extensions)), ip_proto=TCP, from_client=False)


@pytest.mark.parametrize(
    ("extensions", "host"),
    [
        ((names_extension(b"WWW.example.com", b"example.com"),), "www.example.com"),
        ((KEY_USAGE, names_extension(b"www.example.com", critical=True)), "www.example.com"),
        ((names_extension(b"*.example.com"), KEY_USAGE), "example.com"),
        ((names_extension(b"www.example.com", other=ADDRESS * 3),), "www.example.com"),
        ((names_extension(b"www.example.com", other=ADDRESS * 8),), ""),
        ((names_extension(b"not a name"),), ""),
        ((names_extension(),), ""),
        ((KEY_USAGE,), ""),
        ((), ""),
    ],
)
def test_host(extensions: tuple[bytes, ...], host: str) -> None:
    said = named(*extensions)
    assert (said.answer, said.protocol, said.host, said.rank) == ("yes", "tls", host, 0)
    assert said.why == ("tls certificate" if host else "tls server hello")


def test_only_the_servers_own_certificate() -> None:
    data = flight(certificate(KEY_USAGE), certificate(names_extension(b"ca.example.com")))
    assert ask_both("tls", data, ip_proto=TCP, from_client=False).host == ""


def test_cut_at_each_length() -> None:
    """Until the name is there a guess, or with one from the client's hello nothing new."""
    data = flight(certificate(KEY_USAGE, names_extension(b"www.example.com")))
    hosts = set()
    for size in range(len(record(server_hello())), len(data)):
        said = ask_both("tls", data[:size], ip_proto=TCP, from_client=False)
        assert (said.answer, said.protocol) == ("yes", "tls")
        assert (said.rank == 0) == (said.host != "")
        guessed = ask_both("tls", data[:size], ip_proto=TCP, from_client=False, guessed="tls")
        assert guessed.answer == ("yes" if said.host else "more")
        hosts.add(said.host)
        last = ask_both("tls", data[:size], ip_proto=TCP, from_client=False, last=True)
        assert (last.answer, last.rank) == ("yes", 0)
    assert hosts == {"", "www.example.com"}


@given(at=st.integers(0, 5000), byte=st.integers(0, 255))
def test_any_byte_changed(at: int, byte: int) -> None:
    data = bytearray(flight(certificate(KEY_USAGE, names_extension(b"www.example.com"))))
    data[at % len(data)] = byte
    assert ask("tls", bytes(data), ip_proto=TCP, from_client=False).answer in ("no", "more", "yes")


@given(body=st.binary(max_size=400))
def test_any_certificate(body: bytes) -> None:
    said = ask("tls", flight(body), ip_proto=TCP, from_client=False)
    assert said.answer == "yes"
