"""What is not wrong with a policy but worth saying: never a reason to refuse it.

Kinds: ``unused`` (a rule that changes nothing), ``shadowed`` (values of a rule for which rules above take every flow),
``exception`` (the same of `except` and `only`), ``licence`` (ends, begins or ended), ``provider`` (no flow can be its).
What cannot be told for certain is not said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from citygate.policy.load import PROVIDERS, Loaded
from citygate.policy.model import Licence, Match, Provider, Region, Rule
from citygate.policy.names import Names
from citygate.policy.problem import Problem
from citygate.policy.source import NodePath, Source, read
from citygate.policy.zones import carve_region
from citygate.review.idle import Shadowed, Unused, applies_to_nobody, counts_nothing, idle

SHOWN = 5  # of a list in a sentence


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing worth saying. ``region``, ``rule`` and ``provider`` are empty where it is not about one."""

    kind: str
    problem: Problem  # the place and the sentence
    region: str = ""
    rule: str = ""
    provider: str = ""


def advise(loaded: Loaded, directory: Path, day: date, ahead: timedelta) -> tuple[Advice, ...]:
    """All advice about the policy loaded from ``directory``, in order of place.

    ``day`` is the day it is given for; licences are told of when they change up to ``ahead`` after it.
    """
    files = _Files(loaded, directory)
    found = [
        *(one for region in loaded.policy.regions for one in _rules(region, loaded.names, files)),
        *_licences(loaded, files, day, ahead),
        *_providers(loaded, files),
    ]
    return tuple(sorted(found, key=lambda advice: advice.problem))


class _Files:
    """The policy's files, read again for the places in them, each when it is first asked about."""

    def __init__(self, loaded: Loaded, directory: Path) -> None:
        self._regions = {region: at.rpartition(":")[0] for (region, rule), at in loaded.places.items() if not rule}
        self._register = str(directory / PROVIDERS)
        self._read: dict[str, Source] = {}

    def in_region(self, region: str, path: NodePath, sentence: str) -> Problem:
        return self._problem(self._regions[region], path, sentence)

    def in_register(self, path: NodePath, sentence: str) -> Problem:
        return self._problem(self._register, path, sentence)

    def _problem(self, file: str, path: NodePath, sentence: str) -> Problem:
        if file not in self._read:
            self._read[file] = read(Path(file))
        source = self._read[file]
        return source.problem(source.place(path), sentence)


def _rules(region: Region, names: Names, files: _Files) -> Iterator[Advice]:
    for i, rule in enumerate(region.rules):
        if applies_to_nobody(rule):
            key, sentence = "rollout", f"rule `{rule.name}` applies to nobody: its rollout is 0 %"
        elif counts_nothing(rule):
            key, sentence = "mode", f"rule `{rule.name}` counts nothing: it would neither refuse nor throttle a packet"
        else:
            continue
        problem = files.in_region(region.name, ("rules", i, key), sentence)
        yield Advice("unused", problem, region.name, rule.name)
    for found in idle(region, tuple(carve_region(region)), names):
        rule = region.rules[found.rule]
        path: NodePath = ("name",)
        if isinstance(found, Unused):
            kind, sentence = "unused", _unused(region, rule, found)
        else:
            kind = "exception" if found.key in ("except", "only") else "shadowed"
            path, sentence = found.values[0][1], _shadowed(region, rule, found)
        problem = files.in_region(region.name, ("rules", found.rule, *path), sentence)
        yield Advice(kind, problem, region.name, rule.name)


def _unused(region: Region, rule: Rule, found: Unused) -> str:
    others = [f"rule `{region.rules[i].name}`" for i in found.instead] + ["the default"] * found.default
    return f"rule `{rule.name}` changes no flow's fate: without it {_listed(others)} would do the same"


def _shadowed(region: Region, rule: Rule, found: Shadowed) -> str:
    above = _listed([f"`{region.rules[i].name}`" for i in found.takers])
    values = _listed([text for text, _ in found.values])
    takes = "takes" if len(found.takers) == 1 else "take"
    what = "needs no exception for" if found.key == "except" else f"never matches {found.key}"
    return f"rule `{rule.name}` {what} {values}: {above} above it {takes} all those flows"


def _licences(loaded: Loaded, files: _Files, day: date, ahead: timedelta) -> Iterator[Advice]:
    """Licences that end or begin within ``ahead``, and those that have ended."""
    for i, provider in enumerate(loaded.policy.providers):
        change = _change(provider, day, ahead)
        if change:
            key, what = change
            asked = _asked(loaded, provider)
            sentence = f"the licence of `{provider.name}` {what}; {asked}"
            problem = files.in_register(("providers", i, "licence", key), sentence)
            yield Advice("licence", problem, provider=provider.name)


def _change(provider: Provider, day: date, ahead: timedelta) -> tuple[str, str] | None:
    """The key of the register that says when, and what happens."""

    def soon(when: date | None) -> str:
        if when is None or not timedelta() <= when - day <= ahead:
            return ""
        days = (when - day).days
        return f"on {when}, " + ("today" if not days else "tomorrow" if days == 1 else f"in {days} days")

    revoked = provider.since if provider.status is Licence.REVOKED else None
    if provider.status not in (Licence.GRANTED, Licence.REVOKED) or (revoked and revoked <= day):
        return None
    if when := soon(revoked):
        return "since", f"is revoked {when}"
    if provider.end and provider.end < day:
        return "until", f"ended on {provider.end}"
    if when := soon(provider.end):
        return "until", f"ends {when}"
    if when := soon(provider.start):
        return "from", f"begins {when}"
    return None


def _asked(loaded: Loaded, provider: Provider) -> str:
    """Which rules ask for the licence of this provider."""
    rules = 0
    regions = []
    for region in loaded.policy.regions:
        asking = sum(_asks(rule, provider, loaded.names) for rule in region.rules)
        if asking and (not provider.regions or region.name in provider.regions):
            rules += asking
            regions.append(region.name)
    if not rules:
        return "no rule asks for it"
    return f"{rules} rule{'s ask' if rules > 1 else ' asks'} for it, in {_listed(regions)}"


def _asks(rule: Rule, provider: Provider, names: Names) -> bool:
    """Whether it makes a difference to the rule what the provider's licence is."""
    match = rule.match
    if not match.licences or (match.providers and provider.name not in match.providers):
        return False
    asked = Match(match.services, match.categories, providers=(provider.name,))
    return bool(names.matching(asked, "", date.min))


def _providers(loaded: Loaded, files: _Files) -> Iterator[Advice]:
    """Providers that no flow can have, told where rules ask for them, or else where they are registered."""
    nobody = {one.name: i for i, one in enumerate(loaded.policy.providers) if not (one.networks or one.hosts)}
    named: set[str] = set()
    for region in loaded.policy.regions:
        for i, rule in enumerate(region.rules):
            for j, name in enumerate(rule.match.providers):
                if name in nobody:
                    named.add(name)
                    sentence = f"rule `{rule.name}` asks for provider `{name}`, which has no endpoints: no flow is its"
                    problem = files.in_region(region.name, ("rules", i, "match", "provider", j), sentence)
                    yield Advice("provider", problem, region.name, rule.name, name)
    for name in nobody.keys() - named:
        sentence = f"provider `{name}` has no endpoints, so no flow is its"
        yield Advice("provider", files.in_register(("providers", nobody[name], "provider"), sentence), provider=name)


def _listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; of many the first."""
    shown: Iterable[str] = words if len(words) <= SHOWN else [*words[: SHOWN - 1], f"{len(words) - SHOWN + 1} more"]
    *first, last = shown
    return f"{', '.join(first)} and {last}" if first else last
