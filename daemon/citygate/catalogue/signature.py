"""The keys of one signature, and what makes one too weak to name a flow by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainValidator, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from citygate.catalogue.arrange import PORTS, by_port, byte_keys, port_count
from citygate.catalogue.model import Piece, Signature
from citygate.catalogue.ordinary import ordinary
from citygate.policy.values import Keys, Some, one_of

REACH = 512  # bytes of a payload that pieces may lie in
PIECES = 8  # of a signature

# A signature must leave at most one in 2^32 payloads of chance: by its bits, and by its ports where they are few.
STRENGTH = 32
PORT_BITS = 16

_HEX = re.compile(r"(?:[0-9a-f?]{2})+", re.ASCII | re.IGNORECASE)
_PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})", re.ASCII)
_LENGTHS = re.compile(r"([0-9]{1,5})\.\.([0-9]{1,5})", re.ASCII)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _at(value: object) -> int:
    number = _number(value)
    if number is None or not -REACH <= number < REACH:
        raise ValueError(f"must be a whole number from {-REACH} (from the end) to {REACH - 1}")
    return number


def _hex(value: object) -> tuple[bytes, bytes]:
    """Value and mask."""
    digits = "".join(value.split()) if isinstance(value, str) else ""
    if not _HEX.fullmatch(digits):
        raise ValueError('must be text of two digits a byte, ? for any, such as "ac 3e ?? 0?"')
    return bytes.fromhex(digits.replace("?", "0")), bytes.fromhex(re.sub("[^?]", "f", digits).replace("?", "0"))


def _text(value: object) -> tuple[bytes, bytes]:
    """Value and mask."""
    if not isinstance(value, str) or not value or not value.isascii():
        raise ValueError("must be text in ASCII; other bytes are written as `hex`")
    return value.encode(), b"\xff" * len(value)


def _ports(value: object) -> tuple[int, int]:
    number = _number(value)
    found = _PORTS.fullmatch(value) if isinstance(value, str) else None
    first, last = (int(found[1]), int(found[2])) if found else (number or 0, number or 0)
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"{value!r} is not a port from 1 to 65535, nor a range such as 5070-5079")
    return first, last


def _lengths(value: object) -> tuple[int, int]:
    number = _number(value)
    found = _LENGTHS.fullmatch(value) if isinstance(value, str) else None
    first, last = (int(found[1]), int(found[2])) if found else (number or 0, number or 0)
    if not 1 <= first <= last <= 65535:
        raise ValueError(f'{value!r} is not a length from 1 to 65535, nor a range such as "16..1400"')
    return first, last


class PieceKeys(Keys):
    at: Annotated[int, PlainValidator(_at)] = 0
    hex: Annotated[tuple[bytes, bytes] | None, PlainValidator(_hex)] = None
    text: Annotated[tuple[bytes, bytes] | None, PlainValidator(_text)] = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.hex is None) == (self.text is None):
            raise ValueError("must have either `hex` or `text`")
        piece = self.typed()
        end = piece.at + len(piece.value)
        if piece.at >= 0 and end > REACH:
            raise ValueError(f"must lie within the payload's first {REACH} bytes")
        if piece.at < 0 < end:
            raise ValueError("must not begin before the datagram's end and go beyond it")
        return self

    def typed(self) -> Piece:
        given = self.hex or self.text
        assert given
        return Piece(self.at, *given)


def _pieces(value: object, several: ValidatorFunctionWrapHandler) -> Any:
    """One piece where several may stand: its mistakes are then told where it stands, not as an entry."""
    return [PieceKeys.model_validate(value)] if isinstance(value, dict) else several(value)


class SignatureKeys(Keys):
    proto: Annotated[Literal["tcp", "udp"], PlainValidator(one_of("tcp", "udp"))]
    port: Some[Annotated[tuple[int, int], PlainValidator(_ports)]] = []
    payload: Annotated[list[PieceKeys], Field(min_length=1, max_length=PIECES), WrapValidator(_pieces)]
    length: Annotated[tuple[int, int] | None, PlainValidator(_lengths)] = None
    sender: Annotated[str | None, PlainValidator(one_of("client", "server"))] = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for wrong in (*_impossible(self.typed()), *_weak(self.typed())):
            raise ValueError(wrong)
        return self

    def typed(self) -> Signature:
        pieces = sorted((keys.typed() for keys in self.payload), key=lambda piece: piece.at)
        return Signature(self.proto, tuple(sorted(self.port)), tuple(pieces), self.length, self.sender)


def _impossible(signature: Signature) -> Iterator[str]:
    """Why no payload, or none of this protocol, can be so."""
    pieces = signature.pieces
    if signature.proto == "tcp" and signature.lengths:
        yield "a TCP stream has no length: `length` is for udp"
    if signature.proto == "tcp" and pieces[0].at < 0:
        yield "a TCP stream has no end to count from: `at` below 0 is for udp"
    if any(a.at + len(a.value) > b.at for a, b in pairwise(pieces) if (a.at < 0) == (b.at < 0)):
        yield "two pieces of its payload overlap"
    needed = max(-piece.at if piece.at < 0 else piece.at + len(piece.value) for piece in pieces)
    if signature.lengths and needed > signature.lengths[1]:
        yield f"its payload reaches over {needed} bytes, and `length` allows {signature.lengths[1]}"


def _weak(signature: Signature) -> Iterator[str]:
    """Why too much would be so. A port is worth its bits only where there are few."""
    ports = port_count(signature)
    needed = STRENGTH - (PORT_BITS - (ports - 1).bit_length() if by_port(signature) else 0)
    on = f"on {ports} port{'s' if ports > 1 else ''}" if ports else "on any port"
    if signature.fixed_bits < needed:
        less = "" if by_port(signature) else f", or name at most {PORTS} ports"
        yield (
            f"it fixes {signature.fixed_bits} bits, and {on} it needs {needed} or other traffic would fit too: give"
            f" more bytes of the payload without wildcard{less}"
        )
    elif what := ordinary(signature):
        yield f"any {what} fits it, so ordinary traffic would be named so: give more bytes of the payload"
    elif not by_port(signature) and not any(byte_keys(signature)):
        yield f"{on} it needs two neighbouring bytes without wildcard, to be looked for by"
