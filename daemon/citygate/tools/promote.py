"""`citygate promote`: the rehearsed policy's files in place of those in force, and the daemon takes them.

The program writes the files, not the daemon, so it needs the rights of who edits them. While it writes the daemon looks
at no file, so it never meets half of them. Files of a policy alone are touched; whatever else lies there stays.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from citygate.catalogue.load import builtin
from citygate.policy.load import PROVIDERS, REGIONS, SERVICES, load
from citygate.policy.problem import PolicyError
from citygate.tools.ask import AskError, ask_all

TESTS = "tests"


class PromoteError(Exception):
    """Nothing was changed; a sentence."""


def promote(socket: Path, as_json: bool, out: TextIO | None = None) -> int:
    """Print what was written and the revision now in force, and give 0; 1 and the reason on stderr else."""
    try:
        _, held = ask_all(socket, "hold")
        rehearsed = held["shadow"]
        if rehearsed is None:
            raise PromoteError("no policy is rehearsed; begin with `citygate shadow DIR`")
        directory, policies = Path(rehearsed["directory"]), Path(held["policies"])
        _refuse_others(directory, rehearsed["revision"])
        written = list(_put(directory, policies))
        problems, done = ask_all(socket, "reload", patience=None)
    except (AskError, PromoteError, PolicyError, OSError) as error:
        print(error, file=sys.stderr)
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


def _put(source: Path, target: Path) -> Iterator[str]:
    """Make the policy files of ``target`` those of ``source``; tell what was done to each."""
    if source.resolve() == target.resolve():
        return
    wanted, there = _files(source), _files(target)
    for name in sorted(wanted):
        data = (source / name).read_bytes()
        place = target / name
        if name in there and place.read_bytes() == data:
            continue
        place.parent.mkdir(exist_ok=True)
        new = place.with_name(f".{place.name}.new")
        new.write_bytes(data)
        # Who may read a file stays as it was.
        new.chmod(place.stat().st_mode & 0o777 if name in there else (source / name).stat().st_mode & 0o777)
        os.replace(new, place)
        yield f"{'changed' if name in there else 'added'} {place}"
    for name in sorted(there - wanted):
        (target / name).unlink()
        yield f"removed {target / name}"


def _files(directory: Path) -> set[str]:
    """The files of a policy, below its directory."""
    found = {name for name in (PROVIDERS, SERVICES) if (directory / name).is_file()}
    for folder in (REGIONS, TESTS):
        found |= {f"{folder}/{p.name}" for p in (directory / folder).glob("*.yaml") if not p.name.startswith(".")}
    return found
