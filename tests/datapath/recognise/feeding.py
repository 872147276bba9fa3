"""Four ways to feed a recogniser: whole, byte by byte, cut at every length, with junk after; over IPv4 and IPv6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from citygate.datapath.recognise.table import Asked, ask

TCP = 6
UDP = 17
FAMILIES = (4, 6)
JUNK = (b"\0", b"\xff" * 3, bytes(range(256)) * 2)

Earlier = Sequence[tuple[bytes, bool]]


def ask_both(name: str, data: bytes, **how: Any) -> Asked:
    """The answer, which must be the same in both families."""
    four, six = (ask(name, data, family=family, **how) for family in FAMILIES)
    assert four == six
    return four


def stream(name: str, data: bytes, **how: Any) -> Asked:
    """A TCP direction that comes byte by byte: never NO, at last YES."""
    for size in range(1, len(data) + 1):
        said = ask_both(name, data[:size], ip_proto=TCP, **how)
        assert said.answer != "no", f"gave up after {size} bytes: {data[:size]!r}"
        if said.answer == "yes":
            return said
    raise AssertionError("the stream ended without a name")


def four_ways_tcp(name: str, data: bytes, host: str = "", **how: Any) -> Asked:
    """A stream that begins with ``data`` is ``name`` with ``host``, however it is cut."""
    whole = ask_both(name, data, ip_proto=TCP, **how)
    assert (whole.answer, whole.protocol, whole.host) == ("yes", name, host)
    assert whole.why
    assert stream(name, data, **how).protocol == name
    for size in range(1, len(data)):
        assert ask_both(name, data[:size], ip_proto=TCP, **how).answer != "no", f"cut at {size}"
    for junk in JUNK:
        said = ask_both(name, data + junk, ip_proto=TCP, **how)
        assert (said.answer, said.host) == ("yes", host), f"with {junk!r} after"
    return whole


def four_ways_udp(
    name: str, data: bytes, host: str = "", *, shorter: Sequence[int] = (), longer: bool = False, **how: Any
) -> Asked:
    """A datagram is ``name``. Cut short on the wire it is not, but at the lengths ``shorter``; with junk after only if
    ``longer``; cut by the copy range it is nothing else."""
    whole = ask_both(name, data, **how)
    assert (whole.answer, whole.protocol, whole.host) == ("yes", name, host)
    assert whole.why
    for size in range(len(data)):
        said = ask_both(name, data[:size], **how)
        assert (said.answer == "yes") == (size in shorter), f"cut at {size}: {said}"
        copied = ask_both(name, data[:size], length=len(data), **how)
        assert copied.protocol in (name, "none")
    for junk in JUNK:
        assert (ask_both(name, data + junk, **how).answer == "yes") == longer, f"with {junk!r} after"
    return whole
