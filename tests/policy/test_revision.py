"""The revision is of the meaning: nothing else changes it, and any change of meaning does."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from citygate.catalogue import Catalogue, Service
from citygate.catalogue.model import Piece, Signature
from citygate.policy.load import load
from tests.policy.directory import write
from tests.policy.world import CATALOGUE

TEXT = """\
region: a
description: first
subscribers: [10.0.0.0/9, 10.128.0.0/9, "fd00::/16"]
rules:
  - name: calls
    match: {service: [skype, skypeout], port: [udp/1, tcp/2]}
    action: drop
    except: [10.0.0.2, 10.0.0.1]
  - {name: vpn, match: {category: vpn}, action: reject}
"""


def revision(directory: Path, text: str = TEXT, catalogue: Catalogue = CATALOGUE) -> str:
    return load(write(directory, {"a.yaml": text}), catalogue).revision


def test_it_is_short_and_stable(tmp_path: Path) -> None:
    first = revision(tmp_path)
    assert first == revision(tmp_path)
    assert len(first) == 12
    assert int(first, 16) >= 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("region: a", "# a comment\n\nregion:   'a'"),
        ("first", "second"),
        ('[10.0.0.0/9, 10.128.0.0/9, "fd00::/16"]', "[fd00:0::/16, 10.0.0.0/8]"),
        ("[skype, skypeout]", "[skypeout, skype, skype]"),
        ("[udp/1, tcp/2]", "[tcp/2-2, udp/1]"),
        ("[10.0.0.2, 10.0.0.1]", "[10.0.0.1/32, 10.0.0.2]"),
        ("rules:", "timezone: UTC\ndefault: allow\non_failure: allow\nrules:"),
        ("action: drop", "mode: enforce\n    action: drop"),
    ],
)
def test_another_way_to_write_the_same(tmp_path: Path, old: str, new: str) -> None:
    assert old in TEXT
    assert revision(tmp_path, TEXT.replace(old, new)) == revision(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("region: a", "region: b"),
        ("10.128.0.0/9", "10.128.0.0/10"),
        ("fd00::/16", "fd00::/17"),
        ("[skype, skypeout]", "skype"),
        ("udp/1", "udp/1-2"),
        ("action: drop", "action: reject"),
        ("action: drop", "mode: monitor\n    action: drop"),
        ("except: [10.0.0.2, 10.0.0.1]", "except: 10.0.0.2"),
        ("except:", "only:"),
        ("name: calls", "name: phone"),
        ("rules:", "timezone: Asia/Shanghai\nrules:"),
        ("rules:", "default: drop\nrules:"),
        ("rules:", "on_failure: drop\nrules:"),
    ],
)
def test_another_meaning(tmp_path: Path, old: str, new: str) -> None:
    assert old in TEXT
    assert revision(tmp_path, TEXT.replace(old, new, 1)) != revision(tmp_path)


def test_the_order_of_rules_matters_but_not_that_of_files(tmp_path: Path) -> None:
    head, _, rules = TEXT.partition("rules:\n")
    calls, _, vpn = rules.partition("  - {")
    assert revision(tmp_path, f"{head}rules:\n  - {{{vpn}{calls}") != revision(tmp_path)
    other = "region: b\nsubscribers: fd01::/16\n".replace("fd01::/16", "fd01::/32")
    one = load(write(tmp_path / "1", {"a.yaml": TEXT, "b.yaml": other}), CATALOGUE)
    two = load(write(tmp_path / "2", {"b.yaml": TEXT, "a.yaml": other}), CATALOGUE)
    assert one.revision == two.revision


def test_what_a_service_is_is_part_of_the_meaning(tmp_path: Path) -> None:
    known = tuple(CATALOGUE.services.values())
    more = Catalogue((*known, Service("acme", "vpn", "ACME", None, ("acme.example",), "", "")))
    retitled = Catalogue((*known, Service("acme", "vpn", "ACME Corp.", None, ("acme.example",), "x", "y")))
    assert revision(tmp_path, catalogue=more) != revision(tmp_path)
    assert revision(tmp_path, catalogue=more) == revision(tmp_path, catalogue=retitled)


@pytest.mark.parametrize(
    "change",
    [
        {"networks": (IPv4Network("198.51.100.0/24"),)},
        {"signatures": (Signature("udp", ((7, 7),), (Piece(0, b"ac", b"\xff\xff"),)),)},
        {"parent": "openvpn"},
    ],
)
def test_what_a_service_is_told_by_is_part_of_the_meaning(tmp_path: Path, change: dict[str, Any]) -> None:
    known = tuple(CATALOGUE.services.values())
    acme = Service("acme", "vpn", "ACME", None, ("acme.example",), "", "")
    plain, changed = (Catalogue((*known, service)) for service in (acme, replace(acme, **change)))
    assert revision(tmp_path, catalogue=plain) != revision(tmp_path, catalogue=changed)
