"""Names of IP protocols."""

from __future__ import annotations

import socket

import pytest

from citygate.protocols import NAMES, is_protocol, name_of


@pytest.mark.parametrize("name", sorted(NAMES - {"icmpv6", "udplite"}))
def test_names_are_the_systems(name: str) -> None:
    assert name_of(socket.getprotobyname(name)) == name


def test_each_number_has_a_name() -> None:
    assert (name_of(58), name_of(136), name_of(103)) == ("icmpv6", "udplite", "103")
    assert all(is_protocol(name_of(number)) for number in range(256))


@pytest.mark.parametrize("text", ["", "foo", "TCP", "6", "256", "007", "٣", "-1"])
def test_what_is_no_name(text: str) -> None:
    assert not is_protocol(text)
