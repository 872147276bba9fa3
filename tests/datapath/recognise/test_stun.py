"""STUN and TURN over UDP and TCP, with a cookie and without, and the applications that show in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import ask
from tests.datapath.names import CLASS, NOT_FINAL, naming
from tests.datapath.packets import FAMILIES as ENDS
from tests.datapath.packets import back, udp
from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, four_ways_udp

BINDING = bytes.fromhex(
    "0001 0008"  # Binding request, 8 bytes of attributes
    "2112a442"  # cookie
    "000102030405060708090a0b"  # transaction
    "8028 0004 e57a3bcf"  # FINGERPRINT
)
OLD_REQUEST = bytes.fromhex(
    "0001 0008"
    "000102030405060708090a0b0c0d0e0f"  # transaction of 16 bytes, no cookie
    "0003 0004 00000000"  # CHANGE-REQUEST
)
OLD_EMPTY = OLD_REQUEST[:2] + b"\0\0" + OLD_REQUEST[4:20]
OLD_ANSWER = bytes.fromhex("0101 000c") + OLD_REQUEST[4:20] + bytes.fromhex("0001 0008 0001 1f90 c0000201")


FINAL, CARRIER, SESSION = 0, 1, 2  # ranks


def attribute(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)


def stun(kind: int, *attributes: bytes) -> bytes:
    body = b"".join(attributes)
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + b"transaction!" + body


# [MS-TURN] 2.2.2.8 and 2.2.2.16: the cookie that comes first, then the version.
MICROSOFT = stun(0x0003, attribute(0x000F, b"\x72\xc6\x4b\xc6"), attribute(0x8008, b"\0\0\0\6"))
ICE_OF_MICROSOFT = stun(0x0001, attribute(0x0006, b"left:right"), attribute(0x8070, b"\0\0\0\3"))
WHATSAPP = stun(0x0003, attribute(0x4000, bytes(range(102))))
WHATSAPP_PING = stun(0x0801)
ALLOCATE = stun(0x0003, attribute(0x0019, b"\x11\0\0\0"))
ZOOM = bytes.fromhex("0001 0018") + bytes(range(16)) + attribute(0x0101, b"01234567890123456789")
ZOOM_ANSWER = bytes.fromhex("0002 000c") + bytes(range(16)) + attribute(0x0103, b"\0\1\x1f\x90\xc0\0\2\1")


def refusal(realm: bytes) -> bytes:
    return stun(0x0113, attribute(0x0009, b"\0\0\4\1Unauthorized"), attribute(0x0014, realm))


def channel(number: int, payload: bytes) -> bytes:
    return number.to_bytes(2, "big") + len(payload).to_bytes(2, "big") + payload


def test_cookie() -> None:
    assert four_ways_udp("stun", BINDING).rank == CARRIER


def test_allocate_and_odd_attributes() -> None:
    allocate = b"\x00\x03" + BINDING[2:20] + bytes.fromhex("0019 ffff 11000000")  # an attribute longer than the message
    said = ask_both("stun", allocate)
    assert (said.answer, said.protocol, said.rank) == ("yes", "turn", SESSION)


@pytest.mark.parametrize("kind", [0x0003, 0x0104, 0x0016, 0x0017, 0x0008, 0x0109, 0x000A, 0x001C])
def test_methods_of_turn(kind: int) -> None:
    assert ask_both("stun", stun(kind)).protocol == "turn"


@pytest.mark.parametrize("kind", [0x0001, 0x0101, 0x0111, 0x0011, 0x0002, 0x0005])
def test_other_methods(kind: int) -> None:
    assert ask_both("stun", stun(kind)).protocol == "stun"


@pytest.mark.parametrize(
    ("message", "application"),
    [
        (MICROSOFT, "teams"),
        (ICE_OF_MICROSOFT, "teams"),
        (stun(0x0003, attribute(0x8050, bytes(24))), "teams"),
        (WHATSAPP, "whatsapp-call"),
        (WHATSAPP_PING, "whatsapp-call"),
        (stun(0x0802, attribute(0x0016, bytes(8))), "whatsapp-call"),
        (stun(0x0103, attribute(0x0020, bytes(8)), attribute(0x4002, bytes(8))), "whatsapp-call"),
        (ZOOM, "zoom"),
        (ZOOM_ANSWER, "zoom"),
    ],
)
def test_applications_by_what_only_they_send(message: bytes, application: str) -> None:
    said = ask_both("stun", message)
    assert (said.answer, said.protocol, said.rank, said.keep_asking) == ("yes", application, FINAL, False)
    for size in range(len(message)):
        assert ask_both("stun", message[:size]).answer != "yes"


@pytest.mark.parametrize(
    ("realm", "application"),
    [
        (b"viber.com", "viber"),
        (b"turner.facebook", "messenger-call"),
        (b"relay.whatsapp.net", "whatsapp-call"),
        (b"Turn.L.Google.com", "google-meet"),
        (b"turn.signal.org", "signal-call"),
        (b"telegram.org", "telegram-call"),
    ],
)
def test_applications_by_realm(realm: bytes, application: str) -> None:
    said = ask_both("stun", refusal(realm), from_client=False)
    assert (said.protocol, said.rank, said.host) == (application, FINAL, realm.decode().lower())


@pytest.mark.parametrize("realm", [b"", b"example.org", b"notviber.com", b"viber.com.example.org", b"com", b"\xff" * 9])
def test_other_realms_name_nobody(realm: bytes) -> None:
    said = ask_both("stun", refusal(realm), from_client=False)
    assert (said.protocol, said.rank, said.host) == ("turn", SESSION, "")


def test_attributes_of_every_browser_name_nobody() -> None:
    check = stun(1, attribute(6, b"abcd:efgh"), attribute(0xC057, b"\0\1\0\x0a"), attribute(0x802A, bytes(8)))
    assert ask_both("stun", check).protocol == "stun"
    assert ask_both("stun", stun(1, attribute(0x8070, bytes(5)))).protocol == "stun"
    assert ask_both("stun", stun(1, attribute(0x8008, bytes(8)))).protocol == "stun"


def test_unpadded_attributes_of_microsoft() -> None:
    reason = b"\0\0\4\1unauthorized!"
    body = attribute(0x000F, b"\x72\xc6\x4b\xc6") + b"\x00\x09" + len(reason).to_bytes(2, "big") + reason
    body += attribute(0x8008, b"\0\0\0\6")
    message = b"\x01\x13" + len(body).to_bytes(2, "big") + BINDING[4:20] + body
    assert len(body) % 4
    assert ask_both("stun", message, from_client=False).protocol == "teams"


def test_an_application_inside_a_relay() -> None:
    inside = attribute(0x0013, ICE_OF_MICROSOFT)
    assert ask_both("stun", stun(0x0016, attribute(0x0012, bytes(8)), inside)).protocol == "teams"
    twice = stun(0x0016, attribute(0x0013, stun(0x0016, inside)))
    assert ask_both("stun", twice).protocol == "turn", "looked into once"
    assert ask_both("stun", channel(0x4000, WHATSAPP), guessed="turn").protocol == "whatsapp-call"
    assert ask_both("stun", channel(0x4000, WHATSAPP)).protocol == "whatsapp-call"
    assert ask_both("stun", channel(0x4000, b"\x80" + WHATSAPP[1:])).answer == "more"


def test_facetime_needs_both_ports() -> None:
    ports = {"client_port": 16393, "server_port": 16402}
    assert ask_both("stun", BINDING, **ports).protocol == "facetime"
    assert ask_both("stun", BINDING, **{**ports, "server_port": 16403}).protocol == "stun"
    assert ask_both("stun", ALLOCATE, **ports).protocol == "turn"


def test_a_socket_of_a_known_application() -> None:
    for family in (4, 6):
        shared = Shared()
        assert ask("stun", BINDING, family=family, endpoints=shared).protocol == "stun"
        assert ask("stun", WHATSAPP, family=family, endpoints=shared).protocol == "whatsapp-call"
        elsewhere = "203.0.113.9" if family == 4 else "2001:db8:9::9"
        assert ask("stun", BINDING, family=family, endpoints=shared, server=elsewhere).protocol == "whatsapp-call"
        assert ask("stun", BINDING, family=family, endpoints=shared, client_port=7).protocol == "stun"
        assert ask("stun", BINDING, family=family, endpoints=shared, now=600_001).protocol == "stun"


@pytest.mark.parametrize("ends", ENDS)
def test_a_guess_is_bettered(ends: tuple[str, str]) -> None:
    made = Classifier(naming(), endpoints=Shared())
    assert made.packet(udp(ends, 4000, 3478, BINDING), 1) == CLASS["stun"] | NOT_FINAL
    assert made.packet(udp(ends, 4000, 3478, ALLOCATE), 1) == CLASS["turn"] | NOT_FINAL
    assert made.packet(udp(ends, 4000, 3478, BINDING), 1) == CLASS["turn"] | NOT_FINAL
    assert made.packet(udp(back(ends), 3478, 4000, refusal(b"viber.com")), 1) == CLASS["viber"]


@given(tail=st.binary(max_size=200), kind=st.integers(0, 0x3FFF), app=st.sampled_from([4, 6]))
def test_random_attributes_stay_in_bounds(tail: bytes, kind: int, app: int) -> None:
    message = kind.to_bytes(2, "big") + len(tail).to_bytes(2, "big") + BINDING[4:20] + tail
    assert ask("stun", message, family=app).answer in ("yes", "no")
    ask("stun", message, family=app, ip_proto=TCP)
    ask("stun", tail, family=app)


def test_request_without_a_cookie() -> None:
    four_ways_udp("stun", OLD_REQUEST)


def test_request_and_answer_without_attributes() -> None:
    assert ask_both("stun", OLD_EMPTY).answer == "more"
    assert ask_both("stun", OLD_EMPTY, server_port=3478).answer == "yes"
    answer = b"\x01\x01\x00\x00" + OLD_EMPTY[4:]
    assert ask_both("stun", answer, from_client=False, earlier=[(OLD_EMPTY, True)]).answer == "yes"
    other = answer[:15] + b"\xee" + answer[16:]
    assert ask_both("stun", other, from_client=False, earlier=[(OLD_EMPTY, True)]).answer == "more"
    assert ask_both("stun", OLD_ANSWER, from_client=False).answer == "yes"


@pytest.mark.parametrize("attribute", ["00ff 0004 00000000", "0003 0003 00000000", "0003 0008 00000000"])
def test_old_attributes_must_be_known_and_fit(attribute: str) -> None:
    assert ask_both("stun", OLD_REQUEST[:20] + bytes.fromhex(attribute)).answer == "no"


def test_over_tcp() -> None:
    four_ways_tcp("stun", BINDING)
    four_ways_tcp("stun", BINDING + BINDING)


def test_over_tcp_with_a_length_before_it() -> None:
    four_ways_tcp("stun", len(BINDING).to_bytes(2, "big") + BINDING)


@pytest.mark.parametrize("framing", [b"", b"\0\x1c", b"\2\0\0\x1c"])
def test_turn_over_tcp(framing: bytes) -> None:
    said = ask_both("stun", framing + ALLOCATE, ip_proto=TCP)
    assert (said.protocol, said.rank) == ("turn", SESSION)
    for size in range(1, len(framing) + 8):
        assert ask_both("stun", (framing + ALLOCATE)[:size], ip_proto=TCP).answer == "more"


def test_an_application_in_a_later_message_of_a_stream() -> None:
    relayed = channel(0x4000, b"abc") + b"\0"
    said = ask_both("stun", ALLOCATE + relayed + refusal(b"viber.com") + BINDING[:9], ip_proto=TCP)
    assert (said.protocol, said.host) == ("viber", "viber.com")
    assert ask_both("stun", b"\0\x6e" + WHATSAPP[:80], ip_proto=TCP).answer == "no", "another length"


def media(size: int) -> bytes:
    return b"\x80\x60\0\1\0\0\0\0four" + bytes(size)


def ciphered(size: int) -> bytes:
    return b"\x17\xfe\xfd\0\1" + bytes(size + 8)


@pytest.mark.parametrize("inside", [media, ciphered])
def test_channel_data_met_in_its_middle(inside: Callable[[int], bytes]) -> None:
    first, second, third = (channel(0x4001, inside(size)) for size in (20, 33, 50))
    assert ask_both("stun", first).answer == "more"
    assert ask_both("stun", second, earlier=[(first, True)]).answer == "more"
    said = ask_both("stun", third, earlier=[(first, True), (second, False)])
    assert (said.answer, said.protocol, said.rank) == ("yes", "turn", SESSION)
    other = channel(0x4002, inside(33))
    assert ask_both("stun", third, earlier=[(first, True), (other, True)]).answer == "more"
    assert ask_both("stun", third + bytes(9), earlier=[(first, True), (second, True)]).answer == "no"


@pytest.mark.parametrize("content", [bytes(60), b"reading 21.5 of the roof, taken now  ", b"\x80\x60\0\1\0\0\0\0"])
def test_a_letter_and_a_length_are_no_channel(content: bytes) -> None:
    packets = [channel(0x4347, content + bytes([n]) * (4 * n)) for n in range(1, 7)]
    assert ask_both("stun", packets[5], earlier=[(packet, True) for packet in packets[:5]]).answer == "more"


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (attribute(0x1B, b"abcd"), "no"),
        (attribute(7, b"abcd"), "more"),  # anything may be a password
        (attribute(1, b"abcdefgh"), "no"),  # no address
        (attribute(3, b"\0\1\0\0"), "no"),  # no such change
        (attribute(3, b"\0\0\0\6"), "yes"),
        (attribute(6, b"abcd") + attribute(8, bytes(20)), "more"),
        (attribute(6, b"abcd") + attribute(1, b"\0\1\x1f\x90\xc0\0\2\1"), "yes"),
        (attribute(1, b"\0\2\x1f\x90" + bytes(16)), "yes"),
    ],
)
def test_numbers_and_lengths_are_not_yet_the_old_form(body: bytes, answer: str) -> None:
    message = b"\0\1" + len(body).to_bytes(2, "big") + bytes(range(16)) + body
    assert ask_both("stun", message).answer == answer


@pytest.mark.parametrize("foreign", [b"\x00\x01\x00\x09" + bytes(25), b"\x80" * 20, b"\x00\x01\x00\x00\x21\x12\xa4"])
def test_others_are_not_stun(foreign: bytes) -> None:
    assert ask_both("stun", foreign).answer == "no"


def test_foreign_streams() -> None:
    for foreign in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x00\x20\x01\x00\x00", b"\x00\x0e\x38" + bytes(13)):
        assert ask_both("stun", foreign, ip_proto=TCP).answer == "no"
