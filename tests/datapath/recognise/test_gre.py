"""GRE, by its IP protocol number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import ask_both

GRE = 47


@pytest.mark.parametrize(
    "header",
    [
        "0000 0800 4500 0000",  # version 0, IPv4
        "2000 6558 0004 1234",  # a key, Ethernet
        "1000 88be 0000 0001",  # ERSPAN
        "3081 880b 0004 1234 00000001 00000000 c021",  # version 1: PPTP's
    ],
)
def test_any_version(header: str) -> None:
    assert ask_both("gre", bytes.fromhex(header), ip_proto=GRE).answer == "yes"


def test_pptps_data_is_told_apart() -> None:
    said = ask_both("gre", bytes.fromhex("3081 880b 0004 1234 00000001"), ip_proto=GRE)
    assert "pptp" in said.why
    assert "pptp" not in ask_both("gre", bytes.fromhex("0000 0800 4500"), ip_proto=GRE).why


@given(st.binary(max_size=40))
def test_whatever_is_inside(data: bytes) -> None:
    assert ask_both("gre", data, ip_proto=GRE).answer == "yes"


def test_other_ip_protocols() -> None:
    assert ask_both("gre", bytes.fromhex("0000 0800 4500 0000"), ip_proto=50).answer == "no"
