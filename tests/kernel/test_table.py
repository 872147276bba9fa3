"""The table on a live gateway: adoption, edits, counters, marks, packets nobody looked at."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from contextlib import suppress
from ipaddress import IPv4Network, ip_network
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from citygate.kernel import KernelError, marks, remove
from citygate.kernel.compile import Compiled
from tests.kernel.world import World, arrived, packets, until

SIZES = dict.fromkeys(("passed", "blocked", "would_block", "unfiltered"), 65536)
SHENZHEN, SHANGHAI, OTHER = 1, 2, 3
GOOD, BAD = 1, 2  # classes
BOTH = [(4, "10.10.0.5", "198.51.100.10"), (6, "fd00:10::5", "2001:db8:100::10")]
BOTH_FAMILIES = pytest.mark.parametrize(("family", "client", "server"), BOTH, ids=["ipv4", "ipv6"])


def table(**changes: Any) -> Compiled:
    """Two zones; class BAD is refused in Shenzhen."""
    fields: dict[str, Any] = {
        "zone4": {ip_network("10.10.0.0/16"): SHENZHEN, ip_network("10.20.0.0/16"): SHANGHAI},
        "zone6": {ip_network("fd00:10::/48"): SHENZHEN, ip_network("fd00:20::/48"): SHANGHAI},
        "decisions": {(SHENZHEN, BAD): "act_drop"},
        "defaults": {},
        "failing": {},
        "classes": (GOOD, BAD),
        "chains": {},
        "sizes": SIZES,
        "zones": (),
    }
    return Compiled(**(fields | changes))


def name(class_: int, more: bool = False, text: bytes = b"") -> bytes:
    """A payload that makes the namer say this class."""
    return (class_ | (marks.NOT_FINAL if more else 0)).to_bytes(2, "big") + text


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
def test_an_edit_flips_an_established_flow_and_loses_no_packet_of_another(
    world: World, family: int, client: str, server: str
) -> None:
    """Both flows go on while the policy is edited to and fro; only the edited class is ever missed."""
    allow, refuse = table(decisions={}), table()
    world.start(allow)
    namer = world.namer()
    receiver, sender = world.udp("internet", server, 7000), world.udp("shenzhen", client)
    other_receiver, other = world.udp("internet", server, 7001), world.udp("shenzhen", client)
    stop = threading.Event()
    sent = 0
    numbers: list[int] = []

    def steady() -> None:
        nonlocal sent
        while not stop.is_set():
            other.sendto(name(GOOD, text=sent.to_bytes(4, "big")), (server, 7001))
            sent += 1
            if data := arrived(other_receiver, 0.1):
                numbers.append(int.from_bytes(data[2:6], "big"))

    def passes() -> bool:
        sender.sendto(name(BAD), (server, 7000))
        return arrived(receiver, 0.1) is not None

    thread = threading.Thread(target=steady)
    try:
        assert passes()
        thread.start()
        for _ in range(10):
            world.edit(refuse)
            assert not passes()
            world.edit(allow)
            assert passes()
        stop.set()
        thread.join()
        assert numbers == list(range(sent)) and sent > 20
    finally:
        stop.set()
        namer.stop()
        for each in (sender, receiver, other, other_receiver):
            each.close()


def test_edits_touch_only_what_changes(world: World) -> None:
    """Base chains keep their handles; chains that stay are not refilled; counters and foreign tables are left alone."""
    world.nft("add table ip foreign")
    world.nft("add chain ip foreign c { type filter hook forward priority 0 ; }")
    world.nft("add rule ip foreign c counter")
    first = {"p_1": ("goto act_drop",), "p_2": ("goto act_reject",)}
    world.start(table(chains=first, decisions={(SHENZHEN, BAD): "p_1", (SHANGHAI, BAD): "p_2"}))

    def handles() -> dict[tuple[str, str, str], list[int]]:
        found: dict[tuple[str, str, str], list[int]] = {}
        for entry in json.loads(world.nft("-j", "list ruleset"))["nftables"]:
            for kind in ("chain", "rule"):
                if kind in entry:
                    each = entry[kind]
                    key = (each["family"], each["table"], each.get("chain", each.get("name")))
                    found.setdefault(key, []).append(each["handle"])
        return found

    before = handles()
    second = {"p_1": ("goto act_drop",), "p_3": ("goto act_drop",)}
    world.edit(table(chains=second, decisions={(SHENZHEN, BAD): "p_1", (SHANGHAI, BAD): "p_3"}, classes=(GOOD, BAD, 3)))
    after = handles()
    ours = ("inet", "citygate")
    assert before.keys() - after.keys() == {(*ours, "p_2")}
    assert after.keys() - before.keys() == {(*ours, "p_3"), (*ours, "set_3"), (*ours, "set_3_more")}
    assert all(after[key] == before[key] for key in before.keys() & after.keys())
    world.nft("delete table ip foreign")


def test_a_second_start_adopts_table_counters_and_recent_refusals(world: World) -> None:
    assert not world.start(table())
    namer = world.namer()
    receiver, sender = world.udp("internet", "198.51.100.10", 7000), world.udp("shenzhen", "10.10.0.5")
    try:
        sender.sendto(name(BAD), ("198.51.100.10", 7000))
        until(lambda: packets(world.counters(), SHENZHEN, BAD, "blocked", "up") == 1, "not blocked")
        assert world.start(table(chains={"p_9": ("goto act_drop",)}))
        assert "p_9" in world.nft("list table inet citygate")
        assert world.start(table())
        assert "p_9" not in world.nft("list table inet citygate")
        sender.sendto(name(GOOD), ("198.51.100.10", 7000))  # the same flow: its class is known, nobody is asked
        until(lambda: packets(world.counters(), SHENZHEN, BAD, "blocked", "up") == 2, "the refusal was forgotten")
        assert namer.answered == 1
        rules = world.gateway(["iptables", "-t", "mangle", "-S", "FORWARD"]) + world.nft("list table inet citygate")
        assert rules.count("-j NFQUEUE") + rules.count("queue flags bypass") == 1
    finally:
        namer.stop()
        sender.close()
        receiver.close()


@BOTH_FAMILIES
def test_prefixes_move_between_zones_in_one_step(world: World, family: int, client: str, server: str) -> None:
    """The client's prefix is split, joined and moved under a stream of refused packets: not one gets through."""
    world.start(table(decisions={(SHENZHEN, BAD): "act_drop", (OTHER, BAD): "act_drop"}))
    whole4, whole6 = ip_network("10.10.0.0/16"), ip_network("fd00:10::/48")
    split4 = {ip_network("10.10.0.0/17"): OTHER, ip_network("10.10.128.0/17"): SHENZHEN}
    split6 = {ip_network("fd00:10::/49"): OTHER, ip_network("fd00:10:0:8000::/49"): SHENZHEN}
    decisions = {(SHENZHEN, BAD): "act_drop", (OTHER, BAD): "act_drop"}
    namer = world.namer()
    receiver, sender = world.udp("internet", server, 7000), world.udp("shenzhen", client)
    stop = threading.Event()

    def stream() -> None:
        while not stop.is_set():
            with suppress(BlockingIOError):
                sender.sendto(name(BAD), (server, 7000))

    def meets_next_packet(zone: int) -> None:
        before = packets(world.counters(), zone, BAD, "blocked", "up")
        until(lambda: packets(world.counters(), zone, BAD, "blocked", "up") > before, "no packet met the edit")

    thread = threading.Thread(target=stream)
    try:
        sender.sendto(name(BAD), (server, 7000))
        until(lambda: namer.answered == 1, "not asked")
        thread.start()
        for _ in range(20):
            for zone, zone4, zone6 in ((OTHER, split4, split6), (SHENZHEN, {whole4: SHENZHEN}, {whole6: SHENZHEN})):
                world.edit(table(zone4=zone4, zone6=zone6, decisions=decisions))
                meets_next_packet(zone)
        stop.set()
        thread.join()
        assert arrived(receiver, 0.1) is None
    finally:
        stop.set()
        namer.stop()
        sender.close()
        receiver.close()


@BOTH_FAMILIES
def test_a_default_comes_and_goes(world: World, family: int, client: str, server: str) -> None:
    """Zones without a default are not looked up for one: the rule itself comes and goes with the map's elements."""
    closed = table(decisions={(SHENZHEN, GOOD): "act_allow"}, defaults={SHENZHEN: "default_drop"})
    world.start(table(decisions={}))
    namer = world.namer()
    receiver, sender = world.udp("internet", server, 7000), world.udp("shenzhen", client)
    try:
        for _ in range(3):
            sender.sendto(name(BAD), (server, 7000))
            assert arrived(receiver)
            world.edit(closed)
            sender.sendto(name(BAD), (server, 7000))
            assert arrived(receiver, 0.1) is None
            world.edit(table(decisions={}))
        assert "defaults" not in world.nft("list", "chain", "inet", "citygate", "judge")
        world.forget()
        world.edit(closed)
        for class_, passes in ((0, True), (GOOD, True), (BAD, False)):
            other = world.udp("shenzhen", client)
            other.sendto(name(class_), (server, 7000))
            assert (arrived(receiver, 0.1) is not None) == passes
            other.close()
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


def test_neighbouring_prefixes_of_a_zone_are_one_interval(world: World) -> None:
    household = IPv4Network("10.10.3.7/32")
    rest = dict.fromkeys(IPv4Network("10.10.0.0/16").address_exclude(household), SHENZHEN)
    world.start(table(zone4=rest | {household: OTHER}))
    listed = world.nft("list", "map", "inet", "citygate", "zone4_a")
    assert listed.count(": 0x") == 3 and "10.10.0.0-10.10.3.6" in listed and "10.10.3.8-10.10.255.255" in listed
    world.edit(table())
    assert "10.10.0.0/16 : 0x00010000" in world.nft("list", "map", "inet", "citygate", "zone4_a")


def test_an_edit_notices_that_somebody_took_the_table_away(world: World) -> None:
    world.start(table())
    world.nft("flush ruleset")
    with pytest.raises(KernelError, match="somebody removed table inet citygate"):
        world.counters()
    with pytest.raises(KernelError, match="somebody removed table inet citygate"):
        world.edit(table())
    world.start(table())
    world.edit(table())
    assert world.counters().fill["passed"][1] > 0


@pytest.mark.parametrize("program", ["iptables", "ip6tables"])
def test_an_edit_puts_the_queue_rule_back(world: World, program: str) -> None:
    world.start(table())
    if world.kernel.step != "xtables":
        pytest.skip("this kernel has nft_queue: the queue step is in the table")
    listing = [program, "-t", "mangle", "-S", "FORWARD"]
    before = world.gateway(listing)
    assert "NFQUEUE" in before
    world.gateway([program, "-t", "mangle", "-F", "FORWARD"])
    world.edit(table())
    assert world.gateway(listing) == before


def test_an_edit_the_kernel_refuses_changes_nothing(world: World) -> None:
    world.start(table())
    before = world.nft("list table inet citygate")
    with pytest.raises(KernelError, match="decisions"):
        world.edit(table(decisions={(SHENZHEN, BAD): "act_drop", (SHENZHEN, GOOD): "p_missing"}))
    assert world.nft("list table inet citygate") == before


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


def test_remove_takes_table_and_queue_rules_and_nothing_else(world: World) -> None:
    world.nft("add table inet foreign")
    world.gateway(["iptables", "-t", "mangle", "-A", "FORWARD", "-p", "tcp", "-j", "ACCEPT"])
    world.start(table())
    with world.lab.inside("gw"):
        remove()
    assert "citygate" not in world.nft("list tables") and "foreign" in world.nft("list tables")
    rules = world.gateway(["iptables", "-t", "mangle", "-S", "FORWARD"])
    assert "NFQUEUE" not in rules and "-p tcp -j ACCEPT" in rules
    world.gateway(["iptables", "-t", "mangle", "-F", "FORWARD"])
    world.nft("delete table inet foreign")
