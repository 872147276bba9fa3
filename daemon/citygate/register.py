"""Class and zone numbers, in an append-only file: a number once given keeps its meaning for ever.

Conntrack marks and counter sets outlive the daemon, so the numbers in them must too. One JSON object a line, synced
before the number is used: ``{"class": 5, "service": "skypeout", "provider": ""}`` or ``{"zone": 3, "key": "north"}``.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Mapping, Sized
from pathlib import Path
from typing import Any, TypeVar

K = TypeVar("K")

CLASSES = 32767  # 15 bits of the conntrack mark; 0 is "not yet named"
ZONES = 16383  # 14 bits of the packet mark; 0 is "in no region"

_ANEW = {
    "classes": "to begin anew stop the daemon, run `citygate teardown`, remove the file and run `conntrack -F`",
    "zones": "to begin anew stop the daemon, run `citygate teardown` and remove the lines with `zone` from the file",
}


class RegisterError(Exception):
    """The register cannot be read, written or extended; the text says which and where."""


class Register:
    """Numbers of classes and zones. Asking for an unknown one appends it. Not thread-safe: one thread asks.

    ``know`` appends many at once, which costs one sync of the disk and not one for each.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._classes: dict[tuple[str, str], int] = {}
        self._zones: dict[str, int] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two would give one number two meanings
            self._read()
        except BlockingIOError as error:
            raise RegisterError(f"{path}: another citygate uses this class register") from error
        except OSError as error:
            raise RegisterError(f"{path}: the class register cannot be opened: {error.strerror}") from error

    def close(self) -> None:
        os.close(self._file)

    def class_of(self, service: str, provider: str = "") -> int:
        """The class number of a service by a provider (1 to 32767)."""
        key = (service, provider)
        self.know(classes=[key])
        return self._classes[key]

    def zone_of(self, key: str) -> int:
        """The number of the zone with this key (1 to 16383)."""
        self.know(zones=[key])
        return self._zones[key]

    def know(self, classes: Iterable[tuple[str, str]] = (), zones: Iterable[str] = ()) -> None:
        """Give numbers, in this order, to those of the classes (service, provider) and zones that have none."""
        new_classes = dict.fromkeys(key for key in classes if key not in self._classes)
        new_zones = dict.fromkeys(key for key in zones if key not in self._zones)
        if not new_classes and not new_zones:
            return
        class_numbers = dict(
            zip(new_classes, self._next(self._classes, len(new_classes), CLASSES, "classes"), strict=True)
        )
        zone_numbers = dict(zip(new_zones, self._next(self._zones, len(new_zones), ZONES, "zones"), strict=True))
        entries: list[dict[str, int | str]] = [
            {"class": n, "service": key[0], "provider": key[1]} for key, n in class_numbers.items()
        ]
        entries += [{"zone": n, "key": key} for key, n in zone_numbers.items()]
        self._append(entries)
        self._classes |= class_numbers
        self._zones |= zone_numbers

    def classes(self) -> dict[int, tuple[str, str]]:
        """Class number to (service, provider), all that were ever given."""
        return {number: key for key, number in self._classes.items()}

    def zones(self) -> dict[int, str]:
        """Zone number to zone key, all that were ever given."""
        return {number: key for key, number in self._zones.items()}

    def _next(self, taken: Sized, wanted: int, limit: int, what: str) -> range:
        first = len(taken) + 1  # numbers are given without gaps
        if first + wanted - 1 > limit:
            raise RegisterError(f"{self._path}: all {limit} {what} are taken, also by what is no more; {_ANEW[what]}")
        return range(first, first + wanted)

    def _append(self, entries: Iterable[Mapping[str, int | str]]) -> None:
        lines = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
        try:
            written = os.write(self._file, lines)
            if written < len(lines):  # the disk is full; a torn line would spoil the next one
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError as error:
            raise RegisterError(f"{self._path}: the class register cannot be written: {error.strerror}") from error

    def _read(self) -> None:
        text = self._path.read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):  # a line torn by a crash was never used: its number was not handed out
            os.ftruncate(self._file, whole)
        for place, line in enumerate(text[:whole].splitlines(), 1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise RegisterError(f"{self._path}:{place}:1: not a line of a class register: {error}") from error

    def _take(self, entry: Any) -> None:
        """Know an entry of the file; ValueError, KeyError or TypeError where it is none."""
        if "class" in entry:
            _know(self._classes, (str(entry["service"]), str(entry["provider"])), entry["class"])
        else:
            _know(self._zones, str(entry["key"]), entry["zone"])


def _know(known: dict[K, int], key: K, number: int) -> None:
    if number != len(known) + 1 or key in known:
        raise ValueError("number out of order")
    known[key] = number
