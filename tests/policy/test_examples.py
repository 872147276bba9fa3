"""What the example policies do, by the reference semantics: the stories their comments tell."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from shutil import copytree

import pytest

from citygate.catalogue import Catalogue
from citygate.policy.evaluate import Far, Outcome, decide
from citygate.policy.load import Loaded, load
from citygate.policy.model import Action, Effect, Licence, Name
from citygate.policy.moment import moment_in
from citygate.policy.provider import provider_of
from citygate.policy.rate import parse_rate
from citygate.policy.share import inside
from citygate.policy.zones import ZoneIndex, carve

ALLOW, DROP, REJECT, THROTTLE, MARK = Action
# A subscriber of each family.
SHENZHEN = ("10.10.0.5", "fd00:10::5")
SHANGHAI = ("10.20.0.5", "fd00:20::5")
ZONE = ("10.21.0.5", "fd00:21::5")  # the free-trade zone
BEIJING = ("10.30.0.5", "fd00:30::5")


@pytest.fixture(scope="module")
def loaded(builtin: Catalogue, examples: Path) -> Loaded:
    return load(examples, builtin)


def ask(
    loaded: Loaded, subscriber: str, service: str, at: str = "2026-06-01", far: str = "", port: int = 443
) -> Outcome:
    """The answer for a flow to ``far``, by default to nobody's; ``at`` a day means its noon."""
    far = far or ("2001:db8:ffff::9" if ":" in subscriber else "192.0.2.9")
    zone = ZoneIndex(carve(loaded.policy)).find(ip_address(subscriber))
    assert zone
    end = Far(ip_address(far), "udp", port)
    name = Name(service, provider_of(loaded.names, service, [end.address]))
    moment = moment_in("Asia/Shanghai", datetime.fromisoformat(at) if "T" in at else date.fromisoformat(at))
    return decide(zone, name, ip_address(subscriber), end, moment, loaded.names)


def answer(action: Action, rule: str | None, *would: str) -> Outcome:
    return Outcome(Effect(action), rule, would)


@pytest.mark.parametrize(
    ("subscriber", "service", "found"),
    [
        (SHENZHEN, "skypeout", answer(REJECT, "skypeout")),
        (SHENZHEN, "skype", answer(ALLOW, None)),
        (("10.10.3.7", "fd00:10:0:37::5"), "skypeout", answer(ALLOW, None)),
        (("10.10.3.8", "fd00:10:0:38::5"), "skypeout", answer(REJECT, "skypeout")),
        (SHANGHAI, "skypeout", answer(ALLOW, "skypeout")),
        (SHANGHAI, "skype", answer(ALLOW, None)),
        (ZONE, "skypeout", answer(ALLOW, None)),
        (BEIJING, "skypeout", answer(REJECT, "skypeout")),
        (ZONE, "bittorrent", answer(ALLOW, None)),
        (("10.21.128.5", "fd00:21:0:8000::5"), "bittorrent", answer(DROP, "file-sharing")),
        (BEIJING, "wireguard", answer(DROP, "vpn")),
    ],
)
def test_calls_and_file_sharing(loaded: Loaded, subscriber: tuple[str, str], service: str, found: Outcome) -> None:
    for address in subscriber:
        assert ask(loaded, address, service) == found


# An address of each family that the register says is the provider's.
UNICOM = ("203.0.113.17", "2001:db8:a2::7")
TELECOM = ("203.0.113.1", "2001:db8:a1::7")
VIANET = ("203.0.113.33", "2001:db8:a3::7")
DIYIXIAN = ("203.0.113.49", "2001:db8:a4::7")
NEUSOFT = ("203.0.113.65", "2001:db8:a5::7")
BT = ("203.0.113.81", "2001:db8:a6::7")
ATT = ("203.0.113.97", "2001:db8:a7::7")
CISCO = ("203.0.113.113", "2001:db8:a8::7")
KOVURT = ("203.0.113.129", "2001:db8:a9::7")
NOBODY = ("192.0.2.9", "2001:db8:ffff::9")


def vpn(subscriber: tuple[str, str], rule: str | None) -> Outcome:
    """The answer for a private network by this rule. The free-trade zone answers applicants alone."""
    if rule in ("vpn-licensed", None):
        return answer(ALLOW, rule)
    return answer(DROP if subscriber is ZONE and rule == "vpn-unlicensed" else REJECT, rule)


@pytest.mark.parametrize("service", ["openvpn", "wireguard", "ipsec"])
@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
def test_virtual_private_networks_need_a_provider_with_a_licence(loaded: Loaded, service: str, family: int) -> None:
    refused = "vpn-unlicensed"
    for far, here in (
        (TELECOM, {"shenzhen": "vpn-licensed", "shanghai": None, "zone": "vpn-licensed"}),
        (UNICOM, {"shenzhen": "vpn-licensed", "shanghai": None, "zone": "vpn-licensed"}),
        (VIANET, {"shenzhen": "vpn-licensed", "shanghai": None, "zone": "vpn-licensed"}),
        (DIYIXIAN, {"shenzhen": "vpn-licensed", "shanghai": None, "zone": "vpn-licensed"}),
        (NEUSOFT, {"shenzhen": "vpn-licensed", "shanghai": None, "zone": "vpn-licensed"}),
        (BT, {"shenzhen": refused, "shanghai": refused, "zone": "vpn-applicants"}),
        (ATT, {"shenzhen": refused, "shanghai": refused, "zone": refused}),
        (CISCO, {"shenzhen": refused, "shanghai": refused, "zone": refused}),
        (KOVURT, {"shenzhen": refused, "shanghai": refused, "zone": refused}),
        (NOBODY, {"shenzhen": refused, "shanghai": refused, "zone": refused}),
    ):
        for region, subscriber in (("shenzhen", SHENZHEN), ("shanghai", SHANGHAI), ("zone", ZONE)):
            assert ask(loaded, subscriber[family], service, far=far[family]) == vpn(subscriber, here[region])


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    ("far", "last"),
    [
        (TELECOM, "2031-12-31"),
        (UNICOM, "2031-12-31"),
        (VIANET, "2029-12-31"),
        (DIYIXIAN, "2029-12-31"),
        (NEUSOFT, "2030-06-30"),
    ],
)
def test_a_licence_ends_with_its_last_day(loaded: Loaded, far: tuple[str, str], last: str, family: int) -> None:
    before = datetime.fromisoformat(f"{last}T23:59:59+08:00")
    after = before + timedelta(seconds=1)
    for subscriber, rule in ((SHENZHEN, "vpn-licensed"), (SHANGHAI, None), (ZONE, "vpn-licensed")):
        on_the_day = ask(loaded, subscriber[family], "openvpn", before.isoformat(), far[family])
        assert on_the_day == vpn(subscriber, rule)
        the_day_after = ask(loaded, subscriber[family], "openvpn", after.isoformat(), far[family])
        assert the_day_after == vpn(subscriber, "vpn-unlicensed")


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
def test_bt_waits_for_the_first_day_of_its_licence_in_the_free_trade_zone_alone(loaded: Loaded, family: int) -> None:
    for at, rule, licence in (
        ("2016-05-17T23:59:59+08:00", "vpn-unlicensed", Licence.NONE),
        ("2016-05-18T00:00:00+08:00", "vpn-applicants", Licence.APPLIED),
        ("2029-12-31T23:59:59+08:00", "vpn-applicants", Licence.APPLIED),
        ("2030-01-01T00:00:00+08:00", "vpn-licensed", Licence.GRANTED),
        ("2034-12-31T23:59:59+08:00", "vpn-licensed", Licence.GRANTED),
        ("2035-01-01T00:00:00+08:00", "vpn-unlicensed", Licence.EXPIRED),
    ):
        day = date.fromisoformat(at[:10])
        assert loaded.names.licence(Name("openvpn", "bt"), "shanghai-ftz", day) is licence
        assert loaded.names.licence(Name("openvpn", "bt"), "shanghai", day) is Licence.NONE
        for subscriber, by in ((ZONE, rule), (SHENZHEN, "vpn-unlicensed"), (SHANGHAI, "vpn-unlicensed")):
            assert ask(loaded, subscriber[family], "openvpn", at, BT[family]) == vpn(subscriber, by)


def test_what_is_no_vpn_is_nobodys_business(loaded: Loaded) -> None:
    """The register's providers may offer private networks: a call to one of them is a call to nobody."""
    for family, far in enumerate(KOVURT):
        assert ask(loaded, SHENZHEN[family], "skype", far=far) == answer(ALLOW, None)
        assert ask(loaded, SHENZHEN[family], "skypeout", far=far) == answer(REJECT, "skypeout")


def test_beijing_lets_headquarters_vpn_through_and_old_tunnels_not(loaded: Loaded) -> None:
    for subscriber, headquarters in zip(BEIJING, ("198.51.100.7", "2001:db8:100::7"), strict=True):
        assert ask(loaded, subscriber, "openvpn", far=headquarters) == answer(ALLOW, "vpn-to-headquarters")
        assert ask(loaded, subscriber, "openvpn") == answer(DROP, "vpn")
        assert ask(loaded, subscriber, "unknown", port=1701) == answer(REJECT, "tunnel-ports")
        assert ask(loaded, subscriber, "unknown", port=1702) == answer(ALLOW, None)


def test_beijings_trial_against_file_sharing_in_its_three_steps(
    builtin: Catalogue, examples: Path, tmp_path: Path
) -> None:
    policies = copytree(examples, tmp_path / "policies")
    file = policies / "regions" / "beijing.yaml"
    text = file.read_text()
    assert text.count("    rollout: 25%\n    mode: monitor\n") == 1
    subscribers = [f"10.30.{i}.5" for i in range(200)] + [f"fd00:30:0:{i:x}::5" for i in range(200)]

    def found(replacement: str) -> dict[str, Outcome]:
        file.write_text(text.replace("    rollout: 25%\n    mode: monitor\n", replacement))
        loaded = load(policies, builtin)
        return {subscriber: ask(loaded, subscriber, "bittorrent") for subscriber in subscribers}

    watched, quarter, half, whole = (
        found(keys)
        for keys in ("    rollout: 25%\n    mode: monitor\n", "    rollout: 25%\n", "    rollout: 50%\n", "")
    )
    (share,) = (rule.share for rule in load(examples, builtin).policy.regions[0].rules if rule.name == "p2p-trial")
    assert share
    chosen = {subscriber for subscriber in subscribers if inside(share, ip_address(subscriber))}
    assert 50 < len(chosen) < 150  # about 100 of 400
    for subscriber in subscribers:
        dropped, passed = answer(DROP, "p2p-trial"), answer(ALLOW, None)
        counted = answer(ALLOW, None, "p2p-trial")
        assert watched[subscriber] == (counted if subscriber in chosen else passed)
        assert quarter[subscriber] == (dropped if subscriber in chosen else passed)
        assert whole[subscriber] == dropped
    assert chosen < {subscriber for subscriber in subscribers if half[subscriber].action is DROP} < set(subscribers)


def test_beijings_calls_carry_a_mark(loaded: Loaded) -> None:
    for subscriber in BEIJING:
        for service in ("skype", "sip", "zoom"):
            assert ask(loaded, subscriber, service) == Outcome(Effect(MARK, dscp=46), "calls")


@pytest.mark.parametrize(
    ("at", "slow"),
    [
        ("2026-11-23T18:59:59+08:00", False),  # a Monday
        ("2026-11-23T19:00:00+08:00", True),
        ("2026-11-23T14:59:59+00:00", True),
        ("2026-11-23T15:00:00+00:00", False),
        ("2026-11-28T11:59:59+08:00", False),  # a Saturday
        ("2026-11-28T12:00:00+08:00", True),
        ("2026-11-29T23:59:59+08:00", True),
        ("2026-11-30T00:00:00+08:00", False),
    ],
)
def test_beijings_video_is_slow_in_the_evening(loaded: Loaded, at: str, slow: bool) -> None:
    throttled = Outcome(Effect(THROTTLE, rate=parse_rate("4 Mbit/s"), bucket="evening-video"), "evening-video")
    for subscriber in BEIJING:
        for service in ("youtube", "netflix"):
            assert ask(loaded, subscriber, service, at) == (throttled if slow else answer(ALLOW, None))


@pytest.mark.parametrize(
    ("at", "slow"),
    [
        ("2026-11-27T22:59:59+08:00", False),  # a Friday
        ("2026-11-27T23:00:00+08:00", True),
        ("2026-11-28T05:59:59+08:00", True),
        ("2026-11-28T06:00:00+08:00", False),
        ("2026-11-28T23:00:00+08:00", False),  # none begins on a Saturday
        ("2026-11-30T05:59:59+08:00", False),  # nor on a Sunday
        ("2026-11-30T23:00:00+08:00", True),
    ],
)
def test_beijings_copies_are_slow_at_night(loaded: Loaded, at: str, slow: bool) -> None:
    throttled = Outcome(Effect(THROTTLE, rate=parse_rate("100 Mbit/s"), bucket="nightly-copies"), "nightly-copies")
    for subscriber in BEIJING:
        for service in ("ftp", "rsync"):
            assert ask(loaded, subscriber, service, at) == (throttled if slow else answer(ALLOW, None))


def test_one_word_of_shanghais_file_changes_the_fate_of_skypeout(
    builtin: Catalogue, examples: Path, tmp_path: Path
) -> None:
    policies = copytree(examples, tmp_path / "policies")
    file = policies / "regions" / "shanghai.yaml"
    text = file.read_text()
    assert text.count("action: allow") == 1
    before = load(policies, builtin).policy.revision
    file.write_text(text.replace("action: allow", "action: reject"))
    after = load(policies, builtin)
    assert after.policy.revision != before
    for subscriber in SHANGHAI:
        assert ask(after, subscriber, "skypeout").action is REJECT
        assert ask(after, subscriber, "skype").action is ALLOW
