"""`citygate test DIR`: the policy tests in ``DIR/tests``, put to the reference evaluator."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from rich.text import Text

from citygate.catalogue.load import builtin
from citygate.policy.dscp import dscp_text
from citygate.policy.evaluate import Far, FlowOutcome, clock, decide_flow, today
from citygate.policy.load import Loaded, load, yaml_files
from citygate.policy.model import Address, Name
from citygate.policy.moment import moment_in
from citygate.policy.problem import PolicyError, Problem
from citygate.policy.provider import provider_of, wrong_name
from citygate.policy.rate import rate_text
from citygate.policy.shape import fit
from citygate.policy.source import NodePath, Source, read
from citygate.policy.suggest import meant
from citygate.policy.zones import ZoneIndex, carve
from citygate.review.ends import ANY, elsewhere
from citygate.review.reasons import Reading, answering, in_words, name_text, readings
from citygate.review.trial_schema import ExpectKeys, TrialKeys, TrialsKeys
from citygate.review.words import UNDECIDED, time_text
from citygate.tables import console

TESTS = "tests"

Values = dict[str, str | None]
"""What is expected or found, in words, by the key of the test's file."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One flow of a test, and what the policy says of it."""

    place: str  # file:line
    flow: str
    at: datetime
    expected: Values
    found: Values  # the same keys
    decided: str  # by which rule or default, and where it is written
    why: tuple[str, ...] = ()  # where it failed: what became of the rules that should have decided

    @property
    def passed(self) -> bool:
        return self.expected == self.found


@dataclass(frozen=True, slots=True)
class Trial:
    name: str
    place: str
    asked: tuple[Asked, ...]

    @property
    def passed(self) -> bool:
        return all(one.passed for one in self.asked)


def run(directory: Path, as_json: bool = False, out: TextIO | None = None) -> int:
    """Print how each test ends. 1 when one fails, a file is wrong or there is none, else 0."""
    try:
        loaded = load(directory, builtin())
        trials, problems = read_trials(directory, loaded)
    except PolicyError as error:
        trials, problems = [], list(error.problems)
    failed = sum(not trial.passed for trial in trials)
    if as_json:
        print(json.dumps(_as_json(trials, problems)), file=out)
    else:
        for problem in problems:
            print(problem, file=sys.stderr)
        for trial in trials:
            _print(trial, out)
        if trials:
            _line(f"{len(trials) - failed} passed, {failed} failed", out)
    return 1 if failed or problems else 0


def read_trials(directory: Path, loaded: Loaded) -> tuple[list[Trial], list[Problem]]:
    """The tests beside a policy with their outcomes, and what is wrong with their files."""
    try:
        files = yaml_files(directory / TESTS, missing_ok=True)
    except OSError as error:
        return [], [Problem(str(directory / TESTS), 1, 1, f"cannot be read: {(error.strerror or str(error)).lower()}")]
    problems = [
        Problem(str(p), 1, 1, "the name of a file of tests ends in .yaml") for p in files if p.suffix != ".yaml"
    ]
    if not files:
        problems.append(Problem(str(directory / TESTS), 1, 1, "there is no file of tests (*.yaml) here"))
    world = _World(loaded)
    trials: list[Trial] = []
    for path in files:
        if path.suffix == ".yaml":
            source = as_mapping(read(path))
            keys = fit(source, TrialsKeys)
            found = list(_trials(source, keys, world)) if keys else []
            problems += source.problems
            trials += found if not source.problems else []
    return trials, sorted(problems)


def as_mapping(source: Source) -> Source:
    """The file as if its list stood under a key, for schemas are of mappings."""
    if source.usable and not isinstance(source.data, list):
        source.problems.append(
            source.problem(source.place(()), "a file of tests must be a list, each test with `- name:`")
        )
        source.usable = False
    return Source(
        source.name,
        {TESTS: source.data},
        source.usable,
        source.problems,
        {(TESTS, *path): place for path, place in source.values.items()},
        {(TESTS, *path): place for path, place in source.keys.items()},
    )


class _World:
    """A policy, ready to be asked about many flows."""

    def __init__(self, loaded: Loaded) -> None:
        self.policy = loaded.policy
        self.names = loaded.names
        self.places = loaded.places
        self.zones = ZoneIndex(carve(loaded.policy))
        self._elsewhere: dict[int, Address] = {}

    def elsewhere(self, version: int) -> Address:
        """The same address for all tests. Raises ValueError."""
        if version not in self._elsewhere:
            self._elsewhere[version] = elsewhere(self.policy, version)
        return self._elsewhere[version]


def _trials(source: Source, keys: TrialsKeys, world: _World) -> Iterator[Trial]:
    """Each test that is sound; what is wrong with the others is added to the source's problems."""
    for i, trial in enumerate(keys.tests):
        asked = []
        for j, expect in enumerate(trial.expect):
            path = (TESTS, i, "expect", j)
            wrong = list(_wrong(source, path, expect, world))
            source.problems += wrong
            if not wrong:
                asked.append(_ask(f"{source.name}:{source.place(path).line}", trial, expect, world))
        yield Trial(trial.name, f"{source.name}:{source.place((TESTS, i)).line}", tuple(asked))


def _wrong(source: Source, path: NodePath, expect: ExpectKeys, world: _World) -> Iterator[Problem]:
    """What the schema cannot see: words that the policy does not have, and values that do not go together."""

    def problem(key: str, sentence: str) -> Problem:
        return source.problem(source.place((*path, key)), sentence)

    zone = world.zones.find(expect.origin)
    if not zone:
        yield problem("from", f"{expect.origin} is no subscriber: it is in no region")
    wrong = wrong_name(world.names, expect.service, expect.provider)
    if wrong:
        yield problem(*wrong)
    if expect.to and expect.to.version != expect.origin.version:
        yield problem("to", f"{expect.to} and {expect.origin} are not of one family")
    elif not expect.to:
        try:
            world.elsewhere(expect.origin.version)
        except ValueError as error:
            yield problem("from", str(error))
    ends = [zone, world.zones.find(expect.to) if expect.to else None]
    rules = [rule.name for end in ends if end for rule in end.region.rules]
    if expect.rule and zone and expect.rule not in rules:
        yield problem("rule", f"no rule `{expect.rule}` in region `{zone.region.name}`{meant(expect.rule, rules)}")


def _ask(place: str, trial: TrialKeys, expect: ExpectKeys, world: _World) -> Asked:
    """Put one flow to the policy. The expectation is sound."""
    names = world.names
    to = expect.to or world.elsewhere(expect.origin.version)
    name = None
    if expect.service:
        name = Name(expect.service, expect.provider or provider_of(names, expect.service, (to, expect.origin)))
    proto, port = expect.port or (ANY, None)
    origin, far = Far(expect.origin, proto, None), Far(to, proto, port)
    zones = world.zones.find(expect.origin), world.zones.find(to)
    assert zones[0]
    home = zones[0].region
    at = moment_in(home.timezone, trial.at)
    outcome = decide_flow(*zones, name, origin, far, at, names)
    found = _found(outcome)
    found["licence"] = str(names.licence(name or Name(""), home.name, today(home.timezone, at)))
    expected = _expected(expect)
    asked = Asked(
        place=place,
        flow=_flow(expect, name),
        at=at.astimezone(clock(home.timezone)),
        expected=expected,
        found={key: found[key] for key in expected},
        decided=_decided(outcome, name, world),
    )
    if asked.passed:
        return asked
    sides = ((zones[0], origin, far), (zones[1], far, origin))
    read_by = [readings(zone.region, name, end.address, other, at, names) for zone, end, other in sides if zone]
    return replace(asked, why=tuple(_why(chain.from_iterable(read_by), expected, found["rule"])))


def _expected(expect: ExpectKeys) -> Values:
    given = {
        "decision": expect.decision,
        "rule": expect.rule,
        "licence": expect.licence,
        "rate": None if expect.rate is None else rate_text(expect.rate),
        "dscp": None if expect.dscp is None else dscp_text(expect.dscp),
    }
    return {key: str(value) for key, value in given.items() if value is not None}


def _found(outcome: FlowOutcome) -> Values:
    end = answering(outcome)
    rate = end.effect.rate if end and end.effect else 0
    return {
        "decision": str(outcome.action or UNDECIDED),
        "rule": end.rule if end else None,
        "rate": rate_text(rate) if rate else None,
        "dscp": None if outcome.dscp is None else dscp_text(outcome.dscp),
    }


def _decided(outcome: FlowOutcome, name: Name | None, world: _World) -> str:
    """Who decided, for people, with its place."""
    end = answering(outcome)
    assert outcome.zone and end
    region = outcome.zone.region.name
    place = world.places[region, end.rule or ""]
    if end.rule:
        return f"by rule {end.rule} of {region}, {place}"
    return f"by the default of {region}, {place}" if name else f"in {region}, {place}"


def _why(found: Iterable[Reading], expected: Values, rule: str | None) -> Iterator[str]:
    """Why the expected rule did not decide; where none is named, those that would have done the same to such a flow."""
    for reading in found:
        if "rule" in expected:
            near = reading.rule.name == expected["rule"]
        else:
            near = reading.rule.action == expected["decision"] and not {"service", "category"} & {
                reason.key for reason in reading.why
            }
        if near and reading.rule.name != rule:
            yield f"rule {reading.rule.name} {in_words(reading)}"


def _flow(expect: ExpectKeys, name: Name | None) -> str:
    words = [f"from {expect.origin}"]
    if expect.to:
        words.append(f"to {expect.to}")
    if expect.port:
        words.append("port {}/{}".format(*expect.port))
    words.append(name_text(name))
    return ", ".join(words)


def _print(trial: Trial, out: TextIO | None) -> None:
    _line(f"{'ok  ' if trial.passed else 'FAIL'}  {trial.name}", out)
    for one in trial.asked:
        if not one.passed:
            _line(f"      {one.place}: {one.flow}, {time_text(one.at)}", out)
            _line(f"        expected  {_words(one.expected)}", out)
            _line(f"        found     {_words(_but_rule(one.found))}, {one.decided}", out)
            for sentence in one.why:
                _line(f"        why       {sentence}", out)


def _words(values: Values) -> str:
    return ", ".join(f"{key} {value or 'none'}" for key, value in values.items())


def _but_rule(values: Values) -> Values:
    """The rule is told with its place."""
    return {key: value for key, value in values.items() if key != "rule"}


def _line(text: str, out: TextIO | None) -> None:
    console(out).print(Text(text), soft_wrap=True)


def _as_json(trials: list[Trial], problems: list[Problem]) -> dict[str, Any]:
    return {
        "passed": sum(trial.passed for trial in trials),
        "failed": sum(not trial.passed for trial in trials),
        "tests": [
            {
                "name": trial.name,
                "place": trial.place,
                "passed": trial.passed,
                "expect": [asdict(one) | {"at": one.at.isoformat(), "passed": one.passed} for one in trial.asked],
            }
            for trial in trials
        ],
        "problems": [asdict(problem) for problem in problems],
    }
