"""FTP: greetings, commands, and the data connections that they announce."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from tests.datapath.names import CLASS, NOT_FINAL, naming
from tests.datapath.packets import FAMILIES, SYN, back, tcp
from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, stream

GREETING = b"220 files.example.org FTP server ready.\r\n"
BARE = b"220 files.example.org ready.\r\n"
LINES = b"220-Welcome to Example-FTPd\r\n220-You are number 1\r\n220 Go ahead\r\n"


@pytest.mark.parametrize("data", [GREETING, LINES, BARE + b"331 Password please.\r\n", BARE + b"230 In.\r\n"])
def test_greetings(data: bytes) -> None:
    four_ways_tcp("ftp", data, from_client=False)


@pytest.mark.parametrize(
    "foreign",
    [
        b"220 mail.example.org ESMTP\r\n",
        b"220 ftp.example.org ESMTP service\r\n",
        BARE + b"250 mail.example.org\r\n",
        BARE + b"\x16\3\1\0",
        b"221 bye\r\n",
        b"2201 x\r\n",
        b"220x\r\n",
        b"220-" + b"x" * 1024,
        b"HTTP/1.1 200 OK\r\n",
        b"200 news server ready\r\n",
        b"\x16\3\1",
    ],
)
def test_other_greetings_are_not(foreign: bytes) -> None:
    assert ask_both("ftp", foreign, ip_proto=TCP, from_client=False).answer == "no"


def test_its_port_is_enough_for_a_reply_or_a_command() -> None:
    for reply in (BARE, b"331 x\r\n", b"530 x\r\n"):
        assert ask_both("ftp", reply, ip_proto=TCP, from_client=False, server_port=21).answer == "yes"
    for command in (b"USER me\r\n", b"auth TLS\r\n", b"CWD /\r\n", b"RETR x\r\n"):
        assert stream("ftp", command, server_port=21).keep_asking
        assert ask_both("ftp", command, ip_proto=TCP).answer == "no"
    for foreign in (b"USERS\r\n", b"GET / HTTP/1.1\r\n", b"EHLO x\r\n", b"999 x\r\n", b"\0\0"):
        assert ask_both("ftp", foreign, ip_proto=TCP, server_port=21).answer == "no"


def test_the_client_says_what_the_greeting_did_not() -> None:
    assert ask_both("ftp", b"USER me\r\n", ip_proto=TCP, earlier=[(BARE, False)]).answer == "yes"
    assert ask_both("ftp", b"USER me\r\n", ip_proto=TCP, earlier=[(b"+OK\r\n", False)]).answer == "no"
    user = [(b"USER me\r\n", True)]
    assert ask_both("ftp", b"331 x\r\n", ip_proto=TCP, from_client=False, earlier=user).answer == "yes"
    tls = ask_both("ftp", b"234 x\r\n", ip_proto=TCP, from_client=False, earlier=[(b"AUTH TLS\r\n", True)])
    assert (tls.answer, tls.keep_asking) == ("yes", False)


def announced(line: bytes, *, from_client: bool = False, family: int = 4) -> list[int]:
    """Ports of the sender's that a data connection may now go to."""
    shared = Shared()
    ask = {"ip_proto": TCP, "endpoints": shared}
    ends = ("192.0.2.1", "198.51.100.1") if family == 4 else ("2001:db8::1", "2001:db8:1::1")
    said = ask_both("ftp", line, from_client=from_client, client=ends[0], server=ends[1], **ask)
    sender, other = ends if from_client else (ends[1], ends[0])
    found = []
    for port in (1024, 3500, 65535):
        to = ask_both("ftp", b"\xff\xd8data", client=other, server=sender, server_port=port, **ask)
        if to.answer == "yes":
            assert not to.keep_asking
            found.append(port)
    assert bool(found) == (said.answer == "yes")
    return found


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("line", "from_client", "port"),
    [
        (b"227 Entering Passive Mode (198,51,100,1,13,172).\r\n", False, 3500),
        (b"227 Entering Passive Mode 10,0,0,1,13,172\r\n", False, 3500),
        (b"200 Type set.\r\n227 =0,0,0,0,255,255\r\n", False, 65535),
        (b"229 Entering Extended Passive Mode (|||3500|)\r\n", False, 3500),
        (b"229 ok (!!!3500!)\r\n", False, 3500),
        (b"PORT 192,0,2,1,13,172\r\n", True, 3500),
        (b"TYPE I\r\nport 192,0,2,1,4,0\r\n", True, 1024),
        (b"EPRT |1|192.0.2.1|3500|\r\n", True, 3500),
        (b"EPRT |2|2001:db8::1|65535|\r\n", True, 65535),
    ],
)
def test_announcements(line: bytes, from_client: bool, port: int, family: int) -> None:
    assert announced(line, from_client=from_client, family=family) == [port]


@pytest.mark.parametrize("port", [53, 443, 1023])
def test_no_system_port_is_announced(port: int) -> None:
    shared = Shared()
    line = b"227 Entering Passive Mode (198,51,100,1,%d,%d).\r\n" % divmod(port, 256)
    assert ask_both("ftp", line, ip_proto=TCP, from_client=False, endpoints=shared).answer == "yes"
    assert ask_both("ftp", b"\xff\xd8data", ip_proto=TCP, server_port=port, endpoints=shared).answer == "no"


@pytest.mark.parametrize(
    "line",
    [
        b"227 Entering Passive Mode (198,51,100,1,13,172)",
        b"227 Entering Passive Mode (198,51,100,1,13)\r\n",
        b"227 Entering Passive Mode (198,51,100,1,13,300)\r\n",
        b"227 Entering Passive Mode (198,51,100,1,0,0)\r\n",
        b"229 Entering Extended Passive Mode (|||65536|)\r\n",
        b"229 Entering Extended Passive Mode (|||3500)\r\n",
        b"229 Entering Extended Passive Mode |||3500|\r\n",
        b"229 (1113500|)\r\n",
        b"PORT 1,2,3\r\n",
        b"EPRT |1|192.0.2.1\r\n",
        b"226 (198,51,100,1,13,172)\r\n",
        b"GET / HTTP/1.1\r\nPORT 192,0,2,1,13,172\r\n",
    ],
)
def test_not_announcements(line: bytes) -> None:
    assert announced(line) == []


@pytest.mark.parametrize("ends", FAMILIES)
@pytest.mark.parametrize("passive", [True, False])
def test_a_session_with_its_data(ends: tuple[str, str], passive: bool) -> None:
    made = Classifier(naming(), endpoints=Shared())
    packet = itertools.count(1)
    client, server = itertools.count(101), itertools.count(901)

    def say(line: bytes, from_client: bool) -> int:
        route = (ends, 40000, 2121) if from_client else (back(ends), 2121, 40000)
        seq = say_seq[from_client]
        say_seq[from_client] += len(line)
        return made.packet(tcp(*route, seq, line), next(packet))

    say_seq = {True: next(client), False: next(server)}
    made.packet(tcp(ends, 40000, 2121, 100, b"", SYN), next(packet))
    assert say(GREETING, False) == CLASS["ftp"] | NOT_FINAL
    assert say(b"USER me\r\n", True) == CLASS["ftp"] | NOT_FINAL
    if passive:
        say(b"EPSV\r\n", True)
        say(b"229 ok (|||50000|)\r\n", False)
        data = tcp(back(ends), 50000, 40001, 1, b"HTTP/1.1 200 OK\r\n\r\n")
        made.packet(tcp(ends, 40001, 50000, 77, b"", SYN), next(packet))
    else:
        say(b"EPRT |1|192.0.2.1|50000|\r\n", True)
        data = tcp(back(ends), 20, 50000, 1, b"HTTP/1.1 200 OK\r\n\r\n")
    assert made.packet(data, next(packet)) == CLASS["ftp"]
    other = tcp(back(ends), 50001, 40002, 1, b"HTTP/1.1 200 OK\r\n\r\n")
    assert made.packet(other, next(packet)) == CLASS["http"]


@given(st.binary(max_size=80))
def test_chance_is_safe(data: bytes) -> None:
    ask_both("ftp", data, ip_proto=TCP, server_port=21)
    ask_both("ftp", b"227 " + data + b"\r\n", ip_proto=TCP)
    ask_both("ftp", b"EPRT " + data + b"\r\n", ip_proto=TCP)
