"""Many names in few words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from citygate.policy.model import Licence, Name, Provider
from citygate.policy.names import Names
from citygate.review.groups import grouped
from tests.policy.world import CATALOGUE

NAMES = Names(CATALOGUE, (Provider("bt", "", ("voip",), Licence.NONE), Provider("att", "", ("skype",), Licence.NONE)))


def test_whole_categories_providers_and_single_services() -> None:
    assert list(grouped(NAMES.all, NAMES)) == ["other (1 service)", "voip (2 services)", "vpn (1 service)"]
    assert list(grouped([Name("skype"), Name("skypeout")], NAMES)) == ["voip of no provider (2 services)"]
    assert list(grouped([Name("skype", "bt"), Name("skypeout", "bt")], NAMES)) == ["voip of bt (2 services)"]
    assert list(grouped([Name("skype", "bt"), Name("openvpn")], NAMES)) == ["skype of bt", "vpn (1 service)"]
    assert list(grouped([Name("skypeout")], NAMES)) == ["skypeout of no provider"]
    assert list(grouped([], NAMES)) == []


@given(st.sets(st.sampled_from(NAMES.all)), st.sets(st.sampled_from(NAMES.all)))
def test_different_names_are_different_words(one: set[Name], other: set[Name]) -> None:
    assert (list(grouped(one, NAMES)) == list(grouped(other, NAMES))) == (one == other)
