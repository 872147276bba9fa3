"""One policy in force in a namespace of its own: edits, time, tables that somebody takes away in the middle."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from citygate import catalogue
from citygate.enforcer import Enforcer
from citygate.kernel import Counters, KernelError
from citygate.kernel.compile import Compiled
from citygate.lab import netns
from citygate.policy.load import load
from citygate.policy.problem import PolicyError
from citygate.register import Register
from tests.inforce_samples import BEIJING, SHENZHEN, licensed_policy, write_policy
from tests.namespaces import namespace

pytestmark = pytest.mark.usefixtures("root")

QUEUES = range(1)
DROP = SHENZHEN.replace("reject", "drop")
WINDOW = "  - {name: noon, match: {category: p2p}, action: drop, when: 13:00-14:00}\n"  # UTC


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    return write_policy(tmp_path / "policies", shenzhen=SHENZHEN, beijing=BEIJING)


@pytest.fixture
def enforcer(tmp_path: Path, policies: Path) -> Iterator[Enforcer]:
    """Started, with the thread in its namespace."""
    with (
        namespace("enforcer") as name,
        netns.inside(name),
        closing(Register(tmp_path / "register.jsonl")) as register,
        closing(Enforcer(policies, register, QUEUES)) as made,
    ):
        assert made.start() is False
        yield made


def nft(*words: str) -> str:
    return subprocess.run(["nft", *words], capture_output=True, text=True, check=True).stdout


def held() -> str:
    """What decides, without counters and handles."""
    return "".join(nft("list", "map", "inet", "citygate", name) for name in ("zone4_a", "zone6_a", "decisions"))


def test_an_edit(enforcer: Enforcer, policies: Path) -> None:
    before, table = enforcer.in_force, held()
    assert "act_reject" in table
    write_policy(policies, shenzhen=DROP)
    enforcer.reload()
    assert enforcer.in_force.policy.revision != before.policy.revision
    assert "act_drop" in held()
    write_policy(policies, shenzhen=SHENZHEN)
    enforcer.reload()
    assert (enforcer.in_force.policy.revision, held()) == (before.policy.revision, table)
    assert enforcer.tables == 1


def test_a_bad_policy_changes_nothing(enforcer: Enforcer, policies: Path) -> None:
    before, table = enforcer.in_force, held()
    write_policy(policies, shenzhen="region: [")
    with pytest.raises(PolicyError):
        enforcer.reload()
    assert (enforcer.in_force, held()) == (before, table)


def test_what_somebody_took_away_is_made_again(enforcer: Enforcer, policies: Path) -> None:
    table = held()
    assert enforcer.is_whole()
    assert enforcer.restore() is False
    nft("flush", "ruleset")
    assert not enforcer.is_whole()
    with pytest.raises(KernelError):
        enforcer.counters()
    assert enforcer.restore() is True
    assert (enforcer.is_whole(), held(), enforcer.tables) == (True, table, 2)
    nft("flush", "ruleset")
    write_policy(policies, shenzhen=DROP)
    enforcer.reload()  # meets no table
    assert "act_drop" in held()
    assert (enforcer.is_whole(), enforcer.tables) == (True, 3)


def fail(enforcer: Enforcer, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """As when somebody takes the table away while it is loaded, so many times in a row."""
    kernel = enforcer._kernel
    real = kernel.start
    left = [times]

    def start(table: Compiled) -> bool:
        if left[0]:
            left[0] -= 1
            nft("flush", "ruleset")
            raise KernelError("somebody removed the table")
        return real(table)

    monkeypatch.setattr(kernel, "start", start)


def test_a_load_that_fails_leaves_the_policy_in_force(
    enforcer: Enforcer, policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, table = enforcer.in_force, held()
    fail(enforcer, monkeypatch, 1)
    nft("flush", "ruleset")
    write_policy(policies, shenzhen=DROP)
    with pytest.raises(KernelError):
        enforcer.reload()
    assert enforcer.in_force is before
    assert (enforcer.torn, enforcer.is_whole(), held()) == (False, True, table)
    enforcer.reload()
    assert "act_drop" in held()


def test_when_nothing_can_be_loaded_it_is_known_and_mended(
    enforcer: Enforcer, policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, table = enforcer.in_force, held()
    fail(enforcer, monkeypatch, 2)
    nft("flush", "ruleset")
    write_policy(policies, shenzhen=DROP)
    with pytest.raises(KernelError):
        enforcer.reload()
    assert (enforcer.in_force is before, enforcer.torn, enforcer.is_whole()) == (True, True, False)
    assert enforcer.restore() is True
    assert (enforcer.torn, enforcer.is_whole(), held()) == (False, True, table)


def test_after_a_failure_an_edit_loads_the_whole_table(
    enforcer: Enforcer, policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows what is there, so nothing may be left out because it was there before."""
    fail(enforcer, monkeypatch, 2)
    nft("flush", "ruleset")
    write_policy(policies, shenzhen=DROP)
    with pytest.raises(KernelError):
        enforcer.reload()
    enforcer.reload()
    assert "act_drop" in held()
    assert not enforcer.torn


def test_time_edits_the_table(enforcer: Enforcer, policies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noon = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
    monkeypatch.setattr("citygate.inforce.datetime", _At(noon))
    write_policy(policies, beijing=BEIJING + WINDOW)
    enforcer.reload()
    now = enforcer.in_force
    edge = enforcer.next_edge(now)
    assert edge == noon.replace(hour=13, minute=0)
    table = held()
    assert enforcer.turn() == 0
    assert held() == table
    monkeypatch.setattr("citygate.inforce.datetime", _At(edge))
    assert enforcer.turn() == 1  # Beijing's zone
    assert held() != table
    assert enforcer.in_force.at == edge
    assert enforcer.in_force.policy is now.policy
    assert enforcer.next_edge(enforcer.in_force) == edge + timedelta(hours=1)


class _At:
    """A clock that stands."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self, zone: object) -> datetime:
        return self._moment


def test_a_rehearsed_policy(enforcer: Enforcer, policies: Path, tmp_path: Path) -> None:
    table = held()
    other = load(
        write_policy(tmp_path / "other", shenzhen=DROP.replace("skypeout}", "skype}"), beijing=BEIJING + WINDOW),
        catalogue.builtin(),
    )
    assert enforcer.next_edge(enforcer.in_force) is None
    enforcer.rehearse(other)
    assert held() == table
    assert "elements" in nft("list", "map", "inet", "citygate", "shadow")
    assert enforcer.next_edge(enforcer.in_force) is not None  # time changes what is counted
    enforcer.turn()
    enforcer.reload()
    assert enforcer.in_force.rehearsed is other
    nft("flush", "ruleset")
    assert enforcer.restore()
    assert "elements" in nft("list", "map", "inet", "citygate", "shadow")
    enforcer.rehearse(None)
    assert "elements" not in nft("list", "map", "inet", "citygate", "shadow")
    enforcer.rehearse(other)
    write_policy(policies, shenzhen=DROP.replace("skypeout}", "skype}"), beijing=BEIJING + WINDOW)
    enforcer.reload()
    assert enforcer.in_force.rehearsed is None


def test_licences_are_looked_at_before_they_change(
    enforcer: Enforcer, policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And at no other edit: with many counters a look takes longer than an edit."""
    looked: list[str] = []
    licensed_policy(policies)
    kernel = enforcer._kernel
    real = kernel.counters

    def counters() -> Counters:
        looked.append(enforcer.in_force.policy.revision)
        return real()

    monkeypatch.setattr(kernel, "counters", counters)
    first = enforcer.in_force.policy.revision
    (policies / "regions/beijing.yaml").unlink()
    enforcer.reload()
    assert looked == [first]
    berlin = policies / "regions/berlin.yaml"
    berlin.write_text(berlin.read_text().replace("reject", "drop"))
    enforcer.reload()
    enforcer.turn()
    assert looked == [first]
    second = enforcer.in_force.policy.revision
    monkeypatch.setattr("citygate.inforce.datetime", _At(datetime(2032, 1, 1, tzinfo=UTC)))
    enforcer.turn()
    assert looked == [first, second]
    assert enforcer.licensed() == {}
