"""What becomes of packets on a live gateway: marks, counters, both ends, and packets nobody looked at."""

from __future__ import annotations

import re
import socket
import time
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from citygate.kernel import marks, skeleton
from tests.kernel.tables import BAD, BOTH_FAMILIES, GOOD, SHANGHAI, SHENZHEN, name, table
from tests.kernel.world import World, arrived, packets, until


def marks_of(world: World, address: str) -> list[int]:
    listed = world.gateway(["conntrack", "-L", "-f", "ipv6" if ":" in address else "ipv4", "-s", address])
    return [int(found) for found in re.findall(r"mark=(\d+)", listed)]


@BOTH_FAMILIES
def test_a_class_is_kept_in_the_conntrack_mark_beside_foreign_bits(
    world: World, family: int, client: str, server: str
) -> None:
    world.start(table())
    world.nft("add table inet foreign")
    world.nft("add chain inet foreign c { type filter hook forward priority mangle - 10 ; }")
    world.nft("add rule inet foreign c ct mark set ct mark | 0x00aa0000")
    namer = world.namer()
    receiver, sender = world.udp("internet", server, 7000), world.udp("shenzhen", client)
    try:
        sender.sendto(name(GOOD), (server, 7000))
        assert arrived(receiver)
        assert marks_of(world, client) == [0x00AA0000 | GOOD]
        sender.sendto(name(BAD), (server, 7000))  # final: the daemon is not asked again
        assert arrived(receiver) and namer.answered == 1
    finally:
        namer.stop()
        sender.close()
        receiver.close()
        world.nft("delete table inet foreign")


@BOTH_FAMILIES
def test_a_flow_that_is_not_final_is_asked_about_each_message(
    world: World, family: int, client: str, server: str
) -> None:
    world.start(table())
    namer = world.namer()
    receiver, sender = world.udp("internet", server, 7000), world.udp("shenzhen", client)
    try:
        came = []
        for class_ in (GOOD, BAD, GOOD, BAD, GOOD):
            sender.sendto(name(class_, more=True), (server, 7000))
            came.append(arrived(receiver, 0.1) is not None)
        assert came == [True, False, True, False, True]
        assert namer.answered == 5
    finally:
        namer.stop()
        sender.close()
        receiver.close()


@BOTH_FAMILIES
def test_a_foreign_packet_mark_does_not_send_a_named_flow_to_the_daemon(
    world: World, family: int, client: str, server: str
) -> None:
    world.start(table())
    world.nft("add table inet foreign")
    world.nft("add chain inet foreign c { type filter hook forward priority mangle - 10 ; }")
    world.nft("add rule inet foreign c meta mark set 0xffff0000")
    namer = world.namer()
    receiver, sender = world.udp("internet", server, 7000), world.udp("shenzhen", client)
    try:
        for _ in range(3):
            sender.sendto(name(GOOD), (server, 7000))
            assert arrived(receiver)
        assert namer.answered == 1
    finally:
        namer.stop()
        sender.close()
        receiver.close()
        world.nft("delete table inet foreign")


@BOTH_FAMILIES
def test_what_a_rule_allows_is_counted_and_leaves_without_a_mark(
    world: World, family: int, client: str, server: str
) -> None:
    world.nft("add table inet foreign")
    world.nft("add chain inet foreign c { type filter hook postrouting priority 0 ; }")
    world.nft("add rule inet foreign c meta mark != 0 counter drop")
    near = "10.250.0.9" if family == 4 else "fdff::9"  # in no region, but near one
    world.start(table(decisions={(SHENZHEN, GOOD): "act_allow"}))
    namer = world.namer()
    receiver, sender = world.udp("internet", server, 7000), world.udp("shenzhen", client)
    try:
        world.gateway(["ip", "route", "add", near, "via", server])
        sender.sendto(name(GOOD), (server, 7000))
        sender.sendto(name(GOOD), (near, 7000))
        assert arrived(receiver)
        until(lambda: packets(world.counters(), SHENZHEN, GOOD, "passed", "up") == 2, f"{world.counters().packets}")
        assert "packets 0 " in world.nft("list", "table", "inet", "foreign")
    finally:
        namer.stop()
        sender.close()
        receiver.close()
        world.gateway(["ip", "route", "del", near])
        world.nft("delete table inet foreign")


@BOTH_FAMILIES
def test_subscribers_who_had_a_packet_refused_are_known_for_a_while(
    world: World, family: int, client: str, server: str
) -> None:
    """Whoever began the flow; of IPv6 the /64 is one, and nobody is known for what passed."""
    world.start(table(decisions={(SHENZHEN, BAD): "act_drop", (SHANGHAI, GOOD): "act_throttle"}))
    for name_ in skeleton.REFUSED:
        world.nft("flush", "set", "inet", "citygate", name_)
    namer = world.namer()
    shanghai = "10.20.0.5" if family == 4 else "fd00:20::5"
    outside, inside = world.udp("internet", server, 7000), world.udp("shenzhen", client, 7000)
    thrifty = world.udp("shanghai", shanghai)
    neighbour = "10.10.0.77" if family == 4 else "fd00:10::77"
    world.lab.run("shenzhen", ["ip", "address", "add", neighbour, "dev", "lo"])
    beside = world.udp("shenzhen", neighbour, 7001)
    try:
        thrifty.sendto(name(GOOD), (server, 7000))
        inside.sendto(name(GOOD), (server, 7000))
        assert arrived(outside)
        assert world.counters().refused == frozenset()
        first = socket.inet_pton(inside.family, client)
        second = socket.inet_pton(inside.family, neighbour)
        expected = {(SHENZHEN, address if family == 4 else address[:8] + bytes(8)) for address in (first, second)}
        inside.sendto(name(BAD), (server, 7001))
        outside.sendto(name(BAD), (neighbour, 7001))
        until(lambda: world.counters().refused == expected, f"{world.counters().refused}")
        assert len(expected) == (2 if family == 4 else 1)
        listed = world.nft("list", "set", "inet", "citygate", f"refused{family}")
        assert re.search(r"expires (4m|5m)", listed), listed
        assert packets(world.counters(), SHANGHAI, GOOD, "throttled", "up") == 1
    finally:
        namer.stop()
        for opened in (outside, inside, beside, thrifty):
            opened.close()
        world.lab.run("shenzhen", ["ip", "address", "del", neighbour, "dev", "lo"])


@BOTH_FAMILIES
def test_up_and_down_are_the_subscribers_whoever_began(world: World, family: int, client: str, server: str) -> None:
    world.start(table())
    namer = world.namer()
    inside, outside = world.udp("shenzhen", client, 7000), world.udp("internet", server, 7000)
    try:
        outside.sendto(name(GOOD) + bytes(98), (client, 7000))
        assert arrived(inside)
        inside.sendto(name(GOOD), (server, 7000))
        assert arrived(outside)
        counted = world.counters().packets
        size = (20 if family == 4 else 40) + 8
        assert counted[SHENZHEN, GOOD, "passed", "down"] == (1, size + 100)
        assert counted[SHENZHEN, GOOD, "passed", "up"] == (1, size + 2)
    finally:
        namer.stop()
        inside.close()
        outside.close()


def test_a_flow_between_two_regions_counts_at_both_ends_when_both_agree(world: World) -> None:
    world.start(table(decisions={(SHENZHEN, BAD): "act_drop"}))
    namer = world.namer()
    shanghai, shenzhen = world.udp("shanghai", "10.20.0.5", 7000), world.udp("shenzhen", "10.10.0.5", 7000)
    try:
        shanghai.sendto(name(GOOD), ("10.10.0.5", 7000))
        assert arrived(shenzhen)
        world.forget()
        shanghai.sendto(name(BAD), ("10.10.0.5", 7000))
        until(lambda: packets(world.counters(), SHENZHEN, BAD, "blocked", "down") == 1, "not blocked by the second end")
        counted = world.counters()
        assert (
            packets(counted, SHANGHAI, GOOD, "passed", "up") == packets(counted, SHENZHEN, GOOD, "passed", "down") == 1
        )
        assert packets(counted, SHANGHAI, BAD, "passed", "up") == 0
    finally:
        namer.stop()
        shanghai.close()
        shenzhen.close()


@BOTH_FAMILIES
@pytest.mark.parametrize("on_failure", ["allow", "drop"])
def test_without_a_daemon_on_failure_holds_and_named_flows_stay_under_policy(
    world: World, family: int, client: str, server: str, on_failure: str
) -> None:
    world.start(
        table(failing={SHENZHEN: "fail_drop"} if on_failure == "drop" else {}, decisions={(SHENZHEN, BAD): "act_drop"})
    )
    namer = world.namer()
    receiver, sender = world.udp("internet", server, 7000), world.udp("shenzhen", client)
    late = world.udp("shenzhen", client)
    try:
        sender.sendto(name(GOOD), (server, 7000))
        assert arrived(receiver)
        namer.stop()
        time.sleep(2.1)  # `answering` remembers an answer for two seconds
        late.sendto(name(BAD), (server, 7000))
        assert (arrived(receiver, 0.2) is not None) == (on_failure == "allow")
        sender.sendto(name(GOOD), (server, 7000))
        assert arrived(receiver)
        outcome = "passed" if on_failure == "allow" else "dropped"
        assert {key: value[0] for key, value in world.counters().unfiltered.items()} == {
            (SHENZHEN, "no_daemon", outcome, "up"): 1
        }
        world.edit(table(decisions={(SHENZHEN, GOOD): "act_drop"}, failing={}))
        sender.sendto(name(GOOD), (server, 7000))
        assert arrived(receiver, 0.2) is None
    finally:
        for each in (sender, receiver, late):
            each.close()


@BOTH_FAMILIES
def test_what_needs_no_name_holds_without_a_daemon(world: World, family: int, client: str, server: str) -> None:
    port = {
        "p_1": (f"meta mark & {marks.RESPONDER:#x} == 0 meta l4proto udp ct reply proto-src {{ 7000 }} goto act_drop",)
    }
    world.start(table(chains=port, decisions={(SHENZHEN, 0): "p_1"}))
    refused, passed, sender = (
        world.udp("internet", server, 7000),
        world.udp("internet", server, 7001),
        world.udp("shenzhen", client),
    )
    try:
        for to in (7000, 7001):
            sender.sendto(name(GOOD), (server, to))
        assert arrived(passed) and arrived(refused, 0.1) is None
        assert packets(world.counters(), SHENZHEN, 0, "blocked", "up") == 1
    finally:
        for each in (refused, passed, sender):
            each.close()


def _inject(world: World, packet: Any) -> None:
    """Send a packet as it is, from the Shenzhen host."""
    kind = socket.AF_INET6 if packet.version == 6 else socket.AF_INET
    with world.lab.inside("shenzhen"):
        raw = socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.sendto(bytes(packet), (packet.dst, 0))
    raw.close()


@BOTH_FAMILIES
def test_invalid_packets_are_counted_and_dropped(world: World, family: int, client: str, server: str) -> None:
    world.start(table())
    head = IP(src=client, dst=server) if family == 4 else IPv6(src=client, dst=server)
    receiver = world.udp("internet", server, 7000)
    try:
        _inject(world, head / TCP(sport=5000, dport=80, flags="SF") / b"x")
        _inject(world, head / UDP(sport=5000, dport=7000, chksum=0x1234) / b"bad checksum")
        invalid = (SHENZHEN, "invalid", "dropped", "up")
        until(lambda: world.counters().unfiltered.get(invalid, (0,))[0] == 2, f"{world.counters().unfiltered}")
        assert arrived(receiver, 0.1) is None
    finally:
        receiver.close()


@BOTH_FAMILIES
@pytest.mark.parametrize("on_failure", ["allow", "drop"])
def test_untracked_packets_get_on_failure_and_are_counted(
    world: World, family: int, client: str, server: str, on_failure: str
) -> None:
    world.nft("add table inet foreign")
    world.nft("add chain inet foreign c { type filter hook prerouting priority raw ; }")
    world.nft("add rule inet foreign c udp dport 7000 notrack")
    world.start(table(failing={SHENZHEN: "fail_drop"} if on_failure == "drop" else {}))
    receiver, sender = world.udp("internet", server, 7000), world.udp("shenzhen", client)
    try:
        sender.sendto(b"untracked", (server, 7000))
        assert (arrived(receiver, 0.2) is not None) == (on_failure == "allow")
        outcome = "passed" if on_failure == "allow" else "dropped"
        assert world.counters().unfiltered[SHENZHEN, "untracked", outcome, "up"][0] == 1
    finally:
        sender.close()
        receiver.close()
        world.nft("delete table inet foreign")


@BOTH_FAMILIES
def test_tcp_without_payload_is_not_queued_whatever_its_flags(
    world: World, family: int, client: str, server: str
) -> None:
    world.start(table())
    namer = world.namer()
    head = IP(src=client, dst=server) if family == 4 else IPv6(src=client, dst=server)
    try:
        options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]
        for port, flags in ((5000, "S"), (5001, "A")):
            _inject(world, head / TCP(sport=port, dport=80, flags=flags, options=options))
        _inject(world, head / TCP(sport=5002, dport=80, flags="S") / name(GOOD))
        until(lambda: namer.answered == 1, "data on a SYN was not queued")
        until(lambda: packets(world.counters(), SHENZHEN, 0, "passed", "up") == 2, "bare segments did not pass")
    finally:
        namer.stop()


def test_a_daemon_that_falls_behind_is_told_from_one_that_is_away(world: World) -> None:
    """A queue of one place and a namer that answers once, then hangs."""
    from netfilterqueue import COPY_PACKET, NetfilterQueue

    world.start(table())
    sender, receiver = world.udp("shenzhen", "10.10.0.5"), world.udp("internet", "198.51.100.10", 7000)
    namer = world.namer()
    sender.sendto(name(GOOD), ("198.51.100.10", 7000))
    assert arrived(receiver)
    namer.stop()
    with world.lab.inside("gw"):
        stuck = NetfilterQueue()
        stuck.bind(0, lambda packet: None, 1, COPY_PACKET)
    try:
        other = world.udp("shenzhen", "10.10.0.5")
        for _ in range(3):
            other.sendto(name(GOOD), ("198.51.100.10", 7000))
        # without fail-open the kernel drops what does not fit; nothing gets here unanswered
        assert world.counters().unfiltered == {}
        stuck.unbind()
        other.sendto(name(GOOD), ("198.51.100.10", 7000))
        until(
            lambda: (SHENZHEN, "queue_full", "passed", "up") in world.counters().unfiltered, "within 2 s of an answer"
        )
        other.close()
    finally:
        stuck.unbind()
        sender.close()
        receiver.close()
