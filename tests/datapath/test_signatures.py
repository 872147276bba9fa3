"""The compiled signatures against a naive matcher, at every length of a payload, in both families."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.catalogue.arrange import BUCKET, arrange, byte_keys
from citygate.catalogue.model import Piece, Signature
from citygate.datapath.signatures import Compiled

TCP, UDP = 6, 17
PROTOS = {"tcp": TCP, "udp": UDP}
Answer = tuple[str, int | None]
NO: Answer = ("no", None)
MORE: Answer = ("more", None)


def piece(at: int, text: str) -> Piece:
    """Bytes in hexadecimal, two question marks for any."""
    parts = text.split()
    value = bytes(0 if part == "??" else int(part, 16) for part in parts)
    return Piece(at, value, bytes(0 if part == "??" else 0xFF for part in parts))


def udp(text: str, at: int = 0, port: int | None = None, **more: Any) -> Signature:
    return Signature("udp", ((port, port),) if port else (), (piece(at, text),), **more)


def tcp(text: str, at: int = 0, port: int | None = None, **more: Any) -> Signature:
    return Signature("tcp", ((port, port),) if port else (), (piece(at, text),), **more)


def said(signatures: Sequence[Signature], data: bytes, **how: Any) -> Answer:
    """The answer, which must be the same in both families; a signature's service is its place in the list."""
    compiled = Compiled([(signature, i) for i, signature in enumerate(signatures)])
    four, six = (compiled.match(data, family=family, **how) for family in (4, 6))
    assert four == six
    return four


# A few ports, bytes and places, so that random payloads fit often.
ports = st.sampled_from([(1, 1), (2, 2), (1, 3), (2, 500)])
octets = st.binary(min_size=1, max_size=4).map(lambda data: bytes(byte & 1 for byte in data))
masks = st.sampled_from([0xFF, 0xFF, 0xFF, 0x0F, 0x00])


@st.composite
def pieces(draw: st.DrawFn, lowest: int) -> Piece:
    value = draw(octets)
    mask = bytes(draw(masks) for _ in value)
    at = draw(st.integers(lowest, 5))
    at = min(at, -len(value)) if at < 0 else at
    return Piece(at, bytes(v & m for v, m in zip(value, mask, strict=True)), mask)


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    proto = draw(st.sampled_from(["tcp", "udp"]))
    lengths = draw(st.none() | st.tuples(st.integers(1, 6), st.integers(6, 12))) if proto == "udp" else None
    return Signature(
        proto,
        tuple(draw(st.lists(ports, max_size=2))),
        tuple(draw(st.lists(pieces(-6 if proto == "udp" else 0), min_size=1, max_size=2))),
        lengths,
        draw(st.sampled_from([None, None, "client", "server"])),
    )


def findable(signature: Signature) -> bool:
    return not arrange([signature]).refused


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Signature], bytes]:
    """Signatures and a payload, into which the pieces of one of them are often written."""
    listed = draw(st.lists(signatures().filter(findable), min_size=1, max_size=8))
    data = bytearray(byte & 1 for byte in draw(st.binary(max_size=12)))
    for one in draw(st.sampled_from([(), *(signature.pieces for signature in listed)])):
        at = one.at if one.at >= 0 else len(data) + one.at
        for i, (value, mask) in enumerate(zip(one.value, one.mask, strict=True)):
            if 0 <= at + i < len(data):
                data[at + i] = value | data[at + i] & ~mask
    return listed, bytes(data)


def fits(signature: Signature, data: bytes, whole: int, how: dict[str, Any]) -> str:
    """What one signature alone says; ``whole``: length on the wire."""
    if PROTOS[signature.proto] != how["ip_proto"]:
        return "no"
    sender = "client" if how["from_client"] else "server"
    other = "server" if how["from_client"] else "client"
    senders = {sender}
    if signature.ports:
        ends = [(sender, how["server_port"])]
        if signature.proto == "udp":
            ends.append((other, how["client_port"]))
        senders = {role for role, port in ends for first, last in signature.ports if first <= port <= last}
    if not senders or (signature.sender and signature.sender not in senders):
        return "no"
    if signature.lengths and not signature.lengths[0] <= whole <= signature.lengths[1]:
        return "no"
    answer = "yes"
    for one in signature.pieces:
        at = one.at if one.at >= 0 else whole + one.at
        if at < 0:
            return "no"
        there = data[at : at + len(one.value)]
        if any(byte & mask != value for byte, mask, value in zip(there, one.mask, one.value, strict=False)):
            return "no"
        if len(there) < len(one.value):
            answer = "more"
    return "no" if answer == "more" and signature.proto == "udp" else answer


def expected(listed: Sequence[Signature], data: bytes, whole: int, how: dict[str, Any]) -> Answer:
    answers = [fits(signature, data, whole, how) for signature in listed]
    for i, answer in enumerate(answers):
        if answer == "yes":
            return "yes", i
        if answer == "more" and not how["last"]:
            return MORE
    return NO


@given(
    cases(),
    st.sampled_from([0, 0, 0, 1, 3]),
    st.fixed_dictionaries(
        {
            "ip_proto": st.sampled_from([TCP, UDP]),
            "from_client": st.booleans(),
            "client_port": st.sampled_from([1, 2, 3, 400]),
            "server_port": st.sampled_from([1, 2, 3, 400]),
            "last": st.booleans(),
        }
    ),
)
def test_as_a_naive_matcher(case: tuple[list[Signature], bytes], cut: int, how: dict[str, Any]) -> None:
    listed, data = case
    # Where a datagram's copy was cut, its length is still known.
    whole = len(data) + cut if how["ip_proto"] == UDP else len(data)
    found = said(listed, data, length=whole, **how)
    wanted = expected(listed, data, whole, how)
    if how["ip_proto"] == UDP or how["last"]:
        assert found == wanted
        return
    # Of a stream the bytes that a signature is looked for by may still be on their way.
    keys = {signature: [key.place or 0 for key in byte_keys(signature)] for signature in listed}
    early = any(place + 2 > len(data) for places in keys.values() for place in places)
    assert found == wanted or (early and (wanted[0], found[0]) in {("no", "more"), ("more", "yes")})


@given(cases(), st.booleans(), st.sampled_from([1, 2, 400]))
def test_a_stream_byte_by_byte(case: tuple[list[Signature], bytes], from_client: bool, port: int) -> None:
    # NO is for good, and what a whole stream fits is never refused on the way.
    listed, data = case
    answers = [
        said(listed, data[:size], ip_proto=TCP, from_client=from_client, server_port=port)[0]
        for size in range(len(data) + 1)
    ]
    if "no" in answers:
        assert set(answers[answers.index("no") :]) == {"no"}


def test_no_signatures() -> None:
    for proto in (TCP, UDP, 1):
        assert said([], b"abcd", ip_proto=proto) == NO
    # Those of another protocol are none.
    assert said([udp("61 62 63 64")], b"abcd", ip_proto=TCP) == NO
    assert said([udp("61 62 63 64")], b"abcd", ip_proto=132) == NO


def test_a_datagram_cut_at_each_length_and_with_junk_after() -> None:
    listed = [udp("ac 3e ?? 01", port=5070, lengths=(4, 7))]
    for end in ({"server_port": 5070}, {"client_port": 5070}):
        for size in range(8):
            data = bytes.fromhex("ac3e7701ffffff")[:size]
            assert (said(listed, data, **end) == ("yes", 0)) == (size >= 4)
        assert said(listed, bytes.fromhex("ac3e7701") + bytes(4), **end) == NO
        # Copied in part: what was not copied is not believed.
        assert said(listed, b"\xac\x3e\x77", length=4, **end) == NO
        assert said(listed, bytes.fromhex("ac3e7701"), length=8, **end) == NO
    assert said(listed, bytes.fromhex("ac3e7701")) == NO
    assert said(listed, bytes.fromhex("ac3e7702"), server_port=5070) == NO


def test_a_stream_cut_at_each_length_and_with_junk_after() -> None:
    listed = [tcp("53 45 43 ?? 31")]
    for size in range(5):
        assert said(listed, b"SEC-1"[:size], ip_proto=TCP) == MORE
        assert said(listed, b"SEC-1"[:size], ip_proto=TCP, last=True) == NO
    for junk in (b"", b"\0", b"\xff" * 600):
        assert said(listed, b"SEC-1" + junk, ip_proto=TCP) == ("yes", 0)
    assert said(listed, b"SEC-2", ip_proto=TCP) == NO
    assert said(listed, b"SE-", ip_proto=TCP) == NO
    assert said(listed, b"SEC-1", ip_proto=TCP, mid_stream=True) == NO


def test_a_tcp_port_is_the_servers() -> None:
    listed = [tcp("53 45", port=700)]
    assert said(listed, b"SE", ip_proto=TCP, server_port=700) == ("yes", 0)
    assert said(listed, b"SE", ip_proto=TCP, client_port=700) == NO


def test_who_sends() -> None:
    by_server = udp("53 45", port=700, sender="server")
    assert said([by_server], b"SE", server_port=700) == NO
    assert said([by_server], b"SE", server_port=700, from_client=False) == ("yes", 0)
    # The flow was first seen in its middle: the end with the port is the server all the same.
    assert said([by_server], b"SE", client_port=700) == ("yes", 0)
    assert said([by_server], b"SE", client_port=700, server_port=700) == ("yes", 0)
    without = tcp("53 45 43 44", sender="client")
    assert said([without], b"SECD", ip_proto=TCP) == ("yes", 0)
    for size in range(5):
        assert said([without], b"SECD"[:size], ip_proto=TCP, from_client=False) == NO


def test_from_the_end() -> None:
    listed = [udp("0d 0a", at=-2, port=9)]
    assert said(listed, b"x\r\n", server_port=9) == ("yes", 0)
    assert said(listed, b"\r\n", server_port=9) == ("yes", 0)
    assert said(listed, b"\r\nx", server_port=9) == NO
    assert said(listed, b"\n", server_port=9) == NO
    assert said(listed, b"", server_port=9) == NO
    assert said(listed, b"x\r\n", length=4, server_port=9) == NO
    unported = [udp("65 6e 64 21", at=-4)]
    assert said(unported, b"the end!") == ("yes", 0)
    assert said(unported, b"d!") == NO
    # The copy was cut behind it.
    assert said([udp("65 6e 64 21", at=-5)], b"the end!", length=9) == ("yes", 0)


def test_the_first_listed_wins_wherever_it_is_looked_for() -> None:
    broad, narrow = udp("61 62", port=700), udp("61 62 63 64")
    assert said([broad, narrow], b"abcd", server_port=700) == ("yes", 0)
    assert said([narrow, broad], b"abcd", server_port=700) == ("yes", 0)
    assert said([narrow, broad], b"abce", server_port=700) == ("yes", 1)


def test_a_stream_waits_for_the_one_listed_before() -> None:
    listed = [tcp("53 45 43 31"), tcp("53 45", port=700)]
    assert said(listed, b"SE", ip_proto=TCP, server_port=700) == MORE
    assert said(listed, b"SE", ip_proto=TCP, server_port=700, last=True) == ("yes", 1)
    assert said(listed, b"SEX", ip_proto=TCP, server_port=700) == ("yes", 1)
    assert said(listed, b"SEC1", ip_proto=TCP, server_port=700) == ("yes", 0)
    # Several wait, in several places: the one listed before counts.
    listed = [tcp("53 45 43 44 45", port=700), tcp("53 45 43 44"), tcp("53 45 43 44 46", port=700)]
    assert said(listed, b"SECD", ip_proto=TCP, server_port=700) == MORE
    assert said(listed, b"SECDF", ip_proto=TCP, server_port=700) == ("yes", 1)


def test_many_ports_and_ranges() -> None:
    wide = Signature("udp", ((1000, 2000), (3000, 3000)), (piece(0, "61 62 63 64"),))
    stream = replace(wide, proto="tcp")
    for port, answer in ((999, NO), (1000, ("yes", 0)), (2000, ("yes", 0)), (2001, NO), (3000, ("yes", 0))):
        assert said([wide], b"abcd", server_port=port) == answer
        assert said([wide], b"abcd", client_port=port) == answer
        assert said([stream], b"abcd", ip_proto=TCP, server_port=port) == answer
        assert said([stream], b"abcd", ip_proto=TCP, client_port=port) == NO


def test_a_full_bucket_is_refused() -> None:
    listed = [(udp(f"61 62 {i:02x}", port=700), i) for i in range(BUCKET + 1)]
    assert Compiled(listed[1:]).match(b"ab\x10", server_port=700) == ("yes", BUCKET)
    with pytest.raises(ValueError, match=r"signature udp port 700: 61 62 00 at 0: 16 signatures are on port udp/700"):
        Compiled(listed)


@given(st.binary(max_size=64), st.integers(0, 65535), st.sampled_from([TCP, UDP]))
def test_any_bytes(data: bytes, length: int, ip_proto: int) -> None:
    listed = [udp("00 00 00 00", at=60), udp("00 00 00 00", at=-60), tcp("00 00 00 00", at=60), udp("00 00", port=1)]
    assert said(listed, data, length=max(length, len(data)), ip_proto=ip_proto)[0] in ("yes", "no", "more")


def test_many_for_measuring() -> None:
    compiled = Compiled([(udp("61 62 63 64"), 0)])
    assert compiled.many([b"abcd", b"abce", b""], 5) == 5
