"""ICMP by its IP protocol number, each in its own family."""

from __future__ import annotations

import pytest

from citygate.datapath.recognise.table import ask

ECHO = bytes.fromhex("08 00 f7ff 0000 0000")


@pytest.mark.parametrize(
    ("ip_proto", "family", "answer"), [(1, 4, "yes"), (58, 6, "yes"), (58, 4, "no"), (1, 6, "no"), (47, 4, "no")]
)
def test_number_and_family(ip_proto: int, family: int, answer: str) -> None:
    assert ask("icmp", ECHO, ip_proto=ip_proto, family=family).answer == answer
    assert ask("icmp", b"", ip_proto=ip_proto, family=family).answer == answer
