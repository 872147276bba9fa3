"""The three guarded doors, checked over the sources (docs/architecture.md, "The listing").

Raw packet memory, the queue's socket and the kernel's tables are each reached from one place. Each test also asserts
that the place itself is found, so that a renamed file or a new spelling cannot empty the check.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

PACKAGE = ROOT / "daemon" / "citygate"
CYTHON = sorted([*PACKAGE.rglob("*.pyx"), *PACKAGE.rglob("*.pxd")])
PYTHON = sorted(PACKAGE.rglob("*.py"))
RECOGNISERS = [path for path in CYTHON if path.parent.name == "recognise"]

CURSOR = "datapath/cursor.pxd"
QUEUE = "datapath/batch.pyx"
# Where bytes come into the datapath, and so where a cursor may be laid over them: the queue's messages, the frames of
# a capture file or a test, and the copy of a TCP direction that was put in order.
ENTRANCES = {
    QUEUE, "datapath/classifier.pyx", "datapath/classify.pyx", "datapath/stream.pyx", "datapath/decode.pyx",
    "datapath/signatures.pyx",
}  # fmt: skip


def place(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def code(path: Path) -> str:
    """A Cython source without comments and docstrings, which may speak of what code may not do."""
    text = re.sub(r'("""|\'\'\').*?\1', "", path.read_text(), flags=re.DOTALL)
    return re.sub(r"#.*", "", text)


def places(pattern: str, sources: list[Path]) -> set[str]:
    return {place(path) for path in sources if re.search(pattern, code(path))}


def test_only_the_cursor_touches_packet_memory() -> None:
    # Everything a pointer can be used for (index, arithmetic, cast, memcpy) begins with naming it. A field of that name
    # in an array's element is another struct's: nobody keeps cursors in arrays.
    assert places(r"(?<!\])\.start\b", CYTHON) == {CURSOR}


def test_a_cursor_is_made_only_where_bytes_come_in() -> None:
    made = places(r"\bover\s*\(", [path for path in CYTHON if path not in RECOGNISERS]) - {CURSOR}
    assert made, "no module lays a cursor over bytes: the name has changed"
    assert made <= ENTRANCES


def test_recognisers_hold_no_pointer_into_the_packet() -> None:
    # They may lay a cursor over an array of their own, into which a cursor has copied.
    assert RECOGNISERS
    assert places(r"const\s+(uint8_t|unsigned\s+char)\s*\*", RECOGNISERS) == set()


def test_only_the_queue_module_speaks_to_the_queue() -> None:
    assert places(r"\brecvmmsg\b|\bnetfilterqueue\b", CYTHON) == {QUEUE}
    assert {place(path) for path in PYTHON if "netfilterqueue" in set(imported(path))} == set()


def imported(path: Path) -> Iterator[str]:
    """Top-level names of the modules that a Python source imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def outside(*packages: str) -> list[Path]:
    return [path for path in PYTHON if path.relative_to(PACKAGE).parts[0] not in packages]


def test_only_the_kernel_package_runs_programs() -> None:
    # The lab stands apart: it builds hosts to send packets from, and none of it runs on a gateway. So does what the
    # unit calls when the daemon has ended: it asks systemctl.
    assert "kernel/nft.py" in {place(path) for path in PYTHON if "subprocess" in set(imported(path))}
    runs = re.compile(r"\bos\.(system|popen|exec\w+|spawn\w+|posix_spawn\w*|fork)\b|\bpty\b")
    for path in outside("kernel", "lab", "stopped.py"):
        assert "subprocess" not in set(imported(path)), place(path)
        assert not runs.search(code(path)), place(path)


def test_only_the_kernel_package_opens_netfilter() -> None:
    opens = re.compile(r"NETLINK_NETFILTER|\bNFTSocket\b|\bNFCTSocket\b|\bnftables\b.*\bimport\b|socket\(.*AF_NETLINK")
    assert "kernel/netlink.py" in {place(path) for path in PYTHON if opens.search(code(path))}
    assert [place(path) for path in outside("kernel", "lab") if opens.search(code(path))] == []
