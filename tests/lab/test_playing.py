from __future__ import annotations

from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from citygate.lab.playing import play_capture, play_named
from citygate.lab.topology import Lab, LabError, party


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("sockets", [False, True])
def test_a_named_flow_is_played_both_ways(lab: Lab, family: int, sockets: bool) -> None:
    report = play_named(lab, "dns", party("shanghai"), party("internet"), family=family, sockets=sockets)
    [flow] = report.flows
    assert flow.arrived == flow.sent == 4


def test_two_raw_plays_of_one_seed_are_one_flow_and_of_two_seeds_two(lab: Lab) -> None:
    ends = [
        play_named(lab, "dns", party("shanghai"), party("internet"), seed=seed).flows[0].client for seed in (1, 1, 2)
    ]
    assert ends[0] == ends[1] != ends[2]


@pytest.mark.parametrize("as_ipv6", [False, True])
def test_a_capture_is_played(lab: Lab, tmp_path: Path, as_ipv6: bool) -> None:
    ends = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="192.0.2.1", dst="192.0.2.2")
    wrpcap(str(tmp_path / "a.pcap"), [ends / UDP(sport=1, dport=2) / b"a", ends / UDP(sport=1, dport=3) / b"b"])
    report = play_capture(lab, tmp_path / "a.pcap", party("beijing"), party("shenzhen"), as_ipv6=as_ipv6)
    assert [(flow.sent, flow.arrived) for flow in report.flows] == [(1, 1), (1, 1)]
    assert all(flow.client.startswith("[fd00:30:" if as_ipv6 else "10.30.") for flow in report.flows)


def test_raw_packets_from_an_address_the_host_owns_are_refused(lab: Lab) -> None:
    with pytest.raises(LabError, match="use sockets"):
        play_named(lab, "dns", party("household"), party("internet"))
