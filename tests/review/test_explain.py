"""`citygate explain`: how a flow is asked about, what cannot be asked, and the answer as people read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import wrpcap

from citygate.review.explain import Options, explain
from tests.review.explaining import BERLIN, MONDAY, asked, decision, policy_in, shown


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return policy_in(tmp_path)


def test_single_options_go_before_the_flow(policy: Path) -> None:
    flow = "udp 192.168.1.7:40000 > 198.51.100.1:53"
    nobody = asked(policy, flow=flow)
    assert (nobody["ends"], nobody["region"], nobody["decision"]) == ([], None, "allow")
    found = asked(policy, flow=flow, origin="10.10.0.5", to="203.0.113.1", port="tcp/25", service="smtp")["flow"]
    assert (found["from"], found["from_port"], found["to"], found["to_port"]) == ("10.10.0.5", 40000, "203.0.113.1", 25)
    assert (found["proto"], found["service"], found["provider"]) == ("tcp", "smtp", "")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "which flow? give --service, --flow or --packet"),
        ({"service": "skype"}, "whose flow? give --from with a subscriber's address"),
        ({"origin": "10.10.0.5", "service": "skyp"}, "no service `skyp` in the catalogue, did you mean `skype`?"),
        ({"origin": "10.10.0.5", "service": "openvpn", "provider": "btt"}, "did you mean `bt`?"),
        ({"origin": "10.10.0.5", "service": "skype", "provider": "bt"}, "may offer vpn, but not `skype`"),
        ({"origin": "10.10.0.5", "service": "skype", "to": "fd00::1"}, "10.10.0.5 and fd00::1 are not of one family"),
        ({"origin": "10.10.0.0/24", "service": "skype"}, "10.10.0.0/24 is a prefix, write one address"),
        ({"origin": "10.10.0.5", "service": "skype", "port": "53"}, "'53' is not a port"),
        ({"origin": "10.10.0.5", "service": "skype", "at": "noon"}, "'noon' is not a moment"),
        ({"flow": "udp 10.10.0.5"}, "'udp 10.10.0.5' is not a flow"),
        ({"flow": "udp,10.10.0.5,1,192.0.2.1,2", "packet": "x.pcap:1"}, "not by both"),
        ({"packet": "x.pcap"}, "'x.pcap' is not a packet"),
        ({"packet": "/nowhere/x.pcap:1"}, "/nowhere/x.pcap: No such file or directory"),
    ],
)
def test_what_cannot_be_asked(
    policy: Path, capsys: pytest.CaptureFixture[str], options: dict[str, str], sentence: str
) -> None:
    assert explain(policy, Options(**options)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err


def test_a_wrong_policy(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (policy / "regions/berlin.yaml").write_text(BERLIN.replace("drop", "dorp"))
    assert explain(policy, Options(origin="10.10.0.5", service="skype")) == 1
    assert "regions/berlin.yaml:7:13: " in capsys.readouterr().err


def test_for_people(policy: Path) -> None:
    text = shown(policy, origin="10.10.0.5", to="198.51.100.7", service="youtube", at=MONDAY)
    assert text.splitlines()[:4] == [
        "10.10.0.5 > 198.51.100.7: youtube, Mon 2026-11-23 12:00:00 +0800",
        "allow by the default of shenzhen",
        "",
        "10.10.0.5 opened the flow: region shenzhen, licence none, Mon 2026-11-23 12:00:00 +0800 Asia/Shanghai",
    ]
    assert "regions/shenzhen.yaml:19" in text
    assert "decides where no rule does" in text
    assert text.splitlines()[-1] == (
        "changes by itself on Mon 2026-11-23 18:00:00 +0800: "
        "throttle to 2 Mbit/s by rule evening-video of shenzhen, regions/shenzhen.yaml:19"
    )
    unnamed = shown(policy, flow="udp [fd00:10::5]:5 > [2001:db8::7]:53", at=MONDAY)
    assert unnamed.startswith("udp [fd00:10::5]:5 > [2001:db8::7]:53: no name yet, Mon")
    assert "undecided until the flow has a name" in unnamed
    assert "anything else (" in unnamed
    assert "│ mark EF" in unnamed and "│ drop, monitor" in unnamed
    nobody = shown(policy, flow="udp 192.168.1.7:5 > 198.51.100.1:53")
    assert nobody.splitlines()[1] == "allow: neither end is in a region, so the flow is not citygate's"
    refused = shown(policy, origin="10.10.0.5", to="10.20.0.5", service="skypeout")
    assert "not asked, for the end that opened the flow refuses" in refused
    night = shown(policy, flow="tcp 10.20.0.5:40000 > 198.51.100.1:23", at="2026-11-23T02:00+01:00")
    assert "\ndrop, whatever name it gets\n" in night


QUERY = bytes.fromhex("1a2b01000001000000000000") + b"\3www\7example\3com\0\0\1\0\1"


@pytest.mark.parametrize(
    ("network", "client", "origin"),
    [(IP(src="192.168.1.7", dst="203.0.113.9"), "192.168.1.7", "10.10.0.5"),
     (IPv6(src="fd99::7", dst="2001:db8:b7::9"), "fd99::7", "fd00:10::5")],
    ids=["IPv4", "IPv6"],
)  # fmt: skip
def test_a_packet_of_a_capture(policy: Path, tmp_path: Path, network: IP | IPv6, client: str, origin: str) -> None:
    capture = tmp_path / "dns.pcap"
    wrpcap(str(capture), [Ether() / network / UDP(sport=40000, dport=53) / Raw(QUERY)])
    nobody = asked(policy, packet=f"{capture}:1", at=MONDAY)
    assert (nobody["flow"]["from"], nobody["flow"]["service"], nobody["ends"]) == (client, "dns", [])
    found = asked(policy, packet=f"{capture}:1", origin=origin, at=MONDAY)
    assert (found["flow"]["from"], found["flow"]["to_port"], found["flow"]["host"]) == (origin, 53, "www.example.com")
    assert decision(found)[0] == "allow"
