"""What `citygate lab play` does: from a flow's name or a capture, and two parties, to a report."""

from __future__ import annotations

from pathlib import Path
from random import Random

from citygate.lab import flows
from citygate.lab.packets import Addresses, plan_capture, plan_flows
from citygate.lab.play import play
from citygate.lab.results import Report
from citygate.lab.topology import Lab, LabError, Party, host
from citygate.lab.wire import converse


def play_named(
    lab: Lab, name: str, caller: Party, callee: Party, *, family: int = 4, seed: int = 1, sockets: bool = False
) -> Report:
    """Send the synthetic flow ``name``, one of ``flows.NAMES``: raw, or over the parties' own addresses and sockets."""
    conversation = flows.named(name, seed)
    if sockets:
        return converse(lab, conversation, caller, callee, family)
    clients, servers = _addresses(caller, callee, seed)
    return play(lab, plan_flows(conversation, clients, servers, family), caller.host, callee.host)


def play_capture(
    lab: Lab, capture: Path, caller: Party, callee: Party, *, as_ipv6: bool = False, seed: int = 1
) -> Report:
    """Send all flows of a capture, in its order, as raw packets; with ``as_ipv6`` its IPv4 flows as IPv6."""
    return play(lab, plan_capture(capture, *_addresses(caller, callee, seed), as_ipv6), caller.host, callee.host)


def _addresses(caller: Party, callee: Party, seed: int) -> tuple[Addresses, Addresses]:
    for each in (caller, callee):
        if each.ipv4 != host(each.host).ipv4[0]:
            raise LabError(f"{each.name} is an address its host owns: the host would answer raw packets; use sockets")
    random = Random(seed)
    return Addresses(host(caller.host), random), Addresses(host(callee.host), random)
