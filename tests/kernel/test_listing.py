"""Other people's tables and queues in the gateway, as their programs list them."""

from __future__ import annotations

import os

import pytest

from citygate.kernel import listing
from citygate.lab.topology import GATEWAY, Lab
from tests.kernel.policies import BASE
from tests.kernel.tables import compiled
from tests.kernel.world import Namer, World
