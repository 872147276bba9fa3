"""A guess names a flow, a surer name takes its place, and its class changes at most three times."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from tests.datapath.names import CLASS, NOT_FINAL, naming
from tests.datapath.packets import FAMILIES, NOBODYS, SSH_LINE, SYN, V4, back, tcp, udp
from tests.datapath.recognise.hellos import client_hello, record

PORTS = (40000, 3478)
BINDING = struct.pack("!HHI12s", 1, 0, 0x2112A442, b"transaction.")  # RFC 8489: a request without attributes
REFINE = 32


def rtp(number: int) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, number, 160 * number, 0x1234) + bytes(range(160))


def classifier() -> Classifier:
    return Classifier(naming(), endpoints=Shared())


@pytest.mark.parametrize("ends", FAMILIES)
def test_the_media_after_stun(ends: tuple[str, str]) -> None:
    made = classifier()
    answers = [made.packet(udp(ends, *PORTS, BINDING), 1)]
    answers += [made.packet(udp(ends, *PORTS, rtp(number)), 2 + number) for number in range(8)]
    assert answers[0] == CLASS["stun"] | NOT_FINAL
    assert answers[-1] == CLASS["rtp"]
    assert set(answers) == {answers[0], answers[-1]}
    first, last = made.take_named(10)
    assert (first.service, first.final, last.service, last.final) == ("stun", False, "rtp", True)
    assert (made.counts()["named"], made.counts()["refined"], made.counts()["renamed"]) == (1, 1, 0)


@pytest.mark.parametrize("ends", FAMILIES)
def test_a_guess_that_nothing_betters_becomes_final(ends: tuple[str, str]) -> None:
    made = classifier()
    answers = [made.packet(udp(ends, *PORTS, BINDING), now) for now in range(REFINE + 5)]
    assert answers == [CLASS["stun"] | NOT_FINAL] * REFINE + [CLASS["stun"]] * 5
    assert len(made.take_named(10)) == 1


@pytest.mark.parametrize("ends", FAMILIES)
@pytest.mark.parametrize("again", [False, True], ids=["more", "rewritten"])
def test_a_guess_in_a_stream_becomes_final_as_soon(ends: tuple[str, str], again: bool) -> None:
    made = classifier()
    hello = record(client_hello(None))
    made.packet(tcp(ends, 40000, 443, 99, b"", SYN), 1)
    answers = [made.packet(tcp(ends, 40000, 443, 100, hello), 1)]
    for number in range(REFINE):
        other = bytes([*hello[:20], number, *hello[21:]])
        segment = (100, other) if again else (100 + len(hello) + number, b"\x14")
        answers.append(made.packet(tcp(ends, 40000, 443, *segment), 1))
    assert answers == [CLASS["tls"] | NOT_FINAL] * REFINE + [CLASS["tls"]]


@pytest.mark.parametrize("ends", FAMILIES)
def test_bytes_that_nobody_knows_do_not_take_a_guess_away(ends: tuple[str, str]) -> None:
    made = classifier()
    made.packet(udp(ends, *PORTS, BINDING), 1)
    answers = {made.packet(udp(ends, *PORTS, NOBODYS), now) for now in range(2, 60)}
    assert answers == {CLASS["stun"] | NOT_FINAL, CLASS["stun"]}
    assert made.counts()["gave_up_packet_budget"] == 0


payloads = st.one_of(
    st.just(BINDING), st.integers(0, 60).map(rtp), st.just(NOBODYS), st.just(SSH_LINE), st.binary(min_size=1),
    st.builds(lambda kind, rest: bytes([kind]) + rest, st.sampled_from([0, 1, 20, 22, 0x40, 0x80, 0x90]),
              st.binary(min_size=12, max_size=60)),
)  # fmt: skip


@given(st.lists(st.tuples(payloads, st.booleans()), min_size=1, max_size=50))
def test_few_changes_whatever_comes(sent: list[tuple[bytes, bool]]) -> None:
    made = classifier()
    made.packet(udp(V4, *PORTS, BINDING), 0)
    classes = [CLASS["stun"]]
    for now, (payload, answered) in enumerate(sent):
        packet = udp(back(V4), PORTS[1], PORTS[0], payload) if answered else udp(V4, *PORTS, payload)
        classes.append(made.packet(packet, now) & ~NOT_FINAL)
    if not {CLASS["dns"], CLASS["sip"]} & set(classes):  # these name each message for itself
        assert len(list(itertools.groupby(classes))) <= 4
    assert 0 not in classes
