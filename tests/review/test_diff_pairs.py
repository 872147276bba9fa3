"""What changes for every flow, in words."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest

from citygate.catalogue import Catalogue, Service
from citygate.policy.load import Loaded
from citygate.policy.model import (
    Action,
    Licence,
    Match,
    Name,
    Network,
    Policy,
    PortRange,
    Provider,
    Region,
    Rule,
    Share,
    Window,
)
from citygate.policy.names import Names
from citygate.review.compare import compare
from citygate.review.diff_pairs import Pairs
from citygate.tables import console

AT = datetime(2016, 6, 1, 12, tzinfo=UTC)
KINDS = {"openvpn": "vpn", "wireguard": "vpn", "skype": "voip", "skypeout": "voip", "dns": "base"}
CATALOGUE = Catalogue(Service(name, kind, name, name, (), "", "") for name, kind in KINDS.items())
NAMES = Names(CATALOGUE, [Provider("bt", "", ("vpn",), Licence.NONE)])


def region(name: str, number: int, *rules: Rule, on_failure: Action = Action.ALLOW) -> Region:
    home: tuple[Network, ...] = (ip_network(f"10.{number}.0.0/16"), ip_network(f"fd00:{number}::/48"))
    return Region(name, "", home, "UTC", Action.ALLOW, on_failure, rules)


def pairs(old: list[Region], new: list[Region], names: Names = NAMES) -> Pairs:
    before, after = (Loaded(Policy(tuple(regions), ""), names, {}) for regions in (old, new))
    return Pairs(compare(before, after, AT), names, names)


def words(found: Pairs) -> str:
    out = io.StringIO()
    found.show(console(out))
    return " ".join(out.getvalue().split())


def one(match: Match, **keys: object) -> Pairs:
    rule = Rule("x", match, Action.DROP, **keys)  # type: ignore[arg-type]
    return pairs([region("shenzhen", 10)], [region("shenzhen", 10, rule)])


@pytest.mark.parametrize(
    ("match", "flows"),
    [
        (Match(), "all"),
        (Match(categories=("voip",)), "voip (2 services)"),
        (Match(categories=("vpn",)), "vpn (2 services)"),
        (Match(providers=("bt",)), "vpn of bt (2 services)"),
        (Match(services=("openvpn",), providers=("bt",)), "openvpn of bt"),
        (Match(services=("skype", "skypeout", "openvpn", "wireguard")), "all but base (1 service)"),
    ],
)
def test_names_in_few_words(match: Match, flows: str) -> None:
    assert f"│ {flows} │ any │ allow → drop │ all │ now │" in words(one(match))


def test_names_that_no_category_sums_up_are_not_all_shown() -> None:
    catalogue = Catalogue(Service(f"s{i}", f"c{i // 2}", "", None, (), "", "") for i in range(40))
    rule = Rule("x", Match(services=tuple(f"s{i}" for i in range(0, 40, 2))), Action.DROP)
    found = pairs([region("shenzhen", 10)], [region("shenzhen", 10, rule)], Names(catalogue))
    assert "and 12 more" in words(found)
    assert len(found.as_json()["changes"][0]["names"]) == 20


def test_far_ends_in_words_and_as_json() -> None:
    networks = tuple(ip_network(f"198.51.{i}.0/24") for i in range(0, 10, 2))
    ports = (PortRange("tcp", 25, 25), PortRange("udp", 5, 6))
    found = pairs([region("r", 10)], [region("r", 10, Rule("x", Match(networks=networks, ports=ports), Action.DROP))])
    assert "198.51.0.0/24, 198.51.2.0/24, 198.51.4.0/24 and 2 more at tcp/25, udp/5-6" in words(found)
    (change,) = found.as_json()["changes"]
    assert change["far"] == {"networks": list(map(str, networks)), "ports": ["tcp/25", "udp/5-6"]}
    assert (change["subscribers"], change["addresses"], change["slash64s"]) == (["10.10.0.0/16"], 65536, 0)

    allow = Rule("hq", Match(networks=networks[:1]), Action.ALLOW)
    rest = pairs([region("r", 10, allow)], [region("r", 10, allow, Rule("x", Match(), Action.DROP))])
    assert "any but 198.51.0.0/24" in words(rest)
    (change,) = rest.as_json()["changes"]
    assert change["far"] == {"not_networks": ["198.51.0.0/24"]}
    assert change["subscribers"] == ["10.10.0.0/16", "fd00:10::/48"]


def test_shares_and_moments() -> None:
    evening = (Window(frozenset(range(7)), 18 * 60, 23 * 60),)
    found = one(Match(), share=Share(2500, 7), windows=evening)
    assert "25 % │ Wed 2016-06-01 18:00:00 +0000" in words(found)
    (change,) = found.as_json()["changes"]
    assert (change["share"], change["since"]) == (0.25, "2016-06-01T18:00:00+00:00")


def test_regions_that_change_alike_are_one_row() -> None:
    rule = Rule("x", Match(categories=("vpn",)), Action.DROP)
    found = pairs([region(f"r{i}", i) for i in range(1, 9)], [region(f"r{i}", i, rule) for i in range(1, 9)])
    text = words(found)
    assert text.count("allow → drop") == 1
    assert "r1, r2, r3 and 5 more: " in text
    assert "(524,288 IPv4 and 524,288 IPv6 /64)" in text
    assert len(found.as_json()["changes"]) == 8


def test_who_leaves_a_region_or_changes_it() -> None:
    rule = Rule("x", Match(categories=("vpn",)), Action.DROP)
    assert "shenzhen → (none): 10.10.0.0/16" in words(pairs([region("shenzhen", 10, rule)], [region("other", 11)]))
    assert "shenzhen → other: " in words(pairs([region("shenzhen", 10, rule)], [region("other", 10)]))


def test_a_slash_64_is_one_subscriber_however_it_is_cut() -> None:
    only = tuple(map(ip_network, ("fd00:10::/65", "fd00:10:0:0:8000::1/128", "fd00:10:0:1::1/128", "10.10.0.0/31")))
    (change,) = one(Match(), only=only).as_json()["changes"]
    assert (change["addresses"], change["slash64s"]) == (2, 2)


def test_without_a_daemon() -> None:
    found = pairs([region("shenzhen", 10)], [region("shenzhen", 10, on_failure=Action.DROP)])
    assert "shenzhen: 10.10.0.0/16, fd00:10::/48" in words(found)
    assert "packets that the daemon could not look at: allow → drop" in words(found)
    (failing,) = found.as_json()["failing"]
    assert (failing["before"], failing["after"], failing["addresses"]) == ("allow", "drop", 65536)


def test_other_ways_to_a_name() -> None:
    moved = Names(CATALOGUE, [Provider("bt", "", ("vpn",), Licence.NONE, networks=(ip_network("192.0.2.0/24"),))])
    old, new = (Loaded(Policy((region("r", 10),), ""), names, {}) for names in (NAMES, moved))
    found = Pairs(compare(old, new, AT), NAMES, moved)
    assert found.different
    assert words(found).endswith("(--capture or --live shows which): provider bt has other networks")


def test_what_either_directory_knows_is_named() -> None:
    """A provider that may offer something else, and a service that is gone."""
    own = Service("acme", "voip", "", None, (), "", "")
    before = Names(Catalogue(CATALOGUE.services.values(), [own]), [Provider("bt", "", ("vpn",), Licence.NONE)])
    after = Names(CATALOGUE, [Provider("bt", "", ("voip",), Licence.NONE)])
    rule = Rule("x", Match(categories=("voip", "vpn")), Action.DROP)
    old, new = (
        Loaded(Policy((region("r", 10, *rules),), ""), names, {}) for names, rules in ((before, ()), (after, (rule,)))
    )
    found = Pairs(compare(old, new, AT), before, after)
    assert "all but base (1 service), acme of no provider │ any" in words(found)
    names = {Name(**name) for change in found.as_json()["changes"] for name in change["names"]}
    assert names == {name for name in {*before.all, *after.all} if name.service not in ("dns", "acme")}
    assert json.dumps(found.as_json())
