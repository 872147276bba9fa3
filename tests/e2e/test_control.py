"""Operators' questions to the real daemon, while traffic goes through it."""

from __future__ import annotations

import io
import itertools
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from citygate.control import CLIENTS
from citygate.lab.gateway import METRICS, Gateway
from citygate.lab.results import endpoint
from citygate.lab.topology import GATEWAY, Lab
from citygate.tools.ask import AskError, ask, ask_all
from citygate.tools.counters import counters
from citygate.tools.reload import reload
from citygate.tools.status import status
from tests.answering import Client
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.tools import looked_at, region, stopped, unfiltered, until

families = pytest.mark.parametrize("family", [4, 6])

SKYPEOUT = "match: {service: skypeout}, action: reject"


def told(gateway: Gateway) -> dict[str, Any]:
    (answer,) = gateway.ask("status")
    return answer


def reconfigure(gateway: Gateway, **settings: Any) -> None:
    """Restart with other settings."""
    gateway.stop()
    gateway.config.write_text(json.dumps({**json.loads(gateway.config.read_text()), **settings}))
    gateway.start()


def test_status_of_a_healthy_gateway(gateway: StartGateway, traffic: Traffic) -> None:
    running = gateway({"shenzhen": region(SKYPEOUT)}, queues=2)
    assert told(running)["wrong"] == []
    before = looked_at(running)
    for family in (4, 6):
        traffic.raw("skypeout", "shenzhen", family=family)
        traffic.raw("wireguard", "shenzhen", family=family)
    now = told(running)
    assert now["wrong"] == []
    assert now["daemon"]["pid"] == running.pid
    assert (now["policy"]["regions"], now["policy"]["zones"]) == (1, 1)
    assert now["policy"]["directory"] == str(running.directory / "policies")
    assert running.total("citygate_policy_info", revision=now["policy"]["revision"]) == 1
    assert now["kernel"]["table"] == "new"
    assert [(queue["number"], queue["bound"], queue["waiting"]) for queue in now["queues"]] == [
        (0, True, 0),
        (1, True, 0),
    ]
    asked = round(now["rates"]["packets_per_s"] * now["rates"]["over_s"])
    assert asked == pytest.approx(looked_at(running) - before, abs=2)
    assert round(now["rates"]["flows_named_per_s"] * now["rates"]["over_s"]) == 4
    assert now["before_naming"] == running.total("citygate_packets_before_naming_total") > 0
    sets = {each["set"]: (each["used"], each["room"]) for each in now["counter_sets"]}
    assert sets["blocked"] == (
        running.total("citygate_kernel_set_elements", set="blocked"),
        running.total("citygate_kernel_set_capacity", set="blocked"),
    )
    assert status(running.control, as_json=False, out=io.StringIO()) == 0
    running.restart()
    assert told(running)["kernel"]["table"] == "adopted"


@families
def test_counters_are_those_of_the_metrics(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    running = gateway({"shenzhen": region(SKYPEOUT), "beijing": region(name="beijing")})
    traffic.raw("skypeout", "shenzhen", family=family)
    traffic.raw("wireguard", "beijing", family=family)
    rows = running.ask("counters")
    assert {(row["region"], row["service"], row["verdict"]) for row in rows} >= {
        ("shenzhen", "skypeout", "blocked"),
        ("beijing", "wireguard", "passed"),
    }
    for what in ("packets", "bytes"):
        served = {has: value for (name, has), value in running.metrics().items() if name == f"citygate_{what}_total"}
        labels = [{key: row[key] for key in row if key not in ("packets", "bytes")} for row in rows]
        assert {tuple(sorted(label.items())): row[what] for label, row in zip(labels, rows, strict=True)} == served
    out = io.StringIO()
    assert counters(running.control, as_json=True, out=out) == 0
    assert [json.loads(line) for line in out.getvalue().splitlines()] == rows


@contextmanager
def following(gateway: Gateway, **wanted: str) -> Iterator[list[dict[str, Any]]]:
    """The events a follower gets, as they come. Ended with the daemon's connection."""
    found: list[dict[str, Any]] = []
    client = Client(gateway.control)

    def listen() -> None:
        while True:
            try:
                found.append(client.hear()["item"])
            except (ValueError, OSError):  # it was closed
                return

    client.say("events", **wanted)
    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield found
    finally:
        client.shut_both()
        thread.join()
        client.__exit__(None, None, None)


@families
@pytest.mark.parametrize("to", ["off", "events.json"])
def test_events_are_followed(gateway: StartGateway, traffic: Traffic, family: int, to: str) -> None:
    running = gateway({"shenzhen": region(SKYPEOUT), "beijing": region(name="beijing")})
    if to == "off":
        reconfigure(running, events={"to": "off"})
    with following(running) as all_, following(running, region="shenzhen", verdict="reject") as refused:
        seeds = itertools.count(100)

        def both_hear() -> bool:
            traffic.raw("skypeout", "shenzhen", family=family, seed=next(seeds))
            return bool(all_ and refused)

        until(both_hear, "both follow")
        (call,) = traffic.talk("skypeout", "shenzhen", family=family)
        for caller in ("shenzhen", "beijing"):
            traffic.raw("wireguard", caller, family=family)
        until(lambda: all_[-1]["citygate"]["region"] == "beijing", "the last event")
        until(lambda: any(endpoint(each["src_ip"], each["src_port"]) == call.client for each in refused), "the call")
        seen = list(all_)
    assert {(own["region"], own["service"], own["verdict"]) for own in (each["citygate"] for each in refused)} == {
        ("shenzhen", "skypeout", "reject")
    }
    assert refused[-1] == seen[-3]
    assert [each["citygate"]["service"] for each in seen[-3:]] == ["skypeout", "wireguard", "wireguard"]
    if to != "off":
        assert [json.loads(line) for line in running.events.read_text().splitlines()][-len(seen) :] == seen


def test_a_reload_is_waited_for(gateway: StartGateway, capsys: pytest.CaptureFixture[str]) -> None:
    running = gateway({"shenzhen": region(SKYPEOUT)})
    before = told(running)["policy"]["revision"]
    running.region("shenzhen").write_text(region(SKYPEOUT.replace("reject", "drop")))
    problems, done = ask_all(running.control, "reload")
    assert (problems, done["applied"], done["why"]) == ([], True, "")
    assert done["revision"] != before
    assert told(running)["policy"]["revision"] == done["revision"]
    assert reload(running.control, as_json=False) == 0
    assert capsys.readouterr().out == f"reloaded: policy {done['revision']}\n"


def test_a_refused_reload_says_every_problem_and_stays_known(
    gateway: StartGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    running = gateway({"shenzhen": region(SKYPEOUT)})
    before = told(running)["policy"]["revision"]
    running.region("shenzhen").write_text(
        region("match: {service: skypout}, action: reject", "match: {}, action: forbid")
    )
    problems, done = ask_all(running.control, "reload")
    assert done == {"applied": False, "revision": before, "why": f"the new one's problems: {len(problems)}"}
    assert {problem["file"] for problem in problems} == {str(running.region("shenzhen"))}
    assert any("did you mean `skypeout`?" in problem["sentence"] for problem in problems)
    now = told(running)
    assert now["refused"]["problems"] == problems
    assert now["wrong"][0].startswith("the last reload was refused")
    assert reload(running.control, as_json=False) == 1
    assert status(running.control, as_json=False) == 1
    running.edit("shenzhen", region(SKYPEOUT))
    assert (told(running)["refused"], told(running)["wrong"]) == (None, [])


@families
def test_packets_that_nobody_looked_at_are_wrong(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    running = gateway({"shenzhen": region()}, length=64)
    told(running)
    with stopped(running):
        for seed in range(1, 30):
            traffic.raw("skypeout", "shenzhen", family=family, seed=seed)
    missed = sum(count for (cause, _, _), count in unfiltered(running).items() if cause in ("queue_full", "no_daemon"))
    assert missed > 0
    now = told(running)
    assert sum(row["packets"] for row in now["unfiltered"]) == missed
    assert [sentence.partition(",")[0] for sentence in now["wrong"]] == ["packets that nobody looked at"]


def test_a_flushed_table_is_told_until_it_is_back(gateway: StartGateway, lab: Lab) -> None:
    running = gateway({"shenzhen": region()})
    told(running)
    assert lab.run(GATEWAY, ["nft", "flush", "ruleset"]).returncode == 0
    until(lambda: running.total("citygate_policy_reloads_total", result="restored") == 1, "the table is made again")
    assert told(running)["wrong"] == []


def _half_line(client: Client) -> None:
    client.send(b'{"do": "stat')


def _megabytes(client: Client) -> None:
    with suppress(OSError):  # turned away
        for _ in range(100):
            client.send(b"x" * 100_000)


def _binary(client: Client) -> None:
    client.send(bytes(range(256)) * 10 + b"\n")


def _deep(client: Client) -> None:
    client.send(b"[" * 60_000 + b"\n")


def _wrong_types(client: Client) -> None:
    client.send(b'{"do": []}\n{"do": "events", "region": {"a": 1}}\n{"do": "reload", "now": 1}\nnull\n"status"\n')


def _no_reader(client: Client) -> None:
    with suppress(OSError):  # dropped
        for _ in range(500):
            client.say("counters")


@pytest.mark.parametrize("hostile", [_half_line, _megabytes, _binary, _deep, _wrong_types, _no_reader])
def test_hostile_clients_stop_nothing(
    gateway: StartGateway, traffic: Traffic, hostile: Callable[[Client], None]
) -> None:
    running = gateway({"shenzhen": region(SKYPEOUT)})
    clients = [Client(running.control) for _ in range(CLIENTS - 4)]
    threads = [threading.Thread(target=hostile, args=(client,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for family in (4, 6):
        (refused,) = traffic.raw("skypeout", "shenzhen", family=family)
        (allowed,) = traffic.raw("wireguard", "shenzhen", family=family)
        assert refused.arrived < refused.sent
        assert allowed.arrived == allowed.sent
    assert told(running)["wrong"] == []
    assert unfiltered(running) == {}
    for client in clients:
        client.shut_both()
    for thread in threads:
        thread.join(10)
    for client in clients:
        client.__exit__(None, None, None)
    until(lambda: len(os.listdir(f"/proc/{running.pid}/task")) < CLIENTS - 4, "the clients' threads end")
    assert "Traceback" not in running.log.read_text()
    assert running.stop() == 0
    assert not running.control.exists()


def test_more_clients_than_may_ask(gateway: StartGateway) -> None:
    running = gateway({"shenzhen": region()})
    clients = []
    for _ in range(5 * CLIENTS):
        with suppress(BlockingIOError):  # nor are there places to wait
            clients.append(Client(running.control))
    assert len(clients) > CLIENTS
    until(lambda: not _answers(running), "clients are turned away")
    for client in clients:
        client.__exit__(None, None, None)
    until(lambda: _answers(running), "clients are answered again")
    assert told(running)["wrong"] == []


def _answers(gateway: Gateway) -> bool:
    try:
        list(ask(gateway.control, "counters"))
    except AskError:
        return False
    return True


def test_nothing_that_changes_state_is_reachable_over_tcp(gateway: StartGateway, lab: Lab) -> None:
    running = gateway({"shenzhen": region(SKYPEOUT)})
    with lab.inside(GATEWAY):
        assert _listening() == {METRICS}
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            for path in ("/", "/metrics", "/status.json", "/reload", "/-/reload", "/-/quit"):
                request = urllib.request.Request(f"http://{METRICS}{path}", b'{"do": "reload"}\n', method=method)
                with pytest.raises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(request, timeout=10)
                assert refused.value.code == 405
                refused.value.close()
        for path in ("/reload", "/-/reload", "/-/quit"):
            with pytest.raises(urllib.error.HTTPError) as missing:
                urllib.request.urlopen(f"http://{METRICS}{path}", timeout=10)
            assert missing.value.code == 404
            missing.value.close()
    assert running.reloads() == 1
    assert running.running


def _listening() -> set[str]:
    """TCP sockets that listen in this thread's namespace, IPv4 in the metrics' spelling: proc_net_tcp(5)."""
    found = set()
    for name in ("tcp", "tcp6"):
        with open(f"/proc/thread-self/net/{name}") as table:
            for line in list(table)[1:]:
                _, local, _, state, *_ = line.split()
                if state == "0A":
                    address, _, port = local.partition(":")
                    bytes_ = bytes.fromhex(address)[::-1] if name == "tcp" else bytes.fromhex(address)
                    found.add(f"{'.'.join(map(str, bytes_))}:{int(port, 16)}")
    return found
