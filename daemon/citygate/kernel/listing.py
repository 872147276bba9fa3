"""Other people's rules, as their programs list them, and who is bound to which queue (`citygate doctor`).

Tables are listed one by one and never ours: `nft` reads every element of a table that it lists, and ours may have
100,000. ``list chains`` reads none, and tells the tables' names.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from citygate.kernel import nft
from citygate.kernel.netlink import Netlink
from citygate.kernel.skeleton import TABLE

SAVES = {"ip": "iptables", "ip6": "ip6tables"}  # by family
_QUEUES = Path("/proc/thread-self/net/netfilter/nfnetlink_queue")
_SOCKETS = Path("/proc/thread-self/net/netlink")


@dataclass(frozen=True, slots=True)
class Listing:
    """``tables``: the objects of libnftables-json(5), one list a table; ``saves``: program to iptables-save's text.

    ``unread``: tables that `nft` could not list.
    """

    tables: list[list[dict[str, Any]]]
    saves: dict[str, list[str]]
    unread: list[str]


def others() -> Listing:
    """The rules of everybody but citygate's own table. Raises KernelError without `nft` or the privilege."""
    saves = {program: _saved(program) for program in SAVES.values()}
    # To nft a rule of iptables is a name without its options.
    seen = {(family, name) for family, program in SAVES.items() for name in _saved_tables(saves[program])}
    chains = [each["chain"] for each in _objects("list", "chains") if "chain" in each]
    names = {(chain["family"], chain["table"]) for chain in chains} - seen - {("inet", TABLE)}
    tables, unread = [], []
    for family, name in sorted(names):
        objects = _objects("list", "table", family, name)
        tables.append(objects)
        if not objects:
            unread.append(f"table {family} {name}")
    return Listing(tables, saves, unread)


def own_chains() -> set[str]:
    """Names of the chains of citygate's table; empty when there is none. Raises KernelError without the privilege."""
    netlink = Netlink()
    try:
        return netlink.chains()
    finally:
        netlink.close()


def bound() -> dict[int, int]:
    """Queue number to the inode of the socket that is bound to it. Raises OSError where that may not be read."""
    ports = {}
    for line in _QUEUES.read_text().splitlines():
        number, port = line.split()[:2]
        ports[int(port)] = int(number)
    sockets = {}
    for line in _SOCKETS.read_text().splitlines()[1:]:
        columns = line.split()
        if columns[1] == "12" and int(columns[2]) in ports:  # NETLINK_NETFILTER, and the socket's port id
            sockets[ports[int(columns[2])]] = int(columns[9])
    return sockets


def _objects(*command: str) -> list[dict[str, Any]]:
    """What `nft` lists, without the elements of named sets; empty when it cannot: 1.0.6 crashes on newer tables."""
    done = nft.call("nft", "-j", "-t", *command)
    return json.loads(done.stdout)["nftables"] if done.returncode == 0 and done.stdout else []


def _saved(program: str) -> list[str]:
    """Of both kinds of iptables, where both are installed: each lists its own rules and only these."""
    names = (f"{program}-save", f"{program}-nft-save", f"{program}-legacy-save")
    # They are links to one program a kind.
    kinds = {os.path.realpath(found): name for name in reversed(names) if (found := shutil.which(name))}
    return [nft.call(name).stdout for name in kinds.values()]


def _saved_tables(saved: list[str]) -> set[str]:
    return {line[1:] for text in saved for line in text.splitlines() if line.startswith("*")}
