"""Signatures that ordinary traffic fits, and near ones that it does not."""

from __future__ import annotations

import pytest

from citygate.catalogue import builtin
from citygate.catalogue.model import Signature
from citygate.catalogue.ordinary import ordinary
from citygate.catalogue.signature import PieceKeys


def found(proto: str, *pieces: dict[str, object], port: int = 0, sender: str | None = None) -> str | None:
    typed = tuple(PieceKeys.model_validate(piece).typed() for piece in pieces)
    return ordinary(Signature(proto, ((port, port),) if port else (), typed, None, sender))


@pytest.mark.parametrize(
    ("proto", "piece", "what"),
    [
        ("tcp", {"text": "GET "}, "HTTP request"),
        ("tcp", {"at": 6, "text": "HTTP/1.1\r\n"}, "HTTP request"),
        ("tcp", {"text": "HTTP/1.1 200"}, "HTTP answer"),
        ("tcp", {"hex": "16 03 01 ?? ?? 01 00"}, "TLS client hello"),
        ("tcp", {"text": "SSH-2.0-"}, "SSH greeting"),
        ("tcp", {"text": "EHLO"}, "SMTP greeting"),
        ("udp", {"at": 2, "hex": "01 00 00 01 00 00"}, "DNS question"),
        ("udp", {"at": 1, "hex": "00 00 00 01"}, "QUIC Initial packet"),
        ("udp", {"at": 100, "hex": "00 00 00 00"}, "payload of zeros"),
        ("udp", {"at": -4, "hex": "00 00 00 00"}, "payload of zeros"),
        ("tcp", {"hex": "0? ?0 00 00 00"}, "payload of zeros"),
    ],
)
def test_ordinary(proto: str, piece: dict[str, object], what: str) -> None:
    assert found(proto, piece) == what


@pytest.mark.parametrize(
    ("proto", "piece"),
    [
        ("tcp", {"text": "GET /acme"}),
        ("udp", {"text": "GET "}),
        ("tcp", {"text": "MQTT"}),
        ("tcp", {"hex": "16 03 01 ?? ?? 02"}),
        ("tcp", {"at": -512, "text": "GET "}),
        ("udp", {"at": 500, "text": "GET "}),
    ],
)
def test_not_ordinary(proto: str, piece: dict[str, object]) -> None:
    assert found(proto, piece) is None


def test_ports_and_sender_count() -> None:
    request: dict[str, object] = {"text": "GET "}
    assert found("tcp", request, port=80) == "HTTP request"
    assert found("tcp", request, port=8088) is None
    assert found("tcp", request, sender="client") == "HTTP request"
    assert found("tcp", request, sender="server") is None
    # Zeros are nothing on any port.
    assert found("tcp", {"hex": "00 00"}, port=8088) == "payload of zeros"


def test_all_pieces_must_fit() -> None:
    assert found("tcp", {"text": "GET "}, {"at": 40, "text": "acme"}) is None


def test_no_built_in_signature_is() -> None:
    assert [name for signature, name in builtin().signatures if ordinary(signature)] == []
