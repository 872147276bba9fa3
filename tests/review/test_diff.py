"""`citygate diff`: directories written here, captures made here, and a gateway's flows over a real socket."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from citygate.catalogue.load import builtin
from citygate.control import Answer, Command
from citygate.policy.load import load
from citygate.review.diff import DIFFERENT, SAME, TROUBLE, Options, diff
from tests.answering import answering
from tests.capture.recording import record
from tests.policy.directory import write
from tests.review.test_replay import FAR, FAR_6, HOME, HOME_6, PROVIDERS, SHENZHEN, WEDNESDAY

EDITED = SHENZHEN.replace("action: reject", "action: allow")
BT = "  - name: bt\n    match: {provider: bt, licence: none}\n    action: drop\n"
WITHOUT_BT = SHENZHEN.replace(BT, "")
NOBODY = "providers: []\n"


def directory(place: Path, region: str = SHENZHEN, providers: str = PROVIDERS) -> Path:
    return write(place, {"shenzhen.yaml": region, "./providers.yaml": providers})


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return directory(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return directory(tmp_path / "new", EDITED)


def told(old: Path, new: Path, **options: Any) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    status = diff(old, new, Options(**{"at": WEDNESDAY, **options}), as_json=True, out=out)
    return status, json.loads(out.getvalue())


def shown(old: Path, new: Path, **options: Any) -> str:
    out = io.StringIO()
    diff(old, new, Options(**{"at": WEDNESDAY, **options}), out=out)
    return out.getvalue()


def test_pairs(old: Path, new: Path) -> None:
    status, found = told(old, new)
    assert status == DIFFERENT
    assert found["old"] != found["new"]
    (change,) = found["changes"]
    assert change["names"] == [{"service": "skypeout", "provider": ""}]
    assert (change["before"], change["after"]) == ({"action": "reject"}, {"action": "allow"})
    assert "reject → allow" in shown(old, new)


def test_nothing(old: Path, tmp_path: Path) -> None:
    again = directory(tmp_path / "again", SHENZHEN.replace("region: shenzhen", "region: shenzhen\ndescription: other"))
    status, found = told(old, again)
    assert status == SAME
    assert found["changes"] == found["failing"] == found["naming"] == []
    assert shown(old, again) == "nothing changes\n"


def test_flows_of_captures(old: Path, new: Path, tmp_path: Path) -> None:
    said = [
        ("skypeout", HOME, FAR),
        ("skypeout", HOME, "198.51.100.2"),
        ("skypeout", HOME_6, FAR_6),
        ("dns", HOME, FAR),
    ]
    capture = record(tmp_path / "capture.pcap", *said)
    status, found = told(old, new, captures=(capture,))
    assert status == DIFFERENT
    assert (found["flows"], found["flows_changed"], found["subscribers_changed"]) == (4, 3, 2)
    assert {change["subscriber"] for change in found["changes"]} == {HOME, HOME_6}
    text = shown(old, new, captures=(capture,))
    assert "of 4 flows 3 get another fate, of 2 subscribers" in text
    other = record(tmp_path / "other.pcap", ("dns", HOME, FAR))
    assert told(old, new, captures=(other,))[0] == SAME, "only the flows of the capture are asked about"
    assert shown(old, new, captures=(other,)) == "nothing changes for 1 flow\n"


def test_captures_are_moved(old: Path, new: Path, tmp_path: Path) -> None:
    capture = record(tmp_path / "capture.pcap", ("skypeout", "192.168.1.9", FAR))
    assert told(old, new, captures=(capture,))[0] == SAME
    assert told(old, new, captures=(capture,), moves=("192.168.0.0/16=10.10.0.0/16",))[0] == DIFFERENT


def test_flows_get_the_names_of_each_policy(old: Path, tmp_path: Path) -> None:
    without = directory(tmp_path / "new", WITHOUT_BT, NOBODY)
    capture = record(tmp_path / "capture.pcap", ("openvpn", HOME_6, "2001:db8:a6::1"), ("openvpn", HOME, FAR))
    _, found = told(old, without, captures=(capture,))
    rows = [(change["before"], change["after"]) for change in found["changes"]]
    assert rows == [
        (
            {"service": "openvpn", "provider": "bt", "action": "drop"},
            {"service": "openvpn", "provider": "", "action": "throttle", "rate": 250_000},
        )
    ]
    moved = directory(tmp_path / "moved", SHENZHEN, PROVIDERS.replace("2001:db8:a6::/48", "2001:db8:a7::/48"))
    status, found = told(old, moved, captures=(capture,))
    (change,) = found["changes"]
    assert (status, change["before"]["provider"], change["after"]["provider"]) == (DIFFERENT, "bt", "")
    assert "openvpn of bt → openvpn" in shown(old, moved, captures=(capture,))
    status, found = told(old, moved)
    assert (status, found["naming"]) == (DIFFERENT, ["provider bt has other networks"])


@contextmanager
def daemon(place: Path, items: Iterable[dict[str, Any]], revision: str) -> Iterator[Path]:
    """What a daemon says on its control socket (docs/control.md) to whoever asks for its flows."""

    def flows(arguments: Mapping[str, Any]) -> Answer:
        yield from items
        return None

    def status(arguments: Mapping[str, Any]) -> Answer:
        yield {"policy": {"revision": revision}}
        return None

    with answering(place, {"flows": Command(flows), "status": Command(status)}):
        yield place


def item(service: str, source: str, destination: str, provider: str = "", proto: str = "udp") -> dict[str, Any]:
    ports = {"source_port": 5000, "destination_port": 1194} if proto == "udp" else {}
    ends = {"source": source, "source_port": None, "destination": destination, "destination_port": None}
    return {"service": service, "provider": provider, "proto": proto, **ends, **ports}


def live(old: Path, new: Path, *items: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    with daemon(new / "control.sock", items, load(old, builtin()).policy.revision) as place:
        status, found = told(old, new, live=place)
    assert found["flows"] == len(items)
    return status, found["changes"]


def test_a_gateways_flows(old: Path, new: Path) -> None:
    flows = [
        item("skypeout", HOME, FAR),
        item("skypeout", FAR_6, HOME_6),
        item("", HOME, FAR),
        item("icmp", HOME, FAR, proto="icmp"),
        item("skypeout", FAR, "192.0.2.1"),
    ]
    status, changes = live(old, new, *flows)
    assert status == DIFFERENT
    assert [change["subscriber"] for change in changes] == [HOME, HOME_6]
    assert live(old, new, *flows[2:]) == (SAME, [])


def test_a_gateways_flows_get_the_names_of_each_policy(old: Path, tmp_path: Path) -> None:
    by_network, by_host = item("openvpn", HOME_6, "2001:db8:a6::1", "bt"), item("openvpn", HOME, FAR, "bt")
    moved = directory(tmp_path / "moved", SHENZHEN, PROVIDERS.replace("2001:db8:a6::/48", "2001:db8:a7::/48"))
    _, changes = live(old, moved, by_network, by_host)
    assert [(change["subscriber"], change["after"]["provider"]) for change in changes] == [(HOME_6, "")]
    gone = directory(tmp_path / "gone", WITHOUT_BT, NOBODY)
    _, changes = live(old, gone, by_network, by_host, item("openvpn", HOME, FAR))
    assert [(change["before"]["provider"], change["after"]["provider"]) for change in changes] == [("bt", "")] * 2


def test_another_policy_than_the_one_in_force_is_said(
    old: Path, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    revision = load(old, builtin()).policy.revision
    for in_force, said in ((revision, ""), ("abc", f"{old} is policy {revision}, and abc is in force: it is compared")):
        with daemon(tmp_path / "control.sock", [], in_force) as place:
            assert diff(old, new, Options(live=place)) == SAME
        assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"captures": (Path("/nowhere.pcap"),)}, "/nowhere.pcap: No such file"),
        ({"captures": (Path("/nowhere.pcap"),), "moves": ("x",)}, "has no `=`"),
        ({"live": Path("/nowhere.sock")}, "the daemon is not running"),
        ({"at": "noon"}, "is not a moment"),
    ],
)
def test_trouble(
    old: Path, new: Path, options: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert diff(old, new, Options(**options)) == TROUBLE
    assert sentence in capsys.readouterr().err


def test_every_problem_of_a_bad_policy(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = directory(
        tmp_path / "bad", SHENZHEN.replace("skypeout}", "skypeuot}").replace("category: vpn", "category: x")
    )
    for both in ((old, bad), (bad, old)):
        assert diff(*both, Options()) == TROUBLE
        assert capsys.readouterr().err.count("shenzhen.yaml:") == 2
