"""The policy that the benchmark of edits makes up: of the size it says, and each edit turns its flow off."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from bench.edits import FLOWS, HOUSEHOLD, PREFIXES, RULES, Kind, policy, register
from citygate.catalogue import Catalogue
from citygate.lab.call import server_address
from citygate.lab.topology import party
from citygate.policy.evaluate import Far
from citygate.policy.judge import Judge
from citygate.policy.load import load
from citygate.policy.model import REFUSING, Name

REGIONS, KINDS = policy(12)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "regions").mkdir()
    for name, text in REGIONS.items():
        (tmp_path / f"regions/{name}.yaml").write_text(text)
    (tmp_path / "providers.yaml").write_text(register())
    return tmp_path


def test_it_is_sound_and_as_large_as_it_says(directory: Path, builtin: Catalogue) -> None:
    regions = load(directory, builtin).policy.regions
    assert len(regions) == 12
    assert {len(region.rules) for region in regions} == {RULES}
    assert {len(region.subscribers) for region in regions} == {PREFIXES}
    assert all({prefix.version for prefix in region.subscribers} == {4, 6} for region in regions)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.what)
def test_an_edit_turns_its_flow_off(directory: Path, builtin: Catalogue, kind: Kind, family: int) -> None:
    service, server, _ = FLOWS[kind.flow]
    name = Name(service, {"call": "", "vpn": "carrier-0", "vpn, here": "carrier-1"}[kind.flow])
    _, address = server_address(server, party("internet"), family)
    ends = Far(ip_address(HOUSEHOLD.address(family)), "udp", 20000), Far(ip_address(address), "udp", 1194)
    refused = []
    for text in (kind.passing, kind.refused):
        (directory / kind.file).write_text(text)
        refused.append(Judge(load(directory, builtin)).outcome(name, *ends).action in REFUSING)
    assert refused == [False, True]
