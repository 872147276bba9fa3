from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from citygate.lab import apart, flows
from citygate.lab.results import FlowResult
from citygate.lab.topology import GATEWAY, Lab, LabError, party
from citygate.lab.udp import Refusal
from tests.lab.conftest import Rules, nft

UDP = [name for name in flows.NAMES if all(flow.proto == "udp" for flow in flows.named(name))]
SPEECH = f"udp dport {flows.SKYPEOUT_PORT} udp length 37"  # 29 bytes behind the header


@pytest.fixture(scope="module")
def answering(lab: Lab) -> Iterator[None]:
    """The lab's internet host answers, in a process of its own."""
    process = lab.popen("internet", [sys.executable, "-m", "citygate", "lab", "answer"], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline().startswith(b"answering calls")
    yield
    process.terminate()
    process.wait()


def called(lab: Lab, name: str, family: int = 4, frames: int = 5) -> tuple[list[FlowResult], list[str]]:
    """A conversation from Shenzhen's household, and what was said meanwhile."""
    said: list[str] = []
    with lab.inside("shenzhen"):
        report = apart.call(name, party("household"), party("internet"), family, 1, frames, said.append)
    return report.flows, said


@pytest.mark.usefixtures("answering")
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name", UDP)
def test_everything_arrives_at_both_ends_where_nothing_is_refused(lab: Lab, name: str, family: int) -> None:
    results, said = called(lab, name, family)
    wanted = [len(flow.messages) for flow in flows.named(name, 1, 5)]
    assert [(each.sent, each.arrived, each.refused) for each in results] == [(n, n, Refusal.NONE) for n in wanted]
    assert said == []


@pytest.mark.usefixtures("answering")
@pytest.mark.parametrize("family", [4, 6])
def test_what_is_refused_is_told_and_not_counted(lab: Lab, rules: Rules, family: int) -> None:
    rules(f"{SPEECH} reject with icmpx type admin-prohibited")
    [flow], said = called(lab, "skypeout", family)
    assert (flow.arrived, flow.sent, flow.refused_from) == (6, 6 + 5, 8)
    assert flow.refused is Refusal.ICMP
    assert said == ["no answer: icmp prohibited"]


@pytest.mark.usefixtures("answering")
def test_what_is_dropped_is_silence(lab: Lab, rules: Rules) -> None:
    rules(f"udp sport {flows.SKYPEOUT_PORT} drop")
    [flow], said = called(lab, "skypeout")
    assert flow.refused is Refusal.SILENCE
    assert said == ["no answer: silence"]


@pytest.mark.usefixtures("answering")
def test_a_call_that_lives_again_is_told(lab: Lab, rules: Rules) -> None:
    said: list[str] = []

    def say(news: str) -> None:
        said.append(news)
        nft(lab, "flush chain inet refusals forward")

    rules(f"{SPEECH} drop")
    with lab.inside("shenzhen"):
        apart.call("skypeout", party("household"), party("internet"), 4, 1, 20, say)
    assert said == ["no answer: silence", "answered again"]


@pytest.mark.usefixtures("answering")
def test_tcp_is_refused_in_words(lab: Lab) -> None:
    with pytest.raises(LabError, match="http is TCP"):
        called(lab, "http")


def test_nobody_answers(lab: Lab) -> None:
    with lab.inside("beijing"), pytest.raises(LabError, match="`citygate lab answer` has to run on the other"):
        apart.call("dns", party("beijing"), party("shanghai"), 6, 1)


@pytest.mark.usefixtures("answering")
@pytest.mark.parametrize("asked", ["skypeout 1 1000000000", "skypeout 1 -1", "skypeout 1", "s" * 100_000])
def test_what_nobody_should_ask_is_refused(lab: Lab, asked: str) -> None:
    with lab.inside("shenzhen"):
        control = socket.create_connection((party("internet").address(4), apart.PORT), timeout=30)
    # Who sends a long line is hung up on in the middle of it.
    with control, control.makefile("rb") as lines, suppress(ConnectionError):
        control.sendall(asked.encode() + b"\n")
        assert lines.readline() not in (b"", b"ready\n")
    [flow], _ = called(lab, "dns")
    assert flow.arrived == flow.sent


@pytest.mark.usefixtures("answering")
def test_an_address_of_nobody_is_refused(lab: Lab) -> None:
    with lab.inside(GATEWAY), pytest.raises(LabError, match="cannot reach"):
        apart.call("dns", party("shanghai"), party("internet"), 4, 1)
