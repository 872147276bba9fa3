"""The queue step of kernels without nft_queue, in the gateway's own iptables."""

from __future__ import annotations

import pytest

from citygate.kernel import KernelError, queue_step
from citygate.kernel.queue_step import QueueStats
from citygate.lab.topology import Lab
from tests.kernel.world import Namer

PROGRAMS = pytest.mark.parametrize("program", ["iptables", "ip6tables"])


def rules(lab: Lab, program: str) -> list[str]:
    listed = lab.run("gw", [program, "-t", "mangle", "-S", "FORWARD"]).stdout.splitlines()
    return [line for line in listed if line.startswith("-A")]


@PROGRAMS
def test_one_rule_whatever_happens(lab: Lab, program: str) -> None:
    foreign = "-A FORWARD -p tcp -j NFQUEUE --queue-num 77"
    lab.run("gw", [program, "-t", "mangle", *foreign.split()])
    with lab.inside("gw"):
        for queues in (range(1), range(1), range(4, 8), range(2)):
            queue_step.ensure_xtables(queues)
        ours = [rule for rule in rules(lab, program) if "citygate" in rule]
        assert len(ours) == 1
        assert "--mark 0x40000000/0x40000000" in ours[0] and "--queue-balance 0:1" in ours[0] and "bypass" in ours[0]
        queue_step.remove_xtables()
    assert rules(lab, program) == [foreign]
    lab.run("gw", [program, "-t", "mangle", "-F", "FORWARD"])


def test_a_gateway_without_the_program_has_nothing_to_remove(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with lab.inside("gw"):
        queue_step.remove_xtables()


def test_another_running_citygate_is_not_pushed_out(lab: Lab) -> None:
    with lab.inside("gw"):
        queue_step.ensure_xtables(range(8, 10))
        queue_step.refuse_rival(range(2))  # its daemon is gone: nobody is bound
        namer = Namer(9)
        try:
            queue_step.refuse_rival(range(8, 10))
            queue_step.refuse_rival(range(9, 10))
            with pytest.raises(KernelError, match="another citygate filters here, on queue 9"):
                queue_step.refuse_rival(range(2))
        finally:
            namer.stop()
            queue_step.remove_xtables()


def test_the_step_is_one_this_kernel_has(lab: Lab) -> None:
    with lab.inside("gw"):
        assert queue_step.probe() in ("native", "xtables")


def test_queue_figures_are_of_the_namespace(lab: Lab) -> None:
    with lab.inside("gw"):
        namer = Namer(5)
        try:
            assert queue_step.queue_stats() == {5: QueueStats(0, 0, 0, 0)}
        finally:
            namer.stop()
        assert queue_step.queue_stats() == {}
