"""Notice that a policy directory has changed.

inotify (through ``watchfiles``) says when to look; a fingerprint of the files says whether anything did change. So an
editor's temporary files cause nothing and an atomic rename is one change; a directory that was itself replaced, a
symbolic link turned elsewhere or a file system without inotify is found by the next look, ``LOOK_MS`` later at most.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import watchfiles

LOOK_MS = 2000  # look at the files this often even when inotify is silent
QUIET_MS = 50  # a change is told when nothing more happened for this long …
DEBOUNCE_MS = 1000  # … or this long after its first sign

# Path below the directory to (device, inode, size, time of change in ns).
Fingerprint = dict[str, tuple[int, int, int, int]]

log = logging.getLogger(__name__)


def fingerprint(directory: Path) -> Fingerprint:
    """What tells the policy's files of this moment: those ``policy.load`` looks at."""
    found: Fingerprint = {}
    for folder in (directory, directory / "regions"):
        for path in folder.glob("*"):
            if path.suffix not in (".yaml", ".yml") or path.name.startswith("."):
                continue
            try:
                status = path.stat()
            except OSError:  # removed since it was listed
                continue
            found[str(path.relative_to(directory))] = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def newest(directory: Path) -> float | None:
    """When one of these files was last changed, in seconds since 1970 by its own time stamp; None without a file."""
    return max((changed / 1e9 for *_, changed in fingerprint(directory).values()), default=None)


def _identity(directory: Path) -> tuple[int, int] | None:
    try:
        status = directory.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def changes(directory: Path, seen: Fingerprint, stop: threading.Event) -> Iterator[None]:
    """Yield once for each change of the policy's files, until ``stop`` is set.

    ``seen`` is the fingerprint taken before the policy in force was read, so that no change in between is missed.
    """
    for _ in _signs(directory, stop):
        now = fingerprint(directory)
        if now != seen:
            seen = now
            yield


def _signs(directory: Path, stop: threading.Event) -> Iterator[None]:
    """Yield whenever a look is worth while: at each sign of inotify, and at least every ``LOOK_MS``."""
    warned = False
    while not stop.is_set():
        watched = _identity(directory)
        try:
            for _ in watchfiles.watch(
                directory,
                watch_filter=None,
                step=QUIET_MS,
                debounce=DEBOUNCE_MS,
                rust_timeout=LOOK_MS,
                yield_on_timeout=True,
                stop_event=stop,
                raise_interrupt=False,
                ignore_permission_denied=True,
            ):
                yield
                if _identity(directory) != watched:  # inotify follows the old directory: watch the new one
                    break
        except (OSError, RuntimeError) as error:
            if watched is not None and not warned:
                log.warning("%s: inotify does not work (%s): looking every %g s", directory, error, LOOK_MS / 1000)
                warned = True
            stop.wait(LOOK_MS / 1000)
        yield
