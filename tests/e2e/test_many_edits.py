"""Hundreds of edits of every kind under steady streams: who is allowed loses no packet, who is refused gets none through.

All streams are one household's, and every edit is about its region: the zones it is in, and the intervals around its
addresses, change all the time. `bench/edits.py --storm` does a thousand.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.storm import Storm, streams
from citygate.lab.stream import Streams
from citygate.lab.topology import Lab
from tests.e2e.conftest import StartGateway

EDITS = 150
RATE = 700.0  # datagrams a second of each of the six streams


def test_edits_under_steady_streams(gateway: StartGateway, lab: Lab) -> None:
    ...
