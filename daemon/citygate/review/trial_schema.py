"""The keys of a file of policy tests, their types, and how each value is read. One class for each mapping."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PlainValidator

from citygate.policy.dscp import parse_dscp
from citygate.policy.model import Action, Address, Licence
from citygate.policy.moment import Moment, parse_moment
from citygate.policy.rate import parse_rate
from citygate.policy.values import Keys, Name, Text, one_of
from citygate.review.ends import parse_address, parse_port
from citygate.review.words import UNDECIDED

AnAddress = Annotated[Address, PlainValidator(parse_address)]


class ExpectKeys(Keys):
    """One flow, and what is expected of it."""

    origin: AnAddress = Field(alias="from")  # a subscriber, who opens the flow
    service: Name | None = None  # left out: the flow has no name yet
    provider: Name | None = None  # left out: whose network `to` is in
    to: AnAddress | None = None  # left out: an address that no policy speaks of
    port: Annotated[tuple[str, int], PlainValidator(parse_port)] | None = None  # of `to`
    decision: Annotated[str, PlainValidator(one_of(*Action, UNDECIDED))]
    rule: Name | None = None
    licence: Annotated[Licence, PlainValidator(one_of(*Licence))] | None = None
    rate: Annotated[int, PlainValidator(parse_rate)] | None = None
    dscp: Annotated[int, PlainValidator(parse_dscp)] | None = None


class TrialKeys(Keys):
    """One test."""

    name: Text
    at: Annotated[Moment, PlainValidator(parse_moment)] | None = None  # left out: now
    expect: Annotated[list[ExpectKeys], Field(min_length=1)]


class TrialsKeys(Keys):
    """A whole file, under a key that it does not have: the file is a list."""

    tests: Annotated[list[TrialKeys], Field(min_length=1)]
