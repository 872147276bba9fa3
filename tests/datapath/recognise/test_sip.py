"""SIP requests and responses over UDP and TCP."""

from __future__ import annotations

import pytest

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp

INVITE = (
    b"INVITE sip:+15550100@gateway.example SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n"
    b"From: <sip:alice@example.com>;tag=1\r\n"
    b"To: <sip:+15550100@gateway.example>\r\n"
    b"Call-ID: 1@192.0.2.1\r\n"
    b"CSeq: 1 INVITE\r\n\r\n"
)
RINGING = b"SIP/2.0 180 Ringing\r\nv: SIP/2.0/UDP [2001:db8::1]:5060\r\n\r\n"  # compact form


@pytest.mark.parametrize("message", [INVITE, RINGING, b"\r\n\r\n" + INVITE], ids=["request", "response", "blank lines"])
def test_message(message: bytes) -> None:
    assert ask_both("sip", message).keep_asking
    assert ask_both("sip", message + b"v=0\r\n").answer == "yes"
    said = four_ways_tcp("sip", message)
    assert said.keep_asking


def test_datagram_cut_before_its_first_field() -> None:
    end = INVITE.index(b"Via:") + 4
    for size in range(len(INVITE)):
        assert (ask_both("sip", INVITE[:size]).answer == "yes") == (size >= end)


@pytest.mark.parametrize("uri", [b"sips:bob@example.com", b"tel:+1-555-0100", b"SIP:bob@[2001:db8::1]:5060"])
def test_uri(uri: bytes) -> None:
    assert ask_both("sip", b"MESSAGE " + uri + b" SIP/2.0\r\nTo : x\r\n\r\n").answer == "yes"


def test_first_field_of_another_kind() -> None:
    assert ask_both("sip", INVITE.replace(b"Via:", b"Max-Forwards: 70\r\nVia:")).answer == "yes"


@pytest.mark.parametrize(
    "foreign",
    [
        b"GET / HTTP/1.1\r\nVia: 1.1 proxy\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nFrom: x\r\n\r\n",
        b"SETUP rtsp://example.com/ RTSP/1.0\r\n\r\n",
        b"INVITE sip:bob@example.com SIP/3.0\r\nVia: x\r\n",
        b"INVITE sip:bob@example.com SIP/2.0\r\n\r\nVia: x\r\n",
        b"SIP/2.0 999 Odd\r\nVia: x\r\n",
        b"invite sip:bob@example.com SIP/2.0\r\nVia: x\r\n",
    ],
)
def test_others_are_not_sip(foreign: bytes) -> None:
    assert ask_both("sip", foreign).answer == "no"
    assert ask_both("sip", foreign, ip_proto=TCP).answer == "no"


def test_keep_alive_is_no_message() -> None:
    assert ask_both("sip", b"\r\n\r\n").answer == "no"
    assert ask_both("sip", b"\r\n\r\n", ip_proto=TCP).answer == "more"


def test_stream_without_end() -> None:
    assert ask_both("sip", b"INVITE sip:" + b"a" * 2100, ip_proto=TCP).answer == "no"
