"""Media on announced sockets: which payloads count, and whose announcements."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import Asked, ask
from tests.datapath.names import CLASS, NOT_FINAL, naming
from tests.datapath.packets import FAMILIES as ENDS
from tests.datapath.packets import back, udp
from tests.datapath.recognise.calls import (
    CLIENT,
    SERVER,
    announced,
    description,
    media_flow,
    rtp_packet,
    sip_message,
)
from tests.datapath.recognise.feeding import FAMILIES

COOKIE = b"\x21\x12\xa4\x42"
STUN = b"\x00\x01\x00\x00" + COOKIE + bytes(12)
SENDER_REPORT = struct.pack("!BBHI", 0x80, 200, 6, 0x1234ABCD) + bytes(20)
RECEIVER_REPORT = struct.pack("!BBHI", 0x81, 201, 7, 0x1234ABCD) + bytes(24)
ZRTP = b"\x10\x00\x00\x01ZRTP" + bytes(24)
PROFILES = b"\x00\x0e\x00\x07\x00\x04\x00\x01\x00\x07\x00"  # use_srtp, two profiles, no key identifier
HELLO = (
    b"\x16\xfe\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40"  # handshake record, DTLS 1.0
    b"\x01\x00\x00\x34\x00\x00\x00\x00\x00\x00\x00\x34"  # ClientHello
    b"\xfe\xfd" + bytes(range(32)) + b"\x00\x00\x00\x02\xc0\x2b\x01\x00\x00\x0b"
)
OPENVPN = b"\x38" + bytes(range(8)) + b"\x00\x00\x00\x00\x00"
WIREGUARD = b"\x01\x00\x00\x00" + bytes(range(144))


HEARD = (b"SIP/2.0 100 Trying", False)


def udptl(sequence: int, primary: bytes = b"\x06") -> bytes:
    return struct.pack("!HB", sequence, len(primary)) + primary + b"\x00\x00"


def offer(endpoints: Shared, family: int, *media: str) -> None:
    """The client offers its own socket, as sip."""
    message = sip_message("INVITE sip:bob@example.com SIP/2.0", description(CLIENT[family], *media))
    assert ask("sip", message, family=family, endpoints=endpoints).protocol == "sip"


def on_socket(endpoints: Shared, family: int, data: bytes, *earlier: bytes, name: str = "rtp") -> Asked:
    """A flow from the offered socket."""
    return ask(
        name,
        data,
        family=family,
        client_port=4000,
        earlier=[(payload, True) for payload in earlier],
        endpoints=endpoints,
    )


@pytest.mark.parametrize("family", FAMILIES)
class TestPayload:
    @pytest.fixture
    def endpoints(self, family: int) -> Shared:
        made = Shared()
        offer(made, family, "m=audio 4000 RTP/AVP 0")
        return made

    @pytest.mark.parametrize("data", [SENDER_REPORT, RECEIVER_REPORT, ZRTP, HELLO + PROFILES], ids=str)
    def test_sure_by_itself(self, endpoints: Shared, family: int, data: bytes) -> None:
        said = on_socket(endpoints, family, data)
        assert (said.answer, said.protocol, said.rank) == ("yes", "sip", 0)
        assert said.why == "media announced in sip"

    def test_second_rtp_packet(self, endpoints: Shared, family: int) -> None:
        assert on_socket(endpoints, family, rtp_packet(7)).answer == "more"
        assert on_socket(endpoints, family, rtp_packet(8), rtp_packet(7)).protocol == "sip"
        assert on_socket(endpoints, family, rtp_packet(0), rtp_packet(65535)).protocol == "sip"

    @pytest.mark.parametrize(
        "earlier",
        [rtp_packet(8), rtp_packet(9), rtp_packet(7, source=5), rtp_packet(7)[:11], b"\x00" * 20],
        ids=["same", "later", "another source", "cut", "not rtp"],
    )
    def test_packets_that_do_not_agree(self, endpoints: Shared, family: int, earlier: bytes) -> None:
        assert on_socket(endpoints, family, rtp_packet(8), earlier).answer == "more"

    def test_stun_is_a_guess(self, endpoints: Shared, family: int) -> None:
        said = on_socket(endpoints, family, STUN)
        assert (said.protocol, said.rank > 0) == ("sip", True)

    @pytest.mark.parametrize("data", [HELLO, OPENVPN, WIREGUARD, bytes(12), b"\x16\xfe\xff", b""], ids=str)
    def test_something_else_is_not_named(self, endpoints: Shared, family: int, data: bytes) -> None:
        assert on_socket(endpoints, family, data, data, data).answer != "yes"

    def test_cut_at_each_length(self, endpoints: Shared, family: int) -> None:
        for data in (SENDER_REPORT, HELLO + PROFILES, STUN, ZRTP):
            for size in range(8):
                assert on_socket(endpoints, family, data[:size]).answer != "yes"

    def test_without_announcement(self, family: int) -> None:
        for data in (ZRTP, HELLO + PROFILES):
            assert ask("rtp", data, family=family, client_port=4000, endpoints=Shared()).answer == "no"


@given(data=st.binary(max_size=200))
def test_chance_is_no_media(data: bytes) -> None:
    endpoints = Shared()
    for family in FAMILIES:
        offer(endpoints, family, "m=audio 4000 RTP/AVP 0")
        said = on_socket(endpoints, family, data)
        assert said.answer != "yes" or data[0] >> 6 == 2 or COOKIE in data


@pytest.mark.parametrize("family", FAMILIES)
def test_fax(family: int) -> None:
    endpoints = Shared()
    offer(endpoints, family, "m=image 4000 udptl t38")
    assert on_socket(endpoints, family, udptl(1), udptl(0)).protocol == "sip"
    assert on_socket(endpoints, family, udptl(1)).answer == "more"
    assert on_socket(endpoints, family, udptl(99), udptl(0)).answer == "more"
    # Where audio was announced, fax does not count.
    endpoints = Shared()
    offer(endpoints, family, "m=audio 4000 RTP/AVP 0")
    assert on_socket(endpoints, family, udptl(1), udptl(0)).answer != "yes"


@pytest.mark.parametrize("family", FAMILIES)
class TestWhose:
    """The client's offer of another host's socket counts only for the one it was told."""

    def other(self, family: int) -> str:
        return "203.0.113.9" if family == 4 else "2001:db8:9::9"

    def endpoints(self, family: int) -> Shared:
        return self.told(family, HEARD)

    def told(self, family: int, *earlier: tuple[bytes, bool]) -> Shared:
        made = Shared()
        body = description(self.other(family), "m=audio 4000 RTP/AVP 0")
        offer = sip_message("INVITE sip:bob@example.com SIP/2.0", body)
        ask("sip", offer, family=family, earlier=earlier, endpoints=made)
        return made

    def test_the_one_it_was_told(self, family: int) -> None:
        made = self.endpoints(family)
        assert announced(made, self.other(family), 4000)
        assert media_flow(made, SERVER[family], 5000, self.other(family), 4000).protocol == "sip"
        assert media_flow(made, self.other(family), 4000, SERVER[family], 5000).protocol == "sip"

    @pytest.mark.parametrize("earlier", [(), ((b"INVITE sip:bob@example.com SIP/2.0\r\n", True),) * 7], ids=len)
    def test_who_did_not_speak_is_told_nothing(self, family: int, earlier: tuple[tuple[bytes, bool], ...]) -> None:
        assert not announced(self.told(family, *earlier), self.other(family), 4000)

    def test_others_media_keep_their_name(self, family: int) -> None:
        stranger = "192.0.2.77" if family == 4 else "2001:db8:7::7"
        assert media_flow(self.endpoints(family), stranger, 5000, self.other(family), 4000).answer != "yes"

    def test_ones_own_socket_counts_for_all(self, family: int) -> None:
        made = Shared()
        offer(made, family, "m=audio 4000 RTP/AVP 0")
        assert media_flow(made, self.other(family), 5000, CLIENT[family], 4000).protocol == "sip"


@pytest.mark.parametrize("family", FAMILIES)
def test_an_announcement_ends(family: int) -> None:
    endpoints = Shared()
    offer(endpoints, family, "m=audio 4000 RTP/AVP 0")
    assert announced(endpoints, CLIENT[family], 4000, now=299_999)
    assert not announced(endpoints, CLIENT[family], 4000, now=300_001)


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "127.0.0.1", "224.2.1.1", "239.255.255.255", "::", "::1", "ff02::1"]
)
def test_addresses_of_no_host(address: str) -> None:
    endpoints = Shared()
    body = description(address, "m=audio 4000 RTP/AVP 0")
    offer = sip_message("INVITE sip:bob@example.com SIP/2.0", body)
    ask("sip", offer, earlier=[HEARD], endpoints=endpoints)
    assert not announced(endpoints, address, 4000)


@pytest.mark.parametrize("port", [53, 443, 1023])
def test_system_ports(port: int) -> None:
    endpoints = Shared()
    offer(endpoints, 4, f"m=audio {port} RTP/AVP 0")
    assert not announced(endpoints, CLIENT[4], port)


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize(("uri", "name"), [("tel:+12025550100", "sip-pstn"), ("sip:bob@example.com", "sip")])
def test_a_call_from_its_invitation_to_its_end(ends: tuple[str, str], uri: str, name: str) -> None:
    made = Classifier(naming(), endpoints=Shared())
    to = f"<{uri}>"
    offer = sip_message(f"INVITE {uri} SIP/2.0", description(ends[0], "m=audio 4000 RTP/AVP 0"), To=to)
    answer = sip_message("SIP/2.0 200 OK", description(ends[1], "m=audio 5000 RTP/AVP 0"), To=to)
    bye = sip_message("BYE sip:alice@example.com SIP/2.0", To="<sip:alice@example.com>")
    assert made.packet(udp(ends, 5060, 5060, offer), 1) == CLASS[name] | NOT_FINAL
    assert made.packet(udp(back(ends), 5060, 5060, answer), 2) == CLASS[name] | NOT_FINAL
    answers = [made.packet(udp(ends, 4000, 5000, rtp_packet(number)), 3) for number in range(1, 4)]
    assert answers == [0, CLASS[name], CLASS[name]]
    # RTCP is a flow of its own, sure by its first report.
    assert made.packet(udp(back(ends), 5001, 4001, SENDER_REPORT), 4) == CLASS[name]
    assert made.packet(udp(back(ends), 5060, 5060, bye), 5) == CLASS[name] | NOT_FINAL
    assert made.take_named(10)[1].why == "media announced in sip"


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("relay_port", [3478, 5000])
def test_an_unasked_invitation_names_nothing_of_its_receivers(ends: tuple[str, str], relay_port: int) -> None:
    relay = "203.0.113.9" if ends == ENDS[0] else "2001:db8:9::9"
    stranger, victim = ends
    made = Classifier(naming(), endpoints=Shared())
    body = description(relay, f"m=audio {relay_port} RTP/AVP 0")
    offer = sip_message("INVITE tel:+12025550100 SIP/2.0", body, To="<tel:+12025550100>")
    assert made.packet(udp((stranger, victim), 5060, 5060, offer), 1) == CLASS["sip-pstn"] | NOT_FINAL
    to_relay = (victim, relay)
    answers = [made.packet(udp(to_relay, 4000, relay_port, data), 2) for data in (STUN, *map(rtp_packet, range(3)))]
    assert CLASS["sip-pstn"] not in {answer & ~NOT_FINAL for answer in answers}
