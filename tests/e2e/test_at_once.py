"""All that changes the table at one time: edits, broken ones too, hangups, reloads, rehearsals, flushes, scrapes."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from citygate.catalogue import builtin
from citygate.lab.topology import GATEWAY, Lab
from citygate.policy.load import load
from citygate.tools.ask import AskError, ask_all
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.tools import region, until

STORM_S = 6.0

REJECT = region("match: {service: skypeout}, action: reject")
ALLOW = region("match: {service: skypeout}, action: allow", "match: {service: wireguard}, action: {throttle: 1 Mbit/s}")
REGISTER = "providers: [{provider: bt, title: BT, services: [vpn], licence: {status: granted, from: 2016-06-DAY}}]\n"


@pytest.mark.parametrize("family", [4, 6])
def test_a_storm_ends_in_the_policy_of_the_files(
    gateway: StartGateway, lab: Lab, traffic: Traffic, tmp_path: Path, family: int
) -> None:
    """A call that every policy allows loses nothing; at the end the table is what the files say."""
    running = gateway({"shenzhen": REJECT, "beijing": region(name="beijing")}, providers=REGISTER.replace("DAY", "01"))
    place = running.directory / "policies"
    (tmp_path / "other/regions").mkdir(parents=True)
    (tmp_path / "other/regions/shenzhen.yaml").write_text(region("match: {service: skype}, action: drop"))
    texts = itertools.cycle([REJECT, ALLOW, "region: ["])
    days = itertools.cycle(range(10, 28))

    def save(name: str, text: str) -> None:
        new = place / f".{name}"
        new.write_text(text)
        new.replace(place / name)

    doings: list[tuple[float, Callable[[], object]]] = [
        (0.1, lambda: running.edit("shenzhen", next(texts), wait=False)),
        (0.3, lambda: save("providers.yaml", REGISTER.replace("DAY", str(next(days))))),
        (0.2, lambda: os.kill(running.pid, signal.SIGHUP)),
        (0.9, lambda: lab.run(GATEWAY, ["nft", "flush", "ruleset"])),
        (0.4, lambda: ask_all(running.control, "shadow", directory=str(tmp_path / "other"))),
        (0.7, lambda: ask_all(running.control, "shadow_off")),
        (0.1, lambda: ask_all(running.control, "shadow_counters")),
        (0.3, lambda: ask_all(running.control, "reload")),
        (0.3, running.metrics),
    ]
    call = traffic.call("skypeout", "shenzhen", family=family)
    beside = traffic.call("skype", "beijing", "shanghai", family, seed=2)
    assert call.wait_until_cut(0.0) is not None
    assert beside.wait_for_frames(30)
    end = time.monotonic() + STORM_S

    def keep(pause: float, doing: Callable[[], object]) -> None:
        while time.monotonic() < end:
            with suppress(AskError):  # no table just now, or no rehearsal
                doing()
            time.sleep(pause)

    threads = [threading.Thread(target=keep, args=doing) for doing in doings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    saved = running.edit("shenzhen", ALLOW)
    expected = load(place, builtin()).policy.revision
    until(lambda: running.total("citygate_policy_info", revision=expected) == 1, "the policy of the files")
    assert running.total("citygate_policy_last_reload_failed") == 0
    assert "somebody removed table" in running.log.read_text()
    assert call.wait_until_alive(saved) is not None
    running.edit("shenzhen", REJECT)
    assert call.wait_until_cut(time.monotonic()) is not None
    beside.stop()
    assert beside.tally().lost == 0
    assert "Traceback" not in running.log.read_text()
