"""The revision is of the meaning: nothing else changes it, and any change of meaning does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.catalogue import Catalogue, Service
from citygate.catalogue.model import Piece, Signature
from citygate.policy.load import load
from citygate.policy.model import Action, Match, Region, Rule, Window
from citygate.policy.revision import region_digest
from citygate.policy.share import seed_of
from tests.policy import world
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
  - name: video
    match: {service: skype, provider: [bt, acme], licence: [granted, applied]}
    action: {throttle: 2 Mbit/s}
    rollout: 25%
    when: [Mon-Fri 18:00-23:00, Sat 22:00-06:00]
  - {name: mark, match: {network: 198.51.100.0/24}, action: {mark: EF}}
  - {name: vpn, match: {category: vpn}, action: reject}
"""
REGISTER = """\
providers:
  - provider: bt
    title: British Telecom
    services: [vpn, skype]
    licence: {status: granted, since: 2016-05-18, from: 2016-06-01, until: 2031-12-31, regions: [b, c]}
    endpoints:
      networks: [203.0.113.0/25, "2001:db8:1::/48"]
      hosts: ["*.bt.example", bt.example]
  - {provider: acme, title: ACME, services: [voip]}
"""
OTHERS = {"b.yaml": "region: b\nsubscribers: fd01::/32\n", "c.yaml": "region: c\nsubscribers: 192.0.2.0/24\n"}


def revision(directory: Path, text: str = TEXT, catalogue: Catalogue = CATALOGUE, register: str = REGISTER) -> str:
    files = {"a.yaml": text, **OTHERS, "./providers.yaml": register}
    return load(write(directory, files), catalogue).policy.revision


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
        ("[bt, acme]", "[acme, bt, bt]"),
        ("[granted, applied]", "[applied, granted]"),
        ("2 Mbit/s", "250 kB/s"),
        ("mark: EF", "mark: 46"),
        ("25%", "25.00 %"),
        ("25%", f"{{share: 25%, seed: {seed_of('a', 'video')}}}"),
        ("action: drop", "rollout: 100%\n    action: drop"),
        ("action: drop", "when: Mon-Sun\n    action: drop"),
        ("action: drop", "when: [6:00-18:00, 18:00-6:00]\n    action: drop"),
        ("Mon-Fri 18:00-23:00, Sat 22:00-06:00", "Saturday 22:00-6:00, Fri 18:00-23:00, Mon-Thu 18:00-23:00"),
        ("Mon-Fri 18:00-23:00, Sat 22:00-06:00", "Mon-Fri 18:00-23:00, Sat 22:00-24:00, Sun 0:00-6:00"),
    ],
)
def test_another_way_to_write_the_same(tmp_path: Path, old: str, new: str) -> None:
    assert old in TEXT
    assert revision(tmp_path, TEXT.replace(old, new, 1)) == revision(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("region: a", "region: d"),
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
        ("provider: [bt, acme]", "provider: bt"),
        ("provider: [bt, acme], ", ""),
        ("[granted, applied]", "[granted, expired]"),
        (", licence: [granted, applied]", ""),
        ("2 Mbit/s", "2.1 Mbit/s"),
        ("{throttle: 2 Mbit/s}", "allow"),
        ("mark: EF", "mark: AF41"),
        ("{mark: EF}", "allow"),
        ("    rollout: 25%\n", ""),
        ("25%", "26%"),
        ("25%", "{share: 25%, seed: 7}"),
        ("25%", "100%"),
        ("    when: [Mon-Fri 18:00-23:00, Sat 22:00-06:00]\n", ""),
        ("Mon-Fri", "Mon-Thu"),
        ("18:00-23:00", "18:00-23:01"),
        ("22:00-06:00", "22:00-05:59"),
        ("Sat 22:00-06:00", "Sun 22:00-06:00"),
    ],
)
def test_another_meaning(tmp_path: Path, old: str, new: str) -> None:
    assert old in TEXT
    assert revision(tmp_path, TEXT.replace(old, new, 1)) != revision(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("British Telecom", "BT"),
        ("services: [voip]", "services: [voip, voip], description: A, licence: {status: none}"),
        ("[vpn, skype]", "[skype, vpn]"),
        ("[b, c]", "[c, b]"),
        ('[203.0.113.0/25, "2001:db8:1::/48"]', '["2001:db8:1:0::/48", 203.0.113.0/25]'),
        ('["*.bt.example", bt.example]', '[bt.example, "*.bt.example"]'),
    ],
)
def test_another_way_to_write_the_same_register(tmp_path: Path, old: str, new: str) -> None:
    assert old in REGISTER
    assert revision(tmp_path, register=REGISTER.replace(old, new)) == revision(tmp_path)
    head, bt, acme = REGISTER.replace("  - {provider: acme", "  - provider: bt").split("  - provider: bt")
    assert revision(tmp_path, register=f"{head}  - {{provider: acme{acme}  - provider: bt{bt}") == revision(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[vpn, skype]", "[vpn]"),
        ("[voip]", "[skypeout]"),
        ("status: granted", "status: revoked"),
        ("since: 2016-05-18", "since: 2016-05-19"),
        ("since: 2016-05-18, ", ""),
        ("from: 2016-06-01", "from: 2016-06-02"),
        ("until: 2031-12-31", "until: 2031-12-30"),
        (", until: 2031-12-31", ""),
        (", regions: [b, c]", ""),
        ("[b, c]", "[b]"),
        ("203.0.113.0/25", "203.0.113.0/24"),
        ("2001:db8:1::/48", "2001:db8:1::/49"),
        ('"*.bt.example", ', ""),
        ("  - {provider: acme, ", "  - {provider: other, title: O, services: [openvpn]}\n  - {provider: acme, "),
    ],
)
def test_another_meaning_of_the_register(tmp_path: Path, old: str, new: str) -> None:
    assert old in REGISTER
    assert revision(tmp_path, register=REGISTER.replace(old, new)) != revision(tmp_path)


@given(st.lists(st.sampled_from(world.WINDOWS), max_size=3), st.lists(st.sampled_from(world.WINDOWS), max_size=3))
def test_windows_are_the_same_when_they_are_open_at_the_same_time(one: list[Window], other: list[Window]) -> None:
    def of(windows: list[Window]) -> str:
        rule = Rule("x", Match(), Action.DROP, windows=tuple(windows))
        return region_digest(Region("r", "", (), "UTC", Action.ALLOW, Action.ALLOW, (rule,)))

    def open_at(windows: list[Window]) -> list[bool]:
        # All of them begin and end at whole hours.
        monday = datetime(2026, 6, 1, tzinfo=ZoneInfo(world.TIMEZONE))
        return [not windows or world.is_open(tuple(windows), monday + timedelta(hours=hour)) for hour in range(7 * 24)]

    assert (of(one) == of(other)) == (open_at(one) == open_at(other))


def test_the_order_of_rules_matters_but_not_that_of_files(tmp_path: Path) -> None:
    head, vpn, _ = TEXT.partition("  - {name: vpn, match: {category: vpn}, action: reject}\n")
    assert vpn
    assert revision(tmp_path, head.replace("rules:\n", f"rules:\n{vpn}")) != revision(tmp_path)
    one, two = (
        load(write(tmp_path / name, {name: TEXT, **OTHERS, "./providers.yaml": REGISTER}), CATALOGUE)
        for name in ("a.yaml", "z.yaml")
    )
    assert [region.name for region in one.policy.regions] != [region.name for region in two.policy.regions]
    assert one.policy.revision == two.policy.revision


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
