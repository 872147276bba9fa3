"""Flows that get another fate, in words and as JSON."""

from __future__ import annotations

import io
from ipaddress import ip_address

from citygate.policy.evaluate import Far
from citygate.policy.model import Action, Effect, Name
from citygate.review.diff_flows import Flows
from citygate.review.observed import Changed, Observed
from citygate.tables import console

ALLOW, DROP = Effect(Action.ALLOW), Effect(Action.DROP)


def changed(source: str, before: Effect | None = ALLOW, after: Effect | None = DROP) -> Changed:
    far = "2001:db8::1" if ":" in source else "198.51.100.1"
    ends = Far(ip_address(source), "udp", 5000), Far(ip_address(far), "udp", 12340)
    name = None if before is None else Name("skypeout")
    return Changed(Observed(*ends, (name, Name("skypeout", "bt"))), "shenzhen", ends[0].address, before, after)


FLOWS = Flows((changed("10.10.0.5"), changed("10.10.0.5"), changed("fd00::1"), changed("fd00::2")), 9)


def test_a_subscriber_of_ipv6_is_a_slash_64() -> None:
    found = FLOWS.as_json()
    assert (found["flows"], found["flows_changed"], found["subscribers_changed"]) == (9, 4, 2)


def test_a_flow_as_json() -> None:
    assert FLOWS.as_json()["changes"][2] == {
        "region": "shenzhen",
        "subscriber": "fd00::1",
        "proto": "udp",
        "source": "fd00::1",
        "source_port": 5000,
        "destination": "2001:db8::1",
        "destination_port": 12340,
        "before": {"service": "skypeout", "provider": "", "action": "allow"},
        "after": {"service": "skypeout", "provider": "bt", "action": "drop"},
    }


def test_rows_for_people_the_most_flows_first() -> None:
    out = io.StringIO()
    Flows((changed("10.10.0.5", None, None), *FLOWS.changed), 9).show(console(out))
    text = out.getvalue()
    assert "of 9 flows 5 get another fate, of 2 subscribers" in text
    assert "skypeout → skypeout of bt" in text
    assert "no name yet → skypeout of bt" in text
    assert "undecided → undecided" in text
    assert "udp 10.10.0.5:5000 > 198.51.100.1:12340" in text
    assert text.index("allow → drop") < text.index("undecided →")


def test_nothing() -> None:
    out = io.StringIO()
    none = Flows((), 9)
    none.show(console(out))
    assert (none.different, out.getvalue()) == (False, "nothing changes for 9 flows\n")
