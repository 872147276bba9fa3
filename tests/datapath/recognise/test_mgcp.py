"""MGCP and Megaco: commands, responses, and the sockets in their session descriptions."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import TCP, ask_both

CREATE = b"CRCX 1204 aaln/1@gw.example MGCP 1.0\r\nC: A3C47F21456789F0\r\nM: recvonly\r\n"
RESPONSE = b"200 1204 OK\r\nI: FDE234C8\r\n"
TEXT = b"MEGACO/1 [192.0.2.1]:2944\r\nTransaction = 9998 { Context = - { } }\r\n"
# MegacoMessage { mess { version 1, mId ip4Address, messageBody } }
BINARY = bytes.fromhex("301aa1188001 01a108a0068004c0000201a209a1073005800101a300".replace(" ", ""))


class TestCommand:
    @pytest.mark.parametrize("verb", ["EPCF", "CRCX", "MDCX", "DLCX", "RQNT", "NTFY", "AUEP", "AUCX", "RSIP", "MESG"])
    def test_verbs(self, verb: str) -> None:
        for text in (verb, verb.lower()):
            said = ask_both("mgcp", f"{text} 1 *@[192.0.2.1] MGCP 1.0 NCS 1.0\r\n".encode())
            assert (said.protocol, said.keep_asking, said.why) == ("mgcp", False, "mgcp command")

    def test_cut(self) -> None:
        end = CREATE.index(b"1.0") + 2
        for size in range(len(CREATE)):
            assert (ask_both("mgcp", CREATE[:size]).answer == "yes") == (size >= end)
        assert ask_both("mgcp", CREATE + b".\r\n" + CREATE).answer == "yes"

    @pytest.mark.parametrize(
        "line",
        [
            "CRCX aaln/1@gw.example MGCP 1.0",
            "CRCX 1234567890 aaln/1@gw.example MGCP 1.0",
            "CRCX 1 gw.example MGCP 1.0",
            "CRCX 1 aaln/1@gw.example SIP/2.0",
            "CRCX 1 aaln/1@gw.example",
            "CRCX1 aaln/1@gw.example MGCP 1.0",
            "QUIT 1 aaln/1@gw.example MGCP 1.0",
            "GET / HTTP/1.1",
        ],
    )
    def test_others(self, line: str) -> None:
        assert ask_both("mgcp", line.encode() + b"\r\n").answer == "no"


class TestResponse:
    def test_on_its_port(self) -> None:
        for port in (2427, 2727):
            assert ask_both("mgcp", RESPONSE, server_port=port).why == "mgcp response"

    def test_to_a_command(self) -> None:
        assert ask_both("mgcp", RESPONSE).answer == "more"
        assert ask_both("mgcp", RESPONSE, from_client=False, earlier=[(CREATE, True)]).protocol == "mgcp"
        assert ask_both("mgcp", RESPONSE, from_client=True, earlier=[(CREATE, True)]).answer == "more"
        for other in (b"200 1205 OK\r\n", b"200 120 OK\r\n", b"200 12 OK\r\n"):
            assert ask_both("mgcp", other, from_client=False, earlier=[(CREATE, True)]).answer == "more"

    @pytest.mark.parametrize(
        "text", [b"200 OK\r\n", b"300 1 x\r\n", b"220 mail.example\r\n", b"2000 1\r\n", b"200 1x\r\n", b""]
    )
    def test_others(self, text: bytes) -> None:
        assert ask_both("mgcp", text, server_port=2427).answer == "no"


class TestMegaco:
    @pytest.mark.parametrize(
        "data",
        [
            TEXT,
            b"!/1 [2001:db8::1] T=1{C=-{}}\n",
            b"!/2 <gw.example>:2944\nT=1{}\n",
            b"megaco/3 gw1\nReply = 9998 {}\n",
            b"MEGACO/1 MTP{123}\n",
            b"Authentication = 0x12345678:0x00000001:0x123456789012345678901234\r\n" + TEXT,
            BINARY,
        ],
    )
    def test_yes(self, data: bytes) -> None:
        assert ask_both("mgcp", data).protocol == "megaco"
        framed = struct.pack("!BBH", 3, 0, 4 + len(data)) + data
        assert ask_both("mgcp", framed, ip_proto=TCP).protocol == "megaco"
        for size in range(1, len(framed)):
            assert ask_both("mgcp", framed[:size], ip_proto=TCP).answer != "no"

    @pytest.mark.parametrize(
        "data",
        [b"MEGACO\r\n", b"MEGACO/x [", b"!/usr/bin/sh\n", b"!/1", b"!/1x [", BINARY[:-1], BINARY + b"\0", b"\x30\x82"],
    )
    def test_others(self, data: bytes) -> None:
        assert ask_both("mgcp", data).answer == "no"

    @pytest.mark.parametrize(
        "data", [b"\x03\x00\x00\x0b\x06\xe0\x00\x00\x00\x00\x00", b"GET / HTTP/1.1\r\n", b"MEGACO/1 [192.0.2.1]\n"]
    )
    def test_other_streams(self, data: bytes) -> None:
        assert ask_both("mgcp", data, ip_proto=TCP).answer == "no"


@given(
    start=st.sampled_from([b"", CREATE[:20], RESPONSE[:8], TEXT[:9], BINARY[:8], b"\x03\x00\x00\x40"]),
    rest=st.binary(max_size=120) | st.text("CRX 0123@/.MGP{}[]\r\n", max_size=120).map(str.encode),
    proto=st.sampled_from([6, 17]),
)
def test_any_bytes(start: bytes, rest: bytes, proto: int) -> None:
    said = ask("mgcp", start + rest, ip_proto=proto, server_port=2427, earlier=[(rest, False)])
    assert said.answer in ("yes", "no", "more")
