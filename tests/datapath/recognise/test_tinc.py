"""tinc's meta connection, and the tunnel between its ends."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp

NOISE = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(4))


@pytest.mark.parametrize("line", [b"0 a 17\n", b"0 gateway_7 17.7\n", b"0 " + b"n" * 64 + b" 17.12\n"])
def test_both_sides_say_who_they_are(line: bytes) -> None:
    four_ways_tcp("tinc", line)
    four_ways_tcp("tinc", line, from_client=False)


@pytest.mark.parametrize(
    "line",
    [
        b"1 a 17\n",
        b"0  17\n",
        b"0 a-b 17\n",
        b"0 a 18\n",
        b"0 a 170\n",
        b"0 a 17.123\n",
        b"0 a 17.x\n",
        b"0 " + b"n" * 65 + b" 17\n",
        b"0 " + b"n" * 65,
        b"0\0",
    ],
)
def test_other_lines(line: bytes) -> None:
    assert ask_both("tinc", line, ip_proto=TCP).answer == "no"


def test_the_tunnel_of_a_node_seen() -> None:
    endpoints = Shared()
    assert ask_both("tinc", NOISE, server_port=655, endpoints=endpoints).answer == "no"
    assert ask_both("tinc", b"0 a 17\n", ip_proto=TCP, server_port=655, endpoints=endpoints).answer == "yes"
    assert ask_both("tinc", NOISE, server_port=655, endpoints=endpoints).answer == "yes"
    assert ask_both("tinc", bytes(100), server_port=655, endpoints=endpoints).answer == "no"
    assert ask_both("tinc", NOISE, server_port=656, endpoints=endpoints).answer == "no"


@given(st.binary(max_size=80))
def test_random_bytes(data: bytes) -> None:
    ask_both("tinc", b"0 " + data, ip_proto=TCP)
    ask_both("tinc", data)


def test_a_strangers_meta_connection_names_nobodys_datagrams() -> None:
    for family, client in ((4, "192.0.2.77"), (6, "2001:db8::77")):
        endpoints = Shared()
        ask("tinc", b"0 a 17\n", family=family, ip_proto=TCP, server_port=655, endpoints=endpoints)
        said = ask("tinc", NOISE, family=family, client=client, server_port=655, endpoints=endpoints)
        assert said.answer == "no"
