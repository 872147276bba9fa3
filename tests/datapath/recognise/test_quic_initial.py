"""Opening Initials: the vectors of the RFCs, every salt, and packets that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.quic_initial import plain_of
from tests.datapath.recognise.initials import ID, SALTS, V1, V2, crypto, packet

# RFC 9001, A.2: the CRYPTO frame with a ClientHello for example.com.
FRAMES = bytes.fromhex(
    "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c000004130113"
    "02010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d00170018001000070005"
    "04616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce1"
    "5d43e994ec74d748002b0003020304000d0010000e0403050306030203080408050806002d00020101001c0002400100"
    "3900320408ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e51570806"
    "048000ffff"
)
FRAMES += bytes(1162 - len(FRAMES))
NUMBER_AT = 18  # first byte, version, both ids with their lengths, no token, a length of two bytes


def plain(data: bytes, version: int = V1, destination: bytes = ID) -> bytes:
    return plain_of(version, destination, data, NUMBER_AT, len(data) - NUMBER_AT)


def test_vector_of_rfc_9001() -> None:
    data = packet(FRAMES)
    assert data.hex().startswith("c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9b")
    assert data.hex().endswith("e221af44860018ab0856972e194cd934")
    assert plain(data) == FRAMES


def test_vector_of_rfc_9369() -> None:
    data = packet(FRAMES, version=V2)
    assert data.hex().startswith("d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485")
    assert plain(data, V2) == FRAMES


@pytest.mark.parametrize("version", SALTS, ids=hex)
def test_each_salt(version: int) -> None:
    assert plain(packet(FRAMES, version=version), version) == FRAMES


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("number", [0, 1, 255])
def test_packet_numbers(size: int, number: int) -> None:
    assert plain(packet(FRAMES, number=number, number_size=size)) == FRAMES


def test_cut_by_the_copy_range() -> None:
    data = packet(FRAMES)
    for size in range(len(data)):
        got = plain_of(V1, ID, data[:size], NUMBER_AT, len(data) - NUMBER_AT)
        assert got == FRAMES[: max(0, size - NUMBER_AT - 4)] if size >= NUMBER_AT + 20 else got == b""


def test_another_key_gives_no_frames() -> None:
    assert plain(packet(FRAMES), destination=b"another1") != FRAMES
    assert plain(packet(FRAMES), version=V2) != FRAMES
    assert plain(packet(FRAMES), version=0xFF000050) == b""  # a draft that never was


def test_reserved_bits() -> None:
    assert plain(packet(FRAMES, first=4)) == b""


def test_length_that_holds_no_frames() -> None:
    data = packet(crypto(0, b"x" * 30))
    for length in range(21):
        assert plain_of(V1, ID, data, NUMBER_AT, length) == b""


@given(data=st.binary(max_size=200), at=st.integers(0, 300), length=st.integers(0, 1 << 62))
def test_any_bytes(data: bytes, at: int, length: int) -> None:
    assert len(plain_of(V1, ID, data, at, length)) <= len(data)
