"""From a flow to the answer that is judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw
from scapy.utils import wrpcap

from bench.accuracy.corpus import key
from bench.accuracy.ours import answer, flows_of
from bench.accuracy.score import Answer
from citygate.capture.classify import Flow, Row
from tests.bench.accuracy.samples import CATALOGUE, CLIENT, SERVER

QUERY = bytes.fromhex("1a2b01000001000000000000") + b"\3www\7example\3com\0\0\1\0\1"


def named(service: str, protocol: str) -> Flow:
    return Flow(Row("a", "tcp", CLIENT, 1, SERVER, 2, service, "", "", 4), 6, protocol, 3, 40)


@pytest.mark.parametrize(
    ("service", "protocol", "expected"),
    [
        ("tls", "tls", Answer(("tls",), (), "", 3, 40)),
        ("tube", "tls", Answer(("tube",), (), "tls", 3, 40)),
        ("sip-pstn", "sip-pstn", Answer(("sip-pstn",), ("sip",), "", 3, 40)),
        ("chat", "tls", Answer(("chat",), (), "", 3, 40)),  # a label
        ("teams", "tls", Answer(("teams",), (), "", 3, 40)),  # of a measured category
        ("unknown", "unknown", Answer(())),
        ("encrypted", "encrypted", Answer(())),
    ],
)
def test_answer(service: str, protocol: str, expected: Answer) -> None:
    assert answer(named(service, protocol), CATALOGUE, {"chat"}) == expected


def test_flows_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrpcap(str(tmp_path / "a.pcap"), [IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=5, dport=53) / Raw(QUERY)])
    wrpcap(str(tmp_path / "b.pcap"), [IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=5, dport=53) / Raw(QUERY)])
    (tmp_path / "c.pcap").write_bytes(b"no capture at all")
    flows = flows_of(tmp_path)
    assert {where: flow.row.service for where, flow in flows.items()} == {
        key("a.pcap", 17, ("192.0.2.1", 5), ("192.0.2.2", 53)): "dns",
        key("b.pcap", 17, ("2001:db8::1", 5), ("2001:db8::2", 53)): "dns",
    }
    assert "c.pcap" in capsys.readouterr().err
