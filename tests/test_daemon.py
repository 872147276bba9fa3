"""The daemon's life, as a process in a network namespace of its own, and what it tells of a call that it refused."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from prometheus_client.parser import text_string_to_metric_families

from citygate.lab import netns
from citygate.lab.gateway import Gateway
from citygate.lab.playing import play_named
from citygate.lab.results import endpoint
from citygate.lab.topology import Lab, party
from citygate.tools.ask import AskError, ask, ask_all
from tests.inforce_samples import BEIJING, SHENZHEN, write_policy
from tests.namespaces import namespace

METRICS = "[::1]:9436"
CONTROL = {"socket": "control.sock"}
PATIENCE = 20.0  # seconds; a slow machine is not a failing test

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture
def place() -> Iterator[str]:
    with namespace("daemon") as name:
        yield name


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE:.0f} s for: {what}"
        time.sleep(0.02)


class Running:
    """`citygate run` in namespace ``place``, with a service manager's socket and all its files in ``directory``.

    ``before``: a command that starts it in turn.
    """

    def __init__(self, place: str, directory: Path, before: Sequence[str] = (), **settings: Any) -> None:
        self.place = place
        self.directory = directory
        self.policies = directory / "policies"
        if not self.policies.exists():
            write_policy(self.policies, shenzhen=SHENZHEN)
        (directory / "citygate.yaml").write_text(
            json.dumps(
                {"policies": "policies", "state": "state", "metrics": METRICS, "control": CONTROL, **settings},
            )
        )
        manager = directory / "notify"
        manager.unlink(missing_ok=True)
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(manager))
        manager.chmod(0o777)  # systemd's is as open
        self._manager.settimeout(PATIENCE)
        self._log = (directory / "log").open("w+")
        command = [*before, sys.executable, "-m", "citygate", "run", "--config", str(directory / "citygate.yaml")]
        with netns.inside(place):
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env={**os.environ, "NOTIFY_SOCKET": str(manager)},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._manager.close()
        self._log.close()

    def told(self) -> str:
        """The next message to the service manager."""
        return self._manager.recv(4096).decode()

    def ready(self) -> Self:
        try:
            assert self.told().startswith("READY=1")
        except TimeoutError:
            pytest.fail(f"not ready: {self.said()}")
        return self

    def said(self) -> str:
        return Path(self._log.name).read_text()

    def until_said(self, words: str) -> None:
        until(lambda: words in self.said(), f"{words!r} in {self.said()!r}")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        return self.process.wait(PATIENCE)

    def metrics(self) -> dict[str, float]:
        """``name``, or ``name{value of the last label}``, to value; labels are in alphabetical order."""
        with netns.inside(self.place), urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=10) as page:
            families = list(text_string_to_metric_families(page.read().decode()))
        found = {}
        for sample in (sample for family in families for sample in family.samples):
            last = "".join(f"{{{value}}}" for value in list(sample.labels.values())[-1:])
            found[sample.name.removeprefix("citygate_") + last] = sample.value
        return found

    def nft(self, *arguments: str) -> str:
        with netns.inside(self.place):
            done = subprocess.run(["nft", *arguments], capture_output=True, text=True, check=True)
        return done.stdout


def test_start_and_stop(place: str, tmp_path: Path) -> None:
    with Running(place, tmp_path, queues={"first": 3, "count": 2}).ready() as running:
        line = running.said().splitlines()[-1]
        assert line.startswith("ready: policy ")
        assert ", regions: 1, zones: 2, new table, " in line
        assert line.endswith(f"queue step, metrics on {METRICS}")
        got = running.metrics()
        assert (got["queue_length_packets{3}"], got["queue_length_packets{4}"]) == (0, 0)
        assert (got["policy_reloads_total{applied}"], got["policy_last_reload_failed"]) == (1, 0)
        assert abs(got["policy_last_reload_timestamp_seconds"] - time.time()) < 60
        assert got["kernel_read_errors_total{counters}"] == 0
        assert "10.10.3.7" in running.nft("list", "map", "inet", "citygate", "zone4_a")
        running.signal(signal.SIGTERM)
        assert running.told() == "STOPPING=1"
        assert running.ended() == 0
        assert "stopping (terminate): the table stays in place" in running.said()
        assert "chain enforce" in running.nft("list", "table", "inet", "citygate")


@pytest.mark.parametrize("on_stop", ["remove", "keep"])
def test_the_log_says_what_becomes_of_the_table(place: str, tmp_path: Path, on_stop: str) -> None:
    """The service manager's next command does it, so the daemon itself leaves it."""
    with Running(place, tmp_path, on_stop=on_stop).ready() as running:
        running.signal(signal.SIGTERM)
        assert running.ended() == 0
        unless = " unless the service is stopped for good" if on_stop == "remove" else ""
        assert running.said().endswith(f"stopping (terminate): the table stays in place{unless}\n")
        assert "chain enforce" in running.nft("list", "table", "inet", "citygate")


def test_the_watchdog_is_fed(place: str, tmp_path: Path) -> None:
    limit = ["env", "WATCHDOG_USEC=300000"]
    with Running(place, tmp_path, before=limit, queues={"count": 2}).ready() as running:
        assert [running.told() for _ in range(3)] == ["WATCHDOG=1"] * 3
        running.signal(signal.SIGTERM)
        assert running.ended() == 0


def test_threads_have_names(place: str, tmp_path: Path) -> None:
    with Running(place, tmp_path, queues={"first": 7, "count": 2}).ready() as running:
        names = {task.read_text().strip() for task in Path(f"/proc/{running.process.pid}/task").glob("*/comm")}
        assert {"queue 7", "queue 8", "guard", "time", "watch"} <= names


def test_a_killed_daemon_says_where_its_threads_were(place: str, tmp_path: Path) -> None:
    with Running(place, tmp_path).ready() as running:
        running.signal(signal.SIGABRT)
        assert running.ended() == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in running.said()
        assert "in _guard" in running.said()


def test_interrupt_is_a_clean_stop_too(place: str, tmp_path: Path) -> None:
    with Running(place, tmp_path, metrics="off", events={"to": "off"}).ready() as running:
        assert running.said().rstrip().endswith("metrics off")
        running.signal(signal.SIGINT)
        assert running.ended() == 0


def test_an_edit_is_taken_by_itself(place: str, tmp_path: Path) -> None:
    with Running(place, tmp_path).ready() as running:
        write_policy(running.policies, beijing=BEIJING)
        assert running.told().startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert running.told().startswith("READY=1\nSTATUS=policy ")
        assert running.metrics()["policy_regions"] == 2
        assert "10.30.0.0/16" in running.nft("list", "map", "inet", "citygate", "zone4_a")
        assert "fd00:30::/48" in running.nft("list", "map", "inet", "citygate", "zone6_a")


def test_a_bad_edit_is_refused_and_the_policy_stays(place: str, tmp_path: Path) -> None:
    with Running(place, tmp_path).ready() as running:
        before = running.nft("list", "table", "inet", "citygate")
        region = running.policies / "regions" / "shenzhen.yaml"
        region.write_text(SHENZHEN.replace("10.10.0.0/16", "10.10.0.1/16").replace("skypeout}", "skypout}"))
        assert running.told().startswith("RELOADING=1")
        refused = running.told()
        assert f"; the last reload was refused: {region}:2:15: " in refused
        assert refused.endswith(" (problems: 2)")
        said = running.said()
        assert f"{region}:2:15: " in said
        assert f"{region}:5:22: " in said
        assert "did you mean `skypeout`?" in said
        assert "stays in force: the new one's problems: 2" in said
        got = running.metrics()
        assert (got["policy_last_reload_failed"], got["policy_reloads_total{refused}"]) == (1, 1)
        assert running.nft("list", "table", "inet", "citygate") == before
        region.write_text(SHENZHEN.replace("reject", "drop"))
        assert running.told().startswith("RELOADING=1")
        assert "refused" not in running.told()
        assert running.metrics()["policy_last_reload_failed"] == 0
        assert running.nft("list", "table", "inet", "citygate") != before


def test_a_long_reason_does_not_keep_the_manager_from_being_told(place: str, tmp_path: Path) -> None:
    with Running(place, tmp_path).ready() as running:
        region = running.policies / "regions" / "shenzhen.yaml"
        region.write_text(SHENZHEN.replace("skypeout}", f"{'电' * 5000}}}"))
        assert running.told().startswith("RELOADING=1")
        refused = running.told()
        assert re.match(f"READY=1\nSTATUS=policy .*; the last reload was refused: {region}:5:22: .*电…$", refused)
        assert len(refused.encode()) < 1100


def test_sighup_reloads_and_opens_the_event_file_again(place: str, tmp_path: Path) -> None:
    events = tmp_path / "events.json"
    with Running(place, tmp_path, events={"to": "events.json"}).ready() as running:
        events.rename(tmp_path / "events.json.1")
        running.signal(signal.SIGHUP)
        assert running.told().startswith("RELOADING=1")
        assert running.told().startswith("READY=1")
        until(events.exists, "the event file")
        assert running.metrics()["policy_reloads_total{applied}"] == 2


@pytest.mark.parametrize("broken", [True, False])
def test_a_table_that_somebody_flushed_comes_back(place: str, tmp_path: Path, broken: bool) -> None:
    """From the policy in force, whatever its files say by then."""
    with Running(place, tmp_path).ready() as running:
        if broken:
            write_policy(running.policies, beijing="region: [")
            running.until_said("reload refused")
        running.nft("flush", "ruleset")
        running.until_said("made again")
        assert "10.10.3.7" in running.nft("list", "map", "inet", "citygate", "zone4_a")
        found = running.metrics()
        assert found["policy_reloads_total{restored}"] == 1
        assert found["policy_last_reload_failed"] == broken
        running.nft("add", "table", "inet", "somebody")  # an edit that takes nothing away
        running.nft("delete", "table", "inet", "somebody")
        write_policy(running.policies, beijing=BEIJING)
        running.until_said("reloaded: ")
        assert running.metrics()["policy_reloads_total{restored}"] == 1
        assert "loading the whole table" not in running.said()


def test_a_restart_adopts_the_table_and_the_numbers(place: str, tmp_path: Path) -> None:
    with Running(place, tmp_path).ready() as first:
        zones = first.nft("list", "map", "inet", "citygate", "zone6_a")
        first.process.kill()
        first.ended()
    register = (tmp_path / "state" / "register.jsonl").read_text()
    with Running(place, tmp_path).ready() as second:
        assert ", adopted table, " in second.said()
        assert (tmp_path / "state" / "register.jsonl").read_text() == register
        assert second.nft("list", "map", "inet", "citygate", "zone6_a") == zones


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metrics": "[fe80::1]:9436"}, "metrics cannot be served on [fe80::1]:9436: Invalid argument"),
        ({"events": {"to": "no/such/folder/events.json"}}, "No such file or directory"),
        ({"state": "citygate.yaml"}, "the class register cannot be opened"),
        ({"policies": "nowhere"}, "/nowhere:1:1: "),
        ({"queue": {}}, "citygate.yaml:1:"),
    ],
)
def test_what_cannot_start_says_why_and_changes_nothing(
    place: str, tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    with Running(place, tmp_path, **settings) as running:
        assert running.ended() == 1
        assert words in running.said()
        assert "Traceback" not in running.said()
        assert "citygate" not in running.nft("list", "tables")


def test_a_second_daemon_leaves_the_first_alone(place: str, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with Running(place, tmp_path / "one").ready() as first:
        before = first.nft("list", "table", "inet", "citygate")
        with Running(place, tmp_path / "two", metrics="off") as second:
            assert second.ended() == 1
            assert "queue 0 cannot be opened" in second.said()
            assert "is another program bound to it" in second.said()
        assert first.nft("list", "table", "inet", "citygate") == before
        assert first.process.poll() is None


def test_control_can_be_switched_off(place: str, tmp_path: Path) -> None:
    with Running(place, tmp_path, control="off").ready() as running:
        assert not (tmp_path / "control.sock").exists()
        running.signal(signal.SIGTERM)
        assert running.ended() == 0


def test_a_living_daemon_s_control_socket_is_not_taken(place: str, tmp_path: Path) -> None:
    """Also by one in another namespace, whose queues and table are its own."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    control = tmp_path / "one" / "control.sock"
    with Running(place, tmp_path / "one").ready() as first, namespace("daemon-other") as other:
        with Running(other, tmp_path / "two", control={"socket": str(control)}) as second:
            assert second.ended() == 1
            assert f"the control socket {control} cannot be made: another citygate answers on" in second.said()
            assert "citygate" not in second.nft("list", "tables")
        (told,) = ask(control, "status")
        assert told["daemon"]["pid"] == first.process.pid


def test_a_dead_daemon_s_control_socket_is_replaced(place: str, tmp_path: Path) -> None:
    with Running(place, tmp_path).ready() as first:
        first.process.kill()
        first.ended()
    control = tmp_path / "control.sock"
    with pytest.raises(AskError, match="is left from one that died"):
        list(ask(control, "status"))
    with Running(place, tmp_path).ready() as second:
        (told,) = ask(control, "status")
        assert told["daemon"]["pid"] == second.process.pid
        assert told["kernel"]["table"] == "adopted"
        second.signal(signal.SIGTERM)
        assert second.ended() == 0
    assert not control.exists()


def test_an_operator_s_reload(place: str, tmp_path: Path) -> None:
    with Running(place, tmp_path).ready() as running:
        problems, done = ask_all(tmp_path / "control.sock", "reload")
        assert (problems, done["applied"]) == ([], True)
        assert running.told().startswith("RELOADING=1")
        assert running.told().startswith("READY=1")
        (running.policies / "regions" / "shenzhen.yaml").unlink()
        _, done = ask_all(tmp_path / "control.sock", "reload")
        assert not done["applied"]
        assert done["why"]


def test_a_stop_ends_those_who_wait(place: str, tmp_path: Path) -> None:
    with Running(place, tmp_path).ready() as running:
        events = ask(tmp_path / "control.sock", "events", patience=None)
        stopping = threading.Timer(0.5, running.signal, (signal.SIGTERM,))
        stopping.start()
        with pytest.raises(AskError, match="was it stopped"):
            next(events)
        assert running.ended() == 0


def test_the_unit_s_privileges_are_enough(place: str) -> None:
    """CAP_NET_ADMIN and root's group, as in systemd/citygate.service, and nothing else."""
    only = "-all,+net_admin"
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--groups=0", "--no-new-privs"]
    user += [f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}"]
    # Not below pytest's own folder, which only root may enter.
    with tempfile.TemporaryDirectory(prefix="citygate-") as folder:
        directory = Path(folder)
        for path in (directory, directory / "state", directory / "policies"):
            path.mkdir(exist_ok=True)
            os.chown(path, 65534, 65534)
        write_policy(directory / "policies", shenzhen=SHENZHEN)
        try:
            subprocess.run([*user, sys.executable, "-c", "import citygate"], check=True, capture_output=True)
        except subprocess.CalledProcessError:
            pytest.skip("another user may not read this checkout or its virtual environment")
        with Running(place, directory, before=user).ready() as running:
            write_policy(running.policies, beijing=BEIJING)
            assert running.told().startswith("RELOADING=1")
            assert running.told().startswith("READY=1")
            got = running.metrics()
            assert (got["policy_regions"], got["policy_last_reload_failed"]) == (2, 0)
            assert (got["kernel_read_errors_total{counters}"], got["kernel_read_errors_total{queues}"]) == (0, 0)
            running.signal(signal.SIGTERM)
            assert running.ended() == 0


def test_without_the_privilege_it_says_which(place: str, tmp_path: Path) -> None:
    write_policy(tmp_path / "policies", shenzhen=SHENZHEN)
    settings = {"policies": "policies", "state": "state", "metrics": "off", "control": "off"}
    (tmp_path / "citygate.yaml").write_text(json.dumps(settings))
    command = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", sys.executable, "-m", "citygate", "run"]
    with netns.inside(place):
        done = subprocess.run(
            [*command, "--config", tmp_path / "citygate.yaml"], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert "CAP_NET_ADMIN" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("family", [4, 6])
def test_events_and_metrics_agree_with_the_wire(tmp_path: Path, family: int) -> None:
    with Lab(f"daemon-{os.getpid()}") as lab, Gateway(lab, tmp_path, {"shenzhen": SHENZHEN}) as gateway:
        report = play_named(lab, "skypeout", party("shenzhen"), party("internet"), family=family, seed=1)
        (flow,) = report.flows
        assert 0 < flow.arrived < flow.sent

        until(lambda: gateway.events.read_text().endswith("\n"), "a line in the event log")
        (event,) = map(json.loads, gateway.events.read_text().splitlines())
        assert endpoint(event["src_ip"], event["src_port"]) == flow.client
        assert endpoint(event["dest_ip"], event["dest_port"]) == flow.server
        own = event["citygate"]
        assert (own["region"], own["service"], own["rule"]) == ("shenzhen", "skypeout", "skypeout")
        assert (own["verdict"], event["proto"], event["app_proto"]) == ("reject", "UDP", "skypeout")
        assert abs(datetime.fromisoformat(event["timestamp"]).timestamp() - time.time()) < 60

        named = {"region": "shenzhen", "service": "skypeout"}
        assert gateway.total("citygate_packets_total", verdict="blocked", **named) == flow.sent - flow.arrived
        assert gateway.total("citygate_packets_total", verdict="passed", region="shenzhen") == flow.arrived
        assert gateway.total("citygate_packets_before_naming_total", region="shenzhen") == flow.arrived
        assert gateway.total("citygate_packets_answered_total", answer="unnamed") == flow.arrived
        assert gateway.total("citygate_flows_named_total", **named) == 1
        assert gateway.total("citygate_events_written_total") == 1
        assert gateway.total("citygate_unfiltered_packets_total") == 0

        gateway.kill()
        gateway.start()  # the kernel's counters go on, under the same names
        assert gateway.total("citygate_packets_total", verdict="blocked", **named) == flow.sent - flow.arrived
        assert gateway.total("citygate_packets_total", verdict="passed", region="shenzhen") == flow.arrived
