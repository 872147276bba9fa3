"""The only caller of `nft`, and of `iptables` for the queue step of kernels without nft_queue.

Scripts are one transaction each: all of it holds or none.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from citygate.kernel.errors import KernelError

_PACKAGES = {"nft": "nftables", "iptables": "iptables", "ip6tables": "iptables"}
_TELLING_LINES = 6  # of an error's text: the first names the statement, the rest repeats
_TELLING_CHARACTERS = 300  # of a line: nft repeats a statement whole, and one may hold thousands of prefixes


def load(lines: Sequence[str]) -> None:
    """Load commands as one transaction; raises KernelError with nft's own words."""
    if lines:
        done = call("nft", "-f", "-", text="\n".join(lines) + "\n")
        if done.returncode:
            raise KernelError(f"nft refused the table: {explain(done)}")


def accepts(lines: Sequence[str]) -> bool:
    """Whether the kernel would take these commands; nothing is changed."""
    return call("nft", "--check", "-f", "-", text="\n".join(lines) + "\n").returncode == 0


def call(program: str, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run `nft`, `iptables` or `ip6tables`; raises KernelError when the program is missing or may not."""
    try:
        done = subprocess.run([program, *arguments], input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        package = _PACKAGES[program]
        raise KernelError(f"{program} is not installed (Debian package {package}: apt-get install {package})") from None
    if done.returncode and any(words in done.stderr for words in ("Operation not permitted", "Permission denied")):
        raise KernelError(f"{program} may not change the kernel's tables: run as root, or grant CAP_NET_ADMIN")
    return done


def explain(done: subprocess.CompletedProcess[str]) -> str:
    """The telling lines of what a program said."""
    lines = done.stderr.split("\n", _TELLING_LINES)[:_TELLING_LINES]
    return " ".join(map(_brief, lines)).strip() or f"status {done.returncode}"


def _brief(line: str) -> str:
    return line if len(line) <= _TELLING_CHARACTERS else f"{line[:_TELLING_CHARACTERS]}…"
