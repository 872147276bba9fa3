"""ONC RPC of NFS and its helpers: calls, replies, and the two together."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp

PROGRAMS = (100000, 100003, 100005, 100011, 100021, 100024, 100227, 0x40000000)


def call(
    program: int = 100003, *, version: int = 3, procedure: int = 1, rpc: int = 2, flavor: int = 1, size: int = 0
) -> bytes:
    return struct.pack("!8I", 0x1234, 0, rpc, program, version, procedure, flavor, size) + bytes(size) + bytes(8)


def reply(
    number: int = 0x1234, *, state: int = 0, flavor: int = 0, size: int = 0, accepted: int = 0
) -> bytes:
    return struct.pack("!5I", number, 1, state, flavor, size) + bytes(size) + struct.pack("!I", accepted) + bytes(8)


def record(data: bytes, last: bool = True) -> bytes:
    return struct.pack("!I", len(data) | (0x80000000 if last else 0)) + data


@pytest.mark.parametrize("program", PROGRAMS)
def test_calls(program: int) -> None:
    whole = call(program, size=24)
    assert ask_both("nfs", whole).protocol == "nfs"
    for size in range(32):
        assert ask_both("nfs", whole[:size]).answer == "no"
    four_ways_tcp("nfs", record(whole))
    four_ways_tcp("nfs", record(whole, last=False))


def test_a_reply_to_a_call_that_was_seen() -> None:
    earlier = [(call(), True)]
    assert ask_both("nfs", reply(), from_client=False, earlier=earlier).answer == "yes"
    assert ask_both("nfs", reply(size=8, flavor=6), from_client=False, earlier=earlier).answer == "yes"
    assert ask_both("nfs", reply(0x1235), from_client=False, earlier=earlier).answer == "no"
    assert ask_both("nfs", reply(), from_client=True, earlier=earlier).answer == "no"
    assert ask_both("nfs", reply(), from_client=False, earlier=[(call(100001), True)]).answer == "no"
    framed = [(record(call()), True)]
    assert ask_both("nfs", record(reply()), ip_proto=TCP, from_client=False, earlier=framed).answer == "yes"


@pytest.mark.parametrize("port", [111, 2049])
def test_a_reply_alone_on_its_ports(port: int) -> None:
    assert ask_both("nfs", reply(), from_client=False, server_port=port).answer == "yes"
    assert ask_both("nfs", reply(), from_client=False).answer == "no"
    denied = struct.pack("!5I", 5, 1, 1, 1, 1)
    assert ask_both("nfs", denied, from_client=False, server_port=port).answer == "yes"


@pytest.mark.parametrize(
    "foreign",
    [
        call(100001),
        call(rpc=3),
        call(version=0),
        call(version=5),
        call(procedure=65),
        call(flavor=8),
        call(size=404),
        reply(state=2),
        reply(flavor=7),
        reply(size=3),
        reply(accepted=6),
        reply(size=404),
        struct.pack("!5I", 5, 1, 1, 2, 1),
        struct.pack("!5I", 5, 2, 2, 100003, 3),
        bytes(40),
    ],
)
def test_others_are_not(foreign: bytes) -> None:
    assert ask_both("nfs", foreign, server_port=2049).answer == "no"
    assert ask_both("nfs", record(foreign), ip_proto=TCP, server_port=2049).answer == "no"


@pytest.mark.parametrize("foreign", [b"GET / HTTP/1.1", b"\0\0\0\x10" + call(), b"\0\x20\0\1" + call()])
def test_other_streams_are_not(foreign: bytes) -> None:
    assert ask_both("nfs", foreign, ip_proto=TCP, server_port=2049).answer == "no"


@given(st.binary(max_size=60))
def test_chance_is_safe(data: bytes) -> None:
    assert ask_both("nfs", data).answer == "no"
    ask_both("nfs", data, ip_proto=TCP, server_port=2049)
