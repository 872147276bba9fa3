"""What the end-to-end tests share: policies in a line, conditions to wait for, and what was counted."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from citygate.lab.gateway import Gateway, Metered
from citygate.lab.packets import tuple_of
from citygate.lab.play import Tap
from citygate.lab.topology import GATEWAY, Lab, host

PATIENCE = 10.0
"""Seconds that anything may take that must happen; a slow machine is not a failing test."""


def region(*rules: str, name: str = "shenzhen", default: str = "allow", on_failure: str = "allow") -> str:
    """A region file. Each rule is the inside of a YAML flow mapping, without a name: rules are ``rule-1`` and so on."""
    lines = [f"region: {name}", f"subscribers: {json.dumps(host(name).networks)}"]
    lines += [f"default: {default}", f"on_failure: {on_failure}", "rules:" if rules else "rules: []"]
    return "\n".join([*lines, *(f"  - {{name: rule-{n}, {rule}}}" for n, rule in enumerate(rules, 1))]) + "\n"


def until(condition: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
    """Wait for a condition, for a bounded time."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout:g} s for: {what}"
        time.sleep(0.01)


def events(gateway: Gateway, number: int) -> list[dict[str, Any]]:
    """The lines of the event log, once there are so many."""
    until(lambda: len(gateway.events.read_text().splitlines()) >= number, f"{number} events")
    return [json.loads(line) for line in gateway.events.read_text().splitlines()]


def packets(gateway: Metered, region: str = "shenzhen") -> dict[tuple[str, str, str], int]:
    """A region's ``citygate_packets_total``: (service, verdict, direction) to packets."""
    return {
        (has["service"], has["verdict"], has["direction"]): int(value)
        for (name, labels), value in gateway.metrics().items()
        if name == "citygate_packets_total" and (has := dict(labels))["region"] == region
    }


def unfiltered(gateway: Metered, region: str = "shenzhen") -> dict[tuple[str, str, str], int]:
    """A region's ``citygate_unfiltered_packets_total``: (cause, outcome, direction) to packets, if any."""
    return {
        (has["cause"], has["outcome"], has["direction"]): int(value)
        for (name, labels), value in gateway.metrics().items()
        if name == "citygate_unfiltered_packets_total" and (has := dict(labels))["region"] == region and value
    }


def accounted(gateway: Metered, region: str = "shenzhen") -> int:
    """How many of a region's packets the kernel counted, whatever became of them."""
    seen = sum(n for (_, verdict, _), n in packets(gateway, region).items() if verdict != "would_block")
    return seen + sum(unfiltered(gateway, region).values())


def looked_at(gateway: Metered) -> int:
    """How many packets this daemon has answered."""
    return int(gateway.total("citygate_packets_answered_total"))


@contextmanager
def stopped(gateway: Gateway) -> Iterator[None]:
    """The daemon halted, each of its threads: what is queued meanwhile waits."""
    os.kill(gateway.pid, signal.SIGSTOP)
    threads = list(Path(f"/proc/{gateway.pid}/task").glob("*/stat"))
    try:
        until(lambda: all(_state(thread) == "T" for thread in threads), "every thread to halt")
        yield
    finally:
        os.kill(gateway.pid, signal.SIGCONT)


def _state(stat: Path) -> str:
    """A thread's state, the field behind its name in parentheses: proc_pid_stat(5)."""
    return stat.read_text().rpartition(") ")[2][:1]


def nft(lab: Lab, text: str) -> None:
    """Load rules into the gateway beside citygate's own."""
    done = lab.run(GATEWAY, ["nft", text])
    assert done.returncode == 0, done.stderr


def came(tap: Tap, address: str) -> list[bytes]:
    """The packets to this address that came to a host since the last look; neighbours' chatter is left out."""
    parsed = ((packet, tuple_of(packet)) for packet in tap.packets())
    return [packet for packet, ends in parsed if ends is not None and ends[0].server == address]


def wait_for_packet(tap: Tap, address: str) -> bytes:
    """The next packet to this address."""
    found: list[bytes] = []

    def one() -> bool:
        found.extend(came(tap, address))
        return bool(found)

    until(one, f"a packet to {address}")
    (packet,) = found
    return packet
