"""BitTorrent over TCP and UDP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.endpoints import Shared
from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, four_ways_udp

HANDSHAKE = b"\x13BitTorrent protocol" + bytes(8) + bytes(range(40))  # reserved, info hash, peer
PING = b"d1:ad2:id20:" + bytes(range(20)) + b"e1:q4:ping1:t2:aa1:y1:qe"
CONNECT = bytes.fromhex("0000041727101980 00000000 11223344")  # magic, action, transaction
SEARCH = b"BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\n\r\n"


def utp(kind: int, connection: int, sequence: int, ack: int, payload: bytes = b"", difference: int = 9000) -> bytes:
    return (
        bytes([kind << 4 | 1, 0])  # type and version 1, no extension
        + connection.to_bytes(2, "big")
        + bytes.fromhex("10eeb2f0")  # time
        + difference.to_bytes(4, "big")
        + bytes.fromhex("00100000")  # window
        + sequence.to_bytes(2, "big")
        + ack.to_bytes(2, "big")
        + payload
    )


SYN = utp(4, 83, 59381, 0, difference=0)
STATE = utp(2, 83, 18887, 59381)


def test_handshake() -> None:
    four_ways_tcp("bittorrent", HANDSHAKE)
    four_ways_tcp("bittorrent", HANDSHAKE, from_client=False)


@pytest.mark.parametrize(
    "line", [b"GET /announce?info_hash=%aa7i&peer_id=x HTTP/1.1\r\n", b"GET /t/scrape?x=1&info_hash=%00 HTTP/1.0\r\n"]
)
def test_tracker_over_http(line: bytes) -> None:
    four_ways_tcp("bittorrent", line + b"Host: tracker.example\r\n\r\n")


@pytest.mark.parametrize(
    "line", [b"GET / HTTP/1.1\r\nX: ?info_hash=\r\n", b"GET /?a=1&xinfo_hash=2 HTTP/1.1\r\n", b"POST /"]
)
def test_other_requests(line: bytes) -> None:
    assert ask_both("bittorrent", line, ip_proto=TCP).answer == "no"


def test_dht() -> None:
    assert ask_both("bittorrent", PING).answer == "yes"
    assert ask_both("bittorrent", b"d1:rd2:id20:" + bytes(40)).answer == "yes"
    assert ask_both("bittorrent", b"d1:ad2:ie20:" + bytes(40)).answer == "no"
    assert ask_both("bittorrent", PING.replace(b"ad2:id", b"ad2:bsi1e2:id")).answer == "yes"
    assert ask_both("bittorrent", b"d1:rd4:BFpe256:" + bytes(300)).answer == "yes"
    for size in range(12):
        assert ask_both("bittorrent", PING[:size]).answer == "no"


def test_udp_tracker() -> None:
    four_ways_udp("bittorrent", CONNECT, longer=True)


def test_udp_announcement_alone() -> None:
    announce = bytes(range(8)) + bytes.fromhex("00000001 11223344") + bytes(20) + b"-XY1230-abcdefghijkl" + bytes(42)
    assert len(announce) == 98
    four_ways_udp("bittorrent", announce, longer=True)
    assert ask_both("bittorrent", announce.replace(b"-XY1230-", b"-XY12300")).answer == "no"
    assert ask_both("bittorrent", announce[:11] + b"\2" + announce[12:]).answer == "no"


def test_local_discovery() -> None:
    assert ask_both("bittorrent", SEARCH).answer == "yes"
    assert ask_both("bittorrent", SEARCH.replace(b"BT-", b"M-")).answer == "no"


def test_utp_syn() -> None:
    four_ways_udp("bittorrent", SYN)
    extended = SYN[:1] + b"\2" + SYN[2:] + b"\0\x08" + bytes(8)  # extension bits
    four_ways_udp("bittorrent", extended)
    assert ask_both("bittorrent", utp(4, 83, 59381, 1, difference=0)).answer == "no"
    assert ask_both("bittorrent", utp(4, 83, 59381, 0)).answer == "no"


def test_utp_of_a_connection_already_running() -> None:
    there, back = utp(0, 5083, 7, 8, b"x" * 50), utp(2, 5084, 8, 7)
    assert ask_both("bittorrent", there).answer == "more"
    assert ask_both("bittorrent", back, from_client=False, earlier=[(there, True)]).answer == "more"
    assert ask_both("bittorrent", back, from_client=False, earlier=[(there, True), (back, False)]).answer == "yes"
    assert ask_both("bittorrent", there, earlier=[(there, True), (back, False)]).answer == "yes"
    assert ask_both("bittorrent", back, earlier=[(there, True), (back, True)]).answer == "more"
    other = utp(2, 5085, 8, 7)
    assert ask_both("bittorrent", other, from_client=False, earlier=[(there, True), (other, False)]).answer == "more"
    assert ask_both("bittorrent", STATE, from_client=False, earlier=[(SYN, True)]).answer == "yes"


def test_two_counters_are_no_utp() -> None:
    """Version 1, kind 0, a counter of each side, which run close together."""
    packets = [(b"\1\0" + (n // 2).to_bytes(2, "big") + bytes(16 + n), n % 2 == 0) for n in range(9)]
    for last in range(9):
        data, from_client = packets[last]
        assert ask_both("bittorrent", data, from_client=from_client, earlier=packets[:last]).answer == "more"


def test_sides_by_number_are_no_utp() -> None:
    ours, theirs = utp(0, 1, 7, 8, b"x" * 50), utp(0, 0, 8, 7, b"x" * 50)
    assert ask_both("bittorrent", ours, earlier=[(ours, True), (theirs, False)]).answer == "more"


def test_a_letter_and_a_counter_are_no_utp_syn() -> None:
    assert ask_both("bittorrent", b"A\0\0\0\0\0\0\7" + bytes(12)).answer == "no"
    assert ask_both("bittorrent", SYN[:12] + bytes(4) + SYN[16:]).answer == "no", "no window"


def test_handshake_in_utp() -> None:
    assert ask_both("bittorrent", utp(0, 84, 2, 1, HANDSHAKE)).answer == "yes"


@pytest.mark.parametrize(
    "foreign", [b"\x51\0" + SYN[2:], b"\x41\3" + SYN[2:], b"\x01\1" + SYN[2:20] + b"\0\5", SYN[:19]]
)
def test_others_are_not_utp(foreign: bytes) -> None:
    assert ask_both("bittorrent", foreign).answer == "no"


def test_only_a_question_for_peers_waits_for_its_answer() -> None:
    assert ask_both("bittorrent", PING).rank == 0
    asking = ask_both("bittorrent", PING.replace(b"4:ping", b"9:get_peers"))
    assert (asking.answer, asking.rank > 0) == ("yes", True)
    again = ask_both("bittorrent", PING.replace(b"4:ping", b"9:get_peers"), guessed="bittorrent")
    assert (again.answer, again.rank) == ("yes", 0)


def test_utp_of_a_known_peer() -> None:
    there, endpoints = utp(0, 83, 7, 8, b"x" * 50), Shared()
    assert ask_both("bittorrent", there, endpoints=endpoints, client_port=6881).answer == "more"
    assert ask_both("bittorrent", PING, endpoints=endpoints, client_port=6881).answer == "yes"
    assert ask_both("bittorrent", there, endpoints=endpoints, client_port=6881, server_port=9).answer == "yes"


@given(st.binary(max_size=120), st.booleans())
def test_random_bytes(data: bytes, from_client: bool) -> None:
    for start in (b"", b"d1:rd2:id20:", b"\1\0", b"\0\0\0\1", b"5:peers", b"5:peers0:6:peers6", b"6:valuesl"):
        ask_both("bittorrent", start + data, from_client=from_client, guessed="bittorrent", endpoints=Shared(64))
        ask_both("bittorrent", start + data, ip_proto=TCP, from_client=from_client, guessed="bittorrent")
