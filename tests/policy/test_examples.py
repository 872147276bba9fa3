"""What the example policies do, by the reference semantics: the stories their comments tell."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from shutil import copytree

import pytest

from citygate.catalogue import Catalogue
from citygate.policy.evaluate import Far, Outcome, decide
from citygate.policy.load import load
from citygate.policy.model import Action
from citygate.policy.zones import ZoneIndex, carve

ALLOW, DROP, REJECT = Action.ALLOW, Action.DROP, Action.REJECT


def ask(policies: Path, catalogue: Catalogue, subscriber: str, service: str, far: str = "", port: int = 443) -> Outcome:
    zone = ZoneIndex(carve(load(policies, catalogue))).find(ip_address(subscriber))
    assert zone
    far = far or ("2001:db8::9" if ":" in subscriber else "203.0.113.9")
    return decide(zone, service, Far(ip_address(far), "udp", port), catalogue)


@pytest.mark.parametrize(
    ("subscriber", "service", "action"),
    [
        ("10.10.0.5", "skypeout", REJECT),
        ("fd00:10::5", "skypeout", REJECT),
        ("10.10.0.5", "skype", ALLOW),
        ("fd00:10::5", "skype", ALLOW),
        ("10.10.3.7", "skypeout", ALLOW),
        ("fd00:10:0:37::5", "skypeout", ALLOW),
        ("10.20.0.5", "skypeout", ALLOW),
        ("fd00:20::5", "skypeout", ALLOW),
        ("10.21.0.5", "openvpn", ALLOW),
        ("10.21.0.5", "bittorrent", ALLOW),
        ("10.21.128.5", "bittorrent", DROP),
        ("fd00:21:0:8000::5", "bittorrent", DROP),
        ("10.30.0.5", "skypeout", REJECT),
        ("10.30.0.5", "wireguard", DROP),
        ("fd00:30::5", "wireguard", DROP),
    ],
)
def test_stories(builtin: Catalogue, examples: Path, subscriber: str, service: str, action: Action) -> None:
    assert ask(examples, builtin, subscriber, service).action is action


def test_beijing_lets_headquarters_vpn_through_and_watches_file_sharing(builtin: Catalogue, examples: Path) -> None:
    for subscriber, headquarters in (("10.30.0.5", "198.51.100.7"), ("fd00:30::5", "2001:db8:100::7")):
        assert ask(examples, builtin, subscriber, "openvpn", headquarters).rule == "vpn-to-headquarters"
        assert ask(examples, builtin, subscriber, "bittorrent") == Outcome(ALLOW, None, ("p2p-trial",))
        assert ask(examples, builtin, subscriber, "unknown", port=1701).rule == "tunnel-ports"


def test_one_word_of_shanghais_file_changes_the_fate_of_skypeout(
    builtin: Catalogue, examples: Path, tmp_path: Path
) -> None:
    policies = copytree(examples, tmp_path / "policies")
    file = policies / "regions" / "shanghai.yaml"
    text = file.read_text()
    assert text.count("action: allow") == 1
    before = load(policies, builtin).revision
    file.write_text(text.replace("action: allow", "action: reject"))
    assert load(policies, builtin).revision != before
    for subscriber in ("10.20.0.5", "fd00:20::5"):
        assert ask(policies, builtin, subscriber, "skypeout").action is REJECT
        assert ask(policies, builtin, subscriber, "skype").action is ALLOW
