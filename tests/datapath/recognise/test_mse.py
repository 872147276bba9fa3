"""BitTorrent's enciphered handshake, to peers learned elsewhere."""

from __future__ import annotations

import hashlib

import pytest

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import ask
from tests.datapath.names import CLASS, NOT_FINAL, naming
from tests.datapath.packets import ACK, DHT_PING, DNS_QUERY, SYN, V4, V6, back, tcp, udp
from tests.datapath.recognise.feeding import FAMILIES, TCP, UDP

NOISE = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(8))
CLIENTS = {4: "192.0.2.9", 6: "2001:db8::9"}
PEERS = {4: "198.51.100.7", 6: "2001:db8:7::7"}
RAW = {4: bytes([198, 51, 100, 7]), 6: bytes.fromhex("20010db8000700000000000000000007")}
PORT = 6881
HASH = bytes(range(20))
PLAIN = b"\x13BitTorrent protocol" + bytes(48)


def handshake(family: int, endpoints: Shared, data: bytes = NOISE, *, port: int = PORT, sent: bool = True) -> str:
    said = ask(
        "bittorrent", data, family=family, ip_proto=TCP, client=CLIENTS[family], server=PEERS[family],
        server_port=port, endpoints=endpoints, from_client=sent,
    )  # fmt: skip
    assert not said.rank
    return said.answer


def with_speaker(*families: int) -> Shared:
    """The client of ``handshake`` spoke BitTorrent, to somebody."""
    endpoints = Shared()
    for family in families:
        speak(family, endpoints)
    return endpoints


def speak(family: int, endpoints: Shared) -> None:
    assert ask("bittorrent", DHT_PING, family=family, client=CLIENTS[family], endpoints=endpoints).answer == "yes"


def compact(family: int) -> bytes:
    return RAW[family] + PORT.to_bytes(2, "big")


def values(family: int) -> bytes:
    peer = compact(family)
    entry = str(len(peer)).encode() + b":" + peer
    return b"d1:rd2:id20:" + HASH + b"5:token2:xx6:valuesl" + entry * 2 + b"ee1:t2:aa1:y1:re"


ASKING = b"d1:ad2:id20:" + HASH + b"9:info_hash20:" + HASH + b"e1:q9:get_peers1:t2:aa1:y1:qe"


@pytest.mark.parametrize("family", FAMILIES)
class TestWhereFrom:
    def test_the_dht(self, family: int) -> None:
        endpoints = with_speaker(family)
        assert handshake(family, endpoints) == "no"
        asked = ask("bittorrent", ASKING, family=family, endpoints=endpoints)
        assert (asked.answer, asked.rank > 0) == ("yes", True)
        said = ask(
            "bittorrent", values(family), family=family, from_client=False, guessed="bittorrent", endpoints=endpoints
        )
        assert (said.answer, said.rank) == ("yes", 0)
        assert handshake(family, endpoints) == "yes"
        assert handshake(family, endpoints, port=PORT + 1) == "no"

    def test_a_udp_tracker(self, family: int) -> None:
        endpoints = with_speaker(family)
        connect = bytes.fromhex("0000041727101980 00000000 11223344")
        asked = ask("bittorrent", connect, family=family, endpoints=endpoints)
        assert (asked.answer, asked.rank > 0) == ("yes", True)
        announced = bytes.fromhex("00000001 11223344 00000708 00000001 00000002") + compact(family)
        said = ask(
            "bittorrent", announced, family=family, from_client=False, guessed="bittorrent", endpoints=endpoints
        )
        assert (said.answer, said.rank) == ("yes", 0)
        assert handshake(family, endpoints) == "yes"

    def test_a_plain_connection(self, family: int) -> None:
        endpoints = Shared()
        assert handshake(family, endpoints, PLAIN) == "yes"
        assert handshake(family, endpoints) == "yes"

    def test_its_udp_socket(self, family: int) -> None:
        endpoints = with_speaker(family)
        syn = bytes.fromhex("41000053 10eeb2f0 00000000 00100000 e7f50000")
        ask("bittorrent", syn, family=family, server=PEERS[family], server_port=PORT, endpoints=endpoints)
        assert handshake(family, endpoints) == "yes"


def test_a_tracker_over_http() -> None:
    endpoints = with_speaker(4)
    request = b"GET /announce?info_hash=%aa7i&port=1 HTTP/1.1\r\n\r\n"
    asked = ask("bittorrent", request, ip_proto=TCP, endpoints=endpoints)
    assert (asked.answer, asked.rank > 0) == ("yes", True)
    answer = b"HTTP/1.1 200 OK\r\n\r\nd8:intervali1800e5:peers6:" + compact(4) + b"e"
    for size in range(len(answer)):
        said = ask("bittorrent", answer[:size], ip_proto=TCP, from_client=False, guessed="bittorrent")
        assert said.answer == "yes", "the name stays, whatever comes"
    said = ask(
        "bittorrent", answer, ip_proto=TCP, from_client=False, guessed="bittorrent", endpoints=endpoints
    )
    assert (said.answer, said.rank) == ("yes", 0)
    assert handshake(4, endpoints) == "yes"


def answered(body: bytes, endpoints: Shared | None = None) -> tuple[str, bool]:
    """What is said of a tracker's answer over HTTP, and whether it is final."""
    page = b"HTTP/1.1 200 OK\r\n\r\n" + body
    said = ask("bittorrent", page, ip_proto=TCP, from_client=False, guessed="bittorrent", endpoints=endpoints)
    return said.answer, said.rank == 0


def keys(four: bytes, six: bytes) -> bytes:
    return b"d8:intervali60e5:peers%d:%b6:peers6%d:%be" % (len(four), four, len(six), six)


@pytest.mark.parametrize("four", [b"", bytes([203, 0, 113, 1, 26, 225])])
def test_a_tracker_with_peers_of_both_families(four: bytes) -> None:
    endpoints = with_speaker(*FAMILIES)
    assert answered(keys(four, compact(6)), endpoints) == ("yes", True)
    assert handshake(6, endpoints) == "yes"
    assert handshake(4, endpoints) == "no"
    endpoints = with_speaker(*FAMILIES)
    assert answered(keys(compact(4), compact(6)), endpoints) == ("yes", True)
    assert handshake(4, endpoints) == handshake(6, endpoints) == "yes"


def test_a_tracker_with_peers_of_ipv6_alone() -> None:
    endpoints = with_speaker(*FAMILIES)
    assert answered(b"d8:intervali60e6:peers618:" + compact(6) + b"e", endpoints) == ("yes", True)
    assert handshake(6, endpoints) == "yes"


def test_a_trackers_answer_is_final_when_its_last_list_has_come() -> None:
    whole = keys(b"", compact(6))
    for size in range(len(whole)):
        assert answered(whole[:size]) == ("yes", size == len(whole) - 1)
    # Another key behind the first list: the second does not come.
    assert answered(b"d5:peers6:" + compact(4) + b"8:intervali60ee") == ("yes", True)
    assert answered(b"d5:peers6:" + compact(4)) == ("yes", False)


def test_a_trackers_list_ends_where_its_length_says() -> None:
    endpoints = with_speaker(*FAMILIES)
    assert answered(b"d5:peers5:" + compact(4) + b"e", endpoints) == ("yes", True)
    assert handshake(4, endpoints) == "no"
    assert answered(b"d5:peers7:" + compact(4) + b"e", endpoints) == ("yes", False)
    assert handshake(4, endpoints) == "yes"


@pytest.mark.parametrize("body", [b"d5:peersle", b"d5:peers-6:" + bytes(9), b"d5:peers99999:" + bytes(9), b"d5:peers6"])
def test_a_tracker_without_a_list_as_a_string(body: bytes) -> None:
    assert answered(body) == ("yes", False)


@pytest.mark.parametrize("family", FAMILIES)
class TestToAPeer:
    @staticmethod
    def known(family: int) -> Shared:
        endpoints = with_speaker(family)
        ask("bittorrent", values(family), family=family, endpoints=endpoints)
        return endpoints

    def test_cut(self, family: int) -> None:
        endpoints = self.known(family)
        for size in range(1, 96):
            assert handshake(family, endpoints, NOISE[:size]) == "more"
        for size in range(96, len(NOISE)):
            assert handshake(family, endpoints, NOISE[:size]) == "yes"

    @pytest.mark.parametrize(
        "data",
        [b"\x16\3\1\2\0" + NOISE, b"\x17\3\3\1\0" + NOISE, bytes(200), b"GET /index.html HTTP/1.1\r\nHost: x\r\n" * 4],
    )
    def test_what_does_not_look_encrypted(self, family: int, data: bytes) -> None:
        assert handshake(family, self.known(family), data) == "no"

    def test_only_what_the_client_sends(self, family: int) -> None:
        assert handshake(family, self.known(family), sent=False) == "no"

    def test_twenty_minutes(self, family: int) -> None:
        endpoints = self.known(family)
        for now, answer in ((1_199_999, "yes"), (1_200_001, "no")):
            said = ask(
                "bittorrent", NOISE, family=family, ip_proto=TCP, client=CLIENTS[family], server=PEERS[family],
                server_port=PORT, endpoints=endpoints, now=now,
            )  # fmt: skip
            assert said.answer == answer


@pytest.mark.parametrize("family", FAMILIES)
class TestWhosePeers:
    """What somebody sent to a host, or said of it, names its flows with those alone that speak BitTorrent."""

    def told(self, family: int, port: int) -> Shared:
        """Somebody, who is not the client of ``handshake``, called this port in all ways and listed it."""
        endpoints = Shared()
        listing = values(family).replace(PORT.to_bytes(2, "big"), port.to_bytes(2, "big"))
        syn = bytes.fromhex("41000053 10eeb2f0 00000000 00100000 e7f50000")
        for data, proto in ((DHT_PING, UDP), (listing, UDP), (syn, UDP), (PLAIN, TCP)):
            said = ask(
                "bittorrent", data, family=family, ip_proto=proto, server=PEERS[family], server_port=port,
                endpoints=endpoints,
            )  # fmt: skip
            assert said.answer == "yes"
        return endpoints

    def test_not_of_who_never_spoke(self, family: int) -> None:
        endpoints = self.told(family, PORT)
        assert handshake(family, endpoints) == "no"
        speak(family, endpoints)
        assert handshake(family, endpoints) == "yes"

    @pytest.mark.parametrize("port", [53, 443, 1023])
    def test_no_system_port(self, family: int, port: int) -> None:
        endpoints = self.told(family, port)
        speak(family, endpoints)
        assert handshake(family, endpoints, port=port) == "no"

    def test_of_a_socket_that_spoke_itself(self, family: int) -> None:
        endpoints = Shared()
        ask("bittorrent", DHT_PING, family=family, client=PEERS[family], client_port=PORT, endpoints=endpoints)
        assert handshake(family, endpoints) == "yes"
        assert handshake(family, endpoints, port=PORT + 1) == "no"

    def test_a_tcp_clients_port_is_no_peer(self, family: int) -> None:
        endpoints = Shared()
        ask(
            "bittorrent", PLAIN, family=family, ip_proto=TCP, client=PEERS[family], client_port=PORT,
            endpoints=endpoints,
        )  # fmt: skip
        assert handshake(family, endpoints) == "no"

    def test_who_answers_a_strangers_tracker_request_did_not_speak(self, family: int) -> None:
        endpoints = self.told(family, PORT)
        connect = bytes.fromhex("0000041727101980 00000000 11223344")
        request = b"GET /announce?info_hash=%aa7i&port=1 HTTP/1.1\r\n\r\n"
        for asked, answer, proto in ((connect, DNS_QUERY, UDP), (request, b"HTTP/1.1 404 No\r\n\r\n", TCP)):
            for data, sent, guessed in ((asked, True, "none"), (answer, False, "bittorrent")):
                said = ask(
                    "bittorrent", data, family=family, ip_proto=proto, server=CLIENTS[family], from_client=sent,
                    guessed=guessed, endpoints=endpoints,
                )  # fmt: skip
                assert said.answer == "yes"
        assert handshake(family, endpoints) == "no"


@pytest.mark.parametrize("ends", (V4, V6))
@pytest.mark.parametrize("query", [0x0100, 0x1100, 0x2100, 0x3100])
def test_dns_keeps_its_name(ends: tuple[str, str], query: int) -> None:
    """Its first bytes may be those of uTP: not even a host that speaks BitTorrent has a peer at port 53."""
    client, resolver = ends
    somebody = "10.9.0.77" if ends is V4 else "fd09::77"
    made = Classifier(naming(), endpoints=Shared())
    made.packet(udp((somebody, resolver), 6881, 53, DHT_PING), 1)
    made.packet(udp((somebody, client), 6881, 40001, DHT_PING), 1)
    made.packet(udp((client, somebody), 40000, 6881, DHT_PING), 2)
    for port in (40001, 40002):
        answer = made.packet(udp(ends, port, 53, query.to_bytes(2, "big") + DNS_QUERY[2:]), 3)
        assert answer & ~NOT_FINAL == CLASS["dns"]


@pytest.mark.parametrize("ends", (V4, V6))
class TestFlows:
    """The same, packet by packet: a guess stays BitTorrent whatever comes, and its answer makes it final."""

    def test_a_question_for_peers(self, ends: tuple[str, str]) -> None:
        made = Classifier(naming(), endpoints=Shared())
        assert made.packet(udp(ends, 6881, 6882, ASKING), 1) == CLASS["bittorrent"] | NOT_FINAL
        assert made.packet(udp(back(ends), 6882, 6881, values(4)), 2) == CLASS["bittorrent"]

    def test_a_tracker_over_udp(self, ends: tuple[str, str]) -> None:
        made = Classifier(naming(), endpoints=Shared())
        connect = bytes.fromhex("0000041727101980 00000000 11223344")
        connected = bytes.fromhex("00000000 11223344 0102030405060708")
        announce = bytes.fromhex("0102030405060708 00000001 11223345") + bytes(82)
        announced = bytes.fromhex("00000001 11223345 00000708 00000001 00000002") + compact(4 if ends is V4 else 6)
        guess = CLASS["bittorrent"] | NOT_FINAL
        assert made.packet(udp(ends, 6881, 6969, connect), 1) == guess
        assert made.packet(udp(back(ends), 6969, 6881, connected), 2) == guess
        assert made.packet(udp(ends, 6881, 6969, announce), 3) == guess
        assert made.packet(udp(back(ends), 6969, 6881, announced), 4) == CLASS["bittorrent"]

    @pytest.mark.parametrize("cut", [8, 12, 40, 58, None])
    def test_a_tracker_over_http(self, ends: tuple[str, str], cut: int | None) -> None:
        made = Classifier(naming(), endpoints=Shared())
        request = b"GET /announce?info_hash=%aa7i&port=1 HTTP/1.1\r\nHost: tracker.example\r\n\r\n"
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nd8:intervali1800e5:peers6:" + compact(4) + b"e"
        made.packet(tcp(ends, 40000, 80, 100, b"", SYN), 1)
        made.packet(tcp(back(ends), 80, 40000, 500, b"", SYN | ACK), 2)
        assert made.packet(tcp(ends, 40000, 80, 101, request), 3) == CLASS["bittorrent"] | NOT_FINAL
        first = made.packet(tcp(back(ends), 80, 40000, 501, answer[:cut]), 4)
        if cut is None:
            assert first == CLASS["bittorrent"]
        else:
            assert first == CLASS["bittorrent"] | NOT_FINAL
            second = made.packet(tcp(back(ends), 80, 40000, 501 + cut, answer[cut:]), 5)
            assert second & ~NOT_FINAL == CLASS["bittorrent"]
        assert len(made.take_named(10)) == 1
