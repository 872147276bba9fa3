"""Element edits and dumps over netlink, against what nft itself says of the table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from citygate.kernel import KernelError, marks, nft, skeleton
from citygate.kernel.netlink import Element, Netlink, Rule, interval, marks_key
from citygate.lab.topology import Lab

WIDE = [ip_network(text) for text in ("0.0.0.0/1", "128.0.0.0/1", "255.255.255.255/32", "10.0.0.0/8", "0.0.0.0/0")]
WIDE6 = [ip_network(text) for text in ("::/1", "8000::/1", "ffff::/16", "fd00:10::/48", "2001:db8::1/128")]


@pytest.fixture
def door(lab: Lab) -> Iterator[Netlink]:
    sizes = dict.fromkeys(skeleton.COUNTERS, 65536)
    with lab.inside("gw"):
        made = Netlink()
        chain = [f"add chain inet {skeleton.TABLE} c"]
        declared = [f"add {line}" for line in skeleton.declarations(sizes)]
        nft.load([f"add table inet {skeleton.TABLE}", *declared, *chain])
        yield made
        nft.load([f"delete table inet {skeleton.TABLE}"])
    made.close()


def elements(name: str) -> list[Any]:
    listed = nft.call("nft", "-j", "list", "map", "inet", skeleton.TABLE, name)
    (found,) = [entry["map"] for entry in json.loads(listed.stdout)["nftables"] if "map" in entry]
    return list(found.get("elem", []))


@pytest.mark.parametrize("prefix", WIDE + WIDE6, ids=str)
def test_an_interval_is_what_nft_calls_it_and_can_be_taken_back(door: Netlink, prefix: Any) -> None:
    name = f"zone{prefix.version}_a"
    ends = int(prefix[0]), int(prefix[-1]), prefix.max_prefixlen // 8
    door.edit([(True, name, [interval(*ends, 7 << marks.ZONE_SHIFT)])])
    length = prefix.prefixlen
    whole = {"prefix": {"addr": str(prefix.network_address), "len": length}}
    key = str(prefix.network_address) if length == prefix.max_prefixlen else whole
    assert elements(name) == [[key, 7 << marks.ZONE_SHIFT]]
    door.edit([(False, name, [interval(*ends, 0)])])
    assert elements(name) == []


def test_many_elements_are_one_transaction(door: Netlink) -> None:
    many = [Element(marks_key(zone << 16, class_), chain="c") for zone in range(1, 101) for class_ in range(100)]
    door.edit([(True, "decisions", many)])
    assert len(elements("decisions")) == 10_000
    with pytest.raises(KernelError, match="add to decisions: No such file"):
        door.edit([(False, "decisions", many), (True, "decisions", [Element(marks_key(1, 1), chain="missing")])])
    assert len(elements("decisions")) == 10_000
    door.edit([(False, "decisions", many)])
    assert elements("decisions") == []


def test_rules_are_replaced_in_place_and_in_the_same_transaction(door: Netlink) -> None:
    """As the kernel gave them, but for the name of a map."""
    where = f"inet {skeleton.TABLE} c"
    texts = [
        f"meta mark set ct {way} ip{v} saddr map @zone{n}_a"
        for way in ("original", "reply")
        for v, n in (("", 4), ("6", 6))
    ]
    nft.load([f"add rule {where} {text}" for text in (*texts, "counter")])
    before = door.rules("c")
    assert len({rule.handle for rule in before}) == 5
    turned = [Rule("c", rule.handle, rule.expressions.replace(b"_a\0", b"_b\0")) for rule in before[:4]]
    with pytest.raises(KernelError, match="delete chain missing: No such file"):
        door.edit([], turned, [(True, "d"), (False, "missing")])
    assert door.rules("c") == before and door.chains() == {"c"}
    door.edit([], turned, [(True, "d")])
    assert door.chains() == {"c", "d"}
    listed = nft.call("nft", "list", "chain", *where.split()).stdout.splitlines()
    assert [line.strip() for line in listed[2:6]] == [text.replace("_a", "_b") for text in texts]
    assert "counter" in listed[6]
    door.edit([], [], [(False, "d")])
    assert door.chains() == {"c"} and door.rules("d") == []


def test_counters_are_read_whole(door: Netlink) -> None:
    texts = [f"{zone << 16:#x} . 0x5 . reply counter packets {zone} bytes {zone * 1000}" for zone in range(1, 3001)]
    nft.load([f"add element inet {skeleton.TABLE} passed {{ {', '.join(texts)} }}"])
    found = {key: (packets, size) for key, packets, size in door.elements("passed")}
    assert found == {marks_key(zone << 16, 5, 1): (zone, zone * 1000) for zone in range(1, 3001)}
    assert door.set_sizes()["passed"] == 65536
    assert door.chains() == {"c"}


def test_no_table_reads_as_empty(lab: Lab) -> None:
    with lab.inside("internet"):
        bare = Netlink()
    assert list(bare.elements("passed")) == [] and bare.set_sizes() == {} and bare.chains() == set()
    bare.close()
