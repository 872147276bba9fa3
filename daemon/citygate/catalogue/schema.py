"""The keys of a file of services, built-in or the site's own."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, PlainValidator

from citygate.catalogue.model import Service
from citygate.catalogue.signature import SignatureKeys
from citygate.policy.model import Network
from citygate.policy.prefix import parse_network
from citygate.policy.values import Keys, Name, Some, Text

# RFC 1123, 2.1, with the underscore that names in the wild carry; 253 characters as in RFC 1035, 2.3.4 without the
# final dot.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*", re.ASCII)


def _host(value: object) -> str:
    if not isinstance(value, str) or len(value) > 253 or not _HOST.fullmatch(value):
        sentence = "is not a host name: lower case, such as example.com, or *.example.com for the names below it"
        raise ValueError(f"{value!r} {sentence}")
    return value


def _network(value: object) -> Network:
    network = parse_network(value)
    if network.prefixlen == 0:
        raise ValueError(f"{network} is every address, so every flow would be named so")
    return network


Host = Annotated[str, PlainValidator(_host)]
SomeNetwork = Annotated[Network, PlainValidator(_network)]


class ServiceKeys(Keys):
    service: Name
    category: Name
    title: Text
    parent: Name | None = None
    recognise: Name | None = None
    hosts: Some[Host] = []
    networks: Some[SomeNetwork] = []
    signatures: Annotated[list[SignatureKeys], Field(min_length=1)] = []
    source: Text = ""
    misses: Text = ""

    def typed(self) -> Service:
        return Service(
            name=self.service,
            category=self.category,
            title=self.title,
            recognise=self.recognise,
            hosts=tuple(self.hosts),
            source=self.source,
            misses=self.misses,
            networks=tuple(self.networks),
            signatures=tuple(keys.typed() for keys in self.signatures),
            parent=self.parent,
        )


class FileKeys(Keys):
    services: Annotated[list[ServiceKeys], Field(min_length=1)]
