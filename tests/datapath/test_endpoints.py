"""The shared table against a dict, and from several threads at once."""

from __future__ import annotations

import threading
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.endpoints import Shared

SOCKET, NODE = 0, 1
V4 = bytes(10) + b"\xff\xff" + ip_address("192.0.2.7").packed
V6 = ip_address("2001:db8::7").packed


@pytest.mark.parametrize("address", [V4, V6])
def test_told_is_recalled_until_its_time(address: bytes) -> None:
    table = Shared(64)
    table.tell(SOCKET, address, 5000, now=1000, lifetime=500, value=42)
    assert table.recall(SOCKET, address, 5000, now=1499) == 42
    assert table.recall(SOCKET, address, 5000, now=1500) is None
    assert table.recall(SOCKET, address, 5001, now=1000) is None
    assert table.recall(NODE, address, 5000, now=1000) is None


def test_told_again_is_replaced() -> None:
    table = Shared(64)
    for value in (1, 2**64 - 1):
        table.tell(NODE, V6, 0, now=10, lifetime=100, value=value)
    assert table.recall(NODE, V6, 0, now=20) == 2**64 - 1


def test_a_full_bucket_loses_its_oldest() -> None:
    table = Shared(8)  # one bucket of eight
    for port in range(9):
        table.tell(SOCKET, V4, port, now=port + 1, lifetime=1000, value=port)
    assert [table.recall(SOCKET, V4, port, now=20) for port in range(9)] == [None, *range(1, 9)]


def test_a_dead_place_is_taken_before_a_live_one() -> None:
    table = Shared(8)
    for port in range(8):
        table.tell(SOCKET, V4, port, now=100, lifetime=10 if port == 5 else 1000, value=port)
    table.tell(SOCKET, V6, 1, now=200, lifetime=1000, value=99)
    assert [table.recall(SOCKET, V4, port, now=200) for port in range(8)] == [0, 1, 2, 3, 4, None, 6, 7]
    assert table.recall(SOCKET, V6, 1, now=200) == 99


@given(
    st.lists(
        st.tuples(st.sampled_from([V4, V6]), st.integers(0, 3), st.integers(1, 50), st.integers(0, 99)), max_size=40
    )
)
def test_like_a_dict_while_there_is_room(told: list[tuple[bytes, int, int, int]]) -> None:
    table, twin = Shared(4096), {}
    for now, (address, port, lifetime, value) in enumerate(told):
        table.tell(SOCKET, address, port, now, lifetime, value)
        twin[address, port] = (now + lifetime, value)
    now = len(told)
    for (address, port), (until, value) in twin.items():
        assert table.recall(SOCKET, address, port, now) == (value if until > now else None)


def test_threads_see_whole_values() -> None:
    table = Shared(8)
    torn = []

    def work(mark: int) -> None:
        for now in range(1, 3000):
            table.tell(SOCKET, V6, 7, now, 10_000, mark << 32 | mark)
            value = table.recall(SOCKET, V6, 7, now)
            if value is not None and value >> 32 != value & 0xFFFFFFFF:
                torn.append(value)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torn == []


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="expected 1 to"):
        Shared(0)
    with pytest.raises(ValueError, match="16 bytes"):
        Shared(8).tell(SOCKET, b"\x00" * 4, 1, 1, 1, 1)
