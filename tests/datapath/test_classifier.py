"""The Python face of the classifier: what it takes, what it tells, and what it refuses while a loop runs on it."""

from __future__ import annotations

from typing import Any

import pytest

from citygate.datapath.named import Unnamed
from tests.datapath.names import CLASS, naming
from tests.datapath.packets import DHT_PING, FAMILIES, NOBODYS, udp
from tests.datapath.test_classify import classifier


@pytest.mark.parametrize("ends", FAMILIES)
def test_names_can_be_swapped(ends: tuple[str, str]) -> None:
    made = classifier()
    made.packet(udp(ends, 1, 9, DHT_PING), 1)
    made.use(naming(1000))
    assert made.packet(udp(ends, 1, 9, DHT_PING), 1) == CLASS["bittorrent"]  # named before: keeps its class
    assert made.packet(udp(ends, 2, 9, DHT_PING), 1) == CLASS["bittorrent"] + 999
    assert [named.service for named in made.take_named(10)] == ["bittorrent", "bittorrent"]


@pytest.mark.parametrize(
    "wrong",
    [{"flows": 0}, {"queue_length": 0}, {"events": 0}, {"packet_budget": 0}, {"byte_budget": 70_000},
     {"stream_buffers": 0}, {"queue_length": 1 << 24}],
)  # fmt: skip
def test_numbers_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"classifier: .* expected"):
        classifier(**wrong)


@pytest.mark.parametrize("ends", FAMILIES)
def test_namings_are_taken_oldest_first_and_once(ends: tuple[str, str]) -> None:
    made = classifier()
    for port in (4000, 4001, 4002):
        made.packet(udp(ends, port, 5000, DHT_PING), port)
    assert [named.sport for named in made.take_named(2)] == [4000, 4001]
    assert [named.sport for named in made.take_named(2)] == [4002]
    assert made.take_named(2) == []
    assert made.named_flows() == {(0, CLASS["bittorrent"]): 3}


@pytest.mark.parametrize("ends", FAMILIES)
def test_flows_without_a_name_are_told(ends: tuple[str, str]) -> None:
    made = classifier()
    for _ in range(2):
        made.packet(udp(ends, 4000, 5000, NOBODYS), 1)
    [unnamed] = made.flows_unnamed()
    assert isinstance(unnamed, Unnamed)
    assert unnamed[:5] == (17, ends[0], 4000, ends[1], 5000) and unnamed.packets == 2
