"""A lab, a gateway that lets everything through, and real programs on both sides of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from citygate.lab.topology import Lab
from tests.clients.stage import Stage
from tests.e2e.conftest import StartGateway, gateway, lab, queue_step
from tests.e2e.tools import region

__all__ = ["gateway", "lab", "queue_step"]


@pytest.fixture
def stage(gateway: StartGateway, lab: Lab, tmp_path: Path) -> Iterator[Stage]:
    """Clients are in Shenzhen, where all is allowed until a test says otherwise. A failure shows what programs said."""
    made = Stage(lab, gateway({"shenzhen": region()}), tmp_path)
    yield made
    print(made.said())


@pytest.fixture
def strict(stage: Stage) -> Stage:
    """Calls, tunnels and file sharing are refused, so a wrong word about anything else, however short, is felt."""
    stage.refuse("category: [voip, vpn, p2p]")
    return stage
