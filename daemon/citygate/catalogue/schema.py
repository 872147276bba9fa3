"""The keys of a file of services, built-in or the site's own."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, PlainValidator

from citygate.catalogue.model import Service
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


class ServiceKeys(Keys):
    later = ("networks", "signatures")

    service: Name
    category: Name
    title: Text
    recognise: Name | None = None
    hosts: Some[Annotated[str, PlainValidator(_host)]] = []
    source: Text = ""
    misses: Text = ""

    def typed(self) -> Service:
        return Service(
            self.service, self.category, self.title, self.recognise, tuple(self.hosts), self.source, self.misses
        )


class FileKeys(Keys):
    services: Annotated[list[ServiceKeys], Field(min_length=1)]
