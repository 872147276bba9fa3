"""Other people's tables and queues in the gateway, as their programs list them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from citygate.kernel import listing
from citygate.lab.topology import GATEWAY, Lab
from tests.kernel.tables import table
from tests.kernel.world import World


@pytest.fixture
def theirs(world: World) -> Iterator[None]:
    """A table of each family, and a rule of each iptables, beside ours."""
    world.start(table())
    for family in ("ip", "ip6", "inet"):
        rules = "chain c { type filter hook forward priority 0; accept ; } ; set s { type mark; elements = { 7 } ; }"
        world.nft(f"table {family} theirs {{ {rules} ; }}")
    for program in ("iptables", "ip6tables"):
        world.gateway([program, "-t", "nat", "-A", "POSTROUTING", "-p", "tcp", "-j", "MASQUERADE"])
    yield
    for family in ("ip", "ip6", "inet"):
        world.nft("delete", "table", family, "theirs")
    for program in ("iptables", "ip6tables"):
        world.gateway([program, "-t", "nat", "-F", "POSTROUTING"])


def test_everybody_is_listed_but_us(theirs: None, lab: Lab) -> None:
    with lab.inside(GATEWAY):
        found = listing.others()
    tables = {(each["table"]["family"], each["table"]["name"]) for objects in found.tables for each in objects[1:2]}
    assert tables == {("ip", "theirs"), ("ip6", "theirs"), ("inet", "theirs")}
    assert all(sum("rule" in each for each in objects) == 1 for objects in found.tables)
    assert found.saves.keys() == {"iptables", "ip6tables"}
    for program, texts in found.saves.items():
        written = [line for text in texts for line in text.splitlines()]
        assert written.count("-A POSTROUTING -p tcp -j MASQUERADE") == 1, program
    assert found.unread == []


def test_elements_are_left_out(theirs: None, lab: Lab) -> None:
    """A block list of a million addresses is not the doctor's business."""
    with lab.inside(GATEWAY):
        sets = [each["set"] for objects in listing.others().tables for each in objects if "set" in each]
    assert len(sets) == 3 and not any("elem" in each for each in sets)


def test_a_table_that_cannot_be_listed_is_told(
    theirs: None, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a newer nft made it: 1.0.6 crashes on expressions that it does not know."""
    program = tmp_path / "nft"
    crash = 'case "$*" in *"table ip6 theirs") kill -SEGV $$ ;; esac'
    program.write_text(f'#!/bin/sh\n{crash}\nexec {shutil.which("nft")} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with lab.inside(GATEWAY):
        found = listing.others()
    assert found.unread == ["table ip6 theirs"]
    assert len([objects for objects in found.tables if objects]) == 2


def test_our_own_chains(world: World) -> None:
    with world.lab.inside(GATEWAY):
        assert listing.own_chains() == set()
        world.kernel.start(table())
        assert {"steer", "enforce", "judge"} <= listing.own_chains()


def test_who_is_bound(world: World) -> None:
    with world.lab.inside(GATEWAY):
        assert listing.bound() == {}
        namers = [world.namer(4), world.namer(7)]
        try:
            bound = listing.bound()
        finally:
            for namer in namers:
                namer.stop()
    assert bound.keys() == {4, 7}
    assert len(set(bound.values())) == 2
