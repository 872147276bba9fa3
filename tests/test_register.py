"""Numbers survive restarts and crashes, and never change their meaning."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from citygate import register
from citygate.register import Register, RegisterError


def test_numbers_are_given_once_and_kept(tmp_path: Path) -> None:
    first = Register(tmp_path / "state" / "register")
    assert [first.class_of("skype"), first.class_of("openvpn", "acme"), first.class_of("skype")] == [1, 2, 1]
    assert [first.zone_of("north"), first.zone_of("north:skypeout"), first.zone_of("north")] == [1, 2, 1]
    first.close()

    second = Register(tmp_path / "state" / "register")
    assert second.class_of("dns") == 3
    assert second.classes() == {1: ("skype", ""), 2: ("openvpn", "acme"), 3: ("dns", "")}
    assert second.zones() == {1: "north", 2: "north:skypeout"}


def test_a_line_torn_by_a_crash_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "register"
    whole = Register(path)
    whole.class_of("skype")
    whole.close()
    text = path.read_bytes()
    for cut in range(len(text)):
        path.write_bytes(text + text[:cut])
        again = Register(path)
        assert again.classes() == {1: ("skype", "")}
        assert again.class_of("dns") == 2
        again.close()


@pytest.mark.parametrize(
    "line",
    ["junk", "[]", '{"class": 2, "service": "x", "provider": ""}', '{"zone": 1}', '{"class": 1, "service": "x"}', "7"],
)
def test_a_damaged_line_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    path = tmp_path / "register"
    path.write_text(f'{{"zone": 1, "key": "north"}}\n{line}\n')
    with pytest.raises(RegisterError, match=f"{path}:2:1: "):
        Register(path)


def test_a_number_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "register"
    path.write_text('{"zone": 1, "key": "north"}\n{"zone": 2, "key": "north"}\n')
    with pytest.raises(RegisterError, match="2:1: "):
        Register(path)


def test_numbers_run_out_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register, "ZONES", 2)
    full = Register(tmp_path / "register")
    full.zone_of("a")
    full.zone_of("b")
    full.class_of("skype")
    with pytest.raises(RegisterError, match=r"all 2 zones are taken, .* remove the lines with `zone`"):
        full.zone_of("c")
    full.close()
    path = tmp_path / "register"
    path.write_text("".join(line for line in path.open() if '"zone"' not in line))
    anew = Register(path)
    assert anew.zone_of("c") == 1 and anew.classes() == {1: ("skype", "")}


def test_a_register_that_cannot_be_written_hands_out_nothing(tmp_path: Path) -> None:
    broken = Register(tmp_path / "register")
    broken.class_of("a")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, broken._file)
    os.close(full)
    with pytest.raises(RegisterError, match=os.strerror(errno.ENOSPC)):
        broken.class_of("b")
    assert broken.classes() == {1: ("a", "")}


def test_a_line_that_does_not_fit_on_the_disk_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "register"
    full = Register(path)
    full.class_of("a")
    before = path.read_bytes()
    whole_write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda file, data: whole_write(file, data[:5]))  # what a filling disk does
        with pytest.raises(RegisterError, match=os.strerror(errno.ENOSPC)):
            full.class_of("b")
    assert path.read_bytes() == before
    assert full.class_of("c") == 2
    full.close()
    assert Register(path).classes() == {1: ("a", ""), 2: ("c", "")}


def test_a_register_has_one_user(tmp_path: Path) -> None:
    first = Register(tmp_path / "register")
    with pytest.raises(RegisterError, match="another citygate uses this class register"):
        Register(tmp_path / "register")
    first.close()
    Register(tmp_path / "register").close()


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegisterError, match="file/register: the class register cannot be opened"):
        Register(tmp_path / "file" / "register")
