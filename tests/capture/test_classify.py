"""Capture files to rows."""

from __future__ import annotations

import csv
import io
import json
import struct
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap, wrpcapng

from citygate.capture.classify import CaptureError, Flow, Row, classify, flows, main, naming, read
from tests.datapath.recognise.certificates import certificate, message, names_extension
from tests.datapath.recognise.hellos import client_hello, record, server_hello

CLIENT, SERVER = "192.0.2.1", "198.51.100.1"
CLIENT_6, SERVER_6 = "2001:db8::1", "2001:db8:1::1"
QUERY = bytes.fromhex("1a2b01000001000000000000") + b"\3www\7example\3com\0\0\1\0\1"
SECOND_QUERY = QUERY.replace(b"www", b"ftp")
REQUEST = b"GET / HTTP/1.1\r\nHost: www.youtube.com\r\n\r\n"


def ether(packet: Packet, at: float) -> Packet:
    frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet
    frame.time = at
    return frame


def connection(network: type[Packet], ends: tuple[str, str], payload: bytes) -> list[Packet]:
    """A client's handshake and request in two segments."""
    there, back = network(src=ends[0], dst=ends[1]), network(src=ends[1], dst=ends[0])
    return [
        there / TCP(sport=40000, dport=80, flags="S", seq=100),
        back / TCP(sport=80, dport=40000, flags="SA", seq=900, ack=101),
        there / TCP(sport=40000, dport=80, flags="A", seq=101, ack=901),
        there / TCP(sport=40000, dport=80, flags="PA", seq=101, ack=901) / Raw(payload[:20]),
        there / TCP(sport=40000, dport=80, flags="PA", seq=121, ack=901) / Raw(payload[20:]),
    ]


def traffic() -> list[Packet]:
    packets = [
        IP(src=CLIENT, dst=SERVER) / UDP(sport=5000, dport=53) / Raw(QUERY),
        IP(src=CLIENT, dst=SERVER) / UDP(sport=5000, dport=53) / Raw(SECOND_QUERY),
        IPv6(src=CLIENT_6, dst=SERVER_6) / UDP(sport=5000, dport=53) / Raw(QUERY),
        *connection(IP, (CLIENT, SERVER), REQUEST),
        *connection(IPv6, (CLIENT_6, SERVER_6), REQUEST),
        IP(src=CLIENT, dst=SERVER) / ICMP(),
        IPv6(src=CLIENT_6, dst=SERVER_6) / ICMPv6EchoRequest(),
        IP(src=CLIENT, dst=SERVER) / UDP(sport=6000, dport=6001) / Raw(b"\xc7\x91\x05\x33nobody"),
    ]
    return [ether(packet, 1000 + index / 10) for index, packet in enumerate(packets)]


EXPECTED = {
    ("udp", CLIENT, 5000, SERVER, 53, "dns", "", "www.example.com", 1),
    ("udp", CLIENT_6, 5000, SERVER_6, 53, "dns", "", "www.example.com", 1),
    ("tcp", CLIENT, 40000, SERVER, 80, "youtube", "", "www.youtube.com", 5),
    ("tcp", CLIENT_6, 40000, SERVER_6, 80, "youtube", "", "www.youtube.com", 5),
    ("other", CLIENT, "", SERVER, "", "icmp", "", "", 1),
    ("other", CLIENT_6, "", SERVER_6, "", "icmp", "", "", 1),
    ("udp", CLIENT, 6000, SERVER, 6001, "unknown", "", "", ""),
}


def flow_of(path: Path, *packets: Packet) -> Flow:
    wrpcap(str(path), [ether(packet, index / 10) for index, packet in enumerate(packets)])
    (flow,) = flows(path, naming())
    return flow


NETWORKS = [(IP, (CLIENT, SERVER)), (IPv6, (CLIENT_6, SERVER_6))]


@pytest.mark.parametrize(("network", "ends"), NETWORKS)
def test_what_passed_before_the_name(network: type[Packet], ends: tuple[str, str], tmp_path: Path) -> None:
    flow = flow_of(tmp_path / "one.pcap", *connection(network, ends, REQUEST))
    assert (flow.row.service, flow.protocol) == ("youtube", "http")
    assert (flow.passed_packets, flow.passed_bytes, flow.renamed) == (4, 20, 0)


@pytest.mark.parametrize(("network", "ends"), NETWORKS)
def test_messages_of_a_dns_flow_are_no_new_names(network: type[Packet], ends: tuple[str, str], tmp_path: Path) -> None:
    there = network(src=ends[0], dst=ends[1]) / UDP(sport=5000, dport=53)
    questions = (QUERY, SECOND_QUERY, QUERY.replace(b"www\x07example", b"www\x07youtube"))
    flow = flow_of(tmp_path / "one.pcap", *(there / Raw(question) for question in questions))
    assert (flow.row.service, flow.row.packets_needed) == ("dns", 1)
    assert (flow.passed_packets, flow.passed_bytes, flow.renamed) == (0, 0, 0)


def invite(user: str) -> bytes:
    lines = [
        f"INVITE sip:{user}@example.com SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", "Max-Forwards: 70",
        "From: <sip:a@example.com>;tag=1", f"To: <sip:{user}@example.com>", "Call-ID: 1", "CSeq: 1 INVITE",
        "Content-Length: 0",
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(("network", "ends"), NETWORKS)
def test_a_surer_name_counts_from_its_own_packet(network: type[Packet], ends: tuple[str, str], tmp_path: Path) -> None:
    there = network(src=ends[0], dst=ends[1]) / UDP(sport=5060, dport=5060)
    first, second = invite("bob"), invite("+12025550123")
    flow = flow_of(tmp_path / "one.pcap", there / Raw(first), there / Raw(second), there / Raw(second))
    assert (flow.row.service, flow.row.packets_needed) == ("sip-pstn", 1)
    assert (flow.passed_packets, flow.passed_bytes, flow.renamed) == (1, len(first), 1)


@pytest.mark.parametrize(("network", "ends"), NETWORKS)
def test_a_host_that_comes_after_the_name(network: type[Packet], ends: tuple[str, str], tmp_path: Path) -> None:
    """A client that names no server, and the server's certificate: tls in both cases, and the host is the row's."""
    hello = record(client_hello(None))
    flight = record(server_hello()) + record(message(certificate(names_extension(b"mail.example.com"))))
    opening = connection(network, ends, hello)
    answers = network(src=ends[1], dst=ends[0]) / TCP(sport=80, dport=40000, flags="PA", seq=901, ack=101 + len(hello))
    flow = flow_of(tmp_path / "one.pcap", *opening, answers / Raw(flight))
    assert (flow.row.service, flow.row.host, flow.row.packets_needed) == ("tls", "mail.example.com", 5)
    assert (flow.passed_packets, flow.passed_bytes, flow.renamed) == (4, 20, 0)


def test_a_flow_without_a_name_had_nothing_pass_before_it(tmp_path: Path) -> None:
    given_up = IP(src=CLIENT, dst=SERVER) / UDP(sport=6000, dport=6001) / Raw(b"\xc7\x91\x05\x33nobody")
    flow = flow_of(tmp_path / "one.pcap", *[given_up] * 20)
    assert (flow.row.service, flow.row.packets_needed) == ("unknown", "")
    assert (flow.passed_packets, flow.passed_bytes, flow.renamed) == (None, None, 0)


@pytest.fixture(params=["pcap", "pcapng"])
def capture(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"traffic.{request.param}"
    write = wrpcap if request.param == "pcap" else wrpcapng
    write(str(path), traffic())
    return path


def test_rows(capture: Path) -> None:
    rows = list(classify([capture]))
    assert {row.file for row in rows} == {capture.name}
    assert {tuple(row)[1:] for row in rows} == EXPECTED
    assert len(rows) == len(EXPECTED)


def test_times_and_lengths(capture: Path) -> None:
    packets = list(read(capture))
    assert [round(seconds - 1000, 3) for seconds, _, _ in packets[:3]] == [0, 0.1, 0.2]
    assert packets[0][1][0] == 0x45
    assert packets[0][2] == len(packets[0][1]) == 28 + len(QUERY)


def test_wire_length_of_a_cut_frame(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    frame = (
        Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src=CLIENT, dst=SERVER, len=1028) / UDP(len=1008)
    )
    cut = Ether(bytes(frame)[:60])
    cut.wirelen = 1042
    wrpcap(str(path), [cut])
    ((_, data, wire),) = read(path)
    assert (len(data), wire) == (len(bytes(cut)) - 14, 1028)


def test_a_wire_length_that_says_less_than_was_captured_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "zero.pcap"
    frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src=CLIENT, dst=SERVER) / UDP() / QUERY
    frame.wirelen = 0
    wrpcap(str(path), [frame])
    ((_, data, wire),) = read(path)
    assert wire == len(data)
    assert len(list(classify([path]))) == 1


def test_vlan_frames_are_the_same_flows(tmp_path: Path) -> None:
    path = tmp_path / "vlan.pcap"
    tagged = [frame.copy() for frame in traffic()]
    for frame in tagged:
        frame.payload = Dot1Q(vlan=5, type=frame.type) / frame.payload
        frame.type = 0x8100
    wrpcap(str(path), tagged)
    assert {tuple(row)[1:] for row in classify([path])} == EXPECTED


def test_flows_of_two_files_are_apart(capture: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.pcap"
    wrpcap(str(again), traffic()[:1])
    files = [row.file for row in classify([capture, again])]
    assert files.count("again.pcap") == 1


def test_csv(capture: Path) -> None:
    out = io.StringIO()
    assert main([capture], "csv", out) == 0
    header, *rows = csv.reader(io.StringIO(out.getvalue()))
    assert ",".join(header) == (
        "file,proto,client_ip,client_port,server_ip,server_port,service,provider,host,packets_needed"
    )
    assert {tuple(row[1:]) for row in rows} == {tuple(map(str, row)) for row in EXPECTED}


def test_json(capture: Path) -> None:
    out = io.StringIO()
    assert main([capture], "json", out) == 0
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert {tuple(row[name] for name in Row._fields[1:]) for row in rows} == EXPECTED


def test_table(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    out = io.StringIO()
    assert main([capture], "table", out) == 0
    assert "www.youtube.com" in out.getvalue()
    assert f" [{SERVER_6}]:80 " in out.getvalue()


def test_no_table_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    assert main([tmp_path / "none.pcap"], "table", out) == 1
    assert out.getvalue() == ""
    assert capsys.readouterr().err == f"{tmp_path}/none.pcap: No such file or directory\n"


REGION = "region: north\nsubscribers: [192.0.2.0/24, '2001:db8::/48']\n"
REGISTER = """\
providers:
  - {provider: tube, title: Tube, services: [youtube], licence: {status: granted},
     endpoints: {networks: [198.51.100.0/24, "2001:db8:1::/48"]}}
  - {provider: echo, title: Echo, services: [icmp], licence: {status: none}, endpoints: {networks: [198.51.100.1/32]}}
"""


def test_a_policy_tells_providers(capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy/regions").mkdir(parents=True)
    (tmp_path / "policy/regions/north.yaml").write_text(REGION)
    (tmp_path / "policy/providers.yaml").write_text(REGISTER)
    out = io.StringIO()
    assert main([capture], "json", out, tmp_path / "policy") == 0
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    told = {(row["server_ip"], row["service"]): row["provider"] for row in rows}
    assert {ends: provider for ends, provider in told.items() if provider} == {
        (SERVER, "youtube"): "tube", (SERVER_6, "youtube"): "tube", (SERVER, "icmp"): "echo",
    }  # fmt: skip
    (tmp_path / "policy/providers.yaml").write_text("providers: 1")
    assert main([capture], "json", out, tmp_path / "policy") == 1
    assert "providers.yaml:1" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"", b"not a capture", b"\xd4\xc3\xb2\xa1\x02\x00"])
def test_unreadable_file(
    capture: Path, tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.pcap"
    if content is not None:
        bad.write_bytes(content)
    out = io.StringIO()
    assert main([bad, capture], "csv", out) == 1
    assert str(bad) in capsys.readouterr().err
    assert len(out.getvalue().splitlines()) == 1 + len(EXPECTED), "the others go on"


def test_unknown_link_type(tmp_path: Path) -> None:
    path = tmp_path / "odd.pcap"
    wrpcap(str(path), [Raw(b"\x00" * 40)], linktype=147)
    with pytest.raises(CaptureError, match="link type 147"):
        list(read(path))


def test_packets_that_cannot_be_decoded_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.pcap"
    broken = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x0800) / Raw(b"\x45" + bytes(10))
    wrpcap(str(path), [broken])
    assert list(classify([path])) == []
    assert "odd_" in capsys.readouterr().err


def test_flows_that_found_no_place_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("citygate.capture.classify.FLOWS", 1)
    ends = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    path = tmp_path / "many.pcap"
    wrpcap(str(path), [ends / IPv6(src=CLIENT_6, dst=SERVER_6) / UDP(sport=port) / b"?" for port in (7001, 7002)])
    assert len(list(classify([path]))) == 1
    assert "flows_evicted_unnamed 1" in capsys.readouterr().err


def test_a_time_beyond_all_clocks(tmp_path: Path) -> None:
    """pcapng, section 4.3: a time is 64 bits in units that the file chooses, here whole seconds."""
    packet = bytes(IP(src=CLIENT, dst=SERVER) / UDP() / QUERY)
    padded = packet.ljust(-(-len(packet) // 4) * 4, b"\0")

    def block(kind: int, body: bytes) -> bytes:
        size = struct.pack("<I", len(body) + 12)
        return struct.pack("<I", kind) + size + body + size

    blocks = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    blocks += block(1, struct.pack("<HHI", 101, 0, 0) + struct.pack("<HHB3xHH", 9, 1, 0, 0, 0))
    blocks += block(6, struct.pack("<5I", 0, 0xFFFFFFFF, 0xFFFFFFFF, len(packet), len(packet)) + padded)
    path = tmp_path / "late.pcapng"
    path.write_bytes(blocks)
    assert len(list(classify([path]))) == 1


def test_recorded_calls(captures: Path) -> None:
    """The two SkypeOut recordings keep their name, whatever is changed in the recognisers."""
    rows = list(classify(captures / name for name in ("l7pat-skypeout-1.pcap", "l7data-skypeout-b.pcap")))
    assert [row.service for row in rows] == ["skypeout"] * 4
