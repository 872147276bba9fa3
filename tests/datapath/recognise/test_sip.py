"""SIP requests and responses over UDP and TCP, and which calls go to telephones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import Asked, ask
from tests.datapath.recognise.calls import CLIENT, SERVER, announced, description, media_flow, sip_message
from tests.datapath.recognise.feeding import FAMILIES, TCP, ask_both, four_ways_tcp

INVITE = sip_message("INVITE sip:bob@example.com SIP/2.0")
RINGING = b"SIP/2.0 180 Ringing\r\nv: SIP/2.0/UDP [2001:db8::1]:5060\r\n\r\n"  # compact form
NUMBER = "sip:+12025550100@gateway.example"


def call(uri: str, to: str = "<sip:bob@example.com>", method: str = "INVITE", call_id: str = "1@192.0.2.1") -> bytes:
    return sip_message(f"{method} {uri} SIP/2.0", To=to, Call_ID=call_id)


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


@given(
    start=st.sampled_from([b"", b"SIP/2.0 200 OK\r\nTo:", b"INVITE tel:", INVITE[:60], INVITE[:-2]]),
    rest=st.binary(max_size=200) | st.text('To:it<>sip:tel@;+0123456789%2B"\\\r\n ', max_size=200).map(str.encode),
    proto=st.sampled_from([6, 17]),
)
def test_any_bytes(start: bytes, rest: bytes, proto: int) -> None:
    assert ask("sip", start + rest, ip_proto=proto, endpoints=Shared()).answer in ("yes", "no", "more")


class TestTelephones:
    @pytest.mark.parametrize(
        "uri",
        [
            "sip:+12025550100@gateway.example",
            "sip:+1-202-555-0100@gateway.example",
            "sip:+1(202)555.0100@[2001:db8::1]:5060;transport=tcp",
            "sip:%2B12025550100@gateway.example",
            "SIPS:+12025550100;phone-context=x@gateway.example",
            "sip:+1234567@gateway.example",
            "sip:+123456789012345@gateway.example",
            "tel:+1-202-555-0100",
            "TEL:5550100;phone-context=+1-202",
            "tel:112",
            "sip:5550100@gateway.example;user=phone",
            "sip:555-0100@gateway.example;transport=udp;USER=Phone",
            "sip:112;phone-context=+44@gateway.example;user=phone",
            "sip:0012025550100@gateway.example",
            "sip:01112025550100@gateway.example",
            "sip:2025550100@gateway.example",
            "sip:*312025550100@gateway.example",
            "sip:12025550100:secret@gateway.example",
        ],
    )
    def test_are(self, uri: str) -> None:
        assert ask_both("sip", call(uri)).protocol == "sip-pstn"
        for to in (f"<{uri}>", f'"A <b> \\" c" <{uri}>;tag=1', f"<{uri}>;tag=2", f"\r\n <{uri}>", f"Name <{uri}>"):
            assert ask_both("sip", call("sip:bob@192.0.2.9", to)).protocol == "sip-pstn", to
        assert ask_both("sip", call(uri), ip_proto=TCP).protocol == "sip-pstn"

    @pytest.mark.parametrize(
        "uri",
        [
            "sip:bob@gateway.example",
            "sip:101@gateway.example",
            "sip:101@gateway.example;user=phone",
            "sip:12345678@gateway.example",
            "sip:+123456@gateway.example",
            "sip:+1234567890123456@gateway.example",
            "sip:1234567890123456789@gateway.example",
            "sip:1+2025550100@gateway.example",
            "sip:++2025550100@gateway.example",
            "sip:2025550100a@gateway.example",
            "sip:2025550100.example",
            "sip:gateway.example;user=phone",
            "sip:bob@2025550100",
            "sip:%2525550100@gateway.example",
            "sip:+@gateway.example;user=phone",
            "tel:",
        ],
    )
    def test_are_not(self, uri: str) -> None:
        assert ask_both("sip", call(uri)).protocol == "sip"
        assert ask_both("sip", call("sip:bob@192.0.2.9", f"<{uri}>")).protocol == "sip"

    def test_to_without_brackets(self) -> None:
        assert ask_both("sip", call("sip:bob@192.0.2.9", "tel:+12025550100;tag=1")).protocol == "sip-pstn"

    def test_compact_names(self) -> None:
        message = call("sip:bob@192.0.2.9", f"<{NUMBER}>").replace(b"To:", b"t :").replace(b"Call-ID:", b"i:")
        assert ask_both("sip", message).protocol == "sip-pstn"

    @pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "SUBSCRIBE", "NOTIFY", "MESSAGE", "PUBLISH"])
    def test_what_is_no_call(self, method: str) -> None:
        assert ask_both("sip", call(NUMBER, f"<{NUMBER}>", method)).protocol == "sip"
        answer = sip_message("SIP/2.0 200 OK", To=f"<{NUMBER}>;tag=1", CSeq=f"1 {method}")
        assert ask_both("sip", answer).protocol == "sip"

    @pytest.mark.parametrize("method", ["INVITE", "ACK", "BYE", "CANCEL", "PRACK", "UPDATE", "INFO"])
    def test_what_belongs_to_a_call(self, method: str) -> None:
        assert ask_both("sip", call(NUMBER, method=method)).protocol == "sip-pstn"
        answer = sip_message("SIP/2.0 200 OK", To=f"<{NUMBER}>;tag=1", CSeq=f"7 {method}")
        assert ask_both("sip", answer).protocol == "sip-pstn"


class TestDialogs:
    def ask(self, endpoints: Shared, data: bytes, now: int = 0) -> str:
        return ask("sip", data, now=now, endpoints=endpoints).protocol

    def test_what_follows_is_of_the_same_call(self) -> None:
        endpoints = Shared()
        assert self.ask(endpoints, call(NUMBER)) == "sip-pstn"
        back = "<sip:alice@example.com>"
        assert self.ask(endpoints, call("sip:alice@192.0.2.1", back, "BYE")) == "sip-pstn"
        assert self.ask(endpoints, call("sip:alice@192.0.2.1", back, "NOTIFY")) == "sip-pstn"
        assert self.ask(endpoints, sip_message("SIP/2.0 200 OK", To=back, CSeq="2 BYE")) == "sip-pstn"

    def test_another_call_is_not(self) -> None:
        endpoints = Shared()
        self.ask(endpoints, call(NUMBER))
        assert self.ask(endpoints, call("sip:bob@example.com", call_id="2@192.0.2.1")) == "sip"
        assert self.ask(endpoints, call("sip:bob@example.com", call_id="1@192.0.2.10")) == "sip"

    def test_memory_ends_and_is_renewed(self) -> None:
        hour = 3_600_000
        endpoints = Shared()
        bye = call("sip:alice@192.0.2.1", "<sip:alice@example.com>", "BYE")
        self.ask(endpoints, call(NUMBER))
        assert self.ask(endpoints, bye, now=3 * hour) == "sip-pstn"
        assert self.ask(endpoints, bye, now=6 * hour) == "sip-pstn"
        assert self.ask(endpoints, bye, now=11 * hour) == "sip"


@pytest.mark.parametrize("family", FAMILIES)
class TestMedia:
    @pytest.mark.parametrize(("uri", "name"), [(NUMBER, "sip-pstn"), ("sip:bob@example.com", "sip")])
    def test_is_named_as_its_call(self, family: int, uri: str, name: str) -> None:
        endpoints = Shared()
        how: dict[str, Any] = {"family": family, "endpoints": endpoints}
        offer = sip_message(f"INVITE {uri} SIP/2.0", description(CLIENT[family], "m=audio 4000 RTP/AVP 0"))
        answer = sip_message(
            "SIP/2.0 200 OK", description(SERVER[family], "m=audio 5000 RTP/AVP 0"), CSeq="1 INVITE", To=f"<{uri}>"
        )
        assert ask("sip", offer, **how).protocol == name
        assert ask("sip", answer, from_client=False, **how).protocol == name
        said = media_flow(endpoints, CLIENT[family], 4000, SERVER[family], 5000)
        assert (said.answer, said.protocol, said.why) == ("yes", name, "media announced in sip")
        # One announced end is enough, and RTCP's socket is announced too.
        assert media_flow(endpoints, CLIENT[family], 4999, SERVER[family], 5001).protocol == name
        assert media_flow(endpoints, CLIENT[family], 4999, SERVER[family], 5999).protocol != name

    def test_stream_is_waited_for(self, family: int) -> None:
        endpoints = Shared()
        message = sip_message(
            "INVITE sip:bob@example.com SIP/2.0", description(CLIENT[family], "m=audio 4000 RTP/AVP 0")
        )
        for size in range(1, len(message)):
            said = ask("sip", message[:size], family=family, ip_proto=TCP, endpoints=endpoints)
            assert said.answer == "more"
            assert not announced(endpoints, CLIENT[family], 4000)
        assert ask("sip", message, family=family, ip_proto=TCP, endpoints=endpoints).answer == "yes"
        assert announced(endpoints, CLIENT[family], 4000)

    def test_stream_whose_message_does_not_end(self, family: int) -> None:
        message = INVITE.replace(b"Content-Length: 0", b"Content-Length: 9999")
        assert ask("sip", message, family=family, ip_proto=TCP).answer == "more"
        assert ask("sip", message, family=family, ip_proto=TCP, last=True).answer == "yes"

    def test_several_messages_in_a_stream(self, family: int) -> None:
        endpoints = Shared()
        offer = sip_message(
            f"INVITE {NUMBER} SIP/2.0",
            description(CLIENT[family], "m=audio 4000 RTP/AVP 0"),
            Call_ID="2@192.0.2.1",
        )
        said: Asked = ask("sip", INVITE + b"\r\n" + offer, family=family, ip_proto=TCP, endpoints=endpoints)
        assert said.protocol == "sip-pstn"
        assert announced(endpoints, CLIENT[family], 4000)
