"""A small policy in force, for the tests of what reads it."""

from __future__ import annotations

from pathlib import Path

from citygate import inforce
from citygate.inforce import InForce
from citygate.register import Register

SHENZHEN = """\
region: shenzhen
subscribers: [10.10.0.0/16, "fd00:10::/48"]
rules:
  - name: skypeout
    match: {service: skypeout}
    action: reject
    except: [10.10.3.7, "fd00:10:0:37::/64"]
"""
BEIJING = """\
region: beijing
subscribers: [10.30.0.0/16, "fd00:30::/48"]
rules:
  - name: vpn
    match: {category: vpn}
    action: drop
"""


def write_policy(directory: Path, **regions: str) -> Path:
    """Region files by name; gives the policy directory."""
    (directory / "regions").mkdir(parents=True, exist_ok=True)
    for name, text in regions.items():
        (directory / "regions" / f"{name}.yaml").write_text(text)
    return directory


def sample(tmp_path: Path) -> InForce:
    """Shenzhen (two zones: a household is excepted) and Beijing, loaded as the daemon does it."""
    register = Register(tmp_path / "state" / "register.jsonl")
    try:
        return inforce.load(write_policy(tmp_path / "policies", shenzhen=SHENZHEN, beijing=BEIJING), register)
    finally:
        register.close()


LICENSED = """\
region: NAME
subscribers: SUBSCRIBERS
timezone: ZONE
rules:
  - {name: vpn-licensed, match: {category: vpn, licence: granted}, action: allow}
  - {name: vpn, match: {category: vpn}, action: reject}
"""
PROVIDERS = """\
providers:
  - provider: bt
    title: BT
    services: [vpn]
    licence: {status: granted, since: 2016-05-18, from: 2016-06-01, until: 2031-12-31}
    endpoints: {networks: [203.0.113.0/24, "2001:db8:25::/48"]}
"""


def licensed_policy(directory: Path, providers: str = PROVIDERS) -> Path:
    """Shenzhen, whose clock is Shanghai's, and Berlin; tunnels of licensed providers pass."""
    shenzhen = LICENSED.replace("NAME", "shenzhen").replace("ZONE", "Asia/Shanghai")
    berlin = LICENSED.replace("NAME", "berlin").replace("ZONE", "Europe/Berlin")
    write_policy(
        directory,
        shenzhen=shenzhen.replace("SUBSCRIBERS", '[10.10.0.0/16, "fd00:10::/48"]'),
        berlin=berlin.replace("SUBSCRIBERS", '[10.49.0.0/16, "fd00:49::/48"]'),
    )
    (directory / "providers.yaml").write_text(providers)
    return directory


def licensed_sample(tmp_path: Path) -> InForce:
    """The same, loaded as the daemon does it."""
    register = Register(tmp_path / "state" / "register.jsonl")
    try:
        return inforce.load(licensed_policy(tmp_path / "policies"), register)
    finally:
        register.close()
