"""nDPI's lines, and its names as ours. The program itself is asked only where it is installed."""

from __future__ import annotations

import shutil
import stat
from importlib.resources import files
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.utils import wrpcap

from bench.accuracy import ndpi
from bench.accuracy.corpus import Key, key, ours_by_theirs
from bench.accuracy.score import Answer
from tests.bench.accuracy.test_ours import QUERY

HEADER = "#flow_id,protocol,first_seen,src_ip,src_port,dst_ip,dst_port,ndpi_proto_num,ndpi_proto,server_name_sni\n"
MEANINGS = ours_by_theirs((files("bench.accuracy") / "ndpi.yaml").read_text())

NAMES = {
    "DNS": ["dns"],
    "Unknown": [],
    "TLS.Google": ["google", "tls"],
    "STUN.Teams": ["teams", "stun"],
    "Skype_Teams.SkypeCall": ["skype", "teams"],
    "HTTP_Connect.HTTP": ["http", "http-connect"],
    "DoH_DoT": ["doh-dot"],
    "NetBIOS.SMBv1": ["netbios", "smb"],
    "81.8": ["8", "81"],
}


@pytest.mark.parametrize("protocol", NAMES)
def test_names(protocol: str) -> None:
    assert ndpi.names(protocol, MEANINGS) == NAMES[protocol]


def test_lines() -> None:
    text = (
        HEADER
        + '0,6,1.5,192.0.2.1,40000,192.0.2.2,443,91.58,TLS.Discord,"a, host"\n'
        + "1,50,1.5,2001:db8::1,0,2001:db8::2,0,79,IPsec,,\n"
        + "cut,off\n"
    )
    assert ndpi.parse("a", text) == [
        (key("a", 6, ("192.0.2.1", 40000), ("192.0.2.2", 443)), "TLS.Discord"),
        (key("a", 50, ("2001:db8::1", ""), ("2001:db8::2", "")), "IPsec"),
    ]


def test_no_lines() -> None:
    assert ndpi.parse("a", "") == []


def test_other_columns_are_refused() -> None:
    with pytest.raises(ndpi.PeerError, match="no column ndpi_proto"):
        ndpi.parse("a", HEADER.replace("ndpi_proto,", "proto,"))


def test_without_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ndpi.PeerError, match="libndpi-bin"):
        ndpi.answers_of(tmp_path, [])


def stand_in(folder: Path, script: str) -> None:
    program = folder / ndpi.PROGRAM
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_a_file_it_cannot_read_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(tmp_path, "exit 3")
    (tmp_path / "a.pcap").touch()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert ndpi.answers_of(tmp_path, []) == {}
    assert capsys.readouterr().err == "a.pcap: ndpiReader ended with 3\n"


def test_a_file_that_takes_too_long_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(tmp_path, "exec sleep 9")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(ndpi, "SECONDS", 0.1)
    assert ndpi.lines_of(tmp_path / "a.pcap") == ""
    assert capsys.readouterr().err == "a.pcap: ndpiReader took more than 0.1 s\n"


def test_the_program_itself(tmp_path: Path) -> None:
    if shutil.which(ndpi.PROGRAM) is None:
        pytest.skip(f"no {ndpi.PROGRAM}: apt-get install {ndpi.PACKAGE}")
    flows: list[Key] = []
    for network, client, server in ((IP, "192.0.2.1", "192.0.2.2"), (IPv6, "2001:db8:0:1:2:3:4:5", "2001:db8:0:1::53")):
        file = f"ip-{len(flows)}.pcap"
        wrpcap(str(tmp_path / file), [network(src=client, dst=server) / UDP(sport=5000, dport=53) / QUERY])
        flows.append(key(file, 17, (client, 5000), (server, 53)))
    assert ndpi.version().startswith("nDPI ")
    assert ndpi.answers_of(tmp_path, flows) == dict.fromkeys(flows, Answer(("dns",)))
    assert ndpi.answers_of(tmp_path, []) == {}
