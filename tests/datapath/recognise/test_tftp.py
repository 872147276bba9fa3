"""TFTP: requests on its port, and the transfers between other ports that they ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from tests.datapath.names import CLASS, naming
from tests.datapath.packets import FAMILIES, back, udp
from tests.datapath.recognise.feeding import ask_both

READ = b"\0\1boot/image\0octet\0blksize\x001428\0"
TRANSFER = (b"\0\3\0\1" + bytes(512), b"\0\4\0\1", b"\0\5\0\1not there\0", b"\0\6blksize\x001428\0")


@pytest.mark.parametrize("data", [READ, b"\0\2x\0NetASCII\0", b"\0\1x\0mail\0"])
def test_requests(data: bytes) -> None:
    assert ask_both("tftp", data, server_port=69).protocol == "tftp"
    assert ask_both("tftp", data).answer == "no"
    for size in range(12 if data is READ else 8):
        assert ask_both("tftp", data[:size], server_port=69).answer == "no"


@pytest.mark.parametrize(
    "foreign",
    [b"\0\3x\0octet\0", b"\0\1\0octet\0", b"\0\1x\0binary\0", b"\0\1x\0octet", b"\0\1x", b"\1\1x\0octet\0", b""],
)
def test_others_are_not(foreign: bytes) -> None:
    assert ask_both("tftp", foreign, server_port=69).answer == "no"


@pytest.mark.parametrize("ends", FAMILIES)
@pytest.mark.parametrize("first", TRANSFER)
def test_the_transfer_is_the_requests(ends: tuple[str, str], first: bytes) -> None:
    made = Classifier(naming(), endpoints=Shared())
    assert made.packet(udp(back(ends), 3000, 40000, first), 1) == 0
    assert made.packet(udp(ends, 40001, 69, READ), 2) == CLASS["tftp"]
    assert made.packet(udp(back(ends), 3000, 40001, first), 3) == CLASS["tftp"]


@pytest.mark.parametrize("foreign", [b"\0\3\0", b"\0\4\0\1\0", b"\0\5\0\x09x", b"\0\6x\0", b"\0\7xxxx", b"\1\3\0\1"])
def test_other_datagrams_to_its_socket_are_not(foreign: bytes) -> None:
    shared = Shared()
    assert ask_both("tftp", READ, server_port=69, endpoints=shared).answer == "yes"
    assert ask_both("tftp", foreign, server_port=3000, endpoints=shared).answer == "no"
    assert ask_both("tftp", TRANSFER[0], server_port=3000, endpoints=shared).answer == "yes"


@given(st.binary(max_size=60))
def test_chance_is_safe(data: bytes) -> None:
    ask_both("tftp", b"\0\1" + data, server_port=69)
    assert ask_both("tftp", data).answer == "no"
