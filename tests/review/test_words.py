"""Numbers, flows and effects in words."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from ipaddress import ip_address

import pytest

from citygate.policy.evaluate import Far
from citygate.policy.model import Action, Effect
from citygate.policy.problem import Problem
from citygate.review.five_tuple import parse_flow
from citygate.review.words import (
    count,
    effect_json,
    endpoint,
    five_tuple,
    problem_text,
    service_text,
    some,
    time_text,
)


def test_numbers_and_lists() -> None:
    assert [count(number, "flow") for number in (0, 1, 2000)] == ["0 flows", "1 flow", "2,000 flows"]
    assert some(["a", "b"], 2) == "a, b"
    assert some(map(str, range(1005)), 2) == "0, 1 and 1,003 more"
    assert some([], 2) == ""


@pytest.mark.parametrize("text", ["udp 10.10.0.5:5060 > 198.51.100.10:12340", "tcp [fd00::5]:1 > [2001:db8::1]:443"])
def test_a_flow_as_explain_reads_it(text: str) -> None:
    assert five_tuple(*parse_flow(text)) == text


def test_a_flow_without_ports() -> None:
    ends = Far(ip_address("fd00::5"), "esp", None), Far(ip_address("2001:db8::1"), "esp", None)
    assert five_tuple(*ends) == "esp fd00::5 > 2001:db8::1"


def test_endpoints() -> None:
    assert [endpoint("10.10.0.5", port) for port in (53, "53", None)] == ["10.10.0.5:53", "10.10.0.5:53", "10.10.0.5"]
    assert [endpoint("fd00::5", port) for port in (53, None)] == ["[fd00::5]:53", "fd00::5"]


def test_names_of_flows() -> None:
    assert [service_text("openvpn", "bt"), service_text("openvpn", ""), service_text("", "")] == [
        "openvpn of bt",
        "openvpn",
        "(no name yet)",
    ]


def test_times() -> None:
    assert time_text(datetime.fromisoformat("2026-11-23T18:00:00+08:00")) == "Mon 2026-11-23 18:00:00 +0800"


def test_problems_read_as_those_of_check() -> None:
    problem = Problem("a.yaml", 2, 3, "no service `x`")
    assert problem_text(asdict(problem) | {"added": "later"}) == str(problem)


def test_effects() -> None:
    assert effect_json(None) == {"action": "undecided"}
    assert effect_json(Effect(Action.DROP)) == {"action": "drop"}
    assert effect_json(Effect(Action.THROTTLE, 9000)) == {"action": "throttle", "rate": 9000}
    assert effect_json(Effect(Action.MARK)) == {"action": "mark", "dscp": 0}
    assert effect_json(Effect(Action.THROTTLE, 9000, 46)) == {"action": "throttle", "rate": 9000, "dscp": 46}
