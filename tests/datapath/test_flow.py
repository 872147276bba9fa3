"""The flow table against slow twins: its hash against CPython's, its order of eviction against an ordered dict."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.flow import keyed_hash
from tests.datapath.names import CLASS, naming
from tests.datapath.packets import DHT_PING, FAMILIES, NOBODYS, SSH_LINE, V4, V6, back, tcp, udp


def classifier(flows: int, queue_length: int = 1, forget: bool = True) -> Classifier:
    return Classifier(naming(), endpoints=Shared(), flows=flows, queue_length=queue_length, forget=forget)


@pytest.mark.skipif(sys.hash_info.algorithm != "siphash13", reason="this Python hashes bytes with another function")
def test_hash_is_siphash_1_3() -> None:
    """CPython hashes bytes with SipHash-1-3, under an all-zero key when PYTHONHASHSEED is 0."""
    for words in (0, 1, 3, 5, 16):
        data = bytes(range(7, 7 + 8 * words))
        script = f"print(hash({data!r}) % 2**64)"
        seen = subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True
        )
        if words:  # of no bytes CPython's hash is 0 by definition
            assert keyed_hash(0, 0, data) == int(seen.stdout)
    assert keyed_hash(1, 0, b"12345678") != keyed_hash(0, 0, b"12345678")


@pytest.mark.parametrize("ends", FAMILIES)
def test_both_directions_are_one_flow(ends: tuple[str, str]) -> None:
    made = classifier(8)
    made.packet(udp(ends, 1000, 2000, NOBODYS), 1)
    made.packet(udp(back(ends), 2000, 1000, NOBODYS), 2)
    made.packet(udp(ends, 2000, 1000, NOBODYS), 3)  # the ports swapped: another flow
    flows = made.flows_unnamed()
    assert [(flow.src, flow.sport, flow.dst, flow.dport, flow.packets) for flow in flows] == [
        (ends[0], 1000, ends[1], 2000, 2),
        (ends[0], 2000, ends[1], 1000, 1),
    ]


@given(st.integers(2, 6), st.lists(st.tuples(st.integers(1, 9), st.sampled_from(FAMILIES), st.booleans()), max_size=60))
def test_idle_longest_goes_first(size: int, packets: list[tuple[int, tuple[str, str], bool]]) -> None:
    made = classifier(size)
    twin: OrderedDict[tuple[str, int], int] = OrderedDict()
    evicted = 0
    for port, ends, reply in packets:
        # Without payload, so that no budget ends a flow.
        made.packet(udp(back(ends), 7, port, b"") if reply else udp(ends, port, 7, b""), 1)
        if (ends[0], port) not in twin and len(twin) == size:
            twin.popitem(last=False)
            evicted += 1
        twin[ends[0], port] = twin.pop((ends[0], port), 0) + 1
    seen = made.flows_unnamed()
    assert [({flow.sport, flow.dport} - {7} or {7}, flow.packets) for flow in seen] == [
        ({port} - {7} or {7}, count) for (_, port), count in twin.items()
    ]
    assert made.counts()["flows_evicted_unnamed"] == evicted


def test_named_and_passed_goes_before_unnamed() -> None:
    made = classifier(3)
    made.packet(udp(V4, 1, 9, NOBODYS), 0)
    made.packet(udp(V4, 2, 9, DHT_PING), 0)
    made.packet(udp(V6, 3, 9, NOBODYS), 0)  # the queue holds one packet: the named flow has passed
    made.packet(udp(V6, 4, 9, NOBODYS), 0)
    assert [flow.sport for flow in made.flows_unnamed()] == [1, 3, 4]
    counts = made.counts()
    assert (counts["flows_forgotten"], counts["flows_evicted_unnamed"], counts["flows_evicted_named"]) == (1, 0, 0)


def test_named_stays_while_the_queue_may_hold_its_packets() -> None:
    made = classifier(300, queue_length=100)
    packet, junk = udp(V6, 1, 9, DHT_PING), udp(V6, 1, 9, NOBODYS)
    assert made.packet(packet, 0) == CLASS["bittorrent"]
    for _ in range(100):
        assert made.packet(junk, 0) == CLASS["bittorrent"]
    assert made.packet(junk, 0) == 0  # the queue has passed: a new flow, not named by this payload


@pytest.mark.parametrize(("later", "answer"), [(1999, CLASS["bittorrent"]), (2000, 0)])
def test_named_is_forgotten_after_two_seconds(later: int, answer: int) -> None:
    made = classifier(300, queue_length=100)
    made.packet(udp(V6, 1, 9, DHT_PING), 1000)
    assert made.packet(udp(V6, 1, 9, NOBODYS), 1000 + later) == answer


def test_named_stays_for_good_in_a_capture() -> None:
    made = classifier(300, queue_length=1, forget=False)
    made.packet(udp(V6, 1, 9, DHT_PING), 0)
    for now in range(0, 100_000, 10_000):
        assert made.packet(udp(V6, 1, 9, NOBODYS), now) == CLASS["bittorrent"]


def test_quiet_for_two_minutes_is_a_new_flow() -> None:
    made = classifier(300)
    for now in (0, 119_999, 119_999 + 120_000):
        made.packet(udp(V4, 1, 9, NOBODYS), now)
    assert made.counts()["flows_restarted_unnamed"] == 1
    [flow] = made.flows_unnamed()
    assert flow.packets == 1


def test_a_clock_that_goes_back_is_no_quiet_time() -> None:
    made = classifier(300)
    for now in (5000, 1000):
        made.packet(udp(V4, 1, 9, NOBODYS), now)
    assert made.counts()["flows_restarted_unnamed"] == 0


def test_tables_with_no_room_but_for_waiting_flows() -> None:
    """Every flow is named at once and none may be forgotten yet: the one named longest ago goes, and is counted."""
    made = classifier(4, queue_length=3)
    for port in range(1, 30):
        made.packet(tcp(V4, 2000 + port, 22, 1, SSH_LINE), 0)
    counts = made.counts()
    assert counts["flows_named_waiting"] == 4
    assert counts["flows_forgotten"] + counts["flows_evicted_named"] == 25
