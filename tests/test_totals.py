"""The kernel's counters summed to what people call things."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate import totals
from citygate.inforce import InForce
from citygate.kernel import Counters
from citygate.totals import Flip, Outcome, Unseen
from tests.inforce_samples import sample
from tests.test_metrics import numbers


@pytest.fixture(scope="module")
def in_force(tmp_path_factory: pytest.TempPathFactory) -> InForce:
    return sample(tmp_path_factory.mktemp("totals"))


def test_refused_subscribers_are_told_apart_by_region(in_force: InForce) -> None:
    (one, two), _, _ = numbers(in_force)
    an_address, another = bytes([10, 10, 0, 5]), bytes([10, 10, 0, 6])
    refused = frozenset({(one, an_address), (two, an_address), (two, another), (16000, another)})
    assert totals.refused(Counters({}, {}, {}, refused), in_force) == {
        **dict.fromkeys((region.name for region in in_force.policy.regions), 0), "shenzhen": 2, "": 1,
    }  # fmt: skip


def test_zones_are_summed_to_regions_and_numbers_have_names(in_force: InForce) -> None:
    (one, two), beijing, skypeout = numbers(in_force)
    counters = Counters(
        packets={
            (one, skypeout, "passed", "up"): (1, 100),
            (two, skypeout, "passed", "up"): (2, 200),
            (two, skypeout, "passed", "down"): (4, 400),
            (beijing, 0, "passed", "up"): (8, 800),
            (beijing, 0, "blocked", "up"): (16, 1600),
            (beijing, 32000, "passed", "up"): (32, 3200),  # of a register since lost
            (16000, skypeout, "passed", "up"): (64, 6400),
        },
        unfiltered={
            (one, "invalid", "dropped", "up"): (1, 10),
            (two, "invalid", "dropped", "up"): (2, 20),
            (two, "queue_full", "passed", "up"): (4, 40),
        },
        fill={},
    )
    found = totals.packets(counters, in_force)
    assert found == {
        Outcome("shenzhen", "skypeout", "", "passed", "up"): (3, 300),
        Outcome("shenzhen", "skypeout", "", "passed", "down"): (4, 400),
        Outcome("beijing", "", "", "passed", "up"): (8, 800),
        Outcome("beijing", "", "", "blocked", "up"): (16, 1600),
        Outcome("beijing", "unregistered", "", "passed", "up"): (32, 3200),
        Outcome("", "skypeout", "", "passed", "up"): (64, 6400),
    }
    assert totals.before_naming(found) == {("beijing", "up"): 8}
    assert totals.unfiltered(counters, in_force) == {
        Unseen("shenzhen", "invalid", "dropped", "up"): (3, 30),
        Unseen("shenzhen", "queue_full", "passed", "up"): (4, 40),
    }


def test_what_a_rehearsed_policy_would_do_is_no_outcome(in_force: InForce) -> None:
    (one, two), _, skypeout = numbers(in_force)
    packets = {
        (one, skypeout, "shadow_passed", "up"): (1, 100),
        (two, skypeout, "shadow_passed", "up"): (2, 200),
        (two, skypeout, "shadow_throttled", "down"): (4, 400),
        (two, skypeout, "passed", "down"): (8, 800),
    }
    counters = Counters(packets, {}, {})
    assert totals.shadow(counters, in_force) == {
        Flip("shenzhen", "skypeout", "", "passed", "up"): (3, 300),
        Flip("shenzhen", "skypeout", "", "throttled", "down"): (4, 400),
    }
    assert list(totals.packets(counters, in_force)) == [Outcome("shenzhen", "skypeout", "", "passed", "down")]


keys = st.tuples(
    st.integers(0, 5), st.integers(0, 300), st.sampled_from(["passed", "blocked"]), st.sampled_from(["up", "down"])
)
counted = st.dictionaries(keys, st.tuples(st.integers(0, 2**40), st.integers(0, 2**50)), max_size=30)


def test_what_may_come_to_be_unfiltered(in_force: InForce) -> None:
    rows = totals.none_unseen(in_force)
    assert set(rows.values()) == {0}
    assert {row.region for row in rows} == {"shenzhen", "beijing"}
    assert {(row.cause, row.outcome, row.direction) for row in rows} == {
        (cause, "passed", direction)
        for cause in ("no_daemon", "queue_full", "invalid", "untracked")
        for direction in ("up", "down")
    }


@given(counted)
def test_nothing_is_lost_on_the_way(
    in_force: InForce, packets: dict[tuple[int, int, str, str], tuple[int, int]]
) -> None:
    found = totals.packets(Counters(packets, {}, {}), in_force)
    for part in (0, 1):
        assert sum(total[part] for total in found.values()) == sum(each[part] for each in packets.values())
    unnamed = sum(seen for (_, class_, verdict, _), (seen, _) in packets.items() if (class_, verdict) == (0, "passed"))
    assert sum(totals.before_naming(found).values()) == unnamed
