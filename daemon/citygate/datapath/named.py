"""What the classifier tells of a flow it has named."""

from __future__ import annotations

from typing import NamedTuple


class Named(NamedTuple):
    """One naming. ``src`` is the flow's originator; ports are 0 where the protocol has none.

    ``packets``, ``payloads`` (packets that carried any) and ``bytes`` (of payload, on the wire) count both directions,
    up to and including the packet that named the flow.
    """

    time_ms: int  # the clock given with the packet: monotonic in a Worker, the capture's own in a capture
    proto: int  # IANA protocol number
    src: str
    sport: int
    dst: str
    dport: int
    family: int  # 4 or 6
    service: str
    provider: str  # empty where the far end is no provider's that may offer the service
    protocol: str  # a name of recognise.table.PROTOCOL_NAMES
    host: str  # empty when none was seen
    alpn: str  # TLS and QUIC: the first protocol offered; empty when none was
    ech: bool  # TLS and QUIC: the hello has an encrypted inner one, or looks so
    why: str  # what gave it away, in a few words
    class_number: int
    zone: int
    packets: int
    payloads: int
    bytes: int
    final: bool  # False: a guess, or a flow of many messages; it keeps being asked about


class Unnamed(NamedTuple):
    """A flow that has no name yet. ``src`` is the originator."""

    proto: int
    src: str
    sport: int
    dst: str
    dport: int
    family: int
    packets: int
