"""When a policy changes by itself: nothing changes between two edges, and every edge is found."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from citygate.policy.edges import edges, next_edge
from citygate.policy.evaluate import clock, today
from citygate.policy.licence import licence
from citygate.policy.model import Action, Licence, Match, Policy, Provider, Region, Rule, Window
from citygate.policy.windows import holds, parse_window

ALLOW = Action.ALLOW
NETWORKS = (ip_network("10.10.0.0/16"), ip_network("fd00:10::/48"))


def region(name: str, timezone: str, *when: str) -> Region:
    """A rule for each window."""
    rules = tuple(Rule(f"rule{i}", Match(), Action.DROP, windows=(parse_window(text),)) for i, text in enumerate(when))
    return Region(name, "", NETWORKS, timezone, ALLOW, ALLOW, rules)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_windows_are_met_by_their_own_clocks() -> None:
    policy = Policy((region("a", "Asia/Shanghai", "18:00-23:00"), region("b", "Europe/Berlin", "18:00-23:00")), "")
    found = list(edges(policy, at("2026-07-01T00:00Z"), at("2026-07-02T10:00Z")))
    assert found == [
        at("2026-07-01T10:00Z"),
        at("2026-07-01T15:00Z"),
        at("2026-07-01T16:00Z"),
        at("2026-07-01T21:00Z"),
        at("2026-07-02T10:00Z"),
    ]


def test_a_moment_of_two_changes_comes_once() -> None:
    policy = Policy((region("a", "UTC", "8:00-9:00", "9:00-10:00"), region("b", "UTC", "9:00-12:00")), "")
    found = list(edges(policy, at("2026-07-01T00:00Z"), at("2026-07-01T10:00Z")))
    assert [moment.hour for moment in found] == [8, 9, 10]


def test_licences_change_at_midnight_where_they_are_valid() -> None:
    granted = Provider(
        "bt", "", ("vpn",), Licence.GRANTED, start=date(2026, 7, 1), end=date(2026, 7, 3), regions=("berlin",)
    )
    policy = Policy((region("shanghai", "Asia/Shanghai"), region("berlin", "Europe/Berlin")), "", (granted,))
    found = list(edges(policy, at("2026-06-01T00:00Z"), at("2027-01-01T00:00Z")))
    assert found == [at("2026-06-30T22:00Z"), at("2026-07-03T22:00Z")]
    assert next_edge(policy, found[0] - timedelta(seconds=1)) == found[0]
    assert next_edge(policy, found[0]) == found[1]
    assert next_edge(policy, found[1]) is None


def test_a_licence_for_ever_and_from_the_beginning_of_time() -> None:
    always = Provider("bt", "", ("vpn",), Licence.GRANTED, start=date.min, end=date(9999, 12, 30))
    policy = Policy((region("a", "Asia/Shanghai"), region("b", "America/New_York")), "", (always,))
    assert next_edge(policy, at("2026-07-01T00:00Z")) == at("9999-12-30T16:00Z")


def test_a_policy_without_times_never_changes() -> None:
    policy = Policy((region("a", "UTC"),), "")
    assert next_edge(policy, datetime.now(UTC)) is None
    assert list(edges(policy, datetime.now(UTC), datetime.now(UTC) + timedelta(days=400))) == []


TIMEZONES = ["Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "America/Sao_Paulo"]
DAYS = st.none() | st.dates(date(2017, 10, 10), date(2017, 10, 20))
some_windows = st.builds(
    Window, st.frozensets(st.integers(0, 6), min_size=1), st.integers(0, 47).map(lambda n: n * 30),
    st.integers(1, 48).map(lambda n: n * 30),
).filter(lambda window: window.start != window.end)  # fmt: skip
some_providers = st.builds(
    Provider, st.just("p"), st.just(""), st.just(("vpn",)), st.sampled_from(Licence), DAYS, DAYS, DAYS,
    st.sampled_from([(), ("r0",), ("r1",)]),
)  # fmt: skip


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    regions = []
    for i in range(2):
        rules = [
            Rule(f"rule{n}", Match(), Action.DROP, windows=tuple(draw(st.lists(some_windows, max_size=2))))
            for n in range(2)
        ]
        regions.append(Region(f"r{i}", "", NETWORKS, draw(st.sampled_from(TIMEZONES)), ALLOW, ALLOW, tuple(rules)))
    return Policy(tuple(regions), "", tuple(draw(st.lists(some_providers, max_size=2))))


def state(policy: Policy, moment: datetime) -> object:
    return [
        (
            [holds(rule.windows, clock(region.timezone), moment) for rule in region.rules],
            [licence(each, region.name, today(region.timezone, moment)) for each in policy.providers],
        )
        for region in policy.regions
    ]


# São Paulo skipped the midnight of 15 October 2017.
@given(policies(), st.integers(0, 8 * 48))
@settings(max_examples=60, deadline=None)
def test_nothing_changes_between_two_edges(policy: Policy, half_hours: int) -> None:
    start = at("2017-10-10T00:00Z") + timedelta(minutes=30 * half_hours)
    until = start + timedelta(days=3)
    found = list(edges(policy, start, until))
    assert found == sorted(set(found))
    assert next_edge(policy, start) == (found[0] if found else next_edge(policy, until))
    before, moment, left = state(policy, start), start, set(found)
    while moment < until:
        moment += timedelta(minutes=30)
        now = state(policy, moment)
        if moment in left:
            left.remove(moment)
        else:
            assert now == before
        before = now
    assert not left, "an edge that is on no half hour"
