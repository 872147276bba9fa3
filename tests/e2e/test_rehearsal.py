"""A second policy beside the one in force: it counts and changes nothing; then it is promoted."""

from __future__ import annotations

import io
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from citygate.lab.gateway import Gateway
from citygate.lab.topology import GATEWAY, Lab, party
from citygate.lab.udp import Refusal
from citygate.rehearsal import HOLD_S
from citygate.tools.ask import AskError, ask_all
from citygate.tools.promote import promote
from citygate.tools.shadow import end, shadow
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.tools import packets, region, until

families = pytest.mark.parametrize("family", [4, 6])

SKYPEOUT = "match: {service: skypeout}, action: reject"
SKYPE = "match: {service: skype}, action: drop"
IN_FORCE = region(SKYPEOUT)
OTHER = region(SKYPE)  # lets SkypeOut pass

Counts = dict[tuple[str, str, str, str], int]
"""(region, service, would, direction) to packets."""


@pytest.fixture
def policies(tmp_path: Path) -> Callable[..., Path]:
    """Makes a policy directory from region files, and others by path."""

    def make(name: str = "rehearsed", files: dict[str, str] | None = None, **regions: str) -> Path:
        place = tmp_path / name
        (place / "regions").mkdir(parents=True, exist_ok=True)
        for region_name, text in regions.items():
            (place / "regions" / f"{region_name.replace('_', '-')}.yaml").write_text(text)
        for path, text in (files or {}).items():
            (place / path).parent.mkdir(exist_ok=True)
            (place / path).write_text(text)
        return place

    return make


Policies = Callable[..., Path]


def begin(gateway: Gateway, directory: Path) -> dict[str, Any]:
    """What `citygate shadow DIR --json` prints; it must succeed."""
    out = io.StringIO()
    assert shadow(gateway.control, directory, as_json=True, out=out) == 0
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def counts(gateway: Gateway) -> Counts:
    """What `citygate shadow --json` prints."""
    out = io.StringIO()
    assert shadow(gateway.control, None, as_json=True, out=out) == 0
    rows = json.loads(out.getvalue())["flips"]
    assert all(row["bytes"] >= 20 * row["packets"] for row in rows)
    return {(row["region"], row["service"], row["would"], row["direction"]): row["packets"] for row in rows}


def served(gateway: Gateway) -> Counts:
    """What Prometheus gets: all rehearsals since the table was made."""
    return {
        (has["region"], has["service"], has["would"], has["direction"]): int(value)
        for (name, labels), value in gateway.metrics().items()
        if name == "citygate_shadow_packets_total" and (has := dict(labels))
    }


def both_ways(found: Counts) -> dict[tuple[str, str, str], int]:
    """(region, service, would) to packets."""
    total: Counter[tuple[str, str, str]] = Counter()
    for (name, service, would, _), number in found.items():
        total[name, service, would] += number
    return total


def lost(traffic: Traffic, caller: str, family: int, seed: int = 1) -> int:
    """How many packets of a SkypeOut call are refused; a seed has as many before its name is known, wherever from."""
    (call,) = traffic.raw("skypeout", caller, family=family, seed=seed)
    return call.sent - call.arrived


def in_force(gateway: Gateway) -> str:
    infos = (dict(labels) for name, labels in gateway.metrics() if name == "citygate_policy_info")
    return next(infos)["revision"]


@families
def test_it_counts_and_changes_nothing(
    gateway: StartGateway, traffic: Traffic, policies: Policies, family: int
) -> None:
    running = gateway({"shenzhen": IN_FORCE, "beijing": region(SKYPEOUT, name="beijing")})
    told = begin(running, policies(shenzhen=OTHER, beijing=region(SKYPEOUT, name="beijing")))
    assert (told["applied"], told["unseen"], told["problems"]) == (True, [], [])
    assert told["in_force"] == in_force(running) != told["revision"]
    assert running.total("citygate_shadow_info", revision=told["revision"]) == 1
    refused = traffic.call("skypeout", "shenzhen", family=family)
    allowed = traffic.call("skype", "shenzhen", family=family, seed=2)
    same = traffic.call("skypeout", "beijing", "shanghai", family, seed=3)
    for call in (refused, same):
        assert call.wait_until_cut(0.0) is not None
    assert allowed.wait_for_frames(100)
    for call in (refused, allowed, same):
        call.stop()
    assert allowed.tally().lost == 0
    assert refused.tally().refused is same.tally().refused is Refusal.ICMP
    found = counts(running)
    kernel = packets(running)
    assert found == {
        ("shenzhen", "skypeout", "passed", "up"): kernel["skypeout", "blocked", "up"],
        ("shenzhen", "skype", "blocked", "up"): kernel["skype", "passed", "up"],
        ("shenzhen", "skype", "blocked", "down"): kernel["skype", "passed", "down"],
    }
    assert served(running) == found


@families
def test_exceptions_of_the_other_policy(
    gateway: StartGateway, traffic: Traffic, policies: Policies, family: int
) -> None:
    """Where the two cut a region's subscribers differently, each piece is counted for what it is."""
    household = party("household").address(family)
    running = gateway({"shenzhen": region(SKYPEOUT)})
    begin(running, policies(shenzhen=region(f'{SKYPEOUT}, except: ["{household}"]', SKYPE)))
    (spared,) = traffic.talk("skypeout", "household", family=family)
    assert 0 < spared.arrived < spared.sent
    assert lost(traffic, "shenzhen", family, 2) > 0
    assert both_ways(counts(running)) == {("shenzhen", "skypeout", "passed"): spared.sent - spared.arrived}


@families
def test_subscribers_whom_only_the_other_policy_has(
    gateway: StartGateway, traffic: Traffic, policies: Policies, family: int
) -> None:
    running = gateway({"shenzhen": region(SKYPEOUT)})
    begin(running, policies(shenzhen=region(SKYPEOUT), shanghai=region(SKYPEOUT, name="shanghai")))
    refused = lost(traffic, "shenzhen", family)
    assert lost(traffic, "shanghai", family) == 0
    assert both_ways(counts(running)) == {("shanghai", "skypeout", "blocked"): refused}


@families
def test_an_edit_of_the_policy_in_force_keeps_it_right(
    gateway: StartGateway, traffic: Traffic, policies: Policies, family: int
) -> None:
    running = gateway({"shenzhen": IN_FORCE, "beijing": region(name="beijing")})
    told = begin(running, policies(shenzhen=region(), beijing=region(SKYPEOUT, name="beijing")))
    expected = {("shenzhen", "skypeout", "passed"): lost(traffic, "shenzhen", family)}
    assert both_ways(counts(running)) == expected
    running.edit("shenzhen", region())  # now as the other one has it
    assert lost(traffic, "shenzhen", family, 2) == 0
    assert both_ways(counts(running)) == expected
    running.edit("shenzhen", region(SKYPEOUT.replace("reject", "drop")))
    refused = lost(traffic, "shenzhen", family, 3)
    assert lost(traffic, "beijing", family, 3) == 0
    expected["shenzhen", "skypeout", "passed"] += refused
    expected["beijing", "skypeout", "blocked"] = refused
    assert both_ways(counts(running)) == expected
    running.edit("shenzhen", region())
    running.edit("beijing", region(SKYPEOUT, name="beijing"))  # it is in force now
    assert in_force(running) == told["revision"]
    assert not any(name == "citygate_shadow_info" for name, _ in running.metrics())
    with pytest.raises(AskError, match="no policy is rehearsed"):
        running.ask("shadow_counters")


@families
def test_one_after_another_and_a_flushed_table(
    gateway: StartGateway, lab: Lab, traffic: Traffic, policies: Policies, family: int
) -> None:
    """Each begins at 0, and a table that was made again loses no more than what it had counted."""
    running = gateway({"shenzhen": IN_FORCE})
    begin(running, policies("one", shenzhen=region()))
    first = lost(traffic, "shenzhen", family)
    key = ("shenzhen", "skypeout", "passed")
    begin(running, policies("two", shenzhen=OTHER))
    assert counts(running) == {}
    second = lost(traffic, "shenzhen", family, 2)
    assert both_ways(counts(running)) == {key: second}
    assert both_ways(served(running)) == {key: first + second}
    assert lab.run(GATEWAY, ["nft", "flush", "ruleset"]).returncode == 0
    until(lambda: running.total("citygate_policy_reloads_total", result="restored") == 1, "the table is made again")
    later = sum(lost(traffic, "shenzhen", family, seed) for seed in (3, 4, 5))
    assert both_ways(counts(running)) == both_ways(served(running)) == {key: later}


def test_a_bad_directory_is_refused_with_its_problems(
    gateway: StartGateway, policies: Policies, capsys: pytest.CaptureFixture[str]
) -> None:
    running = gateway({"shenzhen": IN_FORCE})
    good = begin(running, policies("good", shenzhen=OTHER))
    bad = policies("bad", shenzhen=region("match: {service: skypeuot}, action: reject"), beijing="region: [")
    assert shadow(running.control, bad, as_json=False) == 1
    said = capsys.readouterr().err.splitlines()
    assert any(line.startswith(f"{bad}/regions/shenzhen.yaml:6:") and "mean `skypeout`?" in line for line in said)
    assert said[-1] == f"not rehearsed: problems: {len(said) - 1}"
    assert shadow(running.control, bad / "none", as_json=False) == 1
    assert "cannot be read: no such file or directory" in capsys.readouterr().err
    assert running.total("citygate_shadow_info", revision=good["revision"]) == 1
    assert running.reloads() == 1


def test_what_cannot_be_seen_is_said(gateway: StartGateway, policies: Policies) -> None:
    provider = "{provider: NAME, title: T, services: [vpn], endpoints: {networks: [NETWORK]}}"
    known = provider.replace("NAME", "known").replace("NETWORK", "203.0.113.0/24")
    running = gateway({"shenzhen": IN_FORCE}, providers=f"providers: [{known}]\n")
    moved = known.replace("203.0.113.0/24", '"2001:db8:25::/48"')
    new = provider.replace("NAME", "new").replace("NETWORK", "198.51.100.0/24")
    service = "services: [{service: acme, category: voip, title: ACME, hosts: [acme.example]}]\n"
    files = {"providers.yaml": f"providers: [{moved}, {new}]\n", "services.yaml": service}
    told = begin(running, policies(shenzhen=IN_FORCE, files=files))
    assert [sentence.partition(":")[0] for sentence in told["unseen"]] == [
        "service acme",
        "provider known",
        "provider new",
    ]


@families
def test_off(gateway: StartGateway, traffic: Traffic, policies: Policies, family: int) -> None:
    running = gateway({"shenzhen": IN_FORCE})
    assert end(running.control, as_json=True) == 1
    begin(running, policies(shenzhen=OTHER))
    traffic.raw("skypeout", "shenzhen", family=family)
    before = served(running)
    assert end(running.control, as_json=True) == 0
    traffic.raw("skypeout", "shenzhen", family=family, seed=2)
    assert served(running) == before != {}
    assert not any(name == "citygate_shadow_info" for name, _ in running.metrics())
    assert "rehearsed" not in running.lab.run(GATEWAY, ["nft", "list", "chain", "inet", "citygate", "enforce"]).stdout
    assert shadow(running.control, None, as_json=True) == 1


@families
def test_promotion(gateway: StartGateway, traffic: Traffic, policies: Policies, family: int) -> None:
    running = gateway({"shenzhen": IN_FORCE, "beijing": region(name="beijing")})
    place = running.directory / "policies"
    (place / "NOTES").write_text("ours")
    (place / "tests").mkdir()
    (place / "tests/ours.yaml").write_text("[]")
    os.chmod(running.region("shenzhen"), 0o640)
    call = traffic.call("skypeout", "shenzhen", family=family)
    beside = traffic.call("skype", "beijing", "shanghai", family, seed=2)
    assert call.wait_until_cut(0.0) is not None
    assert beside.wait_for_frames(30)
    other = policies(shenzhen=OTHER, shanghai=region(name="shanghai"), files={"tests/new.yaml": "[]"})
    told = begin(running, other)
    promoted = time.monotonic()
    out = io.StringIO()
    assert promote(running.control, as_json=True, out=out) == 0
    done = json.loads(out.getvalue())
    assert (done["applied"], done["revision"], done["problems"]) == (True, told["revision"], [])
    assert done["written"] == [
        f"added {place}/regions/shanghai.yaml",
        f"changed {place}/regions/shenzhen.yaml",
        f"added {place}/tests/new.yaml",
        f"removed {place}/regions/beijing.yaml",
    ]
    assert in_force(running) == told["revision"]
    assert running.region("shenzhen").read_text() == OTHER
    assert running.region("shenzhen").stat().st_mode & 0o777 == 0o640
    assert (place / "NOTES").read_text() == "ours"
    assert {file.name for file in (place / "tests").iterdir()} == {"ours.yaml", "new.yaml"}
    assert not [file.name for file in place.glob("**/.*")]
    assert not any(name == "citygate_shadow_info" for name, _ in running.metrics())
    assert call.wait_until_alive(promoted) is not None
    assert beside.wait_for_frames(30)
    beside.stop()
    assert beside.tally().lost == 0
    assert running.total("citygate_policy_reloads_total", result="refused") == 0
    assert promote(running.control, as_json=True) == 1  # nothing is rehearsed any more


def test_a_directory_that_has_changed_since_is_refused(
    gateway: StartGateway, policies: Policies, capsys: pytest.CaptureFixture[str]
) -> None:
    running = gateway({"shenzhen": IN_FORCE})
    before = in_force(running)
    told = begin(running, other := policies(shenzhen=OTHER))
    policies(shenzhen=region(SKYPE, SKYPEOUT))
    assert promote(running.control, as_json=False) == 1
    said = capsys.readouterr().err
    assert f"{other} has changed since it was rehearsed ({told['revision']}, now " in said
    policies(shenzhen="region: [")
    assert promote(running.control, as_json=False) == 1
    assert "regions/shenzhen.yaml:" in capsys.readouterr().err
    assert running.region("shenzhen").read_text() == IN_FORCE
    assert in_force(running) == before
    running.edit("shenzhen", region())  # nothing holds it back
    assert in_force(running) != before


def test_a_promotion_that_cannot_write_changes_nothing(
    gateway: StartGateway, policies: Policies, capsys: pytest.CaptureFixture[str]
) -> None:
    running = gateway({"shenzhen": IN_FORCE})
    before = in_force(running)
    begin(running, policies(shenzhen=OTHER, beijing=region(name="beijing")))
    blocked = running.region("shenzhen").with_name(".shenzhen.yaml.new")
    blocked.mkdir()  # its place is taken
    assert promote(running.control, as_json=False) == 1
    assert "Is a directory" in capsys.readouterr().err
    blocked.rmdir()
    assert [file.name for file in running.region("shenzhen").parent.iterdir()] == ["shenzhen.yaml"]
    assert in_force(running) == before
    assert promote(running.control, as_json=False) == 0


def test_promotion_of_the_directory_in_force(gateway: StartGateway) -> None:
    running = gateway({"shenzhen": IN_FORCE})
    before = in_force(running)
    told = begin(running, running.directory / "policies")
    assert (told["revision"], told["pairs"]) == (before, 0)
    out = io.StringIO()
    assert promote(running.control, as_json=True, out=out) == 0
    assert json.loads(out.getvalue())["written"] == []
    assert in_force(running) == before


def test_held_files_are_not_read_until_the_promotion_is_done(gateway: StartGateway) -> None:
    """Neither for the watcher nor for a hangup; a promotion that dies is taken as whatever is there, after a while."""
    running = gateway({"shenzhen": IN_FORCE})
    for dies in (False, True):
        before, reloads = in_force(running), running.reloads()
        ask_all(running.control, "hold")
        held = time.monotonic()
        running.edit("shenzhen", region(SKYPE, default="drop" if dies else "allow"), wait=False)
        os.kill(running.pid, signal.SIGHUP)
        time.sleep(4)  # longer than a watcher that inotify told nothing takes
        assert (in_force(running), running.reloads()) == (before, reloads)
        if not dies:
            _, done = ask_all(running.control, "reload")
            assert done["applied"]
        until(lambda: in_force(running) != before, "the new policy", HOLD_S)  # noqa: B023  # asked before the loop goes on
        assert (time.monotonic() - held > HOLD_S) is dies
    assert running.stop() == 0


def test_a_daemon_that_is_held_stops_at_once(gateway: StartGateway) -> None:
    running = gateway({"shenzhen": IN_FORCE})
    ask_all(running.control, "hold")
    began = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - began < HOLD_S / 2
