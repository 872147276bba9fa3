"""Notice of edits, by whomever."""

from __future__ import annotations

from citygate.kernel import Changes, nft
from citygate.lab.topology import Lab


def test_edits_are_noticed_once_and_silence_is_silence(lab: Lab) -> None:
    with lab.inside("gw"):
        changes = Changes()
        assert not changes.wait(0.05)
        nft.load(["add table inet somebody"])
        assert changes.wait(2)
        assert not changes.wait(0.05)
        lab.run("gw", ["iptables", "-t", "mangle", "-A", "FORWARD", "-p", "tcp"])
        lab.run("gw", ["iptables", "-t", "mangle", "-F", "FORWARD"])
        assert changes.wait(2)
        nft.load(["delete table inet somebody"])
        changes.close()


def test_what_overflows_the_socket_is_an_edit(lab: Lab) -> None:
    with lab.inside("gw"):
        changes = Changes()
        elements = ", ".join(f"10.{n >> 8}.{n & 255}.1" for n in range(60_000))
        nft.load(["add table inet somebody", "add set inet somebody s { type ipv4_addr; }"])
        nft.load([f"add element inet somebody s {{ {elements} }}"])
        assert changes.wait(2)
        while changes.wait(0.05):
            pass
        nft.load(["delete table inet somebody"])
        assert changes.wait(2)
        changes.close()


def test_another_namespace_is_not_heard(lab: Lab) -> None:
    with lab.inside("gw"):
        changes = Changes()
    with lab.inside("internet"):
        nft.load(["add table inet somebody"])
        nft.load(["delete table inet somebody"])
    assert not changes.wait(0.1)
    changes.close()
