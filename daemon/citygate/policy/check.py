"""`citygate check DIR`: a policy directory as the daemon would read it, without touching anything."""

from __future__ import annotations

import sys
from pathlib import Path

from citygate.catalogue.load import builtin
from citygate.policy.load import load
from citygate.policy.problem import PolicyError
from citygate.policy.zones import carve_region


def check(directory: Path) -> int:
    """Print one line a region to stdout and give 0, or one line a problem to stderr and give 1."""
    try:
        policy = load(directory, builtin())
    except PolicyError as error:
        print(error, file=sys.stderr)
        return 1
    for region in policy.regions:
        zones = sum(1 for _ in carve_region(region))
        print(f"{region.name}: {_count(zones, 'zone')}, {_count(len(region.rules), 'rule')}, default {region.default}")
    print(f"revision {policy.revision}")
    return 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
