"""What systemd is told, and the unit files it is given."""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from citygate import systemd
from tests.conftest import ROOT

UNIT = ROOT / "systemd" / "citygate.service"
UNITS = [UNIT, UNIT.with_name("citygate@.service")]
EXPOSURE = 15  # tenths, of at most 100
EXECS = ("ExecStartPre", "ExecStart", "ExecReload", "ExecStopPost")
FOLDERS = ("StateDirectory", "RuntimeDirectory", "LogsDirectory")
ORDER = ("DefaultDependencies", "After", "Wants", "Before", "Conflicts")


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
    ("words", "line"),
    [
        ("two\n  words ", "two words"),
        ("x" * 1000, "x" * 1000),
        ("x" * 1001, "x" * 997 + "…"),
        ("区" * 400, "区" * 332 + "…"),  # 332 × 3 + 3 bytes; one more would not fit
        ("x" + "🚫" * 300, "x" + "🚫" * 249 + "…"),
        ("a file \udcff", "a file ?"),  # whose name is no UTF-8
    ],
)
def test_a_status_is_one_line_of_limited_length(words: str, line: str) -> None:
    assert systemd.brief(words) == line
    assert len(systemd.brief(words).encode()) <= systemd.STATUS_BYTES


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


@pytest.mark.parametrize(("journal", "said"), [(True, "<3>one\n<3>two\n"), (False, "one\ntwo\n")])
def test_complaints_are_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], journal: bool, said: str
) -> None:
    monkeypatch.setattr(systemd, "to_journal", lambda: journal)
    systemd.complain("one\ntwo")
    assert capsys.readouterr().err == said


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian package systemd)")
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_unit_is_what_systemd_understands(tmp_path: Path, unit: Path) -> None:
    # Programs are looked for where they are installed on a gateway: here any that exists will do.
    text = re.sub(r"(?m)^(Exec\w+=!?)\S+ .*", r"\1/bin/true", unit.read_text())
    assert text.count("/bin/true") == 4
    copy = tmp_path / unit.name
    copy.write_text(text)
    command = [program("systemd-analyze"), "verify", "--man=no", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "citygate" in line]) == (0, [])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_sandbox_is_tight(unit: Path) -> None:
    command = [program("systemd-analyze"), "security", "--offline=true", f"--threshold={EXPOSURE}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Overall exposure level" in done.stdout, done.stderr
    assert done.returncode == 0, done.stdout


def test_the_two_units_differ_only_in_what_an_instance_has_of_its_own() -> None:
    """Which is its namespace, its files, and that nothing hangs on when it comes."""
    plain, instance = ({line for line in unit.read_text().splitlines() if not line.startswith("#")} for unit in UNITS)
    of_instance = {line.partition("=")[0] for line in instance - plain}
    assert of_instance == {"Description", "NetworkNamespacePath", *EXECS, *FOLDERS}
    of_plain = {line.partition("=")[0] for line in plain - instance}
    assert of_plain == {"Description", *ORDER, "RuntimeDirectoryPreserve", *EXECS, *FOLDERS}
    by_name = {line.replace("/%i.yaml", "/citygate.yaml").replace("/%i", "") for line in instance}
    assert {line for line in by_name - plain if line.startswith(EXECS + FOLDERS)} == set()


def test_every_program_is_the_installed_one_and_every_file_is_the_instance_s() -> None:
    for unit, files in zip(UNITS, ("citygate", "%i"), strict=True):
        lines = [line for line in unit.read_text().splitlines() if line.startswith("Exec")]
        assert all(re.match(r"Exec\w+=!?/usr/lib/citygate/bin/citygate \w+", line) for line in lines)
        assert len(lines) == 4
        assert all(line.endswith(f" --config /etc/citygate/{files}.yaml") for line in lines)


def test_the_account(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    subprocess.run([program("systemd-sysusers"), f"--root={tmp_path}", UNIT.parent / "citygate.sysusers"], check=True)
    (account,) = (line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines())
    (group,) = (line.split(":") for line in (tmp_path / "etc/group").read_text().splitlines())
    assert account[0] == group[0] == "citygate"
    assert account[3] == group[2]
    assert account[5:] == ["/var/lib/citygate", "/usr/sbin/nologin"]
