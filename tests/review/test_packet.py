"""One packet of a capture: its flow, whichever way it went, and what is said where there is none."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from citygate.catalogue import builtin
from citygate.policy.evaluate import Far
from citygate.policy.names import Names
from citygate.review.packet import flow_of, parse_packet

NAMES = Names(builtin())
ENDS = {4: ("10.10.0.5", "198.51.100.7"), 6: ("fd00:10::5", "2001:db8::7")}
REQUEST = b"GET / HTTP/1.1\r\nHost: www.youtube.com\r\n\r\n"


def traffic(version: int) -> list[Ether]:
    """An ARP question, a connection to a web server, and a datagram that nobody knows."""
    network, (client, server) = (IP if version == 4 else IPv6), ENDS[version]
    there, back = network(src=client, dst=server), network(src=server, dst=client)
    packets = [
        ARP(pdst="10.10.0.1"),
        there / TCP(sport=40000, dport=80, flags="S", seq=100),
        back / TCP(sport=80, dport=40000, flags="SA", seq=900, ack=101),
        there / TCP(sport=40000, dport=80, flags="PA", seq=101, ack=901) / Raw(REQUEST),
        there / UDP(sport=6000, dport=6001) / Raw(b"\xc7\x91\x05\x33nobody"),
        there / UDP(sport=6000, dport=6001, len=4),
    ]
    return [Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet for packet in packets]


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def capture(tmp_path: Path, version: int) -> Path:
    wrpcap(str(tmp_path / "a.pcap"), traffic(version))
    return tmp_path / "a.pcap"


@pytest.mark.parametrize("number", [2, 3, 4])
def test_any_packet_of_a_flow(capture: Path, version: int, number: int) -> None:
    client, server = map(ip_address, ENDS[version])
    found = flow_of(capture, number, NAMES)
    assert found == (Far(client, "tcp", 40000), Far(server, "tcp", 80), "youtube", "www.youtube.com")


def test_a_flow_that_nobody_knows(capture: Path) -> None:
    assert flow_of(capture, 5, NAMES).service == "unknown"


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (1, "packet 1 of {} is not IP"),
        (6, "packet 6 of {} cannot be read: bad length"),
        (7, "{} has fewer packets than 7"),
    ],
)
def test_packets_without_a_flow(capture: Path, number: int, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        flow_of(capture, number, NAMES)
    assert str(error.value) == sentence.format(capture)


@pytest.mark.parametrize("number", [1, 2])
def test_a_piece_of_a_datagram(tmp_path: Path, version: int, number: int) -> None:
    client, server = ENDS[version]
    datagram = bytes(UDP(sport=1, dport=2, len=1608, chksum=0) / Raw(bytes(1600)))
    pieces: list[Packet] = []
    for at, more in ((0, 1), (800, 0)):
        if version == 4:
            header: Packet = IP(src=client, dst=server, proto=17, id=7, flags=more, frag=at // 8)
        else:
            header = IPv6(src=client, dst=server) / IPv6ExtHdrFragment(nh=17, id=7, m=more, offset=at // 8)
        pieces.append(Ether() / header / Raw(datagram[at:800] if more else datagram[at:]))
    wrpcap(str(tmp_path / "a.pcap"), pieces)
    with pytest.raises(ValueError, match=f"packet {number} of .* is a piece of a datagram, say its flow in words"):
        flow_of(tmp_path / "a.pcap", number, NAMES)


def test_a_file_that_is_no_capture_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_text("no capture at all, but long enough for a header")
    with pytest.raises(ValueError, match=r"a\.pcap: "):
        flow_of(tmp_path / "a.pcap", 1, NAMES)
    with pytest.raises(ValueError, match=r"b\.pcap: No such file or directory"):
        flow_of(tmp_path / "b.pcap", 1, NAMES)


def test_how_a_packet_is_written() -> None:
    assert parse_packet("calls.pcap:7") == (Path("calls.pcap"), 7)
    assert parse_packet("a:b/calls.pcap:12") == (Path("a:b/calls.pcap"), 12)
    for text in ("calls.pcap", "calls.pcap:", ":7", "calls.pcap:0", "calls.pcap:-1", "calls.pcap:x"):
        with pytest.raises(ValueError, match="is not a packet, write"):
            parse_packet(text)
