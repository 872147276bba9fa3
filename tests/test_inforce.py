"""One policy directory in the forms in which the daemon uses it."""

from __future__ import annotations

from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import pytest

from citygate import inforce
from citygate.catalogue import builtin
from citygate.kernel.compile import Compiler
from citygate.policy.model import Action
from citygate.policy.problem import PolicyError
from citygate.policy.reload import Reloader
from citygate.register import Register
from tests.inforce_samples import BEIJING, SHENZHEN, sample, write_policy


def test_numbers_and_names_agree(tmp_path: Path) -> None:
    got = sample(tmp_path)
    assert {got.regions[number] for number in got.table.tables} == {"shenzhen", "beijing"}
    assert sorted(got.regions.values()) == ["beijing", "shenzhen", "shenzhen"]
    assert set(got.classes.values()) == {(name, "") for name in got.names.catalogue.services}
    for number, (service, _) in got.classes.items():
        recognise = got.names.catalogue.services[service].recognise
        if recognise:
            assert got.naming.service(recognise) == (service, number)
    zone = got.index.find(ip_address("fd00:10:0:37::1"))
    assert zone is not None
    assert zone.key == "shenzhen:skypeout"


def test_what_was_once_named_keeps_its_number(tmp_path: Path) -> None:
    register = Register(tmp_path / "register.jsonl")
    try:
        first = inforce.load(write_policy(tmp_path / "one", shenzhen=SHENZHEN), register)
        second = inforce.load(write_policy(tmp_path / "two", beijing=BEIJING), register)
    finally:
        register.close()
    assert set(first.regions.values()) == {"shenzhen"}
    assert first.regions.items() < second.regions.items()
    assert first.classes == second.classes
    assert first.policy.revision != second.policy.revision


def test_a_site_s_own_service_has_a_class(tmp_path: Path) -> None:
    policies = write_policy(tmp_path / "policies", shenzhen=SHENZHEN)
    (policies / "services.yaml").write_text(
        "services:\n  - {service: acme-voice, category: voip, title: ACME, hosts: ['*.voice.acme.example']}\n"
    )
    register = Register(tmp_path / "register.jsonl")
    try:
        got = inforce.load(policies, register)
        assert got.naming.service("tls", "a.voice.acme.example") == ("acme-voice", register.class_of("acme-voice"))
    finally:
        register.close()


def test_a_bad_policy_is_refused_whole_and_registers_nothing(tmp_path: Path) -> None:
    policies = write_policy(tmp_path / "policies", shenzhen=SHENZHEN, beijing="region: beijing\n")
    register = Register(tmp_path / "register.jsonl")
    try:
        with pytest.raises(PolicyError, match=r"beijing\.yaml:1:1: `subscribers` is missing"):
            inforce.load(policies, register)
        assert (register.classes(), register.zones()) == ({}, {})
    finally:
        register.close()


def test_what_an_edit_leaves_alone_is_not_made_again(tmp_path: Path) -> None:
    """A rule changes: the names stay. The time goes on: the zones stay too."""
    policies = write_policy(tmp_path / "policies", shenzhen=SHENZHEN, beijing=BEIJING)
    with closing(Register(tmp_path / "register.jsonl")) as register:
        compiler, reloader = Compiler(register), Reloader(policies, builtin())
        first = inforce.prepare(reloader.load(), compiler)
        later = inforce.prepare(first.loaded, compiler, before=first)
        assert later.naming is first.naming
        assert later.index is first.index
        write_policy(policies, beijing=BEIJING.replace("drop", "reject"))
        edited = inforce.prepare(reloader.load(), compiler, before=later)
        assert edited.naming is first.naming
        for address in ("10.30.0.1", "fd00:30::1"):
            zone = edited.index.find(ip_address(address))
            assert zone is not None
            assert zone.rules[0].action is Action.REJECT
        beijing = next(number for number, region in first.regions.items() if region == "beijing")
        assert [number for number, table in edited.table.tables.items() if table is not first.table.tables[number]] == [
            beijing
        ]
