"""RTP and RTCP: what agrees over several packets, and what is sure by itself."""

from __future__ import annotations

import struct
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import JUNK, ask_both

SOURCE = 0x1B2C3D4E


def media(sequence: int, source: int = SOURCE, kind: int = 0, first: int = 0x80, size: int = 160) -> bytes:
    return (
        bytes([first, kind])  # version 2; PCMU
        + (sequence % 65536).to_bytes(2, "big")
        + (sequence * 160 % 2**32).to_bytes(4, "big")  # timestamp
        + source.to_bytes(4, "big")
        + bytes(size)
    )


def before(*packets: bytes, from_client: bool = True) -> list[tuple[bytes, bool]]:
    return [(packet, from_client) for packet in packets]


SENDER_REPORT = bytes.fromhex("80 c8 0006") + SOURCE.to_bytes(4, "big") + bytes(20)
DESCRIPTION = bytes.fromhex("81 ca 0003") + SOURCE.to_bytes(4, "big") + bytes.fromhex("01 04 61406200 0000")
RECEIVER_REPORT = bytes.fromhex("81 c9 0007") + SOURCE.to_bytes(4, "big") + bytes(24)


def test_three_packets_of_one_source() -> None:
    assert ask_both("rtp", media(7)).answer == "more"
    assert ask_both("rtp", media(8), earlier=before(media(7))).answer == "more"
    said = ask_both("rtp", media(9), earlier=before(media(7), media(8)))
    assert (said.answer, said.why) == ("yes", "rtp packets of one source in sequence")


def test_sequence_wraps_and_packets_are_lost() -> None:
    assert ask_both("rtp", media(65538), earlier=before(media(65534), media(65535))).answer == "yes"
    assert ask_both("rtp", media(30), earlier=before(media(7), media(12))).answer == "more"


def test_sides_do_not_mix() -> None:
    mixed = [(media(7), True), (media(8), False)]
    assert ask_both("rtp", media(9), earlier=mixed).answer == "more"


def test_another_source_or_a_standing_sequence() -> None:
    assert ask_both("rtp", media(9), earlier=before(media(7, 5), media(8, 5))).answer == "more"
    assert ask_both("rtp", media(7), earlier=before(media(7), media(7))).answer == "more"


def test_extension_and_sources() -> None:
    behind = bytes(4) + bytes.fromhex("bede 0001 00000000") + bytes(40)
    extended = [media(n, first=0x91)[:12] + behind for n in (7, 8, 9)]
    assert ask_both("rtp", extended[2], earlier=before(*extended[:2])).answer == "yes"
    assert ask_both("rtp", extended[2], earlier=before(media(7), media(8))).answer == "more"
    overlong = media(9, first=0x90)[:12] + bytes.fromhex("bede 00ff") + bytes(40)
    assert ask_both("rtp", overlong, earlier=before(media(7), media(8))).answer == "no"
    assert ask_both("rtp", media(9, first=0x8F, size=20), earlier=before(media(7), media(8))).answer == "no"


def test_types_of_rtcp_are_no_media() -> None:
    for kind in (64, 72, 85, 95):
        assert ask_both("rtp", media(9, kind=kind), earlier=before(media(7), media(8))).answer == "no"


def numbered(kind: int, *stamps: int, source: int = SOURCE, step: int = 1) -> list[bytes]:
    """A mark of two bytes, a counter, some four bytes, a number that stays: packets of games and sensors."""
    numbers = range(7, 7 + step * len(stamps), step)
    heads = (struct.pack("!BBHII", 0x80, kind, n, stamp, source) for n, stamp in zip(numbers, stamps, strict=True))
    return [head + bytes(60) for head in heads]


@pytest.mark.parametrize(
    ("packets", "answer"),
    [
        (numbered(96, 5, 6, 7), "more"),  # another counter
        (numbered(96, 0x86000001, 0x86000002, 0x86000003, step=16), "more"),  # ENet: command and number behind a time
        (numbered(96, 0x12345678, 0xA2345678, 0x32345678), "more"),  # a checksum
        (numbered(0, 1000, 1020, 1040), "more"),  # milliseconds
        (numbered(0, 1000, 1000, 1000, source=0), "no"),
        (numbered(96, 1000, 1020, 1040), "yes"),  # milliseconds, as some applications have them
        (numbered(0, 160, 320, 480), "yes"),
        (numbered(31, 3000, 3000, 6000), "yes"),  # two packets of one picture
        (numbered(33, 3000, 9000, 6000), "yes"),  # pictures not in the order of their time
        (numbered(0, 2**32 - 160, 0, 160), "yes"),
    ],
)
def test_timestamps_are_a_media_clocks(packets: list[bytes], answer: str) -> None:
    assert ask_both("rtp", packets[2], earlier=before(*packets[:2])).answer == answer


def test_marks_that_begin_as_version_2() -> None:
    for mark in (b"\xaa\x55", b"\xa5\x5a", b"\xbe\xef", b"\xa5\xa5"):
        packets = [mark + struct.pack("!HII", n, 1000 * n, SOURCE) + sha256(bytes([n])).digest() * 4 for n in (7, 8, 9)]
        assert ask_both("rtp", packets[2], earlier=before(*packets[:2])).answer != "yes"


def test_compound_is_sure_by_itself() -> None:
    for compound in (SENDER_REPORT + DESCRIPTION, RECEIVER_REPORT + DESCRIPTION):
        said = ask_both("rtp", compound)
        assert (said.answer, said.protocol, said.rank) == ("yes", "rtcp", 2)
        for size in range(len(compound)):
            assert ask_both("rtp", compound[:size]).answer != "yes"
            assert ask_both("rtp", compound[:size], length=len(compound)).protocol in ("rtcp", "none")
        for junk in JUNK:
            assert ask_both("rtp", compound + junk).answer != "yes"


def test_rtp_after_its_reports() -> None:
    reports = before(SENDER_REPORT + DESCRIPTION, media(7), media(8))
    said = ask_both("rtp", media(9), earlier=reports, guessed="rtcp")
    assert (said.protocol, said.rank) == ("rtp", 0)


def test_media_after_stun_but_not_after_dtls() -> None:
    earlier = before(media(7), media(8))
    assert ask_both("rtp", media(9), earlier=earlier, guessed="stun").protocol == "rtp"
    assert ask_both("rtp", media(9), earlier=earlier, guessed="dtls").answer == "no"


def test_whatsapps_extension() -> None:
    def packet(sequence: int, profile: str = "debe 0001") -> bytes:
        return media(sequence, kind=120, first=0x90)[:12] + bytes.fromhex(profile) + bytes(60)

    said = ask_both("rtp", packet(9), earlier=before(packet(7), packet(8)))
    assert (said.protocol, said.rank) == ("whatsapp-call", 0)
    assert ask_both("rtp", media(9), earlier=before(packet(7), media(8))).protocol == "whatsapp-call"
    usual = [packet(sequence, "bede 0001") for sequence in (7, 8, 9)]
    assert ask_both("rtp", usual[2], earlier=before(*usual[:2])).protocol == "rtp"


def test_facetime_needs_both_ports() -> None:
    earlier = before(media(7), media(8))
    assert ask_both("rtp", media(9), earlier=earlier, client_port=16402, server_port=16402).protocol == "facetime"
    assert ask_both("rtp", media(9), earlier=earlier, client_port=16402, server_port=16384).protocol == "rtp"


def test_media_of_a_known_socket() -> None:
    relay = bytes.fromhex("0801 0000 2112a442 000102030405060708090a0b")
    shared = Shared()
    assert ask("stun", relay, endpoints=shared).protocol == "whatsapp-call"
    said = ask("rtp", media(9), earlier=before(media(7), media(8)), endpoints=shared, server="203.0.113.5")
    assert said.protocol == "whatsapp-call"


def test_single_report_must_come_again() -> None:
    assert ask_both("rtp", SENDER_REPORT).answer == "more"
    assert ask_both("rtp", SENDER_REPORT, earlier=before(SENDER_REPORT)).answer == "yes"
    assert ask_both("rtp", SENDER_REPORT, earlier=before(SENDER_REPORT, from_client=False)).answer == "more"


def test_report_of_another_length() -> None:
    wrong = b"\x80\xc8\x00\x05" + SENDER_REPORT[4:-4]
    assert ask_both("rtp", wrong + DESCRIPTION).answer == "no"


@given(
    packets=st.lists(st.binary(min_size=12, max_size=40).map(lambda tail: b"\x80\x00" + tail), min_size=1, max_size=8)
)
def test_random_headers_do_not_agree(packets: list[bytes]) -> None:
    different = list({packet[8:12]: packet for packet in packets}.values())
    *earlier, last = different
    assert ask("rtp", last, earlier=before(*earlier)).answer != "yes"
