"""Numbers, flows and effects in words."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from citygate.policy.evaluate import Far
from citygate.policy.model import Action, Effect
from citygate.review.five_tuple import parse_flow
from citygate.review.words import count, effect_json, five_tuple, some


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


def test_effects() -> None:
    assert effect_json(None) == {"action": "undecided"}
    assert effect_json(Effect(Action.DROP)) == {"action": "drop"}
    assert effect_json(Effect(Action.THROTTLE, 9000)) == {"action": "throttle", "rate": 9000}
    assert effect_json(Effect(Action.MARK)) == {"action": "mark", "dscp": 0}
    assert effect_json(Effect(Action.THROTTLE, 9000, 46)) == {"action": "throttle", "rate": 9000, "dscp": 46}
