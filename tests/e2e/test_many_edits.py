"""Edit after edit under steady streams: who is allowed loses no packet, who is refused gets none through."""

from __future__ import annotations

from bench.storm import ALLOWED, FLIPPED, REFUSED, policies, report, storm
from citygate.lab.gateway import Gateway
from citygate.lab.topology import party
from tests.e2e.conftest import StartGateway
from tests.e2e.tools import nft

RATE = 700.0  # datagrams a second of each of the six flows


def stormy(gateway: StartGateway) -> Gateway:
    given = policies()
    return gateway({"shenzhen": given["region"]}, providers=given["providers"])


def test_two_hundred_edits_of_every_kind(gateway: StartGateway) -> None:
    """`bench/storm.py` makes a thousand, and any number."""
    running = stormy(gateway)
    done = storm(running, edits=200, rate=RATE, seed=4, seconds=60)
    report(done)
    assert list(done.faults()) == []
    assert {edit.what.split(":")[0] for edit in done.edits} >= {"action", "subscribers", "calls_except", "until"}
    for streams in done.streams.values():
        assert all(stream.sent > 1000 for stream in streams)
    for stream in done.streams[FLIPPED]:
        assert done.flips(stream.family) > 2
        assert stream.arrived() and stream.lost()
    assert running.total("citygate_policy_reloads_total", result="refused") == 0


def test_a_lost_and_a_leaked_datagram_are_told_by_their_edit(gateway: StartGateway) -> None:
    """A foreign rule loses some of a flow that is allowed; one flow is refused only from the first edit on."""
    running = stormy(gateway)
    nft(running.lab, "add table inet foreign")
    nft(running.lab, "add chain inet foreign c { type filter hook forward priority 300; }")
    home, port = party("household").ipv4, 51820
    nft(running.lab, f"add rule inet foreign c ip saddr {home} udp dport {port} numgen inc mod 500 499 drop")
    done = storm(running, edits=5, rate=RATE, seed=4)
    faults = list(done.faults())
    (stream,) = (each for each in done.streams[ALLOWED] if each.family == 4)
    assert faults and len(faults) == len(stream.lost())
    assert all(fault.startswith("wireguard over IPv4: a datagram lost, sent ") for fault in faults)
    assert any(f"of edit {len(done.edits) - 1} ({done.edits[-1].what})" in fault for fault in faults)
    for stream in done.streams[REFUSED]:
        early = stream.arrived()
        assert early and max(early) < done.edits[0].done
