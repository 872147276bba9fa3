"""HTTP requests and responses in a TCP stream."""

from __future__ import annotations

import pytest

from tests.datapath.recognise.feeding import TCP, UDP, ask_both, four_ways_tcp, stream

GET = b"GET /index.html HTTP/1.1\r\nUser-Agent: test\r\nHost: WWW.Example.com:8080\r\nAccept: */*\r\n\r\n"


def test_request() -> None:
    four_ways_tcp("http", GET, "www.example.com")


def test_byte_by_byte_waits_for_the_host() -> None:
    assert stream("http", GET).host == "www.example.com"


def test_host_split_over_segments() -> None:
    cut = GET.index(b"Example")
    assert ask_both("http", GET[:cut], ip_proto=TCP).answer == "more"
    assert ask_both("http", GET, ip_proto=TCP, earlier=[(GET[:cut], True)]).host == "www.example.com"


@pytest.mark.parametrize(
    ("request_line", "host"),
    [
        (b"POST http://proxied.example/path HTTP/1.1", "proxied.example"),
        (b"GET https://user@proxied.example:444/?q HTTP/1.0", "proxied.example"),
        (b"PROPFIND /dav HTTP/1.1", "field.example"),
        (b"M-SEARCH * HTTP/1.1", "field.example"),
        (b"get / HTTP/1.1", "field.example"),
    ],
)
def test_target_names_the_host_or_the_field_does(request_line: bytes, host: str) -> None:
    four_ways_tcp("http", request_line + b"\r\nhost:field.example\r\n\r\n", host)


@pytest.mark.parametrize(
    ("request_line", "name", "host"),
    [
        (b"CONNECT tunnel.example:443 HTTP/1.1", "http-connect", "tunnel.example"),
        (b"CONNECT [2001:db8::1]:443 HTTP/1.0", "http-connect", "2001:db8::1"),
        (b"SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1", "sstp", "field.example"),
    ],
)
def test_tunnels(request_line: bytes, name: str, host: str) -> None:
    data = request_line + b"\r\nhost:field.example\r\n\r\n"
    said = ask_both("http", data, ip_proto=TCP)
    assert (said.answer, said.protocol, said.host) == ("yes", name, host)
    assert stream("http", data).protocol == name
    for size in range(1, len(data)):
        assert ask_both("http", data[:size], ip_proto=TCP).answer != "no"
    assert ask_both("http", request_line.replace(b" ", b"X ", 1) + b"\r\n\r\n", ip_proto=TCP).protocol == "http"


def test_status_line_of_shoutcast() -> None:
    four_ways_tcp("http", b"ICY 200 OK\r\n", from_client=False)
    assert ask_both("http", b"ICY roads ahead", ip_proto=TCP).answer == "no"


def test_line_ends_without_a_return() -> None:
    four_ways_tcp("http", b"GET / HTTP/1.1\nHost: bare.example\n\n", "bare.example")


def test_request_without_a_host() -> None:
    four_ways_tcp("http", b"GET / HTTP/1.0\r\nAccept: */*\r\n\r\n")


def test_host_that_is_no_name() -> None:
    four_ways_tcp("http", b"GET / HTTP/1.1\r\nHost: a b<c>\r\n\r\n")


def test_address_as_host() -> None:
    four_ways_tcp("http", b"GET / HTTP/1.1\r\nHost: [2001:db8::2]:80\r\n\r\n", "2001:db8::2")


def test_status_line() -> None:
    four_ways_tcp("http", b"HTTP/1.1 200 OK\r\n", from_client=False)


def test_fields_without_end() -> None:
    endless = b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 700
    assert ask_both("http", endless[:2000], ip_proto=TCP).answer == "more"
    assert ask_both("http", endless[:2000], ip_proto=TCP, last=True).answer == "yes"
    assert ask_both("http", endless, ip_proto=TCP).answer == "yes"


def test_line_without_end() -> None:
    assert ask_both("http", b"GET /" + b"a" * 4100, ip_proto=TCP).answer == "yes"
    assert ask_both("http", b"GET/" + b"a" * 4100, ip_proto=TCP).answer == "no"


@pytest.mark.parametrize(
    "foreign",
    [
        b"EHLO mail.example\r\n",
        b"USER anonymous\r\n",
        b"INVITE sip:bob@example.com SIP/2.0\r\n",
        b"DESCRIBE rtsp://example.com/ RTSP/1.0\r\n",
        b"get / http/1.1\r\n",
        b"GET /\r\n",
        b"HTTP/1.1 OK\r\n",
        b"GET / HTTP/1.1 \r\n",
        b"\x16\x03\x01\x00\x05",
        b"GET \x00\x01\x02\x03 HTTP/1.1\r\n",
    ],
)
def test_others_are_not_http(foreign: bytes) -> None:
    assert ask_both("http", foreign, ip_proto=TCP).answer == "no"


def test_datagrams_are_not_http() -> None:
    assert ask_both("http", GET, ip_proto=UDP).answer == "no"
