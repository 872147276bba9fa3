"""Names from DNS answers: found by who asked and by address, for a time, in a fixed number of places."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.endpoints import Shared

HOST_KEPT = 200


def packed(text: str) -> bytes:
    address = ip_address(text)
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


ENDS = [(packed("192.0.2.1"), packed("198.51.100.1")), (packed("2001:db8::1"), packed("2001:db8:1::1"))]


@pytest.mark.parametrize("ends", ENDS)
def test_a_name_is_for_one_client_and_one_address(ends: tuple[bytes, bytes]) -> None:
    shared = Shared()
    client, address = ends
    shared.tell_host(client, address, 1000, 500, b"www.example.org")
    assert shared.host_of(client, address, 1000) == b"www.example.org"
    assert shared.host_of(address, client, 1000) == b""
    assert shared.host_of(packed("192.0.2.9"), address, 1000) == b""
    assert shared.host_of(client, packed("198.51.100.9"), 1000) == b""


@pytest.mark.parametrize("ends", ENDS)
def test_it_lives_for_its_time(ends: tuple[bytes, bytes]) -> None:
    shared = Shared()
    shared.tell_host(*ends, 1000, 500, b"www.example.org")
    assert shared.host_of(*ends, 1499) == b"www.example.org"
    assert shared.host_of(*ends, 1500) == b""


def test_the_latest_name_counts() -> None:
    shared = Shared()
    shared.tell_host(*ENDS[0], 1000, 500, b"a.example.org")
    shared.tell_host(*ENDS[0], 1001, 100, b"b.example")
    assert shared.host_of(*ENDS[0], 1050) == b"b.example"
    assert shared.host_of(*ENDS[0], 1200) == b""


def test_a_name_too_long_is_not_kept() -> None:
    shared = Shared()
    shared.tell_host(*ENDS[0], 1000, 500, b"a" * HOST_KEPT)
    shared.tell_host(*ENDS[1], 1000, 500, b"a" * (HOST_KEPT + 1))
    assert shared.host_of(*ENDS[0], 1000) == b"a" * HOST_KEPT
    assert shared.host_of(*ENDS[1], 1000) == b""


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=80))
def test_a_miss_or_the_right_name(told: list[tuple[int, int]]) -> None:
    shared = Shared(8, names=8)
    right: dict[int, bytes] = {}
    for time, (number, name) in enumerate(told):
        right[number] = b"host%d.example" % name
        shared.tell_host(ENDS[0][0], bytes(15) + bytes([number]), time, 1000, right[number])
        assert shared.host_of(ENDS[0][0], bytes(15) + bytes([number]), time) == right[number]
    for number, host in right.items():
        assert shared.host_of(ENDS[0][0], bytes(15) + bytes([number]), len(told)) in (host, b"")


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="0 names"):
        Shared(8, names=0)
    with pytest.raises(ValueError, match="16 bytes, not 4"):
        Shared().tell_host(b"1234", ENDS[0][1], 0, 1, b"a")
    with pytest.raises(ValueError, match="16 bytes, not 4"):
        Shared().host_of(ENDS[0][0], b"1234", 0)
