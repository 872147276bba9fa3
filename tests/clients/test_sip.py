"""sipp: calls to a telephone and to a user, with a second of voice. The media goes by the name of its call."""

from __future__ import annotations

import pytest

from tests.clients.programs import program
from tests.clients.stage import CLIENT, PATIENCE, Running, Stage, bracketed, client, server
from tests.conftest import ROOT

pytestmark = pytest.mark.parametrize("family", [4, 6])

SIGNALLING, MEDIA = 5060, 6000
SECOND = b"\xff" * 8000
"""Silence in G.711, mu-law: 8000 samples a second."""
TRANSPORTS = {"udp": "u1", "tcp": "t1"}
# RFC 3966 for the number, which the North American plan keeps free for such uses; RFC 3261, 19.1.1, for user=phone.
CALLEES = {"user": ("bob", ""), "number": ("+12025550123", ""), "telephone": ("5550123", ";user=phone")}


def answer(stage: Stage, transport: str, family: int) -> None:
    """One who takes every call, and returns the voice."""
    own = ["-i", server(family), "-p", str(SIGNALLING), "-mi", server(family), "-mp", str(MEDIA), "-rtp_echo"]
    own += ["-sn", "uas", "-nostdin", "-t", TRANSPORTS[transport]]
    stage.serve(family, transport, SIGNALLING, program("sipp"), *own)


def call(stage: Stage, callee: str, transport: str, family: int) -> Running:
    (stage.folder / "voice.ulaw").write_bytes(SECOND)
    who, kind = CALLEES[callee]
    said = ["-key", "callee", who, "-key", "kind", kind]
    own = ["-i", client(family), "-mi", client(family), "-t", TRANSPORTS[transport], "-m", "1", "-nostdin"]
    own += ["-max_invite_retrans", "2"]  # it gives up after some seconds
    scenario = str(ROOT / "tests/clients/call.xml")
    to = f"{bracketed(server(family))}:{SIGNALLING}"
    return stage.start(CLIENT, program("sipp"), "-sf", scenario, *said, *own, to)


@pytest.mark.parametrize(
    ("callee", "transport", "name"),
    [
        ("user", "udp", "sip"),
        ("user", "tcp", "sip"),
        ("number", "udp", "sip-pstn"),
        ("number", "tcp", "sip-pstn"),
        ("telephone", "udp", "sip-pstn"),
    ],
)
def test_sip(stage: Stage, callee: str, transport: str, name: str, family: int) -> None:
    answer(stage, transport, family)
    call(stage, callee, transport, family).finish()
    assert stage.names() == {(transport.upper(), SIGNALLING): {name}, ("UDP", MEDIA): {name}}


def test_a_region_without_telephone_calls(stage: Stage, family: int) -> None:
    """The call to the number never rings. The same telephone, on the same port, then reaches a user."""
    stage.refuse("service: sip-pstn")
    answer(stage, "udp", family)
    refused = call(stage, "number", "udp", family)
    assert refused.process.wait(PATIENCE) != 0
    assert stage.gateway.total("citygate_flows_named_total", service="sip-pstn") == 1
    call(stage, "user", "udp", family).finish()
    assert stage.names() == {("UDP", SIGNALLING): {"sip"}, ("UDP", MEDIA): {"sip"}}
