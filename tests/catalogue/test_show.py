"""`citygate services`: the table, one service, JSON, and what is said of a name there is none of."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from citygate.__main__ import commands
from citygate.catalogue import builtin
from citygate.catalogue.show import show

OWN = """
services:
  - service: acme-voice
    category: voip
    title: ACME [desk] phones
    parent: sip
    hosts: voice.acme.example
    networks: [198.51.100.0/24, "2001:db8::/48"]
    signatures:
      - {proto: udp, port: 5070, payload: {hex: ac 3e ?? 01}, length: "16..1400"}
    misses: calls on other ports
"""


def shown(name: str | None = None, directory: Path | None = None, as_json: bool = False) -> str:
    out = io.StringIO()
    assert show(name, directory, as_json, out) == 0
    return out.getvalue()


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    (tmp_path / "services.yaml").write_text(OWN)
    return tmp_path


def test_every_service_is_in_the_table() -> None:
    text = shown()
    for service in builtin().services.values():
        assert f"│ {service.name} " in text
    assert "its packets" in text


def test_a_table_with_the_sites_own(policy: Path) -> None:
    (row,) = [line for line in shown(directory=policy).splitlines() if "acme-voice" in line]
    assert "ACME [desk] phones" in row
    assert "1 host, 2 networks, 1 signature" in row
    assert "acme-voice" not in shown()


def test_all_of_one(policy: Path) -> None:
    lines = [line.split(maxsplit=1) for line in shown("acme-voice", policy).splitlines()]
    assert ["parent", "sip"] in [[word.strip() for word in line] for line in lines]
    text = shown("acme-voice", policy)
    for words in ("2001:db8::/48", "udp port 5070: ac 3e ?? 01 at 0; 16 to 1400 bytes", "calls on other ports"):
        assert words in text
    assert "recognise" not in text
    assert "acme-voice" in shown("sip", policy)


def test_json_is_one_object_a_line(policy: Path) -> None:
    found = {entry["service"]: entry for entry in map(json.loads, shown(directory=policy, as_json=True).splitlines())}
    assert found.keys() == builtin().services.keys() | {"acme-voice"}
    assert found["acme-voice"] == json.loads(shown("acme-voice", policy, as_json=True))
    assert found["acme-voice"]["networks"] == ["198.51.100.0/24", "2001:db8::/48"]
    assert "acme-voice" in found["sip"]["parts"]


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert show("skyp", None, False) == 1
    assert capsys.readouterr() == ("", "no service `skyp`, did you mean `skype`?\n")


def test_services_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A directory without a file of services has none of its own; one that is not there is a mistake.
    assert shown(directory=tmp_path) == shown()
    assert show(None, tmp_path / "none", False) == 1
    assert capsys.readouterr().err == f"{tmp_path}/none/services.yaml:1:1: cannot be read: no such file or directory\n"
    (tmp_path / "services.yaml").write_text(OWN.replace("5070", "0"))
    assert show("dns", tmp_path, True) == 1
    assert f"{tmp_path}/services.yaml:10:28: `port`: 0 is not a port" in capsys.readouterr().err


def test_the_command(policy: Path) -> None:
    run = CliRunner().invoke
    done = run(commands, ["services", "--dir", str(policy), "--json", "acme-voice"])
    assert json.loads(done.output)["parent"] == "sip"
    assert "its packets" in run(commands, ["services"]).output
    assert run(commands, ["services", "skyp"]).exit_code == 1
