"""The built-in signatures: what each protocol begins with is named so, and ordinary traffic by none of them."""

from __future__ import annotations

import struct
from importlib.resources import files

import pytest
import yaml

from citygate.catalogue.load import builtin
from citygate.datapath.signatures import Compiled

CATALOGUE = builtin()
NAMES = sorted(CATALOGUE.services)
TABLE = Compiled([(signature, NAMES.index(name)) for signature, name in CATALOGUE.signatures])
TCP = 6
UDP = 17
RAKNET = bytes.fromhex("00ffff00fefefefefdfdfdfd12345678")
BIND = struct.pack("<BBBBIHHI", 5, 0, 11, 3, 16, 72, 0, 1)


def named(proto: int, port: int, payload: bytes, sender: str = "client") -> str:
    """The service, or "more" or "no"; the same over IPv4 and IPv6."""
    four, six = (
        TABLE.match(payload, ip_proto=proto, family=family, from_client=sender == "client", server_port=port)
        for family in (4, 6)
    )
    assert four == six
    answer, service = four
    return answer if service is None else NAMES[service]


CASES = [
    ("ssdp", UDP, 1900, b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n", "client"),
    ("ssdp", UDP, 50000, b"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\n", "client"),
    ("ws-discovery", UDP, 3702, b"<?xml version='1.0'?><soap:Envelope", "client"),
    ("telnet", TCP, 23, b"\xff\xfd\x03\xff\xfb\x18\xff\xfb\x1f", "client"),
    ("telnet", TCP, 2323, b"\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23\xff\xfd\x27", "server"),
    ("xmpp", TCP, 5222, b"<stream:stream to='example.org'", "client"),
    ("xmpp", TCP, 8010, b"<?xml version='1.0'?><stream:stream to='example.org'", "client"),
    ("vnc", TCP, 5901, b"RFB 003.008\n", "server"),
    ("teamviewer", TCP, 5938, b"\x17\x24\x0a\x20\x00\x80\x88\x00", "client"),
    ("teamviewer", UDP, 5938, bytes(11) + b"\x17\x24\x0c", "client"),
    ("rtmp", TCP, 1935, b"\3\0\1\2\3\0\0\0\0" + b"\x5a" * 1528, "client"),
    ("rtmp", TCP, 1935, b"\3\0\1\2\3\x80\0\7\2" + b"\x5a" * 1528, "client"),
    ("nntp", TCP, 119, b"200 news.example.org ready\r\n", "server"),
    ("bgp", TCP, 179, b"\xff" * 16 + b"\0\x1d\1\4", "client"),
    ("ldp", UDP, 646, b"\0\1\0\x1e\xc0\0\2\1\0\0\1\0", "client"),
    ("rip", UDP, 520, b"\2\2\0\0\0\2\0\0", "client"),
    ("bfd", UDP, 3784, b"\x20\x40\3\x18" + bytes(20), "client"),
    ("hsrp", UDP, 1985, b"\0\0\x10\3\x0a\x64\1\0cisco\0\0\0", "client"),
    ("ptp", UDP, 319, b"\0\2\0\x2c\0\0" + bytes(38), "client"),
    ("nat-pmp", UDP, 5351, b"\0\1\0\0\x13\x88\x13\x88\0\0\x0e\x10", "client"),
    ("coap", UDP, 5683, b"\x40\1\1\2\xbb.well-known", "client"),
    ("slp", UDP, 427, b"\2\1\0\0\x31", "client"),
    ("xdmcp", UDP, 177, b"\0\1\0\2\0\1\0", "client"),
    ("x11", TCP, 6000, b"l\0\x0b\0\0\0\0\0\0\0\0\0", "client"),
    ("git", TCP, 9418, b"0033git-upload-pack /project.git\0host=example.org\0", "client"),
    ("rsync", TCP, 873, b"@RSYNCD: 31.0\n", "server"),
    ("svn", TCP, 3690, b"( success ( 2 2 ( ) ( edit-pipeline", "server"),
    ("afp", TCP, 548, b"\0\4\0\1\0\0\0\0\0\0\0\6", "client"),
    ("dcerpc", TCP, 135, BIND, "client"),
    ("mysql", TCP, 3306, b"\x4a\0\0\0\x0a8.0.36\0", "server"),
    ("mysql", TCP, 3307, b"\x5a\0\0\0\x0a11.2.2-MariaDB\0", "server"),
    ("postgresql", TCP, 5432, b"\0\0\0\x08\4\xd2\x16\x2f", "client"),
    ("postgresql", TCP, 5433, b"\0\0\0\x20\0\3\0\0user\0me\0database\0here\0\0", "client"),
    ("mssql", TCP, 1433, b"\x12\1\0\x2f\0\0\1\0\0\0\x1a\0\6", "client"),
    ("oracle-tns", TCP, 1521, b"\0\xd4\0\0\1\0\0\0\1\x3b\1\x2c", "client"),
    ("mongodb", TCP, 27017, struct.pack("<iiii", 60, 7, 0, 2013) + bytes(44), "client"),
    ("redis", TCP, 6379, b"*1\r\n$4\r\nPING\r\n", "client"),
    ("memcached", TCP, 11211, b"get key\r\n", "client"),
    ("memcached", UDP, 11211, b"\0\1\0\0\0\1\0\0stats\r\n", "client"),
    ("cassandra", TCP, 9043, b"\4\0\0\1\1\0\0\0\x16\0\1\0\x0bCQL_VERSION\0\x053.0.0", "client"),
    ("kafka", TCP, 9092, b"\0\0\0\x19\0\x12\0\3\0\0\0\1\0\x07console", "client"),
    ("amqp", TCP, 5672, b"AMQP\0\0\x09\1", "client"),
    ("nats", TCP, 4222, b'INFO {"server_id":"x"', "server"),
    ("stomp", TCP, 61613, b"CONNECT\naccept-version:1.2\n", "client"),
    ("gearman", TCP, 4730, b"\0REQ\0\0\0\1\0\0\0\2", "client"),
    ("zabbix", TCP, 10051, b"ZBXD\1\x0a\0\0\0\0\0\0\0", "client"),
    ("checkmk", TCP, 6556, b"<<<check_mk>>>\nVersion: 2", "server"),
    ("collectd", UDP, 25826, b"\0\0\0\x0elocalhost\0\0\x08\0\x0c", "client"),
    ("netflow", UDP, 2055, b"\0\x09\0\2" + bytes(16), "client"),
    ("netflow", UDP, 4739, b"\0\x0a\0\x40" + bytes(60), "client"),
    ("sflow", UDP, 6343, b"\0\0\0\5\0\0\0\1\xc0\0\2\1", "client"),
    ("ipmi", UDP, 623, b"\6\0\xff\7\0\0", "client"),
    ("tacacs-plus", TCP, 49, b"\xc0\1\1\0\1\2\3\4", "client"),
    ("diameter", TCP, 3868, b"\1\0\0\x50\x80\0\1\1\0\0\0\0", "client"),
    ("printing", TCP, 9100, b"\x1b%-12345X@PJL\r\n", "client"),
    ("printing", UDP, 8611, b"BJNP\2\1\0\0", "client"),
    ("hl7", TCP, 2575, b"\x0bMSH|^~\\&|", "client"),
    ("fix", TCP, 9878, b"8=FIX.4.4\x019=63\x01", "client"),
    ("corba", TCP, 2809, b"GIOP\1\2\0\0", "client"),
    ("java-rmi", TCP, 1099, b"JRMI\0\2K", "client"),
    ("ajp", TCP, 8009, b"\x12\x34\0\x50\2\2\0\x08HTTP/1.1", "client"),
    ("fastcgi", TCP, 9000, b"\1\1\0\1\0\x08\0\0\0\1\0\0\0\0\0\0", "client"),
    ("citrix", TCP, 1494, b"\x7f\x7fICA\0", "server"),
    ("openflow", TCP, 6653, b"\4\0\0\x10\0\0\0\1", "client"),
    ("vxlan", UDP, 4789, b"\x08\0\0\0\0\0\x64\0" + bytes(60), "client"),
    ("geneve", UDP, 6081, b"\0\0\x65\x58\0\0\x64\0" + bytes(60), "client"),
    ("gtp", UDP, 2152, b"\x30\xff\0\x54\0\0\0\1\x45", "client"),
    ("gtp", UDP, 2123, b"\x48\x20\0\x60\0\0\0\0", "client"),
    ("modbus", TCP, 502, b"\0\1\0\0\0\6\1\3\0\0\0\x0a", "client"),
    ("dnp3", TCP, 20000, b"\5\x64\5\xc0\1\0\0\4", "client"),
    ("iso-tsap", TCP, 102, b"\3\0\0\x16\x11\xe0\0\0\0\1\0", "client"),
    ("iec104", TCP, 2404, b"\x68\4\7\0\0\0", "client"),
    ("bacnet", UDP, 47808, b"\x81\x0b\0\x0c\1\x20\xff\xff\0\xff\x10\x08", "client"),
    ("hart-ip", UDP, 5094, b"\1\0\0\0\0\2\0\x0d\1\0\0\x75\x30", "client"),
    ("dlms", TCP, 4059, b"\0\1\0\x10\0\1\0\x1f\x60", "client"),
    ("wake-on-lan", UDP, 9, b"\xff" * 6 + bytes(range(6)) * 16, "client"),
    ("tivo-connect", UDP, 2190, b"TiVoConnect=1\nmethod=broadcast\n", "client"),
    ("dropbox-lan", UDP, 17500, b'{"version": [2, 0], "port": 17500', "client"),
    ("spotify-lan", UDP, 57621, b"SpotUdp0" + bytes(32), "client"),
    ("ubiquiti-discovery", UDP, 10001, b"\1\0\0\0", "client"),
    ("qq-legacy", UDP, 8000, b"\2\x3b\x0b\0\1" + bytes(30) + b"\3", "client"),
    ("source-engine", UDP, 27015, b"\xff\xff\xff\xffTSource Engine Query\0", "client"),
    ("raknet", UDP, 19132, b"\1" + bytes(8) + RAKNET, "client"),
    ("raknet", UDP, 19132, b"\5" + RAKNET + b"\x0b", "client"),
    ("quake3", UDP, 27960, b"\xff\xff\xff\xffgetstatus xyz\n", "client"),
    ("stratum", TCP, 3333, b'{"id": 1, "method": "mining.subscribe", "params": []}\n', "client"),
    ("bitcoin", TCP, 8333, b"\xf9\xbe\xb4\xd9version\0\0\0\0\0", "client"),
    ("monero", TCP, 18080, b"\1\x21\1\1\1\1\1\1\xe4", "client"),
]


@pytest.mark.parametrize(("service", "proto", "port", "payload", "sender"), CASES)
def test_each_is_named_by_what_it_begins_with(
    service: str, proto: int, port: int, payload: bytes, sender: str
) -> None:
    assert named(proto, port, payload, sender) == service


def test_every_service_of_the_file_is_shown() -> None:
    text = files("citygate.catalogue").joinpath("protocols.yaml").read_text()
    assert {case[0] for case in CASES} == {entry["service"] for entry in yaml.safe_load(text)["services"]}


@pytest.mark.parametrize(
    ("proto", "port", "payload", "sender"),
    [
        (TCP, 21, b"220 files.example.org FTP\r\n", "server"),
        (TCP, 21, b"USER me\r\n", "client"),
        (TCP, 21, b"PASS word\r\n", "client"),
        (TCP, 110, b"USER me\r\n", "client"),
        (TCP, 80, b"<?xml version='1.0'?><rss>", "server"),
        (TCP, 443, b"\x16\3\1\2\0\1\0\1\xfc\3\3", "client"),
        (TCP, 3389, b"\3\0\0\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\3\0\0\0", "client"),
        (TCP, 1720, b"\3\0\0\x50\x08\2\0\1\5\4\3\x80\x90", "client"),
        (UDP, 3478, b"\0\1\0\x08\x21\x12\xa4\x42" + bytes(20), "client"),
        (UDP, 69, b"\0\3\0\1" + bytes(512), "server"),
        (UDP, 5004, b"\x80\0\0\1\0\0\0\xa0\1\2\3\4" + bytes(160), "client"),
        (UDP, 5351, b"\0\1\0\x08\x21\x12\xa4\x42" + bytes(20), "client"),
        (UDP, 2055, b"\x80\x05\0\1\0\0\0\xa0\1\2\3\4", "client"),
        (UDP, 51820, b"\1\0\0\0" + bytes(144), "client"),
        (UDP, 8000, b"\x02" + bytes(40), "client"),
    ],
)
def test_others_are_not(proto: int, port: int, payload: bytes, sender: str) -> None:
    assert named(proto, port, payload, sender) in ("no", "more")
