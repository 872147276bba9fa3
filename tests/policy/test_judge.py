"""Answers that are kept are the reference evaluator's own, for all that rules can tell apart."""

from __future__ import annotations

from datetime import UTC, date, datetime
from ipaddress import ip_address, ip_network
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from citygate.policy.evaluate import Far, decide_flow
from citygate.policy.judge import Judge
from citygate.policy.load import Loaded
from citygate.policy.model import Action, Match, Name, Policy, Region, Rule, Window
from citygate.policy.names import Names
from citygate.policy.zones import ZoneIndex, carve
from tests.policy import world
from tests.review.test_compare import AT, FARS, SUBSCRIBERS, directories

ENDS = [*FARS, *(Far(address, proto, port) for address in SUBSCRIBERS for proto, port in world.ENDS)]


@given(directories(), st.randoms(use_true_random=False))
def test_the_answers_are_the_references(both: tuple[Loaded, Loaded], random: Random) -> None:
    loaded = both[0]
    judge, index = Judge(loaded, AT), ZoneIndex(carve(loaded.policy))
    for _ in range(60):
        one = random.choice(ENDS)
        other = random.choice([end for end in ENDS if end.address.version == one.address.version])
        name = random.choice([None, *loaded.names.all])
        zones = index.find(one.address), index.find(other.address)
        expected = decide_flow(*zones, name, one, other, AT, loaded.names)
        assert judge.outcome(name, one, other) == expected


def test_a_day_alone_is_noon_of_the_region_that_is_asked_first() -> None:
    noon = Rule("noon", Match(), Action.DROP, windows=(Window(frozenset(range(7)), 720, 721),))
    homes = {"Asia/Shanghai": "10.0.0.0/8", "UTC": "fd00::/8"}
    regions = tuple(
        Region(f"r{i}", "", (ip_network(home),), timezone, Action.ALLOW, Action.ALLOW, (noon,))
        for i, (timezone, home) in enumerate(homes.items())
    )
    loaded = Loaded(Policy(regions, ""), Names(world.CATALOGUE), {})
    for subscriber, far, hour in (("10.0.0.1", "192.0.2.1", 4), ("fd00::1", "2001:db8::1", 12)):
        ends = Far(ip_address(subscriber), "udp", 1), Far(ip_address(far), "udp", 2)
        for at, action in (
            (date(2016, 6, 1), Action.DROP),
            (datetime(2016, 6, 1, hour, tzinfo=UTC), Action.DROP),
            (datetime(2016, 6, 1, hour + 1, tzinfo=UTC), Action.ALLOW),
        ):
            assert Judge(loaded, at).outcome(Name("skype"), *ends).action is action
