"""The compiled table and the reference semantics agree: random policies, real packets, IPv4 and IPv6.

Every action and condition of the language is in ``policies.rules``. The policies of a run follow from its seed, which
is printed; ``CITYGATE_SEED`` sets it.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from citygate.kernel import Counters
from citygate.kernel.bucket import Bucket
from citygate.kernel.compile import Compiler
from citygate.policy.evaluate import Outcome, decide_flow
from citygate.policy.load import Loaded
from citygate.policy.model import REFUSING, Action, Address, Policy
from citygate.policy.zones import Zone, ZoneIndex
from citygate.register import Register
from tests.kernel.policies import DEFAULTS, MOMENTS, loaded, region, rules
from tests.kernel.traffic import SEED, Traffic, draw_flows
from tests.kernel.world import World

REGIONS = {
    "shenzhen": (["10.10.0.0/16", "fd00:10::/48"], ["10.10.3.7/32", "fd00:10:0:37::/64"]),
    "shanghai": (["10.20.0.0/16", "fd00:20::/48"], ["10.20.0.0/24"]),
}
EXAMPLES, FLOWS = 100, 40  # policies, and flows through each

POLICIES = st.tuples(
    *(
        st.builds(region, st.just(name), st.just(subscribers), rules(carved), st.sampled_from(DEFAULTS))
        for name, (subscribers, carved) in REGIONS.items()
    )
).map(lambda regions: loaded(Policy(regions, "")))


def test_real_packets_meet_the_reference_semantics(world: World, tmp_path: Path) -> None:
    register = Register(tmp_path / "register")
    compiler = Compiler(register)
    started = False
    checked: Counter[str] = Counter()
    print(f"CITYGATE_SEED={SEED}")

    @seed(SEED)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(POLICIES, st.sampled_from(MOMENTS), st.integers(0, 1 << 32))
    def agree(policy: Loaded, at: datetime, seed: int) -> None:
        nonlocal started
        table = compiler.compile(policy, at)
        (world.edit if started else world.start)(table)
        started = True
        world.empty_buckets(table)
        index = ZoneIndex(table.zones)
        counted = world.counters()
        would = 0
        asked = set()
        for sent in traffic.send(draw_flows(seed, FLOWS), asked=FLOWS):
            near, far = sent.near, sent.far
            expected = decide_flow(
                index.find(near.address), index.find(far.address), sent.flow.name, near, far, at, policy.names
            )
            # What is throttled passes: its bucket is full. That the bucket is asked, its element in the kernel shows.
            wanted = expected.action if expected.action in REFUSING else Action.ALLOW
            assert sent.fate == wanted, (sent, at, policy)
            if wanted is Action.ALLOW:
                assert sent.dscp == (expected.dscp or 0), (sent, at, policy)
            for end, subscriber in ((expected.originator, near.address), (expected.responder, far.address)):
                if end:
                    zone = index.find(subscriber)
                    assert zone
                    buckets, counts = _trace(zone, end)
                    family = (4, 6).index(subscriber.version)
                    asked |= {(bucket.sets[family], _owner(subscriber)) for bucket in buckets}
                    would += counts
            checked[expected.action or "undecided"] += 1
        after = world.counters()
        assert _would(after) - _would(counted) == would, (seed, at, policy)
        assert world.bucket_owners(table) == asked, (seed, at, policy)

    with Traffic(world, register) as traffic:
        agree()
    print(f"{sum(checked.values())} packets: {dict(checked)}")
    assert sum(checked.values()) >= EXAMPLES * FLOWS
    assert set(checked) == {*Action, "undecided"}


def _trace(zone: Zone, end: Outcome) -> tuple[list[Bucket], int]:
    """The buckets a packet meets at one end, none over its rate, and how often it is counted as `would_block`."""
    rules = {rule.name: rule for rule in zone.rules}
    buckets = []
    for name in end.would:
        if rules[name].action in REFUSING:
            counts = 1
            break
        buckets.append(Bucket(zone.region.name, name, rules[name].rate))
    else:
        counts = 0
    if end.effect and end.effect.action is Action.THROTTLE:
        buckets.append(Bucket(zone.region.name, end.effect.bucket, end.effect.rate))
    return buckets, counts


def _owner(subscriber: Address) -> str:
    """Of IPv6 the /64."""
    return str(subscriber if subscriber.version == 4 else ip_network((int(subscriber) >> 64 << 64, 64))[0])


def _would(counters: Counters) -> int:
    return sum(packets for (_, _, name, _), (packets, _) in counters.packets.items() if name == "would_block")
