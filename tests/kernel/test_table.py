"""The table on a live gateway: made, adopted, edited, removed."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from ipaddress import IPv4Network, ip_network

import pytest

from citygate.kernel import KernelError, remove
from citygate.policy.model import Network
from tests.kernel.tables import BAD, BOTH_FAMILIES, GOOD, OTHER, SHANGHAI, SHENZHEN, name, table
from tests.kernel.world import World, arrived, packets, until


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


def test_neighbouring_prefixes_of_a_zone_are_one_interval(world: World) -> None:
    household = IPv4Network("10.10.3.7/32")
    rest: dict[Network, int] = dict.fromkeys(IPv4Network("10.10.0.0/16").address_exclude(household), SHENZHEN)
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


def test_an_edit_that_moves_a_prefix_notices_that_somebody_edited_the_chains(world: World) -> None:
    world.start(table())
    moved = table(zone4={ip_network("10.10.0.0/16"): OTHER, ip_network("10.20.0.0/16"): SHANGHAI})
    world.edit(moved)
    world.edit(table())
    world.nft("flush chain inet citygate responder")
    with pytest.raises(KernelError, match="somebody edited table inet citygate"):
        world.edit(moved)
    assert world.start(moved)
    world.edit(table())


def test_an_edit_that_moves_a_prefix_and_is_refused_changes_nothing(world: World) -> None:
    """But for the zone maps that nobody reads."""
    world.start(table())
    before = world.nft("list", "chain", "inet", "citygate", "originator")
    moved = {ip_network("10.10.0.0/16"): OTHER, ip_network("10.20.0.0/16"): SHANGHAI}
    with pytest.raises(KernelError, match="decisions"):
        world.edit(table(zone4=moved, decisions={(SHENZHEN, BAD): "act_drop", (OTHER, GOOD): "p_missing"}))
    assert world.nft("list", "chain", "inet", "citygate", "originator") == before
    world.edit(table(zone4=moved, decisions={(OTHER, BAD): "act_drop"}))
    assert world.nft("list", "chain", "inet", "citygate", "originator") != before
    for side in "ab":
        assert "10.10.0.0/16 : 0x00030000" in world.nft("list", "map", "inet", "citygate", f"zone4_{side}")


def test_an_edit_the_kernel_refuses_changes_nothing(world: World) -> None:
    world.start(table())
    before = world.nft("list table inet citygate")
    with pytest.raises(KernelError, match="decisions"):
        world.edit(table(decisions={(SHENZHEN, BAD): "act_drop", (SHENZHEN, GOOD): "p_missing"}))
    assert world.nft("list table inet citygate") == before


def test_an_edit_the_kernel_refuses_leaves_no_look_up_behind(world: World) -> None:
    closed = {SHENZHEN: "default_drop"}
    decisions = {(SHENZHEN, GOOD): "act_allow"}
    broken = {(SHENZHEN, BAD): "p_missing"}
    for before, after in (
        (table(decisions=decisions), table(decisions=decisions | broken, defaults=closed)),
        (
            table(decisions=decisions, defaults=closed, shadow={(SHENZHEN, BAD): "flip_passed"}),
            table(decisions=decisions | broken, defaults=closed),
        ),
    ):
        world.start(before)
        listed = world.nft("list table inet citygate")
        with pytest.raises(KernelError, match="decisions"):
            world.edit(after)
        assert world.nft("list table inet citygate") == listed


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
