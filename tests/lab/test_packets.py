from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from citygate.lab import flows
from citygate.lab.packets import Addresses, Plan, Tuple5, ip_packet, plan_capture, plan_flows, tuple_of
from citygate.lab.topology import MTU, LabError, host

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")  # given, or scapy asks the network for them
ENDS = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}


def addresses() -> tuple[Addresses, Addresses]:
    return Addresses(host("shanghai"), Random(1)), Addresses(host("internet"), Random(2))


def plan_of(folder: Path, *packets: Packet, as_ipv6: bool = False) -> Plan:
    wrpcap(str(folder / "some.pcap"), list(packets))
    return plan_capture(folder / "some.pcap", *addresses(), as_ipv6)


def dissect(packet: bytes) -> Packet:
    return IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)


def ours(family: int) -> tuple[str, ...]:
    return ("10.20.",) if family == 4 else ("fd00:20:",)


@given(st.sampled_from([4, 6]), st.sampled_from([TCP, UDP]), st.binary(max_size=200), st.integers(0, 0xFFFF))
def test_lengths_and_checksums_are_those_that_scapy_makes(
    family: int, layer: type[Packet], data: bytes, port: int
) -> None:
    source, target = ENDS[family]
    header = IP(src=source, dst=target) if family == 4 else IPv6(src=source, dst=target)
    wrong = bytes(layer(sport=port, dport=53, chksum=0x1234) / Raw(data))
    assert ip_packet(source, target, 6 if layer is TCP else 17, wrong) == bytes(
        header / layer(sport=port, dport=53) / data
    )


@given(st.binary(max_size=120))
def test_any_bytes_are_a_tuple_or_none(data: bytes) -> None:
    found = tuple_of(data)
    assert found is None or len(found[1]) <= len(data)


@given(st.sampled_from([4, 6]), st.integers(0, 120))
def test_a_packet_cut_anywhere_is_read_as_far_as_it_goes(family: int, size: int) -> None:
    whole = ip_packet(*ENDS[family], 17, bytes.fromhex("1234 0035") + bytes(60))
    found = tuple_of(whole[:size])
    header = 20 if family == 4 else 40
    if size < header:
        assert found is None
    else:
        assert found is not None
        ports = (0x1234, 53) if size >= header + 4 else (0, 0)
        assert found == (Tuple5(17, ENDS[family][0], ports[0], ENDS[family][1], ports[1]), whole[header:size])


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name", flows.NAMES)
def test_a_planned_flow_has_its_messages_in_order(name: str, family: int) -> None:
    named = flows.named(name)
    plan = plan_flows(named, *addresses(), family)
    assert [flow.label for flow in plan.flows] == [name] * len(named)
    for index, flow in enumerate(named):
        for side in (True, False):
            sent = [dissect(p.data) for p in plan.packets if (p.flow, p.from_client) == (index, side)]
            layer = TCP if flow.proto == "tcp" else UDP
            spoken = b"".join(bytes(each[layer].payload) for each in sent)
            assert spoken == b"".join(m.payload for m in flow.messages if m.from_client is side)
            assert all(each.src.startswith(ours(family)) is side for each in sent)


def test_a_planned_tcp_flow_counts_its_bytes() -> None:
    plan = plan_flows(flows.named("tls"), *addresses(), 6)
    following: dict[bool, int] = {}
    for packet in plan.packets:
        segment = dissect(packet.data)[TCP]
        assert segment.seq == following.get(packet.from_client, segment.seq)
        size = len(segment.payload) + ("S" in segment.flags) + ("F" in segment.flags)
        following[packet.from_client] = segment.seq + size
        if "A" in segment.flags:
            assert segment.ack == following[not packet.from_client]


def test_a_capture_keeps_order_ports_payload_and_who_is_who(tmp_path: Path) -> None:
    question = ETHER / IP(src="192.0.2.7", dst="192.0.2.53", ttl=1) / UDP(sport=4000, dport=53) / Raw(b"question")
    answer = ETHER / IP(src="192.0.2.53", dst="192.0.2.7") / UDP(sport=53, dport=4000) / Raw(b"answer")
    other = ETHER / Dot1Q(vlan=5) / IPv6(src="2001:db8::7", dst="2001:db8::8") / UDP(sport=5, dport=6) / Raw(b"six")
    plan = plan_of(tmp_path, question, other, answer)
    assert [(p.flow, p.from_client) for p in plan.packets] == [(0, True), (1, True), (0, False)]
    first, second, third = (dissect(p.data) for p in plan.packets)
    assert (first.src, first.dst) == (third.dst, third.src)
    assert (first[UDP].sport, third[UDP].sport) == (4000, 53)
    assert [bytes(each[UDP].payload) for each in (first, second, third)] == [b"question", b"six", b"answer"]
    assert first.src.startswith("10.20.")
    assert second.src.startswith("fd00:20:")
    assert first.ttl == 64
    assert not plan.left_out


def test_a_host_of_a_capture_has_one_address_on_each_side(tmp_path: Path) -> None:
    packets = [ETHER / IP(src="192.0.2.7", dst=f"192.0.2.{n}") / UDP(sport=9, dport=9) for n in (1, 2, 1)]
    plan = plan_of(tmp_path, *packets)
    assert len({flow.key.client for flow in plan.flows}) == 1
    assert len({flow.key.server for flow in plan.flows}) == len(plan.flows) == 2


@pytest.mark.parametrize("proto", [6, 17, 50])
def test_ipv4_flows_go_as_ipv6_with_the_same_payload(tmp_path: Path, proto: int) -> None:
    layer = {6: TCP(sport=1, dport=2), 17: UDP(sport=1, dport=2), 50: Raw(b"\0\0\1\0")}[proto]
    plan = plan_of(tmp_path, ETHER / IP(src="192.0.2.1", dst="192.0.2.2", proto=proto) / layer / b"data", as_ipv6=True)
    [packet] = plan.packets
    parsed = tuple_of(packet.data)
    assert packet.data[0] >> 4 == 6
    assert parsed is not None
    assert parsed[0].proto == proto
    assert parsed[1].endswith(b"data")


def test_what_cannot_be_played_is_counted_by_reason(tmp_path: Path) -> None:
    ends4, ends6 = IP(src="192.0.2.1", dst="192.0.2.2"), IPv6(src="2001:db8::1", dst="2001:db8::2")
    packets = [
        ETHER / ARP(),
        ETHER / IP(src="192.0.2.1", dst="192.0.2.2", flags="MF") / UDP(),
        ETHER / ends6 / IPv6ExtHdrFragment(m=1) / UDP(),
        ETHER / ends4 / UDP(sport=1, dport=2) / Raw(bytes(1500)),
        ETHER / ends4 / ICMP(),
    ]
    plan = plan_of(tmp_path, *packets, as_ipv6=True)
    assert plan.packets == []
    assert plan.left_out == {
        "not ip": 1,
        "fragment": 2,
        "larger than the lab's links": 1,
        "icmp has no ipv6 twin": 1,
    }


def test_extension_headers_are_read_past(tmp_path: Path) -> None:
    packet = ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrHopByHop() / UDP(sport=7, dport=9) / b"x"
    plan = plan_of(tmp_path, packet)
    assert (plan.flows[0].key.client_port, plan.flows[0].key.server_port) == (7, 9)
    assert plan.packets[0].data.endswith(b"x")


def test_a_segment_recorded_before_offload_is_cut_as_a_card_would(tmp_path: Path) -> None:
    data = bytes(range(256)) * 20
    packet = ETHER / IP(src="192.0.2.1", dst="192.0.2.2") / TCP(seq=2**32 - 100, flags="PAF") / Raw(data)
    parts = [IP(p.data) for p in plan_of(tmp_path, packet).packets]
    assert all(len(part) <= MTU for part in parts)
    assert b"".join(bytes(part[TCP].payload) for part in parts) == data
    assert [part[TCP].seq for part in parts] == [(2**32 - 100 + at) % 2**32 for at in range(0, len(data), 1360)]
    assert [str(part[TCP].flags) for part in parts] == ["A", "A", "A", "FPA"]


def test_labels_beside_a_capture_name_its_flows(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(
        "file,proto,client_ip,client_port,server_ip,server_port,service\n"
        "other.pcap,udp,192.0.2.2,53,192.0.2.1,4000,wrong\n"
        "some.pcap,udp,192.0.2.2,53,192.0.2.1,4000,dns\n"
    )
    packet = ETHER / IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=4000, dport=53)
    plan = plan_of(tmp_path, packet, packet / Raw(b"again"))
    assert [flow.label for flow in plan.flows] == ["dns"]


def test_a_file_that_is_no_capture_says_so(tmp_path: Path) -> None:
    (tmp_path / "some.pcap").write_text("a text that is long enough to hold a file header")
    with pytest.raises(LabError, match=r"some\.pcap is not a capture"):
        plan_capture(tmp_path / "some.pcap", *addresses())


@pytest.mark.parametrize("family", [4, 6])
def test_addresses_are_the_hosts_prefix_but_not_its_own(family: int) -> None:
    made = Addresses(host("internet"), Random(3))
    given_out = [made.of(str(number), family) for number in range(400)]
    assert len(set(given_out)) == 400
    assert given_out == [made.of(str(number), family) for number in range(400)]
    assert not set(given_out) & {*host("internet").ipv4, *host("internet").ipv6}


def test_a_prefix_that_is_used_up_says_so() -> None:
    made = Addresses(host("internet"), Random(3))
    with pytest.raises(LabError, match="more hosts"):
        for number in range(1000):
            made.of(str(number), 4)


def test_every_capture_of_others_can_be_planned(captures: Path) -> None:
    for capture in sorted(captures.glob("*.pcap"))[::20]:
        plan = plan_capture(capture, *addresses(), as_ipv6=True)
        assert plan.packets or plan.left_out
        assert all(packet.data[0] >> 4 == 6 and len(packet.data) <= MTU for packet in plan.packets)
