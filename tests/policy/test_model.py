"""Rules that do the same to a packet have the same effect."""

from __future__ import annotations

from citygate.policy.model import Action, Effect, Match, Rule


def test_an_effect_is_all_that_happens_to_a_packet() -> None:
    drop = Rule("one", Match(services=("skype",)), Action.DROP).effect
    assert drop == Rule("two", Match(), Action.DROP).effect == Effect(Action.DROP)
    assert Rule("x", Match(), Action.MARK, dscp=46).effect != Rule("x", Match(), Action.MARK, dscp=10).effect


def test_a_throttles_bucket_is_its_rules() -> None:
    """Two rules of one rate do not share what they let through."""
    one, two = (Rule(name, Match(), Action.THROTTLE, rate=8_000).effect for name in ("one", "two"))
    assert one != two and (one.rate, one.bucket) == (8_000, "one")
