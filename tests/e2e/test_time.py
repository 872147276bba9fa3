"""What changes by itself: windows and licences, on flows that are up. The daemon's clock is libfaketime's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from citygate.lab import flows
from citygate.lab.gateway import Gateway
from citygate.lab.topology import Lab, party
from citygate.lab.udp import Refusal
from tests.e2e.conftest import Traffic
from tests.e2e.pairs import Udp
from tests.e2e.tools import events, region, until

pytestmark = [
    pytest.mark.parametrize("family", [4, 6]),
    pytest.mark.skipif(not list(Path("/usr").glob("lib/*/faketime/libfaketimeMT.so.1")), reason="needs libfaketime"),
]

SECOND = timedelta(seconds=1)
SHANGHAI = "timezone: Asia/Shanghai\n"  # UTC+8 all year
LONDON = "timezone: Europe/London\n"  # UTC+1 in June
NIGHT = "match: {service: skypeout}, action: reject, when: Sun 22:00-02:00"
OPENVPN = [message.payload for message in flows.named("openvpn")[0].messages if message.from_client]
LAWFUL = ("match: {category: vpn, licence: granted}, action: allow", "match: {category: vpn}, action: reject")

StartAt = Callable[..., Gateway]


@pytest.fixture
def gateway(lab: Lab, tmp_path: Path) -> Iterator[StartAt]:
    """Starts the daemon at a time of day."""
    with ExitStack() as ending:

        def start(at: datetime, regions: dict[str, str], providers: str | None = None) -> Gateway:
            made = Gateway(lab, tmp_path / "gateway", regions, providers=providers)
            ending.callback(_end, made)
            made.start(at)
            return made

        yield start


def _end(gateway: Gateway) -> None:
    if gateway.running:
        gateway.kill()
    print(gateway.log.read_text())


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def timed(gateway: Gateway) -> float:
    return gateway.total("citygate_policy_reloads_total", result="timed")


def test_a_window_opens_and_closes_on_a_call(gateway: StartAt, traffic: Traffic, family: int) -> None:
    """From Sunday 22:00 to Monday 2:00 in Shenzhen; Beijing's clock is the Greenwich one, so there it is afternoon."""
    opens = moment("2026-05-31 14:00")
    start = time.monotonic()
    running = gateway(
        opens - 8 * SECOND, {"shenzhen": region(NIGHT) + SHANGHAI, "beijing": region(NIGHT, name="beijing")}
    )
    call = traffic.call("skypeout", "shenzhen", family=family)
    beside = traffic.call("skype", "shenzhen", family=family, seed=2)
    elsewhere = traffic.call("skypeout", "beijing", "shanghai", family, seed=3)
    cut = call.wait_until_cut(0.0, timeout=20)
    assert cut is not None
    assert abs(cut - (start + 8)) < 1
    assert call.tally(until=cut - 0.1).lost == 0
    running.set_clock(moment("2026-05-31 15:59:58"))
    until(lambda: call.tally(since=time.monotonic() - 1).sent > 0, "it goes on")
    time.sleep(5)  # over midnight
    assert timed(running) == 1
    assert call.tally(since=cut).arrived == 0
    assert call.tally(since=cut).refused is Refusal.ICMP
    set_ = time.monotonic()
    running.set_clock(moment("2026-05-31 17:59:56"))
    alive = call.wait_until_alive(set_, timeout=15)
    assert alive is not None
    assert abs(alive - (set_ + 4)) < 1
    assert call.wait_for_frames(30)
    for each in (call, beside, elsewhere):
        each.stop()
    assert call.tally(since=alive).lost == 0
    assert (beside.tally().lost, elsewhere.tally().lost) == (0, 0)
    assert (timed(running), running.reloads()) == (2, 1)


def register(family: int) -> str:
    """One provider, asked for on 18 May, granted for 1 June alone."""
    network = f"{party('internet').address(family)}/{32 if family == 4 else 128}"
    return f"""
providers:
  - provider: bt
    title: BT
    services: [vpn]
    licence: {{status: granted, since: 2016-05-18, from: 2016-06-01, until: 2016-06-01}}
    endpoints: {{networks: ["{network}"]}}
"""


def licensed(gateway: Gateway, region: str) -> dict[tuple[str, str], int]:
    """(licence, verdict) to packets up of this region's tunnels."""
    found = {}
    for (name, labels), value in gateway.metrics().items():
        has = dict(labels)
        if name == "citygate_licensed_packets_total" and (has["region"], has["direction"]) == (region, "up"):
            assert has["provider"] == "bt"
            found[has["licence"], has["verdict"]] = int(value)
    return found


def test_a_licence_begins_and_ends(gateway: StartAt, lab: Lab, family: int) -> None:
    """At midnight of the region that is asked about, and back again when somebody sets the clock back."""
    running = gateway(
        moment("2016-05-31 15:59:52"),
        {"shenzhen": region(*LAWFUL) + SHANGHAI, "beijing": region(*LAWFUL, name="beijing") + LONDON},
        register(family),
    )
    with Udp(lab, "shenzhen", "internet", family, 1194) as here, Udp(lab, "beijing", "internet", family, 1195) as there:
        assert (here.up(OPENVPN[0]), there.up(OPENVPN[0])) == (False, False)
        until(lambda: timed(running) == 1, "midnight in Shanghai", 15)
        assert (here.up(OPENVPN[1]), there.up(OPENVPN[1])) == (True, False)
        assert (here.up(OPENVPN[2]), there.up(OPENVPN[2])) == (True, False)
        with Udp(lab, "shenzhen", "internet", family, 1196) as another:
            assert another.up(OPENVPN[0])
        assert licensed(running, "shenzhen") == {("applied", "blocked"): 1, ("granted", "passed"): 3}
        assert licensed(running, "beijing") == {("applied", "blocked"): 3}
        running.set_clock(moment("2016-06-01 15:59:58"))  # London's midnight has been: at once
        until(lambda: timed(running) == 3, "the end of the day in Shanghai", 15)
        assert (here.up(OPENVPN[0]), there.up(OPENVPN[0])) == (False, True)
        running.set_clock(moment("2016-05-31 12:00"))
        until(lambda: timed(running) == 4, "the clock set back")
        assert (here.up(OPENVPN[1]), there.up(OPENVPN[1])) == (False, False)
        with Udp(lab, "shenzhen", "internet", family, 1197) as another:
            assert not another.up(OPENVPN[0])
    assert licensed(running, "shenzhen") == {
        ("applied", "blocked"): 3,
        ("granted", "passed"): 3,
        ("expired", "blocked"): 1,
    }
    assert licensed(running, "beijing") == {("applied", "blocked"): 4, ("granted", "passed"): 1}
    told = [(event["citygate"]["region"], event["citygate"]["licence"]) for event in events(running, 4)]
    assert sorted(told) == [("beijing", "applied"), *[("shenzhen", "applied")] * 2, ("shenzhen", "granted")]
    assert running.reloads() == 1


def test_time_stands_still_without_a_daemon(gateway: StartAt, traffic: Traffic, family: int) -> None:
    running = gateway(moment("2026-05-31 17:59:55"), {"shenzhen": region(NIGHT) + SHANGHAI})
    call = traffic.call("skypeout", "shenzhen", family=family)
    beside = traffic.call("skype", "shenzhen", family=family, seed=2)
    assert call.wait_until_cut(0.0) is not None
    assert beside.wait_for_frames(30)
    running.kill()
    time.sleep(6)  # the window is over
    assert call.wait_until_alive(time.monotonic() - 1, timeout=0) is None
    started = time.monotonic()
    running.start(moment("2026-05-31 18:00:30"))
    assert call.wait_until_alive(started) is not None
    running.kill()
    running.start(moment("2026-06-07 14:00:30"))  # a week later, in the window
    assert call.wait_until_cut(time.monotonic()) is not None
    beside.stop()
    assert beside.tally().lost == 0


def test_a_rehearsed_window_opens(gateway: StartAt, traffic: Traffic, tmp_path: Path, family: int) -> None:
    running = gateway(moment("2026-05-31 13:59:52"), {"shenzhen": region() + SHANGHAI})
    rehearsed = tmp_path / "rehearsed"
    (rehearsed / "regions").mkdir(parents=True)
    (rehearsed / "regions/shenzhen.yaml").write_text(region(NIGHT) + SHANGHAI)
    assert running.ask("shadow", directory=str(rehearsed)) == []
    call = traffic.call("skypeout", "shenzhen", family=family)
    assert call.wait_for_frames(30)
    assert running.ask("shadow_counters") == []
    until(lambda: running.ask("shadow_counters") != [], "the rehearsed window opens", 15)
    assert timed(running) == 1
    assert call.stop().lost == 0
