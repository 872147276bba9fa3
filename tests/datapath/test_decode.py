"""Headers of both families, whole, cut at every length, and wrong in each way that has a name."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.decode import ODDITIES, headers
from tests.datapath.packets import ACK, DNS_QUERY, FAMILIES, PSH, SYN, TCP, UDP, V4, V6, ip, tcp, udp

AH, ESP, HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS = 51, 50, 0, 43, 44, 60


def options(following: int, words: int = 0) -> bytes:
    """An extension header of 8 + 8 * words bytes."""
    return bytes([following, words]) + bytes(6 + 8 * words)


def fragment(following: int, offset: int, more: bool = False) -> bytes:
    return struct.pack("!BBHI", following, 0, offset << 3 | more, 7)


@pytest.mark.parametrize("ends", FAMILIES)
def test_udp(ends: tuple[str, str]) -> None:
    found = headers(udp(ends, 4000, 53, DNS_QUERY))
    assert (found["ip_proto"], found["src_port"], found["dst_port"]) == (UDP, 4000, 53)
    assert (found["payload"], found["length"]) == (DNS_QUERY, len(DNS_QUERY))


@pytest.mark.parametrize("ends", FAMILIES)
def test_tcp(ends: tuple[str, str]) -> None:
    found = headers(tcp(ends, 4000, 22, 77, b"hello"))
    assert (found["ip_proto"], found["src_port"], found["dst_port"]) == (TCP, 4000, 22)
    assert (found["seq"], found["tcp_flags"], found["payload"]) == (77, ACK | PSH, b"hello")


@pytest.mark.parametrize("ends", FAMILIES)
def test_a_syn_takes_a_sequence_number(ends: tuple[str, str]) -> None:
    assert headers(tcp(ends, 1, 2, 0xFFFFFFFF, b"early data", SYN))["seq"] == 0


def test_addresses_are_16_bytes() -> None:
    assert headers(udp(V4, 1, 2, b"x"))["src"] == bytes(10) + b"\xff\xff" + bytes([10, 9, 0, 1])
    assert headers(udp(V6, 1, 2, b"x"))["dst"] == bytes.fromhex("fd090001") + bytes(11) + b"\x01"


def test_ipv4_options_and_padding_behind_the_packet() -> None:
    body = struct.pack("!HHHH", 1, 2, 11, 0) + b"abc"
    packet = struct.pack("!BBHHHBBH", 0x46, 0, 24 + len(body), 0, 0, 64, UDP, 0) + bytes(8) + b"\x01\x01\x01\x00" + body
    assert headers(packet + b"padding")["payload"] == b"abc"


def test_extension_headers_are_walked() -> None:
    body = struct.pack("!HHHH", 1, 2, 11, 0) + b"abc"
    chain = options(ROUTING) + options(DESTINATION_OPTIONS, 2) + options(FRAGMENT) + fragment(UDP, 0)
    found = headers(ip(*V6, UDP, body, extensions=chain, first=HOP_BY_HOP))
    assert (found["ip_proto"], found["payload"]) == (UDP, b"abc")


@pytest.mark.parametrize("proto", [AH, ESP, 47, 58, 59])
@pytest.mark.parametrize("ends", FAMILIES)
def test_other_protocols_give_their_whole_payload(ends: tuple[str, str], proto: int) -> None:
    found = headers(ip(*ends, proto, b"\x11\x04" + bytes(30)))
    assert (found["ip_proto"], found["src_port"], found["length"]) == (proto, 0, 32)


@pytest.mark.parametrize("ends", FAMILIES)
def test_a_cut_copy_keeps_the_length_on_the_wire(ends: tuple[str, str]) -> None:
    packet = udp(ends, 1, 2, bytes(9000))
    found = headers(packet[:2000], wire_length=len(packet))
    assert found["length"] == 9000
    assert len(found["payload"]) == 2000 - (len(packet) - 9000)


@pytest.mark.parametrize("ends", FAMILIES)
def test_big_tcp_has_no_length_in_its_header(ends: tuple[str, str]) -> None:
    packet = bytearray(tcp(ends, 1, 2, 3, bytes(1000)))
    packet[2 if ends is V4 else 4 : 4 if ends is V4 else 6] = b"\x00\x00"
    headers_size = 40 if ends is V4 else 60
    assert headers(bytes(packet), wire_length=180_000)["length"] == 180_000 - headers_size


@pytest.mark.parametrize("ends", FAMILIES)
@pytest.mark.parametrize("make", [tcp, udp])
def test_cut_at_every_length(ends: tuple[str, str], make: object) -> None:
    packet = tcp(ends, 1, 2, 3, b"payload") if make is tcp else udp(ends, 1, 2, b"payload")
    whole = len(packet) - len(b"payload")
    for size in range(len(packet)):
        found = headers(packet[:size], wire_length=len(packet))
        assert found["oddity"] == ("truncated_header" if size < whole else "fine"), size
        if size >= whole:
            assert found["payload"] == b"payload"[: size - whole]


def wrong_packets() -> dict[str, tuple[bytes, str]]:
    """By what is wrong with them."""
    short_udp = struct.pack("!HHHH", 1, 2, 7, 0)
    long_udp = struct.pack("!HHHH", 1, 2, 99, 0)
    low_offset = struct.pack("!HHIIBBHHH", 1, 2, 3, 0, 4 << 4, 0, 0, 0, 0)
    high_offset = struct.pack("!HHIIBBHHH", 1, 2, 3, 0, 15 << 4, 0, 0, 0, 0)
    v4 = udp(V4, 1, 2, b"abc")
    found = {
        "nothing": (b"", "truncated_header"),
        "version 5": (b"\x55" + v4[1:], "bad_version"),
        "ipv4 header of 16 bytes": (b"\x44" + v4[1:], "bad_length"),
        "ipv4 total length below the header": (v4[:2] + b"\x00\x10" + v4[4:], "bad_length"),
        "ipv4 longer than the wire": (v4[:2] + b"\x0f\x00" + v4[4:], "bad_length"),
        "ipv4 later fragment": (v4[:6] + b"\x00\xb9" + v4[8:], "later_fragment"),
        "ipv6 longer than the wire": (b"\x60\x00\x00\x00\x0f\x00" + udp(V6, 1, 2, b"abc")[6:], "bad_length"),
        "ipv6 later fragment": (ip(*V6, UDP, bytes(20), extensions=fragment(UDP, 5), first=FRAGMENT), "later_fragment"),
        "ipv6 extension beyond the end": (
            ip(*V6, UDP, b"", extensions=bytes([UDP, 9]) + bytes(6), first=0),
            "bad_length",
        ),
        "ipv6 half an extension": (ip(*V6, UDP, b"", extensions=b"\x11\x00", first=60), "bad_length"),
        "ipv6 extensions without end": (
            ip(*V6, UDP, bytes(8), extensions=options(DESTINATION_OPTIONS) * 40, first=DESTINATION_OPTIONS),
            "too_many_extensions",
        ),
    }
    for ends, family in ((V4, "ipv4"), (V6, "ipv6")):
        found |= {
            f"{family} udp length 7": (ip(*ends, UDP, short_udp), "bad_length"),
            f"{family} udp length beyond the packet": (ip(*ends, UDP, long_udp), "bad_length"),
            f"{family} no room for udp": (ip(*ends, UDP, bytes(7)), "bad_length"),
            f"{family} no room for tcp": (ip(*ends, TCP, bytes(19)), "bad_length"),
            f"{family} tcp header of 16 bytes": (ip(*ends, TCP, low_offset), "bad_length"),
            f"{family} tcp header beyond the packet": (ip(*ends, TCP, high_offset), "bad_length"),
        }
    return found


@pytest.mark.parametrize(("packet", "oddity"), wrong_packets().values(), ids=wrong_packets())
def test_what_is_wrong_has_a_name(packet: bytes, oddity: str) -> None:
    assert headers(packet) == {"oddity": oddity}


def test_sixteen_extension_headers_are_still_fine() -> None:
    chain = options(DESTINATION_OPTIONS) * 15 + options(UDP)
    body = struct.pack("!HHHH", 1, 2, 8, 0)
    assert headers(ip(*V6, UDP, body, extensions=chain, first=DESTINATION_OPTIONS))["oddity"] == "fine"


@given(st.binary(max_size=200), st.sampled_from(["", "45", "60", "4500", "600000000080"]), st.integers(0, 1 << 32 - 1))
def test_any_bytes(data: bytes, beginning: str, wire_length: int) -> None:
    """Never raises; the payload it gives lies at the end of what it was given."""
    packet = bytes.fromhex(beginning) + data
    found = headers(packet, wire_length=wire_length)
    assert found["oddity"] in ODDITIES
    if found["oddity"] == "fine":
        assert found["payload"] in packet
        assert len(found["payload"]) <= found["length"]
