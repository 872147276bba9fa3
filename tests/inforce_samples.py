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
