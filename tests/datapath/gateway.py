"""A lab whose gateway queues every forwarded UDP and TCP packet, as citygate's rules do, and counts what comes out."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import Any

from citygate.lab import offload
from citygate.lab.topology import Lab, host

ZONE = 0x00050000  # 5
ASKED = 0x40000000 | ZONE  # "ask the daemon"
CLIENT, SERVER = host("shenzhen"), host("internet")

RULES = f"""
table inet watch {{
  set seen {{ typeof meta mark . meta l4proto; size 1024; flags dynamic; counter; }}
  chain steer {{ type filter hook forward priority mangle - 5; meta l4proto {{ tcp, udp }} meta mark set {ASKED:#x}; }}
  chain enforce {{ type filter hook forward priority mangle + 5;
    meta l4proto {{ tcp, udp }} update @seen {{ meta mark . meta l4proto }}; }}
}}
"""


class Gateway:
    """Packets from CLIENT to SERVER carry bit 30 and zone 5 into queue 0 and are counted by mark behind it."""

    def __init__(self, lab: Lab):
        self.lab = lab

    def prepare(self) -> None:
        self.run("nft", "-f", "-", given=RULES)
        for tables in ("iptables", "ip6tables"):
            rule = "-m mark --mark 0x40000000/0x40000000 -j NFQUEUE --queue-num 0 --queue-bypass"
            self.run(tables, "-t", "mangle", "-A", "FORWARD", *rule.split())

    def run(self, *command: str, given: str | None = None) -> str:
        """Run a command in the gateway; its output."""
        with self.lab.inside("gw"):
            done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def marks(self, proto: str = "udp") -> dict[int, int]:
        """Packets that came out behind the queue, by mark less the zone that all of them kept; then counts from 0."""
        listing: dict[str, Any] = json.loads(self.run("nft", "-j", "list", "set", "inet", "watch", "seen"))
        self.run("nft", "flush", "set", "inet", "watch", "seen")
        [found] = [entry["set"] for entry in listing["nftables"] if "set" in entry]
        seen = {}
        for element in found.get("elem", ()):
            mark, protocol = element["elem"]["val"]["concat"]
            if protocol == proto:
                assert mark & 0x3FFF0000 == ZONE, f"{mark:#x}"
                seen[mark ^ ZONE] = element["elem"]["counter"]["packets"]
        return seen

    def waiting(self) -> int:
        """Packets that wait in queue 0 (column 3 of the kernel's table)."""
        for line in self.run("cat", "/proc/net/netfilter/nfnetlink_queue").splitlines():
            if line.split()[0] == "0":
                return int(line.split()[2])
        raise LookupError("queue 0 is not bound")

    def allow_large_segments(self) -> None:
        """Until the lab goes: TCP segments travel up to 64 kB long, as on most real hosts."""
        for place, device in ((CLIENT.name, "eth0"), ("gw", CLIENT.name), ("gw", SERVER.name), (SERVER.name, "eth0")):
            with self.lab.inside(place):
                for command in offload.COMMANDS.values():
                    offload.value(device, command, 1)

    def sender(self, kind: int, family: int) -> socket.socket:
        with self.lab.inside(CLIENT.name):
            return socket.socket(_family(family), kind)

    def receiver(self, kind: int, family: int, port: int) -> socket.socket:
        with self.lab.inside(SERVER.name):
            receiver = socket.socket(_family(family), kind)
        receiver.bind((SERVER.main(family), port))
        receiver.settimeout(5)
        return receiver


def _family(version: int) -> socket.AddressFamily:
    return socket.AF_INET if version == 4 else socket.AF_INET6
