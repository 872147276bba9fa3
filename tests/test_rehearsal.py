"""What a rehearsal says of itself; live it is in e2e/test_rehearsal.py."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from citygate import catalogue
from citygate.policy.load import load
from citygate.rehearsal import since, unseen
from citygate.totals import Flip
from tests.inforce_samples import PROVIDERS, licensed_policy

SERVICES = "services: [{service: acme, category: voip, title: ACME, hosts: [acme.example]}]\n"
KEYS = [Flip("shenzhen", "skypeout", "", would, way) for would in ("passed", "blocked") for way in ("up", "down")]
counts = st.dictionaries(
    st.sampled_from(KEYS), st.integers(0, 9).map(lambda packets: (packets, 100 * packets)), max_size=4
)


@given(counts, counts)
def test_what_was_counted_since(before: dict[Flip, tuple[int, int]], more: dict[Flip, tuple[int, int]]) -> None:
    now = {
        key: (
            before.get(key, (0, 0))[0] + more.get(key, (0, 0))[0],
            before.get(key, (0, 0))[1] + more.get(key, (0, 0))[1],
        )
        for key in before | more
    }
    assert since(now, before) == {key: counted for key, counted in more.items() if counted[0]}
    assert since(now, now) == {}


def test_what_cannot_be_seen(tmp_path: Path) -> None:
    """Flows keep the names they have; a licence is no part of a name."""

    def policy(name: str, providers: str, services: str = "") -> Path:
        place = licensed_policy(tmp_path / name, providers)
        if services:
            (place / "services.yaml").write_text(services)
        return place

    now = load(policy("now", PROVIDERS, SERVICES), catalogue.builtin())
    licence = load(policy("licence", PROVIDERS.replace("granted", "revoked"), SERVICES), catalogue.builtin())
    assert list(unseen(now, now)) == list(unseen(now, licence)) == []
    other = PROVIDERS.replace("[vpn]", "[vpn, voip]")
    told = load(policy("told", other, SERVICES.replace("acme.example", "example.com")), catalogue.builtin())
    assert [sentence.partition(",")[0] for sentence in unseen(now, told)] == [
        "service acme: told otherwise by the policy in force",
        "provider bt: told otherwise by the policy in force",
    ]
    renamed = load(policy("renamed", PROVIDERS.replace("provider: bt", "provider: unicom")), catalogue.builtin())
    assert list(unseen(now, renamed)) == [
        "provider unicom: the policy in force does not have it, so its flows are nobody's"
    ]
