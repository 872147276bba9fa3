"""RTSP requests and responses, and the sockets in their Transport fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import ask
from tests.datapath.names import CLASS, NOT_FINAL, naming
from tests.datapath.packets import FAMILIES as ENDS
from tests.datapath.packets import SYN, back, tcp, udp
from tests.datapath.recognise.calls import CLIENT, SERVER, announced, media_flow, rtp_packet
from tests.datapath.recognise.feeding import FAMILIES, TCP, ask_both, four_ways_tcp

DESCRIBE = b"DESCRIBE rtsp://media.example:8554/a RTSP/1.0\r\nCSeq: 1\r\n\r\n"
OK = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"


def setup(transport: str) -> bytes:
    return b"SETUP rtsp://media.example/a/1 RTSP/1.0\r\nCSeq: 2\r\nTransport: " + transport.encode() + b"\r\n\r\n"


def reply(transport: str) -> bytes:
    return b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nTransport: " + transport.encode() + b"\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        DESCRIBE,
        OK,
        b"OPTIONS * RTSP/1.0\r\n\r\n",
        b"PLAY_NOTIFY rtsps://[2001:db8::1]/a RTSP/2.0\r\n\r\n",
        b"RTSP/2.0 404 Not Found\r\n\r\n",
        b"GET_PARAMETER rtsp://media.example/a RTSP/1.0\nCSeq: 3\n\n",
        setup("RTP/AVP;unicast;client_port=4000-4001"),
    ],
)
def test_yes(data: bytes) -> None:
    said = four_ways_tcp("rtsp", data)
    assert said.rank and not ask_both("rtsp", data, ip_proto=TCP, last=True).rank


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"DESCRIBE rtsp://media.example/a HTTP/1.1\r\n",
        b"OPTIONS sip:bob@example.com SIP/2.0\r\n",
        b"RTSP/3.0 200 OK\r\n",
        b"RTSP/1.0x200 OK\r\n",
        b"describe rtsp://media.example/a RTSP/1.0\r\n",
        b"$\x00\x00\x10" + bytes(16),
        b"220 mail.example\r\n",
        b"A" * 30,
    ],
)
def test_others(data: bytes) -> None:
    assert ask_both("rtsp", data, ip_proto=TCP).answer == "no"


def test_line_without_end() -> None:
    assert ask_both("rtsp", b"DESCRIBE rtsp://" + b"a" * 2000, ip_proto=TCP).answer == "more"
    assert ask_both("rtsp", b"DESCRIBE rtsp://" + b"a" * 2100, ip_proto=TCP).answer == "no"


class TestFinal:
    """A guess until the streams are set up."""

    @pytest.mark.parametrize(
        "data",
        [
            DESCRIBE + setup("RTP/AVP;unicast;client_port=4000-4001") + b"PLAY rtsp://media.example/a RTSP/1.0\r\n\r\n",
            setup("RTP/AVP/TCP;unicast;interleaved=0-1"),
            OK + b"$\x00\x00\x10" + bytes(16),
            b"RECORD rtsp://media.example/a RTSP/1.0\r\n\r\n",
            b"TEARDOWN rtsp://media.example/a RTSP/1.0\r\n\r\n",
        ],
    )
    def test_is(self, data: bytes) -> None:
        assert ask_both("rtsp", data, ip_proto=TCP).rank == 0

    def test_is_not(self) -> None:
        data = DESCRIBE + setup("RTP/AVP;unicast;client_port=4000-4001")
        assert ask_both("rtsp", data, ip_proto=TCP).rank > 0


@pytest.mark.parametrize("family", FAMILIES)
class TestMedia:
    def tell(self, family: int, data: bytes, *, from_client: bool) -> Shared:
        endpoints = Shared()
        earlier = [] if from_client else [(setup("RTP/AVP;unicast"), True)]
        ask(
            "rtsp", data, family=family, ip_proto=TCP, from_client=from_client, earlier=earlier, endpoints=endpoints
        )
        return endpoints

    def test_clients_ports(self, family: int) -> None:
        endpoints = self.tell(family, setup("RTP/AVP;unicast;client_port=4000-4001"), from_client=True)
        said = media_flow(endpoints, SERVER[family], 9000, CLIENT[family], 4000)
        assert (said.protocol, said.why) == ("rtsp", "media announced in rtsp")
        assert announced(endpoints, CLIENT[family], 4001)
        assert not announced(endpoints, SERVER[family], 4000)

    def test_servers_ports(self, family: int) -> None:
        data = reply("RTP/AVP/UDP;unicast;client_port=4000-4001; server_port=5000-5001;ssrc=12")
        endpoints = self.tell(family, data, from_client=False)
        assert announced(endpoints, SERVER[family], 5000)
        assert announced(endpoints, SERVER[family], 5001)
        assert announced(endpoints, CLIENT[family], 4000)
        assert not announced(endpoints, CLIENT[family], 5000)

    def test_version_2(self, family: int) -> None:
        host = SERVER[family] if family == 4 else f"[{SERVER[family]}]"
        data = reply(f'RTP/AVP;unicast;dest_addr=":4000"/":4001";src_addr="{host}:5000"/"{host}:5001"')
        endpoints = self.tell(family, data, from_client=False)
        assert all(announced(endpoints, CLIENT[family], port) for port in (4000, 4001))
        assert all(announced(endpoints, SERVER[family], port) for port in (5000, 5001))

    def test_behind_a_body(self, family: int) -> None:
        body = b"RTSP/1.0 200 OK\r\nContent-Length: 30\r\n\r\n" + b"Transport: x;client_port=4444\r\n"[:30]
        data = body + reply("RTP/AVP;server_port=5000-5001")
        endpoints = self.tell(family, data, from_client=False)
        assert announced(endpoints, SERVER[family], 5000)
        assert not announced(endpoints, CLIENT[family], 4444)

    def test_cut(self, family: int) -> None:
        data = setup("RTP/AVP;unicast;client_port=40000-40001")
        for size in range(data.index(b"\r\n\r\n") + 2):
            endpoints = self.tell(family, data[:size], from_client=True)
            assert not any(announced(endpoints, CLIENT[family], port) for port in (4000, 40000))


@given(
    rest=st.binary(max_size=200)
    | st.text('Transport:;=-"[]/client_poserv0123456789\r\n$', max_size=200).map(str.encode)
)
def test_any_bytes(rest: bytes) -> None:
    for data in (rest, OK[:17] + rest, setup("")[:-4] + rest, OK + rest):
        assert ask("rtsp", data, ip_proto=TCP, endpoints=Shared()).answer in ("yes", "no", "more")


@pytest.mark.parametrize("ends", ENDS)
def test_ports_in_a_later_segment(ends: tuple[str, str]) -> None:
    made = Classifier(naming(), endpoints=Shared())
    transport = setup("RTP/AVP;unicast;client_port=4000-4001")
    play = b"PLAY rtsp://media.example/a RTSP/1.0\r\n\r\n"
    made.packet(tcp(ends, 40000, 554, 99, b"", SYN), 1)
    assert made.packet(tcp(ends, 40000, 554, 100, DESCRIBE), 1) == CLASS["rtsp"] | NOT_FINAL
    assert made.packet(tcp(ends, 40000, 554, 100 + len(DESCRIBE), transport), 1) == CLASS["rtsp"] | NOT_FINAL
    answers = [made.packet(udp(back(ends), 5000, 4000, rtp_packet(number)), 2) for number in range(1, 4)]
    assert answers == [0, CLASS["rtsp"], CLASS["rtsp"]]
    assert made.packet(tcp(ends, 40000, 554, 100 + len(DESCRIBE) + len(transport), play), 3) == CLASS["rtsp"]
