"""The figures of a run, and the tables in a terminal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from bench.accuracy.corpus import Key, Label
from bench.accuracy.score import MEASURED, ORDINARY, How, Score, Wrong, on_ordinary, percentile
from citygate.catalogue.model import Catalogue

NONE = "–"


@dataclass(frozen=True)
class Results:
    """All there is to tell of one run."""

    labels: Mapping[Key, Label]
    files: int
    catalogue: Catalogue
    scores: Mapping[str, Score]
    wrong: Mapping[Wrong, Sequence[int]]
    renamed: Mapping[int, int]  # flows by how often their name changed
    reasons: Mapping[Wrong, str] = field(default_factory=dict)
    peer: str | None = None  # its name and version
    peer_scores: Mapping[str, Score] = field(default_factory=dict)


def ordered(scores: Iterable[Score]) -> list[Score]:
    """The measured categories first."""
    ranks = {category: rank for rank, category in enumerate(MEASURED)}
    return sorted(scores, key=lambda score: (ranks.get(score.category, len(ranks)), score.category, score.service))


def services(scores: Mapping[str, Score]) -> list[Score]:
    return ordered(score for score in scores.values() if not score.by_host)


def sites(scores: Mapping[str, Score]) -> list[Score]:
    return ordered(score for score in scores.values() if score.by_host)


def ratio(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def passed(values: Sequence[int]) -> str:
    return f"{percentile(values, 0.5)} / {percentile(values, 0.95)}" if values else NONE


def number(value: int) -> str:
    return str(value) if value else ""


def show(results: Results, out: Console, files: bool) -> None:
    """``files``: tell of each confusion in which captures it is."""
    table = Table("service", "category", "flows", "caught", "missed", "by also", "by carrier", "recall",
                  "named", "wrong", "unknown", "precision", "packets", "bytes")  # fmt: skip
    for score in services(results.scores):
        table.add_row(*_row(score))
    out.print(table)
    table = Table("site by host", "category", "named", "by name", "by carrier", "wrong", "unknown", "packets", "bytes")
    for score in sites(results.scores):
        table.add_row(*site_row(score))
    out.print(table)
    if results.peer:
        table = Table("service", "flows", *_beside_columns(results.peer))
        for score, theirs in beside(results):
            table.add_row(score.service, str(len(score.of_labels)), *_beside_figures(score, theirs))
        out.print(table)
    table = Table("labelled", "named", "flows", *(["where"] if files else []))
    for (label, given), where in confusions(results.wrong):
        told = [", ".join(f"{name} {count}" for name, count in where.most_common(8))] if files else []
        table.add_row(label, given, str(where.total()), *told)
    out.print(table)
    out.print(f"{len(results.labels)} labelled flows in {results.files} files")
    worst = on_ordinary(results.wrong, results.catalogue)
    flows = sum(len(results.wrong[one]) for one in worst)
    out.print(f"{', '.join(MEASURED)} names on {', '.join(ORDINARY)} flows: {flows}")


def _row(score: Score) -> list[str]:
    how = Counter(score.of_labels)
    labels = len(score.of_labels)
    return [
        score.service, score.category, number(labels), number(score.caught), number(labels - score.caught),
        number(how[How.ALSO]), number(how[How.CARRIER]), ratio(score.recall),
        number(len(score.of_named)), number(score.wrong), number(score.on_unknown), ratio(score.precision),
        passed(score.packets), passed(score.bytes),
    ]  # fmt: skip


def site_row(score: Score) -> list[str]:
    how = Counter(score.of_named)
    return [
        score.service, score.category, number(len(score.of_named)), number(how[How.NAME] + how[How.ALSO]),
        number(how[How.CARRIER]), number(score.wrong), number(score.on_unknown), passed(score.packets),
        passed(score.bytes),
    ]  # fmt: skip


def beside(results: Results) -> Iterator[tuple[Score, Score]]:
    """Of each service of which there are labels, ours and the peer's."""
    for score in services(results.scores):
        if score.of_labels:
            yield score, results.peer_scores[score.service]


def _beside_columns(peer: str) -> list[str]:
    return [name for figure in ("recall", "by name", "precision") for name in (figure, peer)]


def _beside_figures(mine: Score, theirs: Score) -> list[str]:
    return [
        ratio(mine.recall), ratio(theirs.recall), ratio(mine.by_name), ratio(theirs.by_name),
        ratio(mine.precision), ratio(theirs.precision),
    ]  # fmt: skip


def behind(mine: Score, theirs: Score) -> bool:
    """Where no flow has the name at all, recall says it."""
    figures = (mine.recall, theirs.recall), (mine.precision, theirs.precision)
    return any(one is not None and other is not None and one < other for one, other in figures)


def below_marks(results: Results) -> list[Score]:
    return [score for score in services(results.scores) if score.below]


def below_peer(results: Results) -> list[Score]:
    """Of the measured categories alone."""
    if not results.peer:
        return []
    return [mine for mine, theirs in beside(results) if mine.category in MEASURED and behind(mine, theirs)]


def of_services(results: Results, scores: Iterable[Score]) -> list[Wrong]:
    names = {score.service for score in scores}
    return [one for one in results.wrong if names & {one.label, one.given}]


def without_reason(results: Results) -> list[Wrong]:
    """What the document owes its readers."""
    return sorted(results.wrong.keys() - results.reasons.keys())


def confusions(wrong: Mapping[Wrong, Sequence[int]]) -> list[tuple[tuple[str, str], Counter[str]]]:
    """(label, name given) with the flows of each file; the most first."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for one, numbers in wrong.items():
        found[one.label, one.given][one.file] += len(numbers)
    return sorted(found.items(), key=lambda item: (-item[1].total(), item[0]))
