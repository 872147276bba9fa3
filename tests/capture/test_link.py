"""Link layers: each frame gives its IP packet, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.capture.link import LINKS, ip_offset

ETHERNET = bytes(12)
FOUR = b"\x45" + bytes(19)
SIX = b"\x60" + bytes(39)


@pytest.mark.parametrize(
    ("link", "header", "packet"),
    [
        (1, ETHERNET + b"\x08\x00", FOUR),
        (1, ETHERNET + b"\x86\xdd", SIX),
        (1, ETHERNET + b"\x81\x00\x00\x05\x08\x00", FOUR),  # VLAN
        (1, ETHERNET + b"\x88\xa8\x00\x05\x81\x00\x00\x07\x86\xdd", SIX),  # two VLANs
        (1, ETHERNET + b"\x88\x47\x00\x01\x00\x40\x00\x01\x01\x40", FOUR),  # two MPLS labels
        (1, ETHERNET + b"\x88\x64\x11\x00\x00\x01\x00\x16\x00\x21", FOUR),  # PPPoE
        (1, ETHERNET + b"\x81\x00\x00\x05\x88\x64\x11\x00\x00\x01\x00\x2a\x00\x57", SIX),  # PPPoE in a VLAN
        (113, bytes(14) + b"\x08\x00", FOUR),
        (276, b"\x86\xdd" + bytes(18), SIX),
        (101, b"", SIX),
        (228, b"", FOUR),
        (0, b"\x02\x00\x00\x00", FOUR),
        (108, b"\x00\x00\x00\x18", SIX),
        (9, b"\xff\x03\x00\x21", FOUR),
        (9, b"\x21", FOUR),  # a compressed protocol field
        (50, b"\x00\x57", SIX),
        (51, b"\x11\x00\x00\x01\x00\x16\x00\x21", FOUR),
        (104, b"\x0f\x00\x08\x00", FOUR),
    ],
)
def test_header_is_looked_through(link: int, header: bytes, packet: bytes) -> None:
    assert ip_offset(link, header + packet) == len(header)


@pytest.mark.parametrize(
    ("link", "frame"),
    [
        (1, ETHERNET + b"\x08\x06" + bytes(28)),  # ARP
        (1, ETHERNET + b"\x08\x00"),  # cut
        (1, ETHERNET + b"\x08\x00\x35" + bytes(19)),  # version 3
        (1, ETHERNET + b"\x81\x00\x00\x05" * 9 + b"\x08\x00" + FOUR),  # tags without end
        (9, b"\xff\x03\xc0\x21" + bytes(8)),  # LCP
        (101, b""),
    ],
)
def test_no_ip(link: int, frame: bytes) -> None:
    assert ip_offset(link, frame) is None


@given(link=st.sampled_from(sorted(LINKS)), frame=st.binary(max_size=80))
def test_any_frame(link: int, frame: bytes) -> None:
    at = ip_offset(link, frame)
    assert at is None or frame[at] >> 4 in (4, 6)
