"""An answer against its label, and the figures of a service.

An answer is right when one of its names is the label or in the label's ``also``. A service's name is also its parents'.
A site named by its host is right on its carrier's label too, since the site is the finer name; such answers are counted
apart, and a service that is a label itself, or of a category that is measured here, is never excused so.
Labels ``unknown`` say nothing either way: a name given there is counted beside, not against.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from bench.accuracy.corpus import OTHER, UNKNOWN, Key, Label
from citygate.catalogue.model import Catalogue

MEASURED = ("voip", "vpn", "p2p")  # categories that must not be named on ordinary traffic
ORDINARY = ("http", "tls", "quic", "dns", "mdns", "mail")  # labels of ordinary web, mail and DNS flows
ENOUGH = 5  # labelled flows of a service from which on its figures are held against the marks
RECALL, PRECISION = 0.95, 0.98
NO_NAME = "-"

# Labels that the catalogue may have no service for, by what the labels' makers list them under.
CATEGORIES = {
    **dict.fromkeys(("google-meet", "imo", "kakaotalk-call", "line-call", "megaco", "messenger-call"), "voip"),
    **dict.fromkeys(("mumble", "snapchat-call", "teamspeak", "webex"), "voip"),
    **dict.fromkeys(("shadowsocks", "tailscale", "vpn-other"), "vpn"),
    **dict.fromkeys(("ares", "fasttrack"), "p2p"),
}


class Answer(NamedTuple):
    """What a flow was called."""

    names: tuple[str, ...]  # none: it was not named; several: each may be meant
    above: tuple[str, ...] = ()  # the services of which the name is a part
    carrier: str = ""  # of a site named by its host
    packets: int | None = None  # that passed before the name was given
    bytes: int | None = None


class How(Enum):
    NAME = "by the label's name"
    ALSO = "by a name in `also`"
    CARRIER = "by what carries a site named by its host"
    WRONG = "wrong"
    MISSED = "no name"

    @property
    def right(self) -> bool:
        return self in (How.NAME, How.ALSO, How.CARRIER)


def judge(answer: Answer, label: Label) -> How:
    if not answer.names:
        return How.MISSED
    if label.service in (*answer.names, *answer.above):
        return How.NAME
    if label.also.intersection((*answer.names, *answer.above)):
        return How.ALSO
    return How.CARRIER if answer.carrier in label.wanted else How.WRONG


def given(answer: Answer, label: Label) -> str:
    """The one name under which an answer is counted: of several that may be meant, the one that is right."""
    if not answer.names:
        return NO_NAME
    return next((name for name in answer.names if name in label.wanted), answer.names[0])


@dataclass
class Score:
    """The figures of a service. Names given to flows labelled ``unknown`` are in ``on_unknown`` alone."""

    service: str
    category: str
    by_host: bool = False  # a site: no recogniser of its own, and no label
    of_labels: list[How] = field(default_factory=list)  # answers to the flows labelled so
    of_named: list[How] = field(default_factory=list)  # answers that named a flow so
    on_unknown: int = 0
    packets: list[int] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)

    @property
    def caught(self) -> int:
        return sum(how.right for how in self.of_labels)

    @property
    def by_name(self) -> float | None:
        """Recall by the label's own name alone."""
        return self.of_labels.count(How.NAME) / len(self.of_labels) if self.of_labels else None

    @property
    def wrong(self) -> int:
        return sum(not how.right for how in self.of_named)

    @property
    def recall(self) -> float | None:
        return self.caught / len(self.of_labels) if self.of_labels else None

    @property
    def precision(self) -> float | None:
        return 1 - self.wrong / len(self.of_named) if self.of_named else None

    @property
    def below(self) -> bool:
        """Whether its figures ask for a reason."""
        if len(self.of_labels) < ENOUGH:
            return False
        return (self.recall or 0) < RECALL or (self.precision is not None and self.precision < PRECISION)


class Wrong(NamedTuple):
    """What was not right, of one file: not caught (``given`` NO_NAME or another's), or named what it is not."""

    file: str
    label: str
    given: str


def percentile(values: Sequence[int], part: float) -> int:
    """Nearest rank: the smallest value that ``part`` of all do not exceed."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def scores(labels: Mapping[Key, Label], answers: Mapping[Key, Answer], catalogue: Catalogue) -> dict[str, Score]:
    """By service: all that occur in the labels or were given as a name."""
    labelled = {label.service for label in labels.values()}
    found: dict[str, Score] = {}

    def of(service: str) -> Score:
        if service not in found:
            known = catalogue.services.get(service)
            category = known.category if known else CATEGORIES.get(service, "")
            by_host = known is not None and known.recognise is None and bool(known.hosts) and service not in labelled
            found[service] = Score(service, category, by_host)
        return found[service]

    for flow, label in labels.items():
        answer = answers.get(flow, Answer(()))
        how, name = judge(answer, label), given(answer, label)
        if label.service not in (OTHER, UNKNOWN):
            of(label.service).of_labels.append(how)
        if name == NO_NAME:
            continue
        if label.service == UNKNOWN:
            of(name).on_unknown += 1
            continue
        score = of(name)
        score.of_named.append(how)
        if answer.packets is not None and answer.bytes is not None:
            score.packets.append(answer.packets)
            score.bytes.append(answer.bytes)
    return found


def wrongs(labels: Mapping[Key, Label], answers: Mapping[Key, Answer]) -> dict[Wrong, list[int]]:
    """The numbers of the flows, by what was not right. A flow labelled ``other`` that has no name is nobody's."""
    found: dict[Wrong, list[int]] = defaultdict(list)
    for flow, label in labels.items():
        answer = answers.get(flow, Answer(()))
        how = judge(answer, label)
        if how.right or label.service == UNKNOWN or (label.service == OTHER and how is How.MISSED):
            continue
        found[Wrong(label.file, label.service, given(answer, label))].append(label.number)
    return dict(sorted(found.items()))


def on_ordinary(wrong: Iterable[Wrong], catalogue: Catalogue) -> list[Wrong]:
    """The worst fault: a measured name on an ordinary flow."""
    services = catalogue.services
    return [
        one
        for one in wrong
        if one.label in ORDINARY and one.given in services and services[one.given].category in MEASURED
    ]
