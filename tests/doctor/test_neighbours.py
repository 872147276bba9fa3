"""Other people's rules, made by the real programs in a namespace, and what the doctor says of them."""

from __future__ import annotations

import pytest

from citygate.doctor import neighbours
from citygate.doctor.finding import Finding
from citygate.doctor.rule import Base, Rule, Ruleset
from citygate.kernel import nft, queue_step
from citygate.lab import netns
from tests.doctor import foreign
from tests.doctor.conftest import Machine, ids

FAMILIES = pytest.mark.parametrize("family", [4, 6])
QUEUES = range(2, 4)


def look(machine: Machine) -> list[Finding]:
    return neighbours.look(machine.ruleset(), QUEUES)


def only(findings: list[Finding], id: str) -> Finding:
    (found,) = (finding for finding in findings if finding.id == id)
    return found


def test_nobody_is_in_the_way(machine: Machine) -> None:
    machine.nft("table inet theirs { chain c { type filter hook forward priority 0; tcp dport 9 drop ; } ; }")
    assert [(finding.id, finding.level) for finding in look(machine)] == [("neighbours", "ok")]


@FAMILIES
@pytest.mark.parametrize(
    ("rules", "owner", "id", "level", "bits"),
    [
        (foreign.WG_QUICK, "wg-quick", "conntrack-mark-copied", "warning", ""),
        (foreign.KUBE_PROXY, "kube-proxy", "packet-mark-lost", "warning", "0x4000"),
        (foreign.TAILSCALE, "Tailscale", "packet-mark-used", "note", "0xff0000"),
        (foreign.CALICO, "Calico", "packet-mark-used", "note", "0xf0000"),
        (foreign.MWAN3, "mwan3", "conntrack-mark-taken", "problem", "0x3f00"),
    ],
)
def test_who_uses_marks_is_named(
    machine: Machine, family: int, rules: str, owner: str, id: str, level: str, bits: str
) -> None:
    machine.restore(rules, family)
    found = {finding.sentence.split()[0]: finding for finding in look(machine)}
    assert (found[owner].id, found[owner].level) == (id, level)
    assert bits in found[owner].sentence
    assert {4: " iptables", 6: " ip6tables"}[family] in found[owner].sentence
    assert {finding.level for name, finding in found.items() if name != owner} <= {"note"}


@FAMILIES
@pytest.mark.parametrize(
    ("rules", "owner", "id"),
    [
        (foreign.WG_QUICK_NFT, "wg-quick", "conntrack-mark-copied"),
        (foreign.KUBE_PROXY_NFT, "kube-proxy", "packet-mark-lost"),
    ],
)
def test_who_uses_nftables_is_named(machine: Machine, family: int, rules: str, owner: str, id: str) -> None:
    if family == 6:
        for old, new in ((" ip ", " ip6 "), ("ipv4_addr", "ipv6_addr"), ("10.6.0.2", "fd06::2")):
            rules = rules.replace(old, new)
        rules = rules.replace("172.30.0.41", "fd30::41").replace("10.0.0.0/8", "fd10::/48")
    machine.nft(rules)
    (found,) = look(machine)
    assert (found.id, found.level) == (id, "warning")
    assert found.sentence.startswith(owner)


@FAMILIES
def test_docker_drops_what_it_does_not_know(machine: Machine, family: int) -> None:
    machine.restore(foreign.DOCKER, family)
    (found,) = look(machine)
    assert (found.id, found.level) == ("forward-drop", "note")
    assert "Docker" in found.sentence and "tables -t filter FORWARD" in found.sentence


@FAMILIES
@pytest.mark.parametrize(
    ("table", "hook", "rule", "expected"),
    [
        ("filter", "postrouting priority 0", "ct mark set meta mark", {"conntrack-mark-taken": "problem"}),
        ("filter", "forward priority 0", "ct mark set 0x5", {"conntrack-mark-taken": "problem"}),
        ("filter", "prerouting priority 0", "ct mark set ct mark and 0xffff0fff or 0x1000", {
            "conntrack-mark-taken": "problem"
        }),
        ("filter", "prerouting priority 0", "ct mark set ct mark and 0xff00ffff or 0xaa0000", {}),
        ("filter", "output priority 0", "ct mark set 0x5", {}),
        # Nothing that is forwarded has a mark here.
        ("filter", "postrouting priority 0", "meta mark 0xca6c ct mark set meta mark", {}),
        ("filter", "prerouting priority 0", "meta mark 0xca6c ct mark set meta mark", {
            "conntrack-mark-taken": "problem"
        }),
        ("filter", "prerouting priority 0", "meta mark set ct mark", {"conntrack-mark-copied": "warning"}),
        ("filter", "prerouting priority 0", "meta mark set ct mark and 0xff0000", {"packet-mark-used": "note"}),
        ("filter", "prerouting priority 0", "meta mark set 0x1", {"packet-mark-used": "note"}),
        ("filter", "forward priority -150", "meta mark set 0x1", {"packet-mark-between": "problem"}),
        ("filter", "forward priority -150", "meta mark set 0x0", {"packet-mark-between": "problem"}),
        ("filter", "forward priority -100", "meta mark set 0x1", {"packet-mark-used": "note"}),
        ("filter", "prerouting priority -200", "ct zone set 5", {"conntrack-zone": "warning"}),
        ("filter", "output priority -200", "ct zone set 5", {}),
        ("filter", "forward priority 0; policy drop", "accept", {"forward-drop": "note"}),
        ("filter", "input priority 0; policy drop", "accept", {}),
    ],
)  # fmt: skip
def test_any_table_is_looked_at(
    machine: Machine, family: int, table: str, hook: str, rule: str, expected: dict[str, str]
) -> None:
    where = {4: "ip", 6: "ip6"}[family]
    machine.nft(f"table {where} theirs {{ chain c {{ type {table} hook {hook}; {rule} ; }} ; }}")
    found = look(machine)
    assert ids(found) == expected
    assert all(f"table {where} theirs" in finding.sentence for finding in found if finding.level != "ok")


@FAMILIES
def test_marks_for_traffic_shaping_are_lost(machine: Machine, family: int) -> None:
    """Saved and restored in PREROUTING, looked for in POSTROUTING: three tables of nobody we know."""
    machine.restore(
        "*mangle\n"
        "-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xf0000 --ctmask 0xf0000\n"
        "-A PREROUTING -p udp -j MARK --set-xmark 0x30000/0xf0000\n"
        "-A PREROUTING -j CONNMARK --save-mark --nfmask 0xf0000 --ctmask 0xf0000\n"
        "-A POSTROUTING -m mark --mark 0x30000/0xf0000 -j CLASSIFY --set-class 1:3\n"
        "COMMIT\n",
        family,
    )
    (found,) = look(machine)
    assert found.id == "packet-mark-lost"
    assert "0xf0000" in found.sentence and "and 1 more" in found.sentence


@FAMILIES
@pytest.mark.parametrize(
    ("target", "shared"),
    [("--queue-num 3", True), ("--queue-balance 0:2", True), ("--queue-num 4", False), ("--queue-balance 0:1", False)],
)
@pytest.mark.parametrize("chain", ["INPUT", "FORWARD"])
def test_other_rules_for_our_queues(machine: Machine, family: int, target: str, shared: bool, chain: str) -> None:
    machine.restore(f"*filter\n-A {chain} -p tcp -j NFQUEUE {target}\nCOMMIT\n", family)
    assert ids(look(machine)) == ({"queue-shared": "problem"} if shared else {})


def test_what_stands_beside_the_queue_rule(machine: Machine) -> None:
    with netns.inside(machine.name):
        queue_step.ensure_xtables(QUEUES)
    assert ids(look(machine)) == {}
    for program in ("iptables", "ip6tables"):
        machine.run(program, "-t", "mangle", "-I", "FORWARD", "-p", "tcp", "-j", "TCPMSS", "--set-mss", "1400",
                    "--tcp-flags", "SYN,RST", "SYN")  # fmt: skip
    assert ids(look(machine)) == {}
    for program in ("iptables", "ip6tables"):
        machine.run(program, "-t", "mangle", "-A", "FORWARD", "-p", "tcp", "-j", "TCPMSS", "--set-mss", "1400",
                    "--tcp-flags", "SYN,RST", "SYN")  # fmt: skip
    found = look(machine)
    assert [(finding.id, finding.level) for finding in found] == [("behind-queue", "warning")] * 2
    assert {finding.sentence.split(": ")[1].split()[0] for finding in found} == {"iptables", "ip6tables"}
    machine.run("ip6tables", "-t", "mangle", "-I", "FORWARD", "-p", "udp", "-j", "ACCEPT")
    before = only(look(machine), "before-queue")
    assert before.level == "problem" and "ip6tables -t mangle, -A FORWARD -p udp" in before.sentence


def test_a_flowtable_carries_traffic_past(machine: Machine) -> None:
    with netns.inside(machine.name):
        flowtable = "flowtable fast { hook ingress priority 0; devices = { lo }; }"
        if not nft.accepts([f"table inet theirs {{ {flowtable} ; }}"]):
            pytest.skip("this kernel has no flowtables (CONFIG_NF_FLOW_TABLE)")
    machine.nft(
        f"table inet theirs {{ {flowtable}\n chain c {{ type filter hook forward priority 0; flow add @fast ; }} ; }}"
    )
    assert ids(look(machine)) == {"flowtable": "problem"}


def test_a_flowtable_of_a_rule(machine: Machine) -> None:
    """As every kernel's would be read."""
    rule = Rule("table inet theirs", "chain c, handle 4", "c", frozenset({Base("forward", 0)}), offloads=True)
    (found,) = neighbours.look(Ruleset([], [rule]), QUEUES)
    assert (found.id, found.level) == ("flowtable", "problem")
    assert "table inet theirs, chain c, handle 4" in found.sentence
