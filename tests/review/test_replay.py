"""`citygate replay`: captures made here, under policies written here."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from citygate.review.replay import replay
from tests.capture.recording import Said, record
from tests.policy.directory import write

SHENZHEN = """\
region: shenzhen
subscribers: [10.10.0.0/16, "fd00:10::/48"]
timezone: Asia/Shanghai
rules:
  - name: trial
    match: {category: voip}
    action: drop
    mode: monitor
  - name: skypeout
    match: {service: skypeout}
    action: reject
    except: [10.10.3.7]
  - name: bt
    match: {provider: bt, licence: none}
    action: drop
  - name: working-hours
    match: {category: vpn}
    action: {throttle: 2 Mbit/s}
    when: Mon-Fri 9:00-17:00
"""
SHANGHAI = "region: shanghai\nsubscribers: [10.20.0.0/16]\ndefault: drop\nrules: []\n"
PROVIDERS = """\
providers:
  - provider: bt
    title: British Telecom
    services: [vpn]
    endpoints: {networks: [203.0.113.0/24, "2001:db8:a6::/48"]}
"""
HOME, HOME_6, FAR, FAR_6 = "10.10.0.5", "fd00:10::5", "198.51.100.1", "2001:db8:1::1"
WEDNESDAY = "2016-06-01T12:00+08:00"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    files = {"shenzhen.yaml": SHENZHEN, "shanghai.yaml": SHANGHAI, "./providers.yaml": PROVIDERS}
    return write(tmp_path / "policy", files)


def run(policy: Path, *said: Said, moves: tuple[str, ...] = (), at: str | None = WEDNESDAY, **keys: bool) -> str:
    capture = record(policy.parent / "capture.pcap", *said)
    out = io.StringIO()
    assert replay([capture], policy, moves, at, out=out, **keys) == 0
    return out.getvalue()


def totals(policy: Path, *said: Said, **keys: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(policy, *said, as_json=True, **keys))
    return found


def test_totals_by_region_service_and_verdict(policy: Path) -> None:
    found = totals(policy, ("skypeout", HOME, FAR), ("skypeout", HOME_6, FAR_6), ("dns", "10.20.0.1", FAR))
    rows = {(row["region"], row["service"], row["verdict"]): row for row in found["totals"]}
    assert set(rows) == {
        ("shenzhen", "", "undecided"),
        ("shenzhen", "skypeout", "reject"),
        ("shanghai", "dns", "drop"),
    }
    refused, open_ = rows["shenzhen", "skypeout", "reject"], rows["shenzhen", "", "undecided"]
    assert (refused["flows"], open_["flows"]) == (2, 0)
    assert refused["packets"] + open_["packets"] == 2 * 46
    assert 0 < open_["packets"] < refused["packets"]
    assert (found["flows"], found["flows_of_a_region"]) == (3, 3)
    assert found["at"] == "2016-06-01T12:00:00+08:00"


def test_monitoring_rules_are_told_apart_from_what_is_done(policy: Path) -> None:
    found = totals(policy, ("skypeout", HOME, FAR), ("sip", HOME_6, FAR_6), ("dns", HOME, FAR))
    (would,) = found["would"]
    assert (would["region"], would["rule"], would["flows"]) == ("shenzhen", "trial", 2)
    assert 0 < would["packets"] < 46 + 7
    assert {row["verdict"] for row in found["totals"] if row["service"] == "sip"} == {"allow"}


def test_a_row_a_flow(policy: Path) -> None:
    said: tuple[Said, ...] = (
        ("skypeout", HOME, FAR),
        ("skypeout", "10.10.3.7", FAR),
        ("openvpn", HOME_6, "2001:db8:a6::1"),
        ("openvpn", HOME, FAR),
        ("dns", FAR, "192.0.2.1"),
    )
    lines = run(policy, *said, as_json=True, per_flow=True).splitlines()
    rows = [json.loads(line) for line in lines]
    answers = [(row["service"], row["provider"], row["region"], row["verdict"], row["rule"]) for row in rows]
    assert answers == [
        ("skypeout", "", "shenzhen", "reject", "skypeout"),
        ("skypeout", "", "shenzhen", "allow", None),
        ("openvpn", "bt", "shenzhen", "drop", "bt"),
        ("openvpn", "", "shenzhen", "throttle", "working-hours"),
        ("dns", "", "", "allow", None),
    ]
    assert rows[0]["source"] == HOME
    assert (rows[0]["destination"], rows[0]["destination_port"]) == (FAR, 12340)
    assert 0 < rows[0]["packets_before_name"] < rows[0]["packets"] == 46
    assert 0 < rows[0]["bytes_before_name"] < rows[0]["bytes"]
    assert rows[0]["would"] == ["trial"]


def test_the_moment_is_now_unless_it_is_given(policy: Path) -> None:
    def verdict(at: str | None) -> str:
        (row,) = run(policy, ("openvpn", HOME, FAR), at=at, as_json=True, per_flow=True).splitlines()
        return str(json.loads(row)["verdict"])

    assert (verdict("2016-06-01"), verdict("2016-06-04"), verdict("2016-06-01T20:00+08:00")) == (
        "throttle",
        "allow",
        "allow",
    )
    assert "judged as of Wed 2016-06-01 12:00:00 +0800\n" in run(policy, ("openvpn", HOME, FAR))
    assert "not as of their own time" in run(policy, ("openvpn", HOME, FAR), at=None)


def test_flows_between_two_regions(policy: Path) -> None:
    (row,) = run(policy, ("dns", HOME, "10.20.0.1"), as_json=True, per_flow=True).splitlines()
    assert (json.loads(row)["region"], json.loads(row)["verdict"]) == ("shanghai", "drop")


def test_addresses_moved_into_a_region(policy: Path) -> None:
    said: tuple[Said, ...] = (("skypeout", "192.168.1.9", FAR), ("skypeout", "2001:db8:9::7", FAR_6))
    moves = ("192.168.1.0/24=10.10.0.0/24", "2001:db8:9::/64=fd00:10::/64")
    found = totals(policy, *said, moves=moves)
    assert found["flows_of_a_region"] == 2
    assert {row["region"] for row in found["totals"]} == {"shenzhen"}


def test_nobody_of_a_region_is_told_with_what_to_do(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(policy, ("dns", "192.168.1.9", FAR), ("dns", "192.168.1.10", FAR))
    told = capsys.readouterr().err
    assert "no flow touches a region of this policy" in told
    assert "192.168.1.0/24 (2 flows)" in told
    advice = told.split("--as ")[1].strip()
    assert totals(policy, ("dns", "192.168.1.9", FAR), moves=(advice,))["flows_of_a_region"] == 1
    run(policy, ("dns", "2001:db8:9::7", FAR_6))
    assert "--as 2001:db8:9::/64=fd00:10::/64" in capsys.readouterr().err
    run(policy, ("dns", HOME, FAR))
    assert capsys.readouterr().err == ""


def test_tables_for_people(policy: Path) -> None:
    said: tuple[Said, ...] = (("skypeout", HOME, FAR), ("dns", FAR, "192.0.2.1"), ("openvpn", HOME_6, "2001:db8:a6::1"))
    text = run(policy, *said)
    for words in ("3 flows", "(no name yet)", "reject", "(none)", "(any)", "monitor mode", "trial"):
        assert words in text
    flows = run(policy, *said, per_flow=True)
    for words in (f"{HOME}:", f"> {FAR}:12340", "openvpn of bt", f"[{HOME_6}]:"):
        assert words in flows
    assert "reject (skypeout), would: trial" in flows and "drop (bt)" in flows


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"moves": ("10.0.0.0/8",)}, "has no `=`"),
        ({"at": "noon"}, "is not a moment"),
        ({"at": ""}, "is not a moment"),
        ({"captures": [Path("/nowhere.pcap")]}, "/nowhere.pcap: No such file"),
        ({"directory": Path("/nowhere")}, "/nowhere:1:1: cannot be read"),
    ],
)
def test_trouble(policy: Path, given: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"captures": [], "directory": policy} | given
    assert replay(**options) == 1
    assert sentence in capsys.readouterr().err


def test_recorded_calls(policy: Path, captures: Path) -> None:
    out = io.StringIO()
    files = [captures / f"{name}.pcap" for name in ("l7pat-skypeout-1", "l7data-skypeout-b")]
    assert replay(files, policy, ["192.0.2.0/24=10.10.0.0/24"], WEDNESDAY, as_json=True, out=out) == 0
    rows = [row for row in json.loads(out.getvalue())["totals"] if row["verdict"] == "reject"]
    assert [(row["service"], row["flows"]) for row in rows] == [("skypeout", 4)]
