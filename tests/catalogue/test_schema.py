"""An entry of a file of services: its keys, and what a host pattern may be."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from citygate.catalogue import Service
from citygate.catalogue.model import Piece, Signature
from citygate.catalogue.schema import FileKeys, ServiceKeys

NEEDED = {"service": "acme-voice", "category": "voip", "title": "ACME desk phones"}


def hosts(*patterns: object) -> tuple[str, ...]:
    return ServiceKeys.model_validate(NEEDED | {"hosts": list(patterns)}).typed().hosts


def test_every_key_reaches_the_model() -> None:
    entry = {
        **NEEDED,
        "recognise": "sip",
        "hosts": "a.example",
        "source": "RFC 3261",
        "misses": "SIP over TLS",
        "networks": "192.0.2.0/24",
        "signatures": [{"proto": "udp", "port": 5070, "payload": {"text": "AC"}}],
        "parent": "sip",
    }
    (service,) = FileKeys.model_validate({"services": [entry]}).services
    assert service.typed() == Service(
        name="acme-voice",
        category="voip",
        title="ACME desk phones",
        recognise="sip",
        hosts=("a.example",),
        source="RFC 3261",
        misses="SIP over TLS",
        networks=(IPv4Network("192.0.2.0/24"),),
        signatures=(Signature("udp", ((5070, 5070),), (Piece(0, b"AC", b"\xff\xff"),)),),
        parent="sip",
    )


def test_what_may_be_left_out() -> None:
    assert ServiceKeys.model_validate(NEEDED).typed() == Service(
        "acme-voice", "voip", "ACME desk phones", None, (), "", ""
    )


@pytest.mark.parametrize("key", NEEDED)
def test_what_may_not(key: str) -> None:
    with pytest.raises(ValidationError):
        ServiceKeys.model_validate({other: value for other, value in NEEDED.items() if other != key})


LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


@given(st.lists(LABEL, min_size=1, max_size=5).map(".".join))
def test_every_host_name_is_taken_and_the_names_below_it(name: str) -> None:
    assert hosts(name, f"*.{name}") == (name, f"*.{name}")


@pytest.mark.parametrize("host", ["localhost", "_dmarc.example.com", "xn--mnchen-3ya.de", "x" * 63 + ".y", "a.1"])
def test_a_host(host: str) -> None:
    assert hosts(host) == (host,)


@pytest.mark.parametrize(
    "host",
    [
        *["Example.com", "exa mple.com", "*", "*.", "a.*.b", "*a.b", ".a", "a.", "a..b", "-a.b", "a-.b", "münchen.de"],
        *["a/b", "a.b\n", "", "x" * 64 + ".y", ".".join(["abcdefg"] * 32), 7, None, ["a.b"]],
    ],
)
def test_no_host(host: object) -> None:
    with pytest.raises(ValidationError, match="is not a host name"):
        hosts(host)
