"""Numbered datagrams over real sockets: every one is accounted for."""

from __future__ import annotations

import time

import pytest

from citygate.lab.stream import Stream, Streams
from citygate.lab.topology import Lab, LabError, party
from tests.lab.conftest import Rules

families = pytest.mark.parametrize("family", [4, 6])


def stream(lab: Lab, name: str, family: int, server: int = 0) -> Stream:
    return Stream(lab, name, party("household"), party("internet"), family, server)


@families
def test_what_is_cut_is_lost_and_nothing_else(lab: Lab, rules: Rules, family: int) -> None:
    cut, beside = stream(lab, "openvpn", family), stream(lab, "wireguard", family)
    with Streams([cut, beside], rate=500):
        time.sleep(0.2)
        begun = time.monotonic()
        rules("udp dport 1194 reject with icmpx type admin-prohibited")
        refused = time.monotonic()
        time.sleep(0.2)
        ended = time.monotonic()
        rules("accept")
        allowed = time.monotonic()
        time.sleep(0.2)
    assert beside.lost() == [] and len(beside.arrived()) == beside.sent > 100
    assert cut.sent == len(cut.lost()) + len(cut.arrived()) == beside.sent
    assert cut.lost(until=begun) == [] and cut.arrived(until=begun)
    assert cut.arrived(refused, ended) == [] and len(cut.lost(refused, ended)) > 50
    assert cut.lost(since=allowed) == [] and cut.arrived(since=allowed)


@families
def test_it_keeps_its_rate_and_calls_the_server_it_is_told(lab: Lab, family: int) -> None:
    elsewhere = stream(lab, "sip", family, server=1)
    assert elsewhere.server[0] == {4: "198.51.100.11", 6: "2001:db8:100::11"}[family]
    with Streams([elsewhere], rate=200):
        time.sleep(1)
    assert 100 < elsewhere.sent < 230
    assert elsewhere.lost() == []


def test_an_opening_that_does_not_arrive_is_told(lab: Lab, rules: Rules) -> None:
    rules("udp dport 51820 drop")
    with (
        pytest.raises(LabError, match="a message of wireguard over IPv4 did not arrive"),
        Streams([stream(lab, "wireguard", 4)], rate=100),
    ):
        pass
    rules("accept")
    with Streams([stream(lab, "wireguard", 4)], rate=100):  # its sockets were closed
        pass


def test_a_connection_is_no_stream(lab: Lab) -> None:
    with pytest.raises(LabError, match="a stream is UDP, http is not"):
        stream(lab, "http", 4)
