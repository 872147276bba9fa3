"""The command, over a folder of one capture."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw
from scapy.utils import wrpcap

from bench.accuracy import golden, reasons
from bench.accuracy.__main__ import main
from bench.accuracy.score import Wrong
from tests.bench.accuracy.test_ours import QUERY

COLUMNS = "file,client_ip,client_port,server_ip,server_port,ip_proto,service,also,source,carrier"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five DNS flows, of which one is labelled as what it is not."""
    packets = [IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=port, dport=53) / Raw(QUERY) for port in range(1, 6)]
    wrpcap(str(tmp_path / "a.pcap"), packets)
    names = ["ntp", "ntp", "ntp", "ntp", "dns"]
    rows = [f"a.pcap,192.0.2.1,{port},192.0.2.2,53,17,{name},,tshark,dns" for port, name in enumerate(names, 1)]
    (tmp_path / "labels.csv").write_text("\n".join([COLUMNS, *rows]) + "\n")
    return tmp_path


def test_tables(folder: Path) -> None:
    done = CliRunner().invoke(main, [str(folder), "--wrong"])
    assert done.exit_code == 0
    assert "a.pcap 4" in done.stdout
    assert "5 labelled flows in 1 files" in done.stdout


def test_document(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Wrong("a.pcap", "ntp", "dns")
    old, elsewhere = Wrong("a.pcap", "dns", "-"), Wrong("b.pcap", "dns", "-")
    monkeypatch.setattr(reasons, "written", lambda: dict.fromkeys((wrong, old, elsewhere), "It is cut."))
    done = CliRunner().invoke(main, [str(folder), "--markdown", str(folder / "accuracy.md")])
    assert done.exit_code == 0
    assert "| a.pcap | #1-#4 | ntp | dns | It is cut. |" in (folder / "accuracy.md").read_text()
    assert done.stderr == "reason for what is right now: a.pcap: dns as -\n"


def test_a_reason_that_is_owed_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reasons, "written", dict)
    done = CliRunner().invoke(main, [str(folder), "--markdown", str(folder / "accuracy.md")])
    assert done.exit_code == 0
    assert done.stderr == "no reason given: a.pcap: ntp as dns\n"
    assert "| a.pcap | #1-#4 | ntp | dns | **no reason given** |" in (folder / "accuracy.md").read_text()


def test_without_the_peer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    done = CliRunner().invoke(main, [str(folder), "--peer"])
    assert done.exit_code == 0
    assert "apt-get install libndpi-bin" in done.stderr


def test_golden(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(golden, "FILE", tmp_path / "golden" / "labels.csv")
    assert CliRunner().invoke(main, [str(folder), "--golden"]).exit_code == 0
    assert golden.FILE.read_text().splitlines()[-1] == "a.pcap,5,dns,dns,dns,1"
