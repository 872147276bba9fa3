"""The flows of captures: names, ends, and what was counted under which name."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment, fragment6
from scapy.packet import Raw

from citygate.capture.classify import CaptureError
from citygate.capture.moves import Moves, parse_move
from citygate.capture.traffic import Count, Flow, Reader
from citygate.catalogue import Catalogue, builtin
from citygate.policy.evaluate import Far
from citygate.policy.model import Licence, Name, Provider
from citygate.policy.names import Names
from tests.capture.recording import packets, record, write
from tests.capture.test_classify import REQUEST, connection

ENDS = [("192.0.2.1", "198.51.100.1"), ("2001:db8::1", "2001:db8:1::1")]
both_families = pytest.mark.parametrize("ends", ENDS, ids=["IPv4", "IPv6"])
NAMES = Names(builtin())


def read(path: Path, names: Names = NAMES, *moves: str) -> list[Flow]:
    return list(Reader(names, Moves(map(parse_move, moves))).flows(path))


@both_families
def test_packets_are_counted_under_the_name_they_met(ends: tuple[str, str], tmp_path: Path) -> None:
    path = record(tmp_path / "call.pcap", ("skypeout", *ends))
    (flow,) = read(path)
    sent = list(packets("skypeout", *ends))
    assert flow.name == Name("skypeout")
    assert flow.originator == Far(ip_address(ends[0]), "udp", sent[0].sport)
    assert flow.responder == Far(ip_address(ends[1]), "udp", 12340)
    assert set(flow.counts) == {None, Name("skypeout")}
    before = flow.counts[None].packets
    assert 0 < before < 10
    assert flow.counts[None].bytes == sum(len(packet) for packet in sent[:before])
    assert flow.total == Count(len(sent), sum(map(len, sent)))


@both_families
def test_a_host_is_kept_and_segments_without_payload_count(ends: tuple[str, str], tmp_path: Path) -> None:
    network = IPv6 if ":" in ends[0] else IP
    segments = connection(network, ends, REQUEST)
    write(tmp_path / "web.pcap", segments)
    (flow,) = read(tmp_path / "web.pcap")
    assert (flow.name, flow.host, flow.originator.proto) == (Name("youtube"), "www.youtube.com", "tcp")
    assert (flow.counts[None].packets, flow.counts[Name("youtube")].packets) == (4, 1)


@both_families
def test_who_opened_a_flow_whose_capture_begins_with_an_answer(ends: tuple[str, str], tmp_path: Path) -> None:
    network = IPv6 if ":" in ends[0] else IP
    write(tmp_path / "web.pcap", connection(network, ends, REQUEST)[1:])
    (flow,) = read(tmp_path / "web.pcap")
    assert (flow.originator.address, flow.originator.port) == (ip_address(ends[0]), 40000)


def test_a_flow_that_got_no_name_is_not_one_that_was_given_up(tmp_path: Path) -> None:
    odd = IP(src="192.0.2.1", dst="198.51.100.1") / UDP(sport=6000, dport=6001) / Raw(b"\xc7\x91\x05\x33nobody")
    write(tmp_path / "short.pcap", [odd])
    write(tmp_path / "long.pcap", [odd] * 20)
    assert [flow.name for flow in read(tmp_path / "short.pcap")] == [None]
    assert [flow.name for flow in read(tmp_path / "long.pcap")] == [Name("unknown")]


def test_protocols_without_ports(tmp_path: Path) -> None:
    write(
        tmp_path / "ping.pcap",
        [IP(src=ENDS[0][0], dst=ENDS[0][1]) / ICMP(), IPv6(src=ENDS[1][0], dst=ENDS[1][1]) / ICMPv6EchoRequest()],
    )
    flows = read(tmp_path / "ping.pcap")
    assert [(flow.originator.proto, flow.originator.port) for flow in flows] == [("icmp", None), ("icmpv6", None)]
    assert [flow.name for flow in flows] == [Name("icmp")] * 2


@both_families
def test_addresses_are_moved_before_anything_is_named(ends: tuple[str, str], tmp_path: Path) -> None:
    """The server comes into the networks of a provider and of the site's own service."""
    six = ":" in ends[0]
    home, far = ("fd00:10::", "2001:db8:a6::/48") if six else ("10.10.7.0", "203.0.113.0/24")
    moves = (
        ("2001:db8::/64=fd00:10::/64", "2001:db8:1::/48=2001:db8:a6::/48")
        if six
        else ("192.0.2.0/24=10.10.7.0/24", "198.51.100.0/24=203.0.113.0/24")
    )
    path = record(tmp_path / "call.pcap", ("skypeout", *ends), ("openvpn", *ends))
    bt = Provider("bt", "", ("vpn",), Licence.NONE, networks=(ip_network(far),))
    flows = read(path, Names(builtin(), [bt]), *moves)
    assert [flow.name for flow in flows] == [Name("skypeout"), Name("openvpn", "bt")]
    assert {flow.originator.address for flow in flows} == {ip_address(home) + 1}
    assert all(flow.responder.address in ip_network(far) for flow in flows)

    own = replace(builtin().services["skype"], name="acme", recognise=None, hosts=(), networks=(ip_network(far),))
    acme = Names(Catalogue(builtin().services.values(), [replace(own, signatures=())]))
    assert Name("acme") in {flow.name for flow in read(path, acme, *moves)}
    assert Name("acme") not in {flow.name for flow in read(path, acme)}


def test_fragments_are_one_packet(tmp_path: Path) -> None:
    payload = REQUEST * 60
    whole = IPv6(src=ENDS[1][0], dst=ENDS[1][1]) / IPv6ExtHdrFragment(id=7) / UDP(sport=5, dport=6) / Raw(payload)
    write(tmp_path / "fragments.pcap", fragment6(whole, 1280))  # type: ignore[no-untyped-call]  # scapy's
    (flow,) = read(tmp_path / "fragments.pcap")
    assert flow.total == Count(1, 40 + 8 + len(payload))


def test_what_cannot_be_decoded_is_left_out_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "odd.pcap", [IP(src=ENDS[0][0], dst=ENDS[0][1], proto=6) / Raw(b"short")])
    assert read(tmp_path / "odd.pcap") == []
    assert "odd.pcap: bad_length 1" in capsys.readouterr().err


def test_files_are_apart_and_a_missing_one_is_told(tmp_path: Path) -> None:
    path = record(tmp_path / "one.pcap", ("dns", *ENDS[0]))
    reader = Reader(NAMES, Moves())
    assert len(list(reader.every([path, path]))) == 2
    with pytest.raises(CaptureError, match=r"none\.pcap: No such file"):
        list(reader.every([path, tmp_path / "none.pcap"]))


def test_recorded_calls(captures: Path) -> None:
    flows = list(
        Reader(NAMES, Moves()).every(captures / f"{n}.pcap" for n in ("l7pat-skypeout-1", "l7data-skypeout-b"))
    )
    assert [flow.name for flow in flows] == [Name("skypeout")] * 4
