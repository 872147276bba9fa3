"""Files of policy tests: what may be written in them, and what is said of anything else."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import pytest

from citygate.policy.model import Licence
from citygate.policy.shape import fit
from citygate.policy.source import read
from citygate.review.trial import as_mapping
from citygate.review.trial_schema import TrialsKeys


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    source = as_mapping(read(file))
    assert fit(source, TrialsKeys) is None
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in source.problems]


def test_every_key(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "- name: one\n  at: 2016-06-01T12:00+08:00\n  expect:\n"
        "    - {from: fd00:10::5, service: openvpn, provider: bt, to: 2001:db8::5, port: udp/12340,\n"
        "       decision: throttle, rule: x, licence: applied, rate: 2 Mbit/s, dscp: EF}\n"
        "- name: two\n  at: 2016-06-01\n  expect:\n    - {from: 10.10.0.5, decision: undecided}\n"
    )
    keys = fit(as_mapping(read(file)), TrialsKeys)
    assert keys
    one, two = keys.tests
    assert one.at == datetime(2016, 6, 1, 12, tzinfo=timezone(timedelta(hours=8)))
    assert two.at == date(2016, 6, 1)
    (expect,) = one.expect
    assert (expect.origin, expect.to) == (ip_address("fd00:10::5"), ip_address("2001:db8::5"))
    assert (expect.port, expect.licence, expect.rate, expect.dscp) == (("udp", 12340), Licence.APPLIED, 250_000, 46)
    assert two.expect[0].model_fields_set == {"origin", "decision"}


FLOW = "- name: x\n  expect:\n    - {from: 10.10.0.5, decision: allow, "


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name: x\n", "a.yaml:1:1: a file of tests must be a list, each test with `- name:`"),
        ("", "a.yaml:1:1: the file is empty"),
        ("[]\n", "a.yaml:1:1: `tests` must not be empty"),
        ("- name: x\n", "a.yaml:1:3: `expect` is missing"),
        ("- name: x\n  expect: []\n", "a.yaml:2:11: `expect` must not be empty"),
        ("- name: x\n  expct: 1\n  expect:\n  - {from: 10.0.0.1, decision: drop}\n",
         "a.yaml:2:3: unknown key `expct`, did you mean `expect`?"),
        ("- name: x\n  expect:\n  - {from: 10.0.0.1}\n", "a.yaml:3:5: `decision` is missing"),
        ("- name: x\n  expect:\n  - {decision: drop}\n", "a.yaml:3:5: `from` is missing"),
        (FLOW + "form: 1}\n", "a.yaml:3:42: unknown key `form`, did you mean `from`?"),
        (FLOW + "to: 10.0.0.0/8}\n",
         "a.yaml:3:46: `to`: 10.0.0.0/8 is a prefix, write one address such as 10.0.0.1"),
        (FLOW + "to: 'fd00::/8'}\n",
         "a.yaml:3:46: `to`: fd00::/8 is a prefix, write one address such as fd00::1"),
        (FLOW + "port: 53}\n", "a.yaml:3:48: `port`: 53 is not a port, write udp/12340 or tcp/443"),
        (FLOW + "licence: grantd}\n",
         "a.yaml:3:51: `licence`: 'grantd' is not granted, applied, expired, revoked or none, did you mean `granted`?"),
        ("- name: x\n  expect:\n  - {from: 10.0.0.1, decision: rejct}\n",
         "a.yaml:3:32: `decision`: 'rejct' is not allow, drop, reject, throttle, mark or undecided,"
         " did you mean `reject`?"),
        ("- name: x\n  at: 2016-06-01T12:00\n  expect:\n  - {from: 10.0.0.1, decision: drop}\n",
         "a.yaml:2:7: `at`: 2016-06-01T12:00 could be anywhere on earth,"
         " write 2016-06-01T12:00+08:00, or the day alone"),
        ("- name: x\n  at: 5\n  expect:\n  - {from: 10.0.0.1, decision: drop}\n",
         "a.yaml:2:7: `at` must be a moment, write 2016-06-01T12:00+08:00, or the day alone"),
    ],
)  # fmt: skip
def test_a_mistake_has_a_place_and_a_sentence(tmp_path: Path, text: str, found: str) -> None:
    assert problems(tmp_path, text) == [found]
