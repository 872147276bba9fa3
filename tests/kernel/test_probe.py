"""What this kernel can do, tried on it."""

from __future__ import annotations

import re

import pytest

from citygate.kernel import KernelError, probe
from citygate.kernel import queue_step as step
from citygate.lab.topology import GATEWAY, Lab


def test_this_kernel_has_it_all_and_nothing_is_made(lab: Lab) -> None:
    before = lab.run(GATEWAY, ["nft", "list", "ruleset"]).stdout
    with lab.inside(GATEWAY):
        found = probe.features()
        step.probe()  # raises where there is no queue step
    assert [feature.name for feature in found if not feature.there] == []
    assert len({feature.name for feature in found}) == len(found)
    after = lab.run(GATEWAY, ["nft", "list", "ruleset"]).stdout
    assert "citygate" not in after and (before == after or not before)  # iptables leaves its empty tables


def test_what_a_kernel_lacks_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a rule that no kernel has, and without iptables, as far as the queue step needs it."""
    rules = (("nft_none", "CONFIG_NFT_NONE", "a test", "jhash ip saddr mod 100 seed 1 0 nonsense"),)
    monkeypatch.setattr(probe, "_RULES", rules)
    with lab.inside(GATEWAY):
        first, *_ = probe.features()
    assert (first.name, first.there) == ("nft_none", False)


@pytest.mark.parametrize("program", ["iptables", "ip6tables"])
def test_a_target_that_the_kernel_lacks(lab: Lab, program: str) -> None:
    """The words by which xt_NFQUEUE is missed, said of a target that this kernel lacks."""
    done = lab.run(GATEWAY, [program, "-t", "mangle", "-w", "-C", "FORWARD", "-j", "LED", "--led-trigger-id", "x"])
    if "missing kernel module" not in done.stderr:
        pytest.skip("this kernel has xt_LED (CONFIG_NETFILTER_XT_TARGET_LED)")
    assert done.returncode != 0


def test_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    found = probe.versions()
    assert found.keys() == {"nft", "iptables", "ip6tables"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["nft"] or "")
    assert re.fullmatch(r"\d+\.\d+\.\d+ (nf_tables|legacy)", found["iptables"] or "")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert set(probe.versions().values()) == {None}
    with pytest.raises(KernelError, match="nft is not installed"):
        probe.features()
