"""Which services a match can mean."""

from __future__ import annotations

from citygate.catalogue import Catalogue, Service
from citygate.policy.model import Match

KINDS = {"skype": "voip", "skypeout": "voip", "openvpn": "vpn"}
CATALOGUE = Catalogue(Service(name, kind, name, None, (), "", "") for name, kind in KINDS.items())


def test_categories_hold_their_services() -> None:
    assert dict(CATALOGUE.categories) == {"voip": {"skype", "skypeout"}, "vpn": {"openvpn"}}


def test_a_match_without_names_means_every_service() -> None:
    assert CATALOGUE.matching(Match()) == set(KINDS)


def test_a_list_means_any_of_its_names() -> None:
    assert CATALOGUE.matching(Match(services=("skype", "openvpn"))) == {"skype", "openvpn"}
    assert CATALOGUE.matching(Match(categories=("voip", "vpn"))) == set(KINDS)


def test_a_service_and_a_category_must_both_hold() -> None:
    assert CATALOGUE.matching(Match(services=("skype", "openvpn"), categories=("voip",))) == {"skype"}
    assert CATALOGUE.matching(Match(services=("openvpn",), categories=("voip",))) == frozenset()


def test_names_it_does_not_have_mean_nothing() -> None:
    assert CATALOGUE.matching(Match(services=("gone",))) == frozenset()
    assert CATALOGUE.matching(Match(categories=("gone",))) == frozenset()
