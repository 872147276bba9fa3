"""Session descriptions: which sockets they announce."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.calls import announced, description, sip_message

FIRST = "INVITE sip:bob@example.com SIP/2.0"
HEARD = (b"SIP/2.0 100 Trying", False)  # the receiver spoke: other hosts' sockets may be announced to it
V4 = "203.0.113.9"
V6 = "2001:db8:9::9"


def told(body: bytes, kind: str = "application/sdp", length: int | None = None, **fields: str) -> Shared:
    endpoints = Shared()
    message = sip_message(FIRST, body, kind, **fields)
    ask("sip", message, length=length, earlier=[HEARD], endpoints=endpoints)
    return endpoints


def ports(endpoints: Shared, address: str) -> list[int]:
    return [port for port in (*range(3990, 4110), 65535) if announced(endpoints, address, port)]


@pytest.mark.parametrize("address", [V4, V6])
@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (["m=audio 4000 RTP/AVP 0 8"], [4000, 4001]),
        (["m=audio 4000/2 RTP/AVP 0"], [4000, 4001]),
        (["m=audio 4000 RTP/AVP 0", "m=video 4010 RTP/SAVPF 96"], [4000, 4001, 4010, 4011]),
        (["m=audio 4000 UDP/TLS/RTP/SAVPF 111", "a=rtcp-mux"], [4000]),
        (["m=audio 4000 RTP/AVP 0", "a=rtcp:4005"], [4000, 4005]),
        (["m=audio 4000 RTP/AVP 0", f"a=rtcp:4005 IN IP4 {V4}"], [4000, 4005]),
        (["m=image 4000 udptl t38"], [4000]),
        (["m=audio 0 RTP/AVP 0"], []),  # refused
        (["m=audio 65535 RTP/AVP 0"], [65535]),
        (["m=audio 65536 RTP/AVP 0"], []),
        (["m=audio 40000000000004000 RTP/AVP 0"], []),
        (["m=audio $ RTP/AVP 0"], []),
        (["m=message 4000 TCP/MSRP *"], []),
        (["m=audio 4000"], []),
        (["a=rtcp:4005", "m=audio 4000 RTP/AVP 0"], [4000, 4001]),
    ],
    ids=str,
)
def test_media(address: str, media: list[str], expected: list[int]) -> None:
    assert ports(told(description(address, *media)), address) == expected


def test_the_medias_own_address_comes_first() -> None:
    endpoints = told(
        description(V4, "m=audio 4000 RTP/AVP 0", f"c=IN IP6 {V6}", "m=video 4010 RTP/AVP 96", "m=audio 4020 RTP/AVP 0")
    )
    assert ports(endpoints, V6) == [4000, 4001]
    assert ports(endpoints, V4) == [4010, 4011, 4020, 4021]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("IP4 203.0.113.9", V4),
        ("IP4 203.0.113.9/127", V4),
        ("IP4  203.0.113.9 ", V4),
        ("IP6 2001:db8:9::9", V6),
        ("IP6 2001:DB8:9:0:0:0:0:9", V6),
        ("IP6 2001:db8:9:0:0:0:0.0.0.9", V6),
        ("IP6 2001:0db8:0009::0009", V6),
    ],
)
def test_ways_to_write_an_address(text: str, address: str) -> None:
    body = f"v=0\r\nc=IN {text}\r\nm=audio 4000 RTP/AVP 0\r\n".encode()
    assert ports(told(body), address) == [4000, 4001]


@pytest.mark.parametrize(
    "text",
    [
        "IP4 203.0.113.99.1",
        "IP4 203.0.113.",
        "IP4 203.0.113.9x",
        "IP4 203.0.300.9",
        "IP4 media.example",
        "IP6 2001:db8:9:::9",
        "IP6 2001:db8:9::0::9",
        "IP6 2001:db8:9:0:0:0:0:0:9",
        "IP6 2001:db8:9:0:0:0:0:9:",
        "IP6 12001:db8:9::9",
        "IP6 2001:db8:9::9%eth0",
        "IP6 203.0.113.9",
        "IP4 2001:db8:9::9",
    ],
)
def test_what_is_no_address(text: str) -> None:
    body = f"v=0\r\nc=IN {text}\r\nm=audio 4000 RTP/AVP 0\r\n".encode()
    endpoints = told(body)
    assert ports(endpoints, V4) == ports(endpoints, V6) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a=candidate:1 1 UDP 2130706431 203.0.113.9 4050 typ host", [4050]),
        ("a=candidate:1 2 udp 2130706431 203.0.113.9 4051 typ srflx raddr 192.0.2.1 rport 9", [4051]),
        ("a=candidate:1 1 TCP 2130706431 203.0.113.9 4050 typ host tcptype active", []),
        ("a=candidate:1 1 UDP 2130706431 203.0.113.9 4050", []),
        ("a=candidate:1 1 UDP 2130706431 host.local 4050 typ host", []),
    ],
)
def test_candidates(line: str, expected: list[int]) -> None:
    body = description("0.0.0.0", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=rtcp:9 IN IP4 0.0.0.0", line)
    assert ports(told(body), V4) == expected


def test_bound() -> None:
    body = description(V4, *(f"m=audio {4000 + 2 * i} RTP/AVP 0" for i in range(50)))
    assert ports(told(body), V4) == list(range(4000, 4016))


def test_multipart() -> None:
    body = (
        b"--x\r\nContent-Type: text/plain\r\n\r\nc=IN IP4 203.0.113.9\r\nm=audio 4000 RTP/AVP 0\r\n--x\r\n"
        b"Content-Type: application/sdp\r\n\r\n"
        + description(V4, "m=audio 4010 RTP/AVP 0")
        + b"--x\r\nContent-Type: text/plain\r\n\r\nm=audio 4020 RTP/AVP 0\r\n--x--\r\n"
    )
    assert ports(told(body, "multipart/mixed;boundary=x"), V4) == [4010, 4011]


def test_other_bodies_are_not_read() -> None:
    assert ports(told(description(V4, "m=audio 4000 RTP/AVP 0"), "text/plain"), V4) == []


def test_cut_never_announces_half_a_number() -> None:
    body = description(V4, "m=audio 40000 RTP/AVP 0")
    whole = sip_message(FIRST, body)
    half = (4, 40, 400, 4000)
    for size in range(len(whole)):
        endpoints = Shared()
        ask("sip", whole[:size], length=len(whole), earlier=[HEARD], endpoints=endpoints)
        assert not any(announced(endpoints, address, port) for address in (V4, "203.0.113.0") for port in half)
        assert not announced(endpoints, "203.0.11.0", 40000)
    # The last line needs no end where the body is whole.
    assert announced(told(body[:-2]), V4, 40000)


def test_length_ends_the_body() -> None:
    body = description(V4, "m=audio 4000 RTP/AVP 0")
    longer = body + b"m=audio 4010 RTP/AVP 0\r\n"
    assert ports(told(longer, Content_Length=str(len(body))), V4) == [4000, 4001]


@given(body=st.binary(max_size=300) | st.text("vmca=0123456789:./ INP46\r\n{}", max_size=300).map(str.encode))
def test_any_bytes(body: bytes) -> None:
    assert ask("sip", sip_message(FIRST, b"v=0\r\n" + body), endpoints=Shared()).answer == "yes"
