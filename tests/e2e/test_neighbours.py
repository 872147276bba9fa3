"""Other people's tables and mark bits are left as they are found."""

from __future__ import annotations

import re

import pytest

from citygate.lab.topology import GATEWAY, Lab
from citygate.lab.udp import Refusal
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.pairs import Udp
from tests.e2e.tools import nft, packets, region, until

pytestmark = pytest.mark.parametrize("family", [4, 6])

FOREIGN = 0x00AA0000
THEIRS = f"""
table inet theirs {{
    set seen {{ type inet_service; flags dynamic; size 100; }}
    chain marking {{
        type filter hook prerouting priority mangle;
        ct mark set ct mark and 0xff00ffff or {FOREIGN:#x}
    }}
    chain watching {{
        type filter hook forward priority filter;
        udp dport 1-65535 update @seen {{ udp dport }}
        tcp dport 9 counter drop
    }}
}}
"""
POLICY = region("match: {service: skypeout}, action: reject")


def marks(lab: Lab, port: int) -> list[int]:
    listed = "".join(lab.run(GATEWAY, ["conntrack", "-L", "-f", family]).stdout for family in ("ipv4", "ipv6"))
    lines = [line for line in listed.splitlines() if f"dport={port} " in line]
    return [int(match[1]) for line in lines if (match := re.search(r"mark=(\d+)", line))]


def theirs(lab: Lab) -> str:
    return lab.run(GATEWAY, ["nft", "-s", "list", "table", "inet", "theirs"]).stdout


def test_a_foreign_table_and_foreign_mark_bits_stay(
    gateway: StartGateway, lab: Lab, traffic: Traffic, family: int
) -> None:
    nft(lab, THEIRS)
    with Udp(lab, "shenzhen", "internet", family, 9000) as early:
        assert early.up(b"before there was a citygate")
        before = theirs(lab)
        assert "9000" in before
        running = gateway({"shenzhen": POLICY})
        assert theirs(lab) == before
        assert marks(lab, 9000) == [FOREIGN]
        (tunnel,) = traffic.talk("wireguard", "shenzhen", family=family)
        assert tunnel.arrived == tunnel.sent
        (named,) = marks(lab, 51820)
        assert named & 0xFFFF_0000 == FOREIGN
        assert named & 0xFFFF in range(1, 0x8000)  # a class, and final
        before = theirs(lab)
        running.edit("shenzhen", POLICY.replace("skypeout", "wireguard"))
        (refused,) = traffic.talk("wireguard", "shenzhen", family=family)
        assert refused.refused is Refusal.ICMP
        assert marks(lab, 51820) == [named]  # another policy, the same name
        running.stop()
    assert theirs(lab) == before
    running.start()
    assert theirs(lab) == before
    assert packets(running)["wireguard", "blocked", "up"] > 0


@pytest.mark.parametrize("taken", ["ruleset", "queue rule"])
def test_what_somebody_flushes_is_made_again(
    gateway: StartGateway, lab: Lab, traffic: Traffic, family: int, taken: str
) -> None:
    """`nft flush ruleset`, as a reload of nftables.service does, or `iptables -t mangle -F`."""
    running = gateway({"shenzhen": POLICY})
    (before,) = traffic.talk("skypeout", "shenzhen", family=family)
    assert before.refused is Refusal.ICMP
    if taken == "ruleset":
        nft(lab, "flush ruleset")
    elif "native queue step" in running.log.read_text():
        pytest.skip("this kernel has nft_queue: no rule of ours is outside the table")
    else:
        for program in ("iptables", "ip6tables"):
            lab.run(GATEWAY, [program, "-t", "mangle", "-F"])
    until(lambda: running.total("citygate_policy_reloads_total", result="restored") >= 1, "nobody noticed")
    (after,) = traffic.talk("skypeout", "shenzhen", family=family, seed=2)
    assert after.refused is Refusal.ICMP
