"""The fill of the connection tracking table, of a namespace of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from citygate import tracked
from citygate.lab import flows
from citygate.lab.topology import GATEWAY, Lab, party
from citygate.lab.wire import converse
from citygate.tracked import Tracked
from tests.e2e.tools import nft


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("family", [4, 6])
def test_entries_are_those_of_the_namespace(family: int) -> None:
    with Lab(f"tracked-{os.getpid()}") as lab:
        nft(lab, "table inet t { chain c { type filter hook forward priority 0; ct state new accept; }; }")
        with lab.inside(GATEWAY):
            before = tracked.tracked()
        made = converse(lab, flows.named("skype"), party("shenzhen"), party("internet"), family).flows
        with lab.inside(GATEWAY):
            after = tracked.tracked()
    assert before == Tracked(0, after.limit)
    assert after.entries == len(made) > 0
    assert after.limit >= 1024


def test_without_connection_tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracked, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match="nf_conntrack_count"):
        tracked.tracked()
