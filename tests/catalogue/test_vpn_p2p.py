"""The signatures and hosts of VPNs and file sharing, asked as the daemon asks them."""

from __future__ import annotations

import pytest

from citygate.capture.classify import naming
from citygate.catalogue.load import builtin
from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import PROTOCOL_NAMES
from tests.datapath.packets import ACK, FAMILIES, SYN, back, tcp, udp

CATALOGUE = builtin(PROTOCOL_NAMES)
NAMES = naming()
HELLO = bytes(13) + b"\1\2\3\4\5" + b"\0" + bytes(range(8)) + b"\1\x0d\1\x0e\0\2" + bytes(80)  # ZeroTier's

ENDS = pytest.mark.parametrize("ends", FAMILIES)


def stream(ends: tuple[str, str], data: bytes, port: int, from_server: bool) -> str:
    made = Classifier(NAMES, endpoints=Shared())
    made.packet(tcp(ends, 40000, port, 100, b"", SYN), 1)
    made.packet(tcp(back(ends), port, 40000, 500, b"", SYN | ACK), 1)
    if from_server:
        made.packet(tcp(back(ends), port, 40000, 501, data), 1)
    else:
        made.packet(tcp(ends, 40000, port, 101, data), 1)
    return "".join(named.service for named in made.take_named(10))


@ENDS
@pytest.mark.parametrize(
    ("service", "data", "port"),
    [
        ("sstp", b"SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\r\nHost: x\r\n\r\n", 80),
        ("softether", b"POST /vpnsvc/connect.cgi HTTP/1.1\r\nHost: vpn.example\r\n\r\n", 80),
        ("fasttrack", b"GET /.hash=0123456789abcdef HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", 1214),
        ("fasttrack", b"GIVE 12345678\r\n\r\n", 1214),
        ("", b"GIVE 3 MORE\r\n", 1214),
        ("ares", b"\3\0\x5a\4\3\5", 30000),
        ("direct-connect", b"$MyNick somebody|$Lock EXTENDEDPROTOCOL Pk=x|", 412),
        ("direct-connect", b"HSUP ADBAS0 ADTIGR\n", 5000),
        ("soulseek", b"\x48\0\0\0\1\0\0\0\4\0\0\0user\4\0\0\0pass", 2242),
        ("operavpn", b"GET / HTTP/1.1\r\nHost: eu1.sec-tunnel.com\r\n\r\n", 80),
        ("softether", b"GET / HTTP/1.1\r\nHost: host7.softether.net\r\n\r\n", 80),
        ("vpn-other", b"GET / HTTP/1.1\r\nHost: api.piavpn.com\r\n\r\n", 80),
        ("http", b"POST /vpnsvc HTTP/1.1\r\nHost: www.example.org\r\n\r\n", 80),
        ("http", b"GET /.hash HTTP/1.1\r\nHost: www.example.org\r\n\r\n", 80),
    ],
)
def test_what_clients_send(ends: tuple[str, str], service: str, data: bytes, port: int) -> None:
    assert stream(ends, data, port, from_server=False) == service


@ENDS
@pytest.mark.parametrize(
    ("service", "data"),
    [
        ("vtun", b"VTUN server ver 3.X 01/01/2013\n"),
        ("direct-connect", b"$Lock EXTENDEDPROTOCOLABC Pk=x|"),
    ],
)
def test_what_servers_send(ends: tuple[str, str], service: str, data: bytes) -> None:
    assert stream(ends, data, 5000, from_server=True) == service


@ENDS
@pytest.mark.parametrize(
    ("service", "data", "port"),
    [
        ("tailscale", b"TS\xf0\x9f\x92\xac" + bytes(range(32)) + bytes(range(24)) + bytes(range(62)), 41641),
        ("zerotier", HELLO, 9993),
        ("", HELLO, 9994),
        ("", HELLO[:60], 9993),  # too short for an identity
        ("", HELLO[:46] + b"\1" + HELLO[47:], 9993),  # of another kind
    ],
)
def test_datagrams(ends: tuple[str, str], service: str, data: bytes, port: int) -> None:
    made = Classifier(NAMES, endpoints=Shared())
    made.packet(udp(ends, 40000, port, data), 1)
    assert "".join(named.service for named in made.take_named(10)) == service


def test_a_rule_for_other_vpns_means_each_of_them() -> None:
    meant = {service.name for service in CATALOGUE.services.values() if service.parent == "vpn-other"}
    assert {"operavpn", "surfshark", "nordvpn", "zerotier"} <= meant
