"""Calls of nft: transactions, and what is said when something is missing."""

from __future__ import annotations

import sys

import pytest

from citygate.kernel import KernelError, nft
from citygate.lab.topology import Lab


def test_a_script_holds_whole_or_not_at_all(lab: Lab) -> None:
    with lab.inside("gw"):
        with pytest.raises(KernelError, match=r"nft refused the table: .*nonsense"):
            nft.load(["add table inet half", "add rule inet half nonsense accept"])
        assert "half" not in nft.call("nft", "list", "tables").stdout


def test_a_refusal_is_told_in_few_words_however_long_the_statement(lab: Lab) -> None:
    prefixes = ", ".join(f"10.{number // 256}.{number % 256}.0/24" for number in range(5000))
    with lab.inside("gw"), pytest.raises(KernelError, match=r"nft refused the table: .*10\.0\.0\.0/24.*…") as refused:
        nft.load([f"add element inet nowhere some {{ {prefixes} }}"])
    assert "No such file or directory" in str(refused.value)
    assert len(str(refused.value)) < 2000


def test_asking_changes_nothing(lab: Lab) -> None:
    with lab.inside("gw"):
        assert nft.accepts(["add table inet asked"])
        assert not nft.accepts(["delete table inet asked"])
        assert "asked" not in nft.call("nft", "list", "tables").stdout


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(
        KernelError, match=r"nft is not installed \(Debian package nftables: apt-get install nftables\)"
    ):
        nft.call("nft", "list", "tables")
    with pytest.raises(KernelError, match="apt-get install iptables"):
        nft.call("ip6tables", "-L")


def test_a_missing_privilege_is_named(lab: Lab) -> None:
    """As nobody, in a process of its own."""
    script = "from citygate.kernel import nft; nft.load(['add table inet t'])"
    as_nobody = "import os, sys; os.setgroups([]); os.setuid(65534); exec(sys.argv[1])"
    done = lab.run("gw", [sys.executable, "-c", as_nobody, script])
    assert "KernelError" in done.stderr and "CAP_NET_ADMIN" in done.stderr, done.stderr
