"""citygate's own files, queue and table."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from netfilterqueue import NetfilterQueue

from citygate.doctor import service
from citygate.doctor.service import Holder
from citygate.kernel import queue_step
from citygate.lab import netns
from tests.doctor.conftest import Machine, ids

REGION = 'region: north\nsubscribers: ["10.1.0.0/16"]\n'
REGION6 = 'region: south\nsubscribers: ["fd01::/48"]\n'


def written(directory: Path, *regions: str, **settings: object) -> Path:
    """A configuration with a policy directory of these regions."""
    (directory / "policies/regions").mkdir(parents=True)
    for number, text in enumerate(regions):
        (directory / f"policies/regions/r{number}.yaml").write_text(text)
    file = directory / "citygate.yaml"
    file.write_text(json.dumps({"policies": "policies", "state": str(directory / "state"), **settings}))
    return file


def test_a_configuration_that_is_in_order(tmp_path: Path) -> None:
    config, found = service.configuration(written(tmp_path, REGION, queues={"first": 7, "count": 2}))
    assert ids(found) == {}
    assert service.numbers_of(config) == range(7, 9)


def test_a_configuration_that_is_not(tmp_path: Path) -> None:
    config, (missing,) = service.configuration(tmp_path / "none.yaml")
    assert config is None and (missing.id, missing.level) == ("config-refused", "problem")
    assert str(tmp_path / "none.yaml") in missing.sentence
    config, (wrong,) = service.configuration(written(tmp_path, queues={"first": -1}))
    assert config is None and wrong.id == "config-refused" and "citygate.yaml:1:" in wrong.sentence
    assert service.numbers_of(None) == range(1)


@pytest.mark.parametrize(("regions", "families"), [((REGION,), {4}), ((REGION6,), {6}), ((REGION, REGION6), {4, 6})])
def test_a_policy_that_loads(tmp_path: Path, regions: tuple[str, ...], families: set[int]) -> None:
    written(tmp_path, *regions)
    assert service.policy(tmp_path / "policies")[0] == families
    assert ids(service.policy(tmp_path / "policies")[1]) == {}


def test_a_policy_that_does_not(tmp_path: Path) -> None:
    written(tmp_path, REGION + "rules: [{name: a, match: {service: skypeuot}, action: drop}]\n")
    families, (found,) = service.policy(tmp_path / "policies")
    assert families == {4, 6}
    assert (found.id, found.level) == ("policy-refused", "problem")
    assert "r0.yaml:3:" in found.sentence and "skypeuot" in found.sentence


def test_a_state_directory(root: None, tmp_path: Path) -> None:
    directory = tmp_path / "made" / "later"
    assert ids(list(service.state(directory, None))) == {}
    with subprocess.Popen(["sleep", "60"], user=65534, group=65534, extra_groups=[]) as other:
        try:
            daemon = Holder(other.pid, "citygate run")
            assert ids(list(service.state(directory, daemon))) == {"state-not-writable": "problem"}
            for owner, mode, fine in ((65534, 0o700, True), (65534, 0o500, False), (0, 0o777, True), (0, 0o775, False)):
                os.chown(tmp_path, owner, 0)
                tmp_path.chmod(mode)
                assert (ids(list(service.state(directory, daemon))) == {}) is fine
            os.chown(tmp_path, 0, 65534)
            assert ids(list(service.state(directory, daemon))) == {}  # 0775, and of its group
        finally:
            other.kill()


def test_who_holds_a_queue(machine: Machine) -> None:
    with netns.inside(machine.name):
        queue = NetfilterQueue()
        queue.bind(5, lambda packet: packet.accept())
        try:
            held = service.holders()
        finally:
            queue.unbind()
        assert service.holders() == {}
    assert held.keys() == {5} and held[5].pid == os.getpid()
    assert list(service.queues(range(5), held)) == []
    stranger = {5: Holder(held[5].pid, "/usr/bin/suricata -q 5")}
    (found,) = service.queues(range(4, 6), stranger)
    assert (found.id, found.level) == ("queue-taken", "problem")
    assert f"queue 5 is bound by another program: /usr/bin/suricata -q 5 (process {os.getpid()})" in found.sentence


def test_a_holder_that_cannot_be_seen_is_not_accused(machine: Machine) -> None:
    """An account with CAP_NET_ADMIN alone does not see whose socket it is."""
    assert list(service.queues(range(1), {0: Holder()})) == []
    with netns.inside(machine.name):
        assert ids(list(service.running(range(1), Holder()))) == {"table-missing": "problem"}


STANDING = "table inet citygate {{ chain {} {{ type filter hook forward priority {}; }} ; }}"


@pytest.fixture
def standing(machine: Machine) -> Callable[[], None]:
    def make() -> None:
        for name, priority in (("steer", -155), ("ask", -150), ("enforce", -145)):
            machine.nft(STANDING.format(name, priority))

    return make


def test_the_table_and_the_daemon(machine: Machine, standing: Callable[[], None]) -> None:
    with netns.inside(machine.name):
        assert ids(list(service.running(range(1), None))) == {"not-running": "note"}
        me = Holder(os.getpid(), "citygate run")
        assert ids(list(service.running(range(1), me))) == {"table-missing": "problem"}
        standing()
        assert ids(list(service.running(range(1), None))) == {"daemon-absent": "warning"}


def test_the_daemons_account(machine: Machine, standing: Callable[[], None]) -> None:
    standing()
    with netns.inside(machine.name):
        if queue_step.probe() == "xtables":
            assert "queue-rule-missing" in ids(list(service.running(range(1), Holder(os.getpid(), "citygate run"))))
            queue_step.ensure_xtables(range(1))
        assert ids(list(service.running(range(1), Holder(os.getpid(), "citygate run")))) == {"daemon-root": "note"}
        with subprocess.Popen(["sleep", "60"], user=65534) as other:
            try:
                found = list(service.running(range(1), Holder(other.pid, "citygate run")))
            finally:
                other.kill()
    assert ids(found) == {"daemon-privilege": "problem"}
    assert found[0].sentence.endswith("as user 65534")
