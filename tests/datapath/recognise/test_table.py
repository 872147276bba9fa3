"""The table: its names, and bytes from strangers over all recognisers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import PROTOCOL_NAMES, ask
from tests.conftest import ROOT
from tests.datapath.recognise.feeding import FAMILIES

PAYLOADS = st.binary(max_size=200)
# Beginnings that lead a recogniser further in than random bytes do.
SEEDS = st.sampled_from(
    [
        b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x80\x46\x01\x03\x01\x00\x2d\x00\x00\x00\x10",
        b"GET /announce?", b"INVITE sip:", b"SIP/2.0 200 ", b"HTTP/1.1 200", b"SSH-2.0-", b"\x13BitTorrent",
        b"\xc0\x00\x00\x00\x01\x08", b"\x00\x01\x00\x08\x21\x12\xa4\x42", b"\x38", b"\x00\x0e\x38",
        b"\x01\x00\x00\x00", b"\x04\x00\x00\x00", b"\xc8\x02\x00\x14", b"\x41\x00", b"\x41\x02", b"\x80\xc8\x00\x06",
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", b"\x90\x60", b"\x00\x9c\x00\x01\x1a\x2b\x3c\x4d",
        b"\x30\x01\x88\x0b", b"d1:ad2:id20:", b"\x40\x00\x00\x04",
    ]
)  # fmt: skip


def test_names_are_those_of_the_enum() -> None:
    text = (ROOT / "daemon/citygate/datapath/view.pxd").read_text()
    found = re.search(r"cdef enum Protocol:\n(.*?)\n\n", text, re.DOTALL)
    assert found is not None
    members = re.findall(r"^ +([A-Z_0-9]+)", found[1], re.MULTILINE)
    assert members.pop() == "PROTOCOLS"
    assert tuple(name.lower().replace("_", "-") for name in members) == PROTOCOL_NAMES


def test_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError):
        ask("gopher", b"")


@given(
    seed=SEEDS,
    data=PAYLOADS,
    ip_proto=st.sampled_from([1, 6, 17, 47, 50, 51, 58, 115, 132]),
    family=st.sampled_from(FAMILIES),
    length=st.none() | st.integers(0, 65535),
    ports=st.tuples(st.sampled_from([53, 443, 500, 1701, 4500, 5353, 12340, 51820, 40000]), st.integers(0, 65535)),
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    earlier=st.lists(st.tuples(PAYLOADS, st.booleans()), max_size=10),
)
def test_any_bytes_get_an_answer(
    seed: bytes,
    data: bytes,
    ip_proto: int,
    family: int,
    length: int | None,
    ports: tuple[int, int],
    flags: tuple[bool, bool, bool],
    earlier: list[tuple[bytes, bool]],
) -> None:
    for name in PROTOCOL_NAMES:
        said = ask(
            name, seed + data, ip_proto=ip_proto, family=family, length=length, client_port=ports[1],
            server_port=ports[0], from_client=flags[0], mid_stream=flags[1], last=flags[2], earlier=earlier,
        )  # fmt: skip
        assert said.answer in ("no", "more", "yes")
        assert said.protocol == (name if said.answer == "yes" else "none")
        assert re.fullmatch(r"[a-z0-9._:\[\]-]{0,253}", said.host)


@given(data=st.binary(min_size=12, max_size=600), ip_proto=st.sampled_from([6, 17]))
def test_noise_gets_no_name(data: bytes, ip_proto: int) -> None:
    """First payloads of random bytes, on ports that mean nothing."""
    for name in PROTOCOL_NAMES:
        said = ask(name, b"\xe9" + data, ip_proto=ip_proto)
        assert said.answer != "yes", f"{name}: {said.why}"


@pytest.mark.parametrize("name", PROTOCOL_NAMES)
def test_no_bytes_are_no_name(name: str) -> None:
    for ip_proto in (6, 17):
        assert ask(name, b"", ip_proto=ip_proto).answer != "yes"
