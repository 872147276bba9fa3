"""What this kernel can do for citygate, by trying it; nothing is changed (`citygate doctor`).

Rules are tried with ``nft --check``, which also loads the modules that a real load would bring in.
"""

from __future__ import annotations

import re
import shutil
import socket
import struct
from dataclasses import dataclass

from citygate.kernel import nft
from citygate.kernel.netlink import HEADER, NETLINK_NETFILTER

PROGRAMS = ("nft", "iptables", "ip6tables")

# linux/netfilter/nfnetlink_queue.h: NFQNL_MSG_CONFIG with NFQNL_CFG_CMD_PF_UNBIND, which has done nothing since
# Linux 3.8; a kernel without nfnetlink_queue refuses it.
_QUEUE_CONFIG = 3 << 8 | 2
_CMD, _PF_UNBIND = 1, 4
_NLM_F_REQUEST, _NLM_F_ACK = 1, 4


@dataclass(frozen=True, slots=True)
class Feature:
    """A part of the kernel. ``option``: how it is called in a kernel's configuration."""

    name: str
    option: str
    use: str
    there: bool


# Name, option, what it is for, and a rule that only such a kernel takes.
_RULES = (
    ("nf_tables", "CONFIG_NF_TABLES", "the table", "accept"),
    ("nf_conntrack", "CONFIG_NF_CONNTRACK, CONFIG_NFT_CT", "a flow's ends and state", "ct state new"),
    ("conntrack marks", "CONFIG_NF_CONNTRACK_MARK", "a flow's name", "ct mark set 1"),
    ("nft_hash", "CONFIG_NFT_HASH", "rollouts and flows over IPv6", "jhash ip saddr mod 100 seed 1 0"),
    ("nft_reject", "CONFIG_NFT_REJECT_INET", "action: reject", "reject with icmpx admin-prohibited"),
    ("nft_limit", "CONFIG_NFT_LIMIT", "action: throttle", "limit rate over 1000 bytes/second drop"),
)


def features() -> list[Feature]:
    """Every part that citygate needs, and whether it is there. Raises KernelError without `nft` or the privilege."""
    found = [Feature(name, option, use, _takes(rule)) for name, option, use, rule in _RULES]
    found.append(
        Feature("nfnetlink_queue", "CONFIG_NETFILTER_NETLINK_QUEUE", "packets on their way to the daemon", _queues())
    )
    step = _takes("queue flags bypass to 0") or all(map(_has_target, ("iptables", "ip6tables")))
    options = "CONFIG_NFT_QUEUE or CONFIG_NETFILTER_XT_TARGET_NFQUEUE"
    found.append(Feature("nft_queue or xt_NFQUEUE", options, "the rule that asks the daemon", step))
    return found


def versions() -> dict[str, str | None]:
    """Program to version, None where it is not installed."""
    found: dict[str, str | None] = {}
    for program in PROGRAMS:
        said = nft.call(program, "--version").stdout if shutil.which(program) else ""
        number = re.search(r"v(\d[\w.]*)(?: \((nf_tables|legacy)\))?", said)
        found[program] = " ".join(filter(None, number.groups())) if number else None
    return found


def _takes(rule: str) -> bool:
    return nft.accepts(["add table inet citygate_probe", f"add chain inet citygate_probe c {{ {rule} ; }}"])


def _has_target(program: str) -> bool:
    """Whether the kernel has xt_NFQUEUE for this family: asking for a rule that is not there names a missing target."""
    if not shutil.which(program):
        return False
    rule = ("-j", "NFQUEUE", "--queue-num", "0", "--queue-bypass")
    said = nft.call(program, "-t", "mangle", "-w", "-C", "FORWARD", *rule).stderr
    return not said or ("Bad rule" in said and "missing kernel module" not in said)


def _queues() -> bool:
    command = struct.pack("=HHBBH", 8, _CMD, _PF_UNBIND, 0, socket.htons(socket.AF_INET))
    body = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0) + command
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER) as door:
        head = HEADER.pack(HEADER.size + len(body), _QUEUE_CONFIG, _NLM_F_REQUEST | _NLM_F_ACK, 1, 0)
        door.send(head + body)
        error: int = struct.unpack_from("=i", door.recv(4096), HEADER.size)[0]
    return error == 0
