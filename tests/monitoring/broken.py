"""For each alert, what brings it about on a gateway that is well."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from citygate.lab.call import Call
from citygate.lab.topology import GATEWAY, party
from tests.e2e.pairs import Udp
from tests.e2e.tools import nft, stopped, until
from tests.monitoring.scene import PATIENCE, Scene

PROVIDERS = "policies/providers.yaml"

Break = Callable[[Scene], AbstractContextManager[None]]
"""While it is entered, or soon after it was, the alert fires."""


@contextmanager
def policy_refused(scene: Scene) -> Iterator[None]:
    file = scene.gateway.region("beijing")
    text = file.read_text()
    scene.gateway.edit("beijing", text.replace("service: skypeout", "service: skypeuot"))
    yield
    scene.gateway.edit("beijing", text)


@contextmanager
def policy_not_taken(scene: Scene) -> Iterator[None]:
    """A file whose time stamp lies ahead of the clock, until that has come."""
    reloads = scene.gateway.reloads()
    ahead = time.time() + 7
    os.utime(scene.gateway.region("beijing"), (ahead, ahead))
    until(lambda: scene.gateway.reloads() > reloads, "the reload", PATIENCE)
    yield


def licences_end(days: int) -> Break:
    """All of them, so many days from now by the regions' clocks, which are Shanghai's."""

    @contextmanager
    def register(scene: Scene) -> Iterator[None]:
        text = (scene.gateway.directory / PROVIDERS).read_text()
        last = (datetime.now(UTC) + timedelta(hours=8, days=days)).date()
        save(scene, text.replace("from: 2990-01-01", "from: 2016-06-01").replace("until: 2999-12-31", f"until: {last}"))
        yield
        save(scene, text)

    def save(scene: Scene, text: str) -> None:
        reloads = scene.gateway.reloads()
        new = scene.gateway.directory / "providers.new"
        new.write_text(text)
        new.replace(scene.gateway.directory / PROVIDERS)
        until(lambda: scene.gateway.reloads() > reloads, "the edit", PATIENCE)

    return register


@contextmanager
def much_refused(scene: Scene) -> Iterator[None]:
    """Calls where little was refused so far, until the alert fires."""
    lab, callee = scene.gateway.lab, party("internet")
    with Call(lab, "skypeout", party("shenzhen"), callee, 4, 7), Call(lab, "skypeout", party("shenzhen"), callee, 6, 8):
        yield


@contextmanager
def table_removed(scene: Scene) -> Iterator[None]:
    nft(scene.gateway.lab, "delete table inet citygate")
    yield


@contextmanager
def daemon_hung(scene: Scene) -> Iterator[None]:
    """For half a second, under more packets without a name than its queue and its socket hold.

    Large ones: the room of a socket is in bytes, that of a queue in packets.
    """
    lab = scene.gateway.lab
    with Udp(lab, "shenzhen", "internet", 4) as flow, stopped(scene.gateway):
        flow.send(*(b"%04000d" % number for number in range(12_000)))
        time.sleep(0.5)

    def told() -> bool:
        """By the number of a packet that comes after them, how many the daemon has missed."""
        with Udp(lab, "shenzhen", "internet", 6) as flow:
            flow.send(b"next")
        return scene.gateway.total("citygate_queue_unseen_packets_total") > 0

    until(told, "the daemon to notice", PATIENCE)
    yield


@contextmanager
def restarted(scene: Scene) -> Iterator[None]:
    """Three times, each seen by Prometheus."""
    for _ in range(3):
        scene.gateway.kill()
        scene.gateway.start()
        began = scene.gateway.total("process_start_time_seconds")
        seen = 'process_start_time_seconds{job="citygate"}'
        until(lambda: began in scene.prometheus.query(seen).values(), "Prometheus to see the new one", PATIENCE)  # noqa: B023
    yield


def filled(name: str, element: Callable[[int], str]) -> Break:
    """A set of the kernel, nearly. ``element``: one by its number, from 0 on."""

    @contextmanager
    def fill(scene: Scene) -> Iterator[None]:
        room = int(scene.gateway.total("citygate_kernel_set_capacity", set=name))
        file = scene.gateway.directory / "elements.nft"
        elements = ", ".join(element(number) for number in range(int(room * 0.95)))
        file.write_text(f"add element inet citygate {name} {{ {elements} }}\n")
        done = scene.gateway.lab.run(GATEWAY, ["nft", "-f", str(file)])
        assert done.returncode == 0, done.stderr
        yield
        nft(scene.gateway.lab, f"flush set inet citygate {name}")

    return fill


def refused(number: int) -> str:
    """A subscriber."""
    return f"0x10000 . {ip_address('10.10.0.0') + number}"


def counter(number: int) -> str:
    """No packets of the first zone: the bits below a zone's are not read."""
    return f"{0x10000 + number:#x} . 0x0 . original"


@contextmanager
def unread(scene: Scene) -> Iterator[None]:
    """Somebody asks while the table is away. The daemon makes it again within a second, and may be the faster."""

    def failed() -> bool:
        nft(scene.gateway.lab, "delete table inet citygate")
        return scene.gateway.total("citygate_kernel_read_errors_total", what="counters") > before

    before = scene.gateway.total("citygate_kernel_read_errors_total", what="counters")
    until(failed, "a read to fail", PATIENCE)
    yield


@contextmanager
def ended(scene: Scene) -> Iterator[None]:
    scene.gateway.kill()
    yield
    scene.gateway.start()


@contextmanager
def little_room(scene: Scene) -> Iterator[None]:
    """Nothing: the limit is the whole machine's. The test lowers what the alert thinks nearly full."""
    yield


BROKEN: dict[str, Break] = {
    "CitygatePolicyRefused": policy_refused,
    "CitygatePolicyNotTaken": policy_not_taken,
    "CitygateLicenceEnds": licences_end(10),
    "CitygateLicenceEnded": licences_end(-2),
    "CitygateConntrackNearlyFull": little_room,
    "CitygateBlockRateChanged": much_refused,
    "CitygateCounterSetNearlyFull": filled("shadow_blocked", counter),
    "CitygateRefusedSetCrowded": filled("refused4", refused),
    "CitygateUnfiltered": daemon_hung,
    "CitygateQueueDrops": daemon_hung,
    "CitygateSlowVerdicts": daemon_hung,
    "CitygateTableRemoved": table_removed,
    "CitygateKernelUnread": unread,
    "CitygateRestarts": restarted,
    "CitygateDown": ended,
}
"""By alert, the lasting damage last."""

SOONER = {"CitygateConntrackNearlyFull": ("> 0.8", "> 0"), "CitygateBlockRateChanged": ("[5m]", "[10s]")}
"""What is put in the place of what, so that an alert need not wait: not all that Prometheus saw is five minutes old."""
