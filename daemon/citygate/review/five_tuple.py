"""A flow as people and programs write it: protocol, source, source port, destination, destination port."""

from __future__ import annotations

import re

from citygate.policy.evaluate import Far
from citygate.policy.suggest import meant
from citygate.protocols import NAMES, is_protocol
from citygate.review.ends import parse_address

_ARROW = re.compile(r"([a-z0-9-]+) +(\S+) *> *(\S+)", re.ASCII)
_END = re.compile(r"(?:\[([^]]*)\]|([^:\[\]]*)):([0-9]{1,5})", re.ASCII)  # address in brackets or without colons, port
_FORMS = "write `udp 10.10.0.5:5060 > 198.51.100.10:12340` or `udp,10.10.0.5,5060,198.51.100.10,12340`"
_WITH_PORTS = ("tcp", "udp")


def parse_flow(text: str) -> tuple[Far, Far]:
    """Who opens the flow and the other end. Raises ValueError with a sentence.

    An IPv6 address with a port stands in brackets, or in the form with commas. Protocols other than tcp and udp have no
    ports: `gre 10.10.0.5 > 198.51.100.10`.
    """
    text = text.strip().lower()
    arrow = _ARROW.fullmatch(text)
    if arrow:
        proto, (source, source_port), (destination, port) = arrow[1], _split(arrow[2]), _split(arrow[3])
    else:
        fields = [field.strip() for field in text.split(",")]
        if len(fields) == 3:
            fields = [fields[0], fields[1], "", fields[2], ""]
        if len(fields) != 5:
            raise ValueError(f"{text!r} is not a flow, {_FORMS}")
        proto, source, source_port, destination, port = fields
    ends = _end(proto, source, source_port), _end(proto, destination, port)
    if ends[0].address.version != ends[1].address.version:
        raise ValueError(f"{source} and {destination} are not of one family")
    return ends


def _split(end: str) -> tuple[str, str]:
    """Address and port; no port where none is written."""
    found = _END.fullmatch(end)
    return (found[1] or found[2], found[3]) if found else (end.removeprefix("[").removesuffix("]"), "")


def _end(proto: str, address: str, port: str) -> Far:
    if not is_protocol(proto):
        raise ValueError(f"no protocol `{proto}`{meant(proto, NAMES)}")
    if proto in _WITH_PORTS and not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise ValueError(f"{proto} at {address} needs a port from 1 to 65535, {_FORMS}")
    if proto not in _WITH_PORTS and port:
        raise ValueError(f"only tcp and udp have ports, `{proto}` has none")
    return Far(parse_address(address), proto, int(port) if port else None)
