"""The flows of a table joined with names, regions and verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate import flows
from citygate.control import Refused
from citygate.flows import Wanted, describe, judged, listed
from citygate.inforce import Index, InForce
from citygate.kernel import marks
from citygate.kernel.conntrack import Count, Entry, Way
from citygate.policy.evaluate import Far, decide_flow
from citygate.policy.judge import Judge
from citygate.policy.load import Loaded
from citygate.policy.model import Address, Name, Policy, Share
from citygate.policy.names import Names
from citygate.policy.zones import carve
from tests.inforce_samples import sample
from tests.policy import world

TCP, UDP, ESP = 6, 17, 50
FAMILIES = {
    4: {"near": "10.10.0.5", "household": "10.10.3.7", "beijing": "10.30.0.5", "far": "198.51.100.10"},
    6: {"near": "fd00:10::5", "household": "fd00:10:0:37::7", "beijing": "fd00:30::5", "far": "2001:db8:100::10"},
}
SENT, ANSWERED = Count(3, 300), Count(2, 100)
both_families = pytest.mark.parametrize("who", FAMILIES.values(), ids=["IPv4", "IPv6"])
Who = Mapping[str, str]


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> InForce:
    return sample(tmp_path_factory.mktemp("flows"))


def entry(
    source: str,
    destination: str,
    mark: int = 0,
    proto: int = UDP,
    port: int | None = 12340,
    sent: Count | None = SENT,
    answered: Count | None = ANSWERED,
) -> Entry:
    """A flow without NAT, from port 40000."""
    ends = ip_address(source), ip_address(destination)
    near = 40000 if port is not None else None
    there, back = Way(ends[0], near, ends[1], port), Way(ends[1], port, ends[0], near)
    return Entry(proto, there, back, mark, sent, answered, 170, "assured")


def class_of(service: str, now: InForce) -> int:
    return next(number for number, name in now.classes.items() if name.service == service)


def told(one: Entry, now: InForce) -> dict[str, Any]:
    return describe(one, Judge(now.loaded, now.at), now)


def asked(table: Iterable[Entry], now: InForce, **arguments: Any) -> list[str]:
    """Who is at the other end of the flows shown, in order."""
    return [item["destination"] for item in listed(table, Wanted.of(arguments, now), now) if item]


@both_families
def test_an_item(now: InForce, who: Who) -> None:
    item = told(entry(who["near"], who["far"], class_of("skypeout", now) | 0x40AA0000), now)
    assert item == {
        "region": "shenzhen",
        "zone": "shenzhen",
        "service": "skypeout",
        "provider": "",
        "proto": "udp",
        "source": who["near"],
        "source_port": 40000,
        "destination": who["far"],
        "destination_port": 12340,
        "direction": "out",
        "verdict": "reject",
        "rule": "skypeout",
        "packets_up": 3,
        "bytes_up": 300,
        "packets_down": 2,
        "bytes_down": 100,
        "timeout": 170,
        "state": "assured",
        "final": True,
    }


@both_families
def test_opened_from_outside(now: InForce, who: Who) -> None:
    item = told(entry(who["far"], who["near"], class_of("skypeout", now)), now)
    assert (item["direction"], item["source"], item["region"]) == ("in", who["far"], "shenzhen")
    assert (item["packets_up"], item["bytes_up"], item["packets_down"], item["bytes_down"]) == (2, 100, 3, 300)


@both_families
def test_behind_a_port_forward_the_end_is_who_answers(now: InForce, who: Who) -> None:
    public = "203.0.113.1" if "." in who["far"] else "2001:db8:ffff::1"
    forwarded = entry(who["far"], public, class_of("skypeout", now))
    forwarded = forwarded._replace(reply=forwarded.reply._replace(source=ip_address(who["near"]), source_port=5060))
    item = told(forwarded, now)
    assert (item["destination"], item["destination_port"], item["verdict"]) == (who["near"], 5060, "reject")


@both_families
def test_zones_and_defaults(now: InForce, who: Who) -> None:
    item = told(entry(who["household"], who["far"], class_of("skypeout", now)), now)
    assert (item["zone"], item["verdict"], item["rule"]) == ("shenzhen:skypeout", "allow", None)


@both_families
def test_between_two_regions_it_is_told_from_the_side_that_refuses(now: InForce, who: Who) -> None:
    vpn = class_of("openvpn", now)
    item = told(entry(who["near"], who["beijing"], vpn), now)
    assert (item["region"], item["verdict"], item["rule"]) == ("beijing", "drop", "vpn")
    assert (item["direction"], item["bytes_up"], item["bytes_down"]) == ("in", 100, 300)


@both_families
def test_names(now: InForce, who: Who) -> None:
    unnamed = told(entry(who["near"], who["far"]), now)
    assert (unnamed["service"], unnamed["verdict"], unnamed["rule"], unnamed["final"]) == ("", "undecided", None, False)
    for_now = told(entry(who["near"], who["far"], class_of("dns", now) | marks.NOT_FINAL), now)
    assert (for_now["service"], for_now["verdict"], for_now["final"]) == ("dns", "allow", False)
    lost = told(entry(who["near"], who["far"], 31_999), now)
    assert (lost["service"], lost["verdict"]) == ("unregistered", "allow")


@both_families
def test_a_provider_is_told(now: InForce, who: Who) -> None:
    with_provider = replace(now, classes={**now.classes, 900: Name("openvpn", "bt")})
    item = told(entry(who["near"], who["far"], 900), with_provider)
    assert (item["service"], item["provider"]) == ("openvpn", "bt")


@both_families
def test_what_is_not_there_is_none(now: InForce, who: Who) -> None:
    bare = entry(who["near"], who["far"], proto=ESP, port=None, sent=None, answered=None)._replace(timeout=None)
    item = told(bare, now)
    assert item["proto"] == "esp"
    gone = ("source_port", "destination_port", "packets_up", "packets_down", "bytes_up", "bytes_down", "timeout")
    assert [item[key] for key in gone] == [None] * len(gone)


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def table(request: pytest.FixtureRequest, now: InForce) -> list[Entry]:
    """Far ends are numbered by the flow."""
    who = FAMILIES[request.param]
    kinds = [
        ("near", "skypeout"),
        ("near", "sip-pstn"),
        ("beijing", "openvpn"),
        ("household", "skypeout"),
        ("near", ""),
    ]
    made = []
    for number, (near, service) in enumerate(kinds):
        mark = class_of(service, now) if service else 0
        far = ip_address(who["far"]) + number
        made.append(entry(who[near], str(far), mark, sent=Count(1, 1000 - number)))
    return [*made, entry(who["far"], "192.0.2.1" if request.param == 4 else "2001:db8::1", class_of("skype", now))]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),  # the last is nobody's: no end in a region
        ({"region": "beijing"}, [2]),
        ({"region": "shenzhen"}, [0, 1, 3, 4]),
        ({"service": "skypeout"}, [0, 3]),
        ({"service": "sip"}, [1]),  # its parts too
        ({"service": ""}, [4]),
        ({"category": "vpn"}, [2]),
        ({"category": "voip", "service": "skypeout"}, [0, 3]),
        ({"category": "vpn", "service": "skypeout"}, []),
        ({"category": "vpn", "service": ""}, []),
        ({"verdict": "reject"}, [0]),
        ({"verdict": "undecided"}, [4]),
        ({"verdict": "allow"}, [1, 3]),
        ({"limit": 2}, [0, 1]),
        ({"limit": 9}, [0, 1, 2, 3, 4]),
    ],
)
def test_filters(now: InForce, table: list[Entry], arguments: Mapping[str, Any], expected: list[int]) -> None:
    wanted = Wanted.of(arguments, now)
    # The kernel's part: only marks that are wanted are read.
    marked = [one for one in table if flows.marked(wanted.classes)(one.mark)]
    assert asked(marked, now, **arguments) == [str(table[number].reply.source) for number in expected]


def test_a_service_that_the_catalogue_no_longer_has(now: InForce) -> None:
    later = replace(now, classes={**now.classes, 900: Name("acme-voice"), 901: Name("acme-voice", "bt")})
    assert Wanted.of({"service": "acme-voice"}, later).classes == frozenset({900, 901})


def test_by_address(now: InForce, table: list[Entry]) -> None:
    first, last = table[0], table[3]
    for end in (first.reply.source, last.original.source):
        found = asked(table, now, address=str(end))
        assert found == [str(one.reply.source) for one in table[:5] if end in (one.reply.source, one.original.source)]
        assert found
    everywhere = "0.0.0.0/0" if first.original.source.version == 4 else "::/0"
    assert len(asked(table, now, address=everywhere)) == 5


def test_a_limit_shows_the_busiest_and_says_how_many_there_are(now: InForce, table: list[Entry]) -> None:
    busy = [one._replace(answered=Count(1, size)) for one, size in zip(table, (0, 9000, 500, 7000, 1, 1), strict=True)]
    answer, items = listed(busy, Wanted(limit=2), now), []
    with pytest.raises(StopIteration) as end:
        while True:
            items.append(next(answer))
    assert end.value.value == {"flows": 5, "shown": 2}
    assert [item["bytes_down"] for item in items if item] == [9000, 7000]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"region": "shenzen"}, "no region `shenzen`, did you mean `shenzhen`?"),
        ({"service": "skypeuot"}, "no service `skypeuot`, did you mean `skypeout`?"),
        ({"category": "vnp"}, "no category `vnp`, did you mean `vpn`?"),
        ({"verdict": "rejected"}, "no verdict `rejected`, did you mean `reject`?"),
        ({"verdict": "x"}, "no verdict `x`, write allow, drop, mark, reject, throttle or undecided"),
        ({"address": "10.10.0.1/16"}, "10.10.0.1/16 has host bits set, the prefix is 10.10.0.0/16"),
        ({"limit": -1}, "`limit` must be 0, for all flows, or more"),
    ],
)
def test_what_is_refused(now: InForce, arguments: Mapping[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as error:
        Wanted.of(arguments, now)
    assert str(error.value) == sentence


@st.composite
def worlds(draw: st.DrawFn) -> Policy:
    """Policies of the small world, some rules for a share of the subscribers."""
    shares = st.one_of(st.none(), st.builds(Share, st.integers(0, 10_000), st.integers(0, 3)))
    regions = [
        replace(region, rules=tuple(replace(rule, share=draw(shares)) for rule in region.rules))
        for region in draw(world.policies).regions
    ]
    return Policy(tuple(regions), "")


NETWORKS = [ip_network(text) for texts in world.HOMES for text in texts] + list(world.FAR)
ADDRESSES: list[Address] = [network[n] for network in NETWORKS for n in range(4)]


def flows_of_the_world(random: Random) -> Iterator[tuple[int, Way]]:
    """Protocol, and the way there; most go from a region to a far end that rules may name."""
    for _ in range(300):
        source, destination = random.choice(ADDRESSES), random.choice(ADDRESSES)
        if source.version == destination.version:
            proto = random.choice([TCP, UDP, ESP])
            ports = (None, None) if proto == ESP else (random.choice([1, 2, 3, 65535]), random.choice([1, 2, 3, 65535]))
            yield proto, Way(source, ports[0], destination, ports[1])


@given(worlds(), st.integers(0, 1 << 32))
def test_what_is_asked_once_for_many_is_what_each_would_get(now: InForce, policy: Policy, seed: int) -> None:
    names = Names(world.CATALOGUE)
    classes = dict(enumerate(names.all, 1))
    here = replace(now, loaded=Loaded(policy, names, {}), index=Index(carve(policy)), classes=classes)
    judge = Judge(here.loaded, here.at, here.index.find)
    random = Random(seed)
    for proto, there in flows_of_the_world(random):
        class_ = random.randrange(len(classes) + 1)
        back = Way(there.destination, there.destination_port, there.source, there.source_port)
        word = {TCP: "tcp", UDP: "udp", ESP: "esp"}[proto]
        originator = Far(there.source, word, there.source_port)
        responder = Far(there.destination, word, there.destination_port)
        zones = here.index.find(there.source), here.index.find(there.destination)
        expected = decide_flow(*zones, classes.get(class_), originator, responder, here.at, names)
        assert judged(Entry(proto, there, back, class_, None, None, 1, ""), judge, here) == expected
