"""What this machine lacks: parts of the kernel, programs, Python modules, the privilege to look."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from citygate.doctor.finding import Finding, Level
from citygate.kernel import probe

CAP_NET_ADMIN = 12  # linux/capability.h
_OLDEST_NFT = (1, 0, 6)  # that the table is tested with


def privilege() -> Iterator[Finding]:
    if not has_net_admin("self"):
        yield Finding(
            "no-privilege",
            Level.PROBLEM,
            "this account may not look at the kernel's tables: most checks are left out",
            "sudo citygate doctor",
        )


def has_net_admin(process: int | str) -> bool:
    """Whether a process has CAP_NET_ADMIN in effect. Raises OSError when it is gone."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    return bool(found and int(found[1], 16) >> CAP_NET_ADMIN & 1)


def kernel() -> Iterator[Finding]:
    """Raises KernelError without `nft`."""
    missing = [feature for feature in probe.features() if not feature.there]
    for feature in missing:
        yield Finding(
            "kernel-feature-missing",
            Level.PROBLEM,
            f"this kernel has no {feature.name} ({feature.option}), needed for {feature.use}",
            "use a kernel with that option, such as Debian's",
        )
    if not missing:
        yield Finding("kernel", Level.OK, "the kernel has all that citygate needs")


def programs() -> Iterator[Finding]:
    versions = probe.versions()
    if versions["nft"] is None:
        yield Finding("nft-missing", Level.PROBLEM, "nft is not installed", "apt-get install nftables")
    elif _numbers(versions["nft"]) < _OLDEST_NFT:
        sentence = f"nft {versions['nft']} is older than any that citygate is tested with (1.0.6)"
        yield Finding("nft-old", Level.WARNING, sentence, "install a newer nftables")
    found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if found:
        yield Finding("programs", Level.OK, found)


def modules() -> Iterator[Finding]:
    """Whether everything can be imported that the daemon imports, compiled modules too."""
    try:
        importlib.import_module("citygate.daemon")
    except ImportError as error:
        remedy = "install citygate again, with its dependencies (docs/install.md)"
        yield Finding("python-module-missing", Level.PROBLEM, f"the daemon cannot be loaded: {error}", remedy)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
