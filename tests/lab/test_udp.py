from __future__ import annotations

import select

import pytest

from citygate.lab.topology import Lab, party
from citygate.lab.udp import Refusal, UdpSocket, icmp_refusal
from tests.lab.conftest import Rules


def wait(sock: UdpSocket) -> None:
    """Until there is something to receive, or an error."""
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    assert poll.poll(2000)


def pair(lab: Lab, family: int) -> tuple[UdpSocket, UdpSocket]:
    return (
        UdpSocket(lab, "beijing", party("beijing").address(family), 4000),
        UdpSocket(lab, "internet", party("internet").address(family), 5000),
    )


@pytest.mark.parametrize("family", [4, 6])
def test_a_datagram_arrives_with_its_source(lab: Lab, family: int) -> None:
    client, server = pair(lab, family)
    client.send(b"hello", server.address)
    wait(server)
    assert server.receive() == (b"hello", client.address)
    assert server.receive() is None
    assert client.refusals() == []


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("reject with icmpx type admin-prohibited", Refusal.ICMP),
        ("reject with icmpx type port-unreachable", Refusal.OTHER_ICMP),
    ],
)
def test_a_refusal_is_told_apart(lab: Lab, rules: Rules, family: int, verdict: str, expected: Refusal) -> None:
    rules(f"udp dport 5000 {verdict}")
    client, server = pair(lab, family)
    client.send(b"hello", server.address)
    wait(client)
    assert client.receive() is None
    assert client.refusals() == [expected]
    assert client.refusals() == []


@pytest.mark.parametrize("family", [4, 6])
def test_a_refusal_does_not_eat_the_next_datagram(lab: Lab, rules: Rules, family: int) -> None:
    rules("udp dport 5000 reject with icmpx type admin-prohibited")
    client, server = pair(lab, family)
    client.send(b"refused", server.address)
    wait(client)
    rules("accept")
    client.send(b"arrives", server.address)
    wait(server)
    assert server.receive() == (b"arrives", client.address)
    assert client.refusals() == [Refusal.ICMP]


def test_what_icmp_errors_stand_for() -> None:
    assert [code for code in range(16) if icmp_refusal(4, 3, code) is Refusal.ICMP] == [9, 10, 13]
    assert [code for code in range(8) if icmp_refusal(6, 1, code) is Refusal.ICMP] == [1]
    assert icmp_refusal(4, 11, 0) is Refusal.NONE  # time exceeded
    assert icmp_refusal(6, 2, 0) is Refusal.NONE  # packet too big
