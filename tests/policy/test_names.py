"""The names that flows can have: services alone and with those who may offer them, and what a match means by them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.catalogue import Catalogue, Service
from citygate.policy.model import Licence, Match, Name, PortRange, Provider
from citygate.policy.names import Names
from tests.policy import world

DAY = date(2026, 6, 1)


def service(name: str, category: str, parent: str | None = None) -> Service:
    return Service(name, category, name, None, (), "", "", parent=parent)


def provider(name: str, *services: str, status: Licence = Licence.GRANTED, end: date | None = None) -> Provider:
    return Provider(name, "", services, status, end=end)


CATALOGUE = Catalogue(
    [
        service("sip", "voip"),
        service("sip-pstn", "voip", "sip"),
        service("sip-fax", "fax", "sip-pstn"),
        service("openvpn", "vpn"),
        service("ipsec", "vpn"),
    ]
)


@pytest.mark.parametrize(
    ("services", "offered"),
    [
        (("openvpn",), {"openvpn"}),
        (("vpn",), {"openvpn", "ipsec"}),
        (("sip",), {"sip", "sip-pstn", "sip-fax"}),  # the parts of a service, in whatever category
        (("sip-pstn",), {"sip-pstn", "sip-fax"}),
        (("voip",), {"sip", "sip-pstn"}),
        (("vpn", "openvpn", "sip-fax"), {"openvpn", "ipsec", "sip-fax"}),
    ],
)
def test_what_a_provider_may_offer(services: tuple[str, ...], offered: set[str]) -> None:
    names = Names(CATALOGUE, [provider("bt", *services)])
    assert names.offered["bt"] == offered
    assert {name.service for name in names.all if name.provider} == offered


def test_all_names_are_services_alone_first_and_none_twice() -> None:
    names = Names(CATALOGUE, [provider("bt", "vpn", "openvpn"), provider("acme", "openvpn")])
    assert names.all[:5] == tuple(Name(one) for one in CATALOGUE.services)
    assert set(names.all[5:]) == {Name("openvpn", "bt"), Name("ipsec", "bt"), Name("openvpn", "acme")}
    assert len(names.all) == len(set(names.all)) == 8
    assert names.every == set(names.all)
    assert Names(CATALOGUE).all == names.all[:5]


NAMES = Names(
    CATALOGUE,
    [provider("bt", "vpn"), provider("acme", "openvpn", "sip", end=date(2026, 6, 1)), provider("idle", "fax")],
)


def matching(day: date = DAY, **given: tuple[object, ...]) -> set[str]:
    """Names as ``service@provider``."""
    found = NAMES.matching(replace(Match(), **given), "shanghai", day)  # type: ignore[arg-type]
    return {f"{name.service}@{name.provider}" if name.provider else name.service for name in found}


def test_a_match_means_its_services_whoever_runs_them() -> None:
    assert matching(services=("openvpn",)) == {"openvpn", "openvpn@bt", "openvpn@acme"}
    assert matching(services=("sip-pstn",)) == {
        "sip-pstn", "sip-pstn@acme", "sip-fax", "sip-fax@acme", "sip-fax@idle",
    }  # fmt: skip
    assert matching(categories=("vpn",)) == {"openvpn", "ipsec", "openvpn@bt", "ipsec@bt", "openvpn@acme"}


def test_a_match_means_all_that_a_provider_runs() -> None:
    assert matching(providers=("bt",)) == {"openvpn@bt", "ipsec@bt"}
    assert matching(providers=("bt", "idle")) == {"openvpn@bt", "ipsec@bt", "sip-fax@idle"}
    assert matching(providers=("bt",), services=("openvpn",)) == {"openvpn@bt"}
    assert matching(providers=("bt",), categories=("voip",)) == set()


def test_a_match_means_a_licence_of_the_day() -> None:
    acme = {"openvpn@acme", "sip@acme", "sip-pstn@acme", "sip-fax@acme"}
    others = {"openvpn@bt", "ipsec@bt", "sip-fax@idle"}
    assert matching(licences=(Licence.GRANTED,)) == acme | others
    assert matching(date(2026, 6, 2), licences=(Licence.GRANTED,)) == others
    assert matching(date(2026, 6, 2), licences=(Licence.EXPIRED,)) == acme
    assert matching(date(2026, 6, 2), licences=(Licence.EXPIRED,), services=("sip-pstn",)) == {
        "sip-pstn@acme", "sip-fax@acme",
    }  # fmt: skip
    assert matching(licences=(Licence.NONE,)) == set(CATALOGUE.services)
    assert matching(licences=tuple(Licence)) == matching()


@pytest.mark.parametrize("network", ["198.51.100.0/24", "2001:db8::/32"])
def test_addresses_and_ports_are_not_part_of_a_name(network: str) -> None:
    assert matching(networks=(ip_network(network),), ports=(PortRange("udp", 1, 2),)) == matching()
    assert matching(networks=(ip_network(network),), services=("ipsec",)) == {"ipsec", "ipsec@bt"}


def test_what_became_of_a_name_of_another_policy() -> None:
    assert NAMES.known(Name("openvpn", "bt")) == Name("openvpn", "bt")
    assert NAMES.known(Name("openvpn", "gone")) == Name("openvpn")  # the register has lost the provider
    assert NAMES.known(Name("sip", "bt")) == Name("sip")  # or it may not offer this any more
    assert NAMES.known(Name("gone", "bt")) == Name("gone")
    assert NAMES.known(Name("gone")) == Name("gone")


@pytest.mark.parametrize("name", [Name("gone"), Name("gone", "bt"), Name("gone", "lost")])
def test_a_service_the_catalogue_has_lost_is_meant_by_what_asks_for_none(name: Name) -> None:
    def meant(match: Match) -> bool:
        return NAMES.meant(match, name, "shanghai", DAY)

    assert meant(Match())
    assert meant(Match(networks=(ip_network("198.51.100.0/24"), ip_network("2001:db8::/32"))))
    assert meant(Match(licences=(Licence.NONE, Licence.GRANTED)))
    assert not meant(Match(licences=(Licence.GRANTED,)))
    assert not meant(Match(services=("gone",)))
    assert not meant(Match(categories=("vpn",)))
    assert not meant(Match(providers=("bt",)))


def test_a_lost_provider_has_no_licence() -> None:
    assert NAMES.licence(Name("openvpn", "bt"), "shanghai", DAY) is Licence.GRANTED
    assert NAMES.licence(Name("openvpn", "lost"), "shanghai", DAY) is Licence.NONE
    assert NAMES.licence(Name("openvpn"), "shanghai", DAY) is Licence.NONE


matches = st.builds(
    replace,
    world.matches,
    providers=world.names(sorted(world.NAMES.providers)),
    licences=st.lists(st.sampled_from(Licence), max_size=2).map(tuple),
)
some_days = st.sampled_from([date(2016, 5, 18), date(2026, 5, 31), date(2026, 6, 1), date(2031, 1, 1)])


@given(st.lists(st.tuples(matches, st.sampled_from("rs"), some_days), min_size=1, max_size=4))
def test_a_match_means_exactly_the_names_that_fit_it(questions: list[tuple[Match, str, date]]) -> None:
    """One after the other by the same names, which remember what they have found."""
    names = Names(world.CATALOGUE, world.PROVIDERS)
    for match, region, day in questions:
        fitting = {
            name
            for name in names.all
            if (not match.services or name.service in match.services)
            and (not match.categories or world.KINDS[name.service] in match.categories)
            and (not match.providers or name.provider in match.providers)
            and (not match.licences or names.licence(name, region, day) in match.licences)
        }
        assert names.matching(match, region, day) == fitting
        for name in names.all:
            assert names.meant(match, name, region, day) == (name in fitting)
