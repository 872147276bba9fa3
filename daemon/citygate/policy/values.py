"""Building blocks of the files' schemas: the base of all mappings, and values that several of them hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from citygate.policy.suggest import listed, meant

T = TypeVar("T")

_NAME = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)


class Keys(BaseModel):
    """The keys of one mapping. Any other is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text (in quotes where YAML takes it for a number, a date or yes and no)")
    return value


def _name(value: object) -> str:
    text = _text(value)
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a name: 1 to 40 of a-z, 0-9 and the hyphen")
    return text


def _several(value: object) -> object:
    """One value where several may stand."""
    return value if isinstance(value, list | dict | None) else [value]


Text = Annotated[str, PlainValidator(_text)]
Name = Annotated[str, PlainValidator(_name)]
# A list that is written must hold something: an empty one would read as "no condition" and match everything.
Some = Annotated[list[T], BeforeValidator(_several), Field(min_length=1)]


def one_of(*allowed: T) -> Callable[[object], T]:
    """A reader for one of a few words; each of ``allowed`` equals its word."""
    words = [str(choice) for choice in allowed]

    def read(value: object) -> T:
        for choice, word in zip(allowed, words, strict=True):
            if value == word:
                return choice
        if isinstance(value, str):
            raise ValueError(f"{value!r} is not {listed(words)}{meant(value, words)}")
        raise ValueError(f"must be {listed(words)}")

    return read
