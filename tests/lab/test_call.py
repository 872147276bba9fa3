from __future__ import annotations

import time

import pytest
from pyroute2 import IPRoute

from citygate.lab import flows
from citygate.lab.call import Call
from citygate.lab.topology import Lab, LabError, party
from citygate.lab.udp import Refusal
from tests.lab.conftest import Rules


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name", flows.CALLS)
@pytest.mark.parametrize(("caller", "callee"), [("household", "internet"), ("beijing", "shanghai")])
def test_a_call_nobody_touches_loses_nothing(lab: Lab, name: str, family: int, caller: str, callee: str) -> None:
    with Call(lab, name, party(caller), party(callee), family) as call:
        assert call.wait_for_frames(60)
        assert call.wait_until_alive(0.0) is not None
    tally = call.tally()
    assert tally.sent == tally.arrived >= 60
    assert tally.refused is Refusal.NONE


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("verdict", "refused"), [("drop", Refusal.SILENCE), ("reject with icmpx type admin-prohibited", Refusal.ICMP)]
)
def test_a_call_is_cut_and_lives_again(lab: Lab, rules: Rules, family: int, verdict: str, refused: Refusal) -> None:
    with (
        Call(lab, "skypeout", party("shanghai"), party("internet"), family) as call,
        Call(lab, "skype", party("shanghai"), party("internet"), family) as beside,
    ):
        assert call.wait_for_frames(20)
        saved = time.monotonic()
        rules(f"udp dport 12340 {verdict}")
        cut = call.wait_until_cut(saved)
        assert cut is not None
        assert cut >= saved
        restored = time.monotonic()
        rules("accept")
        alive = call.wait_until_alive(restored)
        assert alive is not None
        assert alive >= restored
        assert call.wait_for_frames(10)
    assert call.tally(until=saved).lost == 0
    assert call.tally(cut, restored).refused is refused
    assert call.tally(cut, restored).arrived == 0
    assert call.tally(since=alive).lost == 0
    assert beside.tally().lost == 0


def test_waiting_for_what_does_not_happen_ends(lab: Lab) -> None:
    with Call(lab, "skypeout", party("shanghai"), party("internet")) as call:
        assert call.wait_until_cut(0.0, timeout=0.1) is None
        assert not call.wait_for_frames(100_000, timeout=0.1)


def test_a_call_that_nobody_answers_is_not_alive(lab: Lab, rules: Rules) -> None:
    rules("udp dport 12340 drop")
    with Call(lab, "skypeout", party("shanghai"), party("internet")) as call:
        assert call.wait_for_frames(10)
        assert call.wait_until_alive(0.0, timeout=0.1) is None
    assert call.tally().arrived == 0


def test_an_unknown_call_says_which_there_are(lab: Lab) -> None:
    with pytest.raises(LabError, match="skypeout"):
        Call(lab, "pigeon", party("shanghai"), party("internet"))


def test_what_breaks_a_call_is_told_to_who_waits(fresh: Lab) -> None:
    call = Call(fresh, "skypeout", party("shanghai"), party("internet"))
    with fresh.inside("shanghai"), IPRoute() as links:  # sends fail: network unreachable
        links.link("set", index=links.link_lookup(ifname="eth0")[0], state="down")
    call.start()
    with pytest.raises(LabError, match="the skypeout call broke"):
        call.wait_for_frames(50)
    with pytest.raises(LabError, match="the skypeout call broke"):
        call.stop()
