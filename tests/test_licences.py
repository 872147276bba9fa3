"""Traffic by its provider's licence: under the one of its time, never twice, also across a table that was lost."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate import inforce, licences
from citygate.inforce import InForce
from citygate.kernel import Counters
from citygate.kernel.compile import Compiler
from citygate.licences import ByLicence, Licensed
from citygate.policy.model import Name
from citygate.register import Register
from tests.inforce_samples import PROVIDERS, licensed_policy, sample

BEFORE = datetime(2016, 5, 31, 15, 59, 59, tzinfo=UTC)  # of June, in Shanghai and in Berlin
AFTER = datetime(2016, 5, 31, 16, 0, tzinfo=UTC)  # June in Shanghai alone
REVOKED = PROVIDERS.replace("status: granted", "status: revoked")


def load(place: Path, providers: str = PROVIDERS, at: datetime = BEFORE) -> InForce:
    with closing(Register(place / "register.jsonl")) as register:
        return inforce.prepare(inforce.read(licensed_policy(place / "policies", providers)), Compiler(register), at)


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> tuple[InForce, InForce]:
    place = tmp_path_factory.mktemp("licences")
    return load(place), load(place, at=AFTER)


def zone(now: InForce, name: str) -> int:
    return next(number for number, region in now.regions.items() if region == name)


def class_(now: InForce, service: str, provider: str = "bt") -> int:
    return next(number for number, name in now.classes.items() if name == Name(service, provider))


def counters(now: InForce, *counts: tuple[str, str, str, str, int]) -> Counters:
    """(region, service, provider, verdict, packets), all of them up."""
    packets = {
        (zone(now, region), class_(now, service, provider), verdict, "up"): (number, 100 * number)
        for region, service, provider, verdict, number in counts
    }
    return Counters(packets, {}, {})


def test_what_was_counted_belongs_to_the_licence_of_then(moments: tuple[InForce, InForce]) -> None:
    before, after = moments
    by = ByLicence()
    by.look(counters(before, ("shenzhen", "openvpn", "bt", "blocked", 100)), before)  # an earlier daemon's
    assert by.totals() == {}
    by.look(
        counters(
            before,
            ("shenzhen", "openvpn", "bt", "blocked", 107),
            ("berlin", "openvpn", "bt", "blocked", 3),
            ("berlin", "openvpn", "", "blocked", 2),
            ("berlin", "openvpn", "bt", "shadow_passed", 3),  # nothing happened to these
            ("berlin", "skype", "", "passed", 9),  # needs no licence
        ),
        before,
    )
    expected = {
        Licensed("shenzhen", "bt", "applied", "blocked", "up"): 7,
        Licensed("berlin", "bt", "applied", "blocked", "up"): 3,
        Licensed("berlin", "", "none", "blocked", "up"): 2,
    }
    assert by.totals() == expected
    by.look(
        counters(before, ("shenzhen", "openvpn", "bt", "passed", 5), ("berlin", "openvpn", "bt", "blocked", 4)), after
    )
    expected[Licensed("shenzhen", "bt", "granted", "passed", "up")] = 5
    expected[Licensed("berlin", "bt", "applied", "blocked", "up")] += 1
    assert by.totals() == expected


def test_a_table_that_was_lost(moments: tuple[InForce, InForce]) -> None:
    """Its successor's counts are all new, also where they have passed the old ones by then."""
    now = moments[1]
    by = ByLicence()
    by.restart()
    by.look(counters(now, ("shenzhen", "openvpn", "bt", "passed", 5)), now)
    by.restart()
    by.look(counters(now, ("shenzhen", "openvpn", "bt", "passed", 8)), now)
    key = Licensed("shenzhen", "bt", "granted", "passed", "up")
    assert by.totals() == {key: 13}
    by.look(counters(now, ("shenzhen", "openvpn", "bt", "passed", 2)), now)  # somebody flushed the counters' set
    assert by.totals() == {key: 15}


def test_a_register_that_loses_a_provider(tmp_path: Path) -> None:
    load(tmp_path)
    other = load(tmp_path, PROVIDERS.replace("bt", "unicom"))
    by = ByLicence()
    by.restart()
    by.look(counters(other, ("shenzhen", "openvpn", "bt", "blocked", 5)), other)
    assert by.totals() == {Licensed("shenzhen", "", "none", "blocked", "up"): 5}


def test_without_providers_nothing_is_told_apart(tmp_path: Path) -> None:
    now = sample(tmp_path)
    by = ByLicence()
    by.restart()
    by.look(Counters({(zone(now, "beijing"), class_(now, "openvpn", ""), "blocked", "up"): (5, 500)}, {}, {}), now)
    assert by.totals() == {}


looks = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.booleans(), st.booleans()), max_size=10)


@given(looks)
def test_each_packet_is_counted_once(
    moments: tuple[InForce, InForce], looks: list[tuple[int, int, bool, bool]]
) -> None:
    """Whatever comes between: the clock, forth and back, and tables that are lost right after a look."""
    before, after = moments
    by = ByLicence()
    by.restart()
    passed = blocked = sent = 0
    for more_passed, more_blocked, later, lost in looks:
        passed, blocked, sent = passed + more_passed, blocked + more_blocked, sent + more_passed + more_blocked
        counted = counters(
            before, ("shenzhen", "openvpn", "bt", "passed", passed), ("berlin", "openvpn", "bt", "blocked", blocked)
        )
        by.look(counted, after if later else before)
        if lost:
            passed = blocked = 0
            by.restart()
    assert sum(by.totals().values()) == sent


def test_alike(tmp_path: Path) -> None:
    """In June in Shanghai and not yet in Berlin; the same day; another register."""
    before = load(tmp_path)
    with closing(Register(tmp_path / "register.jsonl")) as register:
        compiler = Compiler(register)
        at = [inforce.prepare(before.loaded, compiler, at) for at in (BEFORE, BEFORE.replace(hour=1), AFTER)]
    assert licences.alike(at[0], at[1])
    assert not licences.alike(at[0], at[2])
    assert not licences.alike(before, load(tmp_path, REVOKED))


def test_who_holds_what_where(tmp_path: Path, moments: tuple[InForce, InForce]) -> None:
    before, after = moments
    assert sorted(licences.held(before)) == [("bt", "berlin", "applied"), ("bt", "shenzhen", "applied")]
    assert sorted(licences.held(after)) == [("bt", "berlin", "applied"), ("bt", "shenzhen", "granted")]
    only_berlin = load(tmp_path, PROVIDERS.replace("2031-12-31}", "2031-12-31, regions: [berlin]}"))
    assert sorted(licences.held(only_berlin)) == [("bt", "berlin", "applied"), ("bt", "shenzhen", "none")]
    assert list(licences.held(sample(tmp_path / "nobody"))) == []


def test_when_a_licence_ends(tmp_path: Path) -> None:
    """After its last day on the first clock of those asked about, so Shanghai's."""
    (found,) = licences.ends(load(tmp_path))
    assert found == ("bt", datetime(2031, 12, 31, 16, 0, tzinfo=UTC).timestamp())
    only_berlin = PROVIDERS.replace("2031-12-31}", "2031-12-31, regions: [berlin]}")
    assert dict(licences.ends(load(tmp_path, only_berlin))) == {
        "bt": datetime(2031, 12, 31, 23, 0, tzinfo=UTC).timestamp()
    }
    assert list(licences.ends(load(tmp_path, PROVIDERS.replace("2031", "9999")))) == []
    assert list(licences.ends(load(tmp_path, PROVIDERS.replace(", until: 2031-12-31", "")))) == []
    assert list(licences.ends(load(tmp_path, REVOKED))) == []
