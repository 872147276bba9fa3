"""What systemd is told, and the unit files it is given."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from citygate import systemd

UNIT = Path(__file__).resolve().parent.parent / "systemd" / "citygate.service"


@pytest.mark.parametrize("abstract", [False, True])
def test_notify_sends_one_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    address = f"@citygate-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address.replace("@", "\0"))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        systemd.notify("READY=1\nSTATUS=two words")
        assert manager.recv(200) == b"READY=1\nSTATUS=two words"
        systemd.notify("RELOADING=1")
        first, second = manager.recv(200).decode().split("\n")
        assert first == "RELOADING=1"
        assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


def test_notify_without_a_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")


def test_a_manager_that_is_gone_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    systemd.notify("READY=1")
    assert "the service manager cannot be told 'READY=1': No such file or directory" in caplog.text


@pytest.mark.parametrize(
    ("level", "line"),
    [
        (logging.DEBUG, "<7>text"),
        (logging.INFO, "<6>text"),
        (logging.WARNING, "<4>text"),
        (logging.ERROR, "<3>text"),
        (logging.CRITICAL, "<3>text"),
    ],
)
def test_priorities(level: int, line: str) -> None:
    record = logging.LogRecord("citygate", level, "file", 1, "text", (), None)
    assert systemd.PriorityFormatter().format(record) == line


def test_every_line_of_a_message_has_its_priority() -> None:
    record = logging.LogRecord("citygate", logging.ERROR, "file", 1, "one\ntwo", (), None)
    assert systemd.PriorityFormatter().format(record) == "<3>one\n<3>two"


@pytest.mark.parametrize("ours", [True, False])
def test_the_journal_is_told_by_its_inode(ours: bool) -> None:
    read, write = os.pipe()
    place = os.fstat(write)
    stream = f"{place.st_dev}:{place.st_ino}" if ours else "8:1"
    code = "from citygate import systemd; systemd.start_logging(); import logging; logging.info('text')"
    environment = {**os.environ, "JOURNAL_STREAM": stream}
    with open(read) as reader:
        subprocess.run([sys.executable, "-c", code], stderr=write, env=environment, check=True)
        os.close(write)
        assert reader.read() == ("<6>text\n" if ours else "text\n")


def test_the_unit_is_what_systemd_understands(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed (Debian package systemd)")
    # The program is looked for where it is installed on a gateway: here any that exists will do.
    text = UNIT.read_text().replace("/opt/citygate/bin/citygate", "/bin/true")
    assert text.count("/bin/true") == 1
    copy = tmp_path / UNIT.name
    copy.write_text(text)
    done = subprocess.run([program, "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if copy.name in line]) == (0, [])
