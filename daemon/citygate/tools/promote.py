"""`citygate promote`: the rehearsed policy's files in place of those in force, and the daemon takes them.

The program writes the files, not the daemon, so it needs the rights of who edits them. All of them are written beside
their places first, then renamed; while that happens the daemon looks at no file, so it never meets half of them. Files
of a policy alone are touched: its tests come along, whatever else lies there stays.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from citygate.catalogue.load import builtin
from citygate.policy.load import PROVIDERS, REGIONS, SERVICES, load
from citygate.policy.problem import PolicyError
from citygate.tools.ask import AskError, ask_all

TESTS = "tests"


class PromoteError(Exception):
    """Nothing was changed; why, in a sentence."""


def promote(socket: Path, as_json: bool, out: TextIO | None = None) -> int:
    """Print what was written and the revision now in force, and give 0; 1 and the reason on stderr else."""
    try:
        _, rehearsed = ask_all(socket, "shadow_counters")
        directory, policies = Path(rehearsed["directory"]), Path(rehearsed["policies"])
        _refuse_others(directory, rehearsed["revision"])
        written = _put(socket, directory, policies)
        problems, done = ask_all(socket, "reload", patience=None)
    except (AskError, PromoteError, PolicyError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(done | {"written": written, "problems": problems}), file=out)
    else:
        for line in written:
            print(line, file=out)
        print(f"in force: policy {done['revision']}", file=out)
    if done["revision"] != rehearsed["revision"]:
        print(f"the daemon did not take the rehearsed policy {rehearsed['revision']}: {done['why']}", file=sys.stderr)
        return 1
    return 0


def _refuse_others(directory: Path, revision: str) -> None:
    """Raise where the directory has changed since it was rehearsed."""
    now = load(directory, builtin()).policy.revision
    if now != revision:
        raise PromoteError(
            f"{directory} has changed since it was rehearsed ({revision}, now {now}): rehearse it again with "
            f"`citygate shadow {directory}`"
        )


def _put(socket: Path, source: Path, target: Path) -> list[str]:
    """Make the policy files of ``target`` those of ``source``; what was done to each."""
    if source.resolve() == target.resolve():
        return []
    wanted, there = _files(source) | _tests(source), _files(target) | _tests(target)
    new: dict[Path, Path] = {}
    done = []
    try:
        for name in sorted(wanted):
            data, place = (source / name).read_bytes(), target / name
            if name not in there or place.read_bytes() != data:
                new[place] = _beside(place, data, like=place if name in there else source / name)
                done.append(f"{'changed' if name in there else 'added'} {place}")
        ask_all(socket, "hold")
        for place, written in new.items():
            os.replace(written, place)
    finally:
        for written in new.values():
            written.unlink(missing_ok=True)
    for name in sorted(_files(target) - wanted):
        (target / name).unlink()
        done.append(f"removed {target / name}")
    return done


def _beside(place: Path, data: bytes, like: Path) -> Path:
    """A new file that is to take a place. Who may read it and, as far as we may say so, whose it is: as of ``like``."""
    place.parent.mkdir(exist_ok=True)
    new = place.with_name(f".{place.name}.new")
    new.write_bytes(data)
    status = like.stat()
    with suppress(PermissionError):
        os.chown(new, status.st_uid, status.st_gid)
    new.chmod(status.st_mode & 0o777)
    return new


def _files(directory: Path) -> set[str]:
    """The files of a policy, below its directory."""
    return {name for name in (PROVIDERS, SERVICES) if (directory / name).is_file()} | _listed(directory, REGIONS)


def _tests(directory: Path) -> set[str]:
    return _listed(directory, TESTS)


def _listed(directory: Path, folder: str) -> set[str]:
    return {f"{folder}/{p.name}" for p in (directory / folder).glob("*.yaml") if not p.name.startswith(".")}
