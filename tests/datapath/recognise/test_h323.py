"""H.323: RAS, call signalling and media control, and the sockets they announce."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.calls import CLIENT, DATA, SERVER, announced, media_flow
from tests.datapath.recognise.feeding import FAMILIES, TCP, ask_both

H225 = b"\x06\x00\x08\x91\x4a\x00\x04"  # {0 0 8 2250 0 4}, its length before it
H245 = b"\x06\x00\x08\x81\x75\x00\x07"  # {0 0 8 245 0 7}
REGISTRATION_REQUEST = b"\x0e\x80\x12\x34" + H225 + b"\x80\x01\x00\xc0\x00\x02\x01\x06\xb8"
ADMISSION_REQUEST = b"\x26\x90\x12\x35\x03\xc0\x01\x02\x03\x04\x05\x06\x07\x08"
ADMISSION_CONFIRM = b"\x2b\x00\x12\x35\x40\x01\x00\xc0\x00\x02\x02\x06\xb8\x00"
DISENGAGE_REQUEST = b"\x3e\x05\x12\x36\x10\x00\x00\x00"
DISENGAGE_CONFIRM = b"\x40\x12\x36\x00"
MASTER_SLAVE = b"\x01\x00\x32\x80\x37\x82\xde"  # MasterSlaveDetermination
CAPABILITIES = b"\x02\x70\x01" + H245 + b"\x80\x13\x80\x00\x32"


def tpkt(message: bytes) -> bytes:
    return struct.pack("!BBH", 3, 0, 4 + len(message)) + message


def socket_of(address: str, port: int) -> bytes:
    return ip_address(address).packed + struct.pack("!H", port)


def q931(kind: int, user: bytes) -> bytes:
    head = b"\x08\x02\x12\x34" + bytes([kind]) + b"\x04\x03\x80\x90\xa5"
    return head + b"\x7e" + struct.pack("!H", 1 + len(user)) + b"\x05" + user


def setup(address: str = "192.0.2.1", port: int = 4000) -> bytes:
    return tpkt(q931(5, b"\x20\xa8" + H225 + b"\x01\x40\x00" + socket_of(address, port) + b"\x01\x00"))


class TestStream:
    @pytest.mark.parametrize("data", [setup(), tpkt(CAPABILITIES), tpkt(MASTER_SLAVE) + tpkt(CAPABILITIES)], ids=str)
    def test_yes(self, data: bytes) -> None:
        said = ask_both("h323", data, ip_proto=TCP)
        assert (said.answer, said.protocol) == ("yes", "h323")
        assert said.rank and not ask_both("h323", data, ip_proto=TCP, last=True).rank
        for junk in (b"\0", b"\xff" * 3, data):
            assert ask_both("h323", data + junk, ip_proto=TCP).answer == "yes"
        for size in range(len(data)):
            assert ask_both("h323", data[:size], ip_proto=TCP).answer != "no"

    @pytest.mark.parametrize("kind", [1, 2, 3, 7, 0x5A, 0x62])
    def test_messages(self, kind: int) -> None:
        assert ask_both("h323", tpkt(q931(kind, b"\x22\xc0" + H225)), ip_proto=TCP).protocol == "h323"

    @pytest.mark.parametrize(
        "data",
        [
            b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00",  # RDP
            b"\x03\x00\x00\x16\x11\xe0\x00\x00\x00\x01\x00\xc0\x01\x0a\xc1\x02\x01\x00\xc2\x02\x01\x02",  # S7
            b"\x03\x00\x00\x04",
            b"\x03\x01\x00\x10",
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01\x00\x10",
        ],
    )
    def test_no(self, data: bytes) -> None:
        said = ask_both("h323", data, ip_proto=TCP)
        assert said.answer == "no" or (said.answer == "more" and data[5:6] == b"\xe0")

    def test_identifier_alone_is_not_enough(self) -> None:
        for data in (tpkt(q931(0x40, H225)), tpkt(b"\x08\x01" + H225), tpkt(bytes(40) + H245), tpkt(q931(5, b"\x20"))):
            assert ask_both("h323", data, ip_proto=TCP).answer == "more"

    @given(data=st.binary(max_size=300), tail=st.binary(max_size=100))
    def test_any_bytes(self, data: bytes, tail: bytes) -> None:
        for message in (data, tpkt(data) + tail, tpkt(q931(5, b"\x20\xa8" + H225 + data)) + tail):
            assert ask("h323", message, ip_proto=TCP, endpoints=Shared()).answer in ("yes", "no", "more")


@pytest.mark.parametrize("family", FAMILIES)
class TestSockets:
    def test_control_where_signalling_said(self, family: int) -> None:
        endpoints = Shared()
        how: dict[str, Any] = {"family": family, "ip_proto": TCP, "endpoints": endpoints}
        control = tpkt(MASTER_SLAVE)
        assert ask("h323", control, server_port=5000, **how).answer == "more"
        connect = tpkt(q931(7, b"\x22\xc0" + H225 + b"\x00" + socket_of(SERVER[family], 5000)))
        assert ask("h323", connect, server_port=1720, from_client=False, **how).protocol == "h323"
        assert announced(endpoints, SERVER[family], 5000, kind=DATA)
        assert ask("h323", control, server_port=5000, **how).why == "h.245 media control"
        assert ask("h323", control, server_port=5001, **how).answer == "more"
        # The socket's bytes alone do not make H.245 of something else.
        assert ask("h323", b"GET / HTTP/1.1\r\n", server_port=5000, **how).answer == "no"

    def test_media(self, family: int) -> None:
        endpoints = Shared()
        open_channel = b"\x03\x00\x00\x64\x0c\x20\x1d\x80\x0b\x0d\x00\x01\x00" + socket_of(CLIENT[family], 4000)
        data = tpkt(CAPABILITIES) + tpkt(open_channel)
        for size in range(len(data)):
            ask("h323", data[:size], family=family, ip_proto=TCP, endpoints=endpoints)
            assert not announced(endpoints, CLIENT[family], 4000)
        ask("h323", data, family=family, ip_proto=TCP, endpoints=endpoints)
        said = media_flow(endpoints, CLIENT[family], 4000, "203.0.113.9" if family == 4 else "2001:db8:9::9", 9000)
        assert (said.protocol, said.why) == ("h323", "media announced in h323")

    def test_others_addresses_are_not_announced(self, family: int) -> None:
        endpoints = Shared()
        data = tpkt(CAPABILITIES) + tpkt(b"\x03\x00\x00" + socket_of(SERVER[family], 5000))
        ask("h323", data, family=family, ip_proto=TCP, endpoints=endpoints)
        assert not announced(endpoints, SERVER[family], 5000)


class TestRas:
    def test_identifier(self) -> None:
        assert ask_both("h323", REGISTRATION_REQUEST).why == "h.225 ras identifier"
        for size in range(len(REGISTRATION_REQUEST)):
            assert (ask_both("h323", REGISTRATION_REQUEST[:size]).answer == "yes") == (size >= 4 + len(H225))
        assert ask_both("h323", REGISTRATION_REQUEST + b"\xff").answer == "yes"

    @pytest.mark.parametrize(
        ("request_", "answer"), [(ADMISSION_REQUEST, ADMISSION_CONFIRM), (DISENGAGE_REQUEST, DISENGAGE_CONFIRM)]
    )
    def test_request_and_answer(self, request_: bytes, answer: bytes) -> None:
        how: dict[str, Any] = {"server_port": 1719}
        assert ask_both("h323", request_, **how).answer == "more"
        assert ask_both("h323", answer, from_client=False, earlier=[(request_, True)], **how).protocol == "h323"
        assert ask_both("h323", answer, from_client=True, earlier=[(request_, True)], **how).answer == "more"
        other = answer.replace(b"\x12", b"\x13")
        assert ask_both("h323", other, from_client=False, earlier=[(request_, True)], **how).answer == "more"
        assert ask_both("h323", answer, from_client=False, earlier=[(request_, True)]).answer == "no"

    def test_another_request_and_answer(self) -> None:
        """Kinds 3 and 4 before a transaction's number: many a protocol has that."""
        request_, answer = (bytes([kind]) + bytes(range(7, 40)) for kind in (3, 4))
        said = ask_both("h323", answer, from_client=False, earlier=[(request_, True)], server_port=1719)
        assert said.answer == "more"

    @pytest.mark.parametrize("data", [b"", b"\x80\x00\x12\x34" + H225, H225, bytes(30) + H225])
    def test_others(self, data: bytes) -> None:
        said = ask_both("h323", data)
        assert said.answer == ("yes" if data == H225 else "no")

    @given(data=st.binary(max_size=60), earlier=st.binary(max_size=16))
    def test_any_bytes(self, data: bytes, earlier: bytes) -> None:
        said = ask("h323", data, server_port=1719, from_client=False, earlier=[(earlier, True)])
        assert said.answer != "yes" or len(data) >= 3
