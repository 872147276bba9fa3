"""A small policy with every kind of rule, and the command's answers about it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from citygate.review.explain import Options, explain
from tests.policy.directory import write

SHENZHEN = """\
region: shenzhen
subscribers: [10.10.0.0/16, "fd00:10::/48"]
timezone: Asia/Shanghai
rules:
  - name: skypeout
    match: {service: skypeout}
    action: reject
    except: [10.10.3.7, "fd00:10:0:37::/64"]
  - name: vpn-licensed
    match: {category: vpn, licence: granted}
    action: allow
  - name: vpn-unlicensed
    match: {category: vpn}
    action: reject
  - name: trial
    match: {category: p2p}
    action: drop
    mode: monitor
  - name: evening-video
    match: {service: [youtube, netflix]}
    action: {throttle: 2 Mbit/s}
    when: Mon-Fri 18:00-23:00
  - name: mail
    match: {port: tcp/25}
    action: {mark: EF}
"""
BERLIN = """\
region: berlin
subscribers: [10.20.0.0/16, "fd00:20::/48"]
timezone: Europe/Berlin
rules:
  - name: night
    match: {category: p2p}
    action: drop
    when: 1:30-2:30
  - name: telnet
    match: {port: tcp/23}
    action: drop
"""
PROVIDERS = """\
providers:
  - provider: bt
    title: British Telecom
    services: [vpn]
    licence: {status: granted, since: 2016-05-18, from: 2017-01-01, until: 2019-12-31}
    endpoints: {networks: [203.0.113.0/24, "2001:db8:b7::/48"], hosts: ["*.bt.example"]}
"""
MONDAY = "2026-11-23"  # at noon


def policy_in(directory: Path) -> Path:
    (directory / "providers.yaml").write_text(PROVIDERS)
    return write(directory, {"shenzhen.yaml": SHENZHEN, "berlin.yaml": BERLIN})


def asked(policy: Path, **options: str) -> dict[str, Any]:
    out = io.StringIO()
    assert explain(policy, Options(**options), True, out) == 0
    found: dict[str, Any] = json.loads(out.getvalue().replace(f"{policy}/", ""))
    return found


def shown(policy: Path, **options: str) -> str:
    out = io.StringIO()
    assert explain(policy, Options(**options), False, out) == 0
    return out.getvalue().replace(f"{policy}/", "")


def decision(found: dict[str, Any]) -> tuple[str, str | None, str | None]:
    return found["decision"], found["rule"], found["place"]


def rules(end: dict[str, Any]) -> dict[str, str]:
    return {rule["rule"]: rule["fate"] for rule in end["rules"]}
