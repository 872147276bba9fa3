"""The figures for people: tables in a terminal, and the document docs/accuracy.md."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from bench.accuracy.corpus import Key, Label
from bench.accuracy.reasons import MISSING
from bench.accuracy.score import (
    ENOUGH,
    MEASURED,
    NO_NAME,
    ORDINARY,
    PRECISION,
    RECALL,
    How,
    Score,
    Wrong,
    on_ordinary,
    percentile,
)
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


# In a terminal.


def show(results: Results, out: Console, files: bool) -> None:
    """``files``: tell of each confusion in which captures it is."""
    table = Table("service", "category", "flows", "caught", "missed", "by also", "by carrier", "recall",
                  "named", "wrong", "unknown", "precision", "packets", "bytes")  # fmt: skip
    for score in services(results.scores):
        table.add_row(*_row(score))
    out.print(table)
    table = Table("site by host", "category", "named", "by name", "by carrier", "wrong", "unknown", "packets", "bytes")
    for score in sites(results.scores):
        table.add_row(*_site(score))
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


def _site(score: Score) -> list[str]:
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


def confusions(wrong: Mapping[Wrong, Sequence[int]]) -> list[tuple[tuple[str, str], Counter[str]]]:
    """(label, name given) with the flows of each file; the most first."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for one, numbers in wrong.items():
        found[one.label, one.given][one.file] += len(numbers)
    return sorted(found.items(), key=lambda item: (-item[1].total(), item[0]))


# The document.


def document(results: Results) -> str:
    return "\n\n".join(
        (
            _introduction(results),
            _by_service(results),
            _beside(results),
            _by_site(results),
            _ordinary(results),
            _below(results),
            _renamed(results),
            _confusions(results),
        )
    ) + "\n"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], text: int = 1) -> str:
    """The first ``text`` columns are words, the others figures."""
    lines = [columns, ["---" if i < text else "--:" for i in range(len(columns))], *rows]
    return "\n".join("| " + " | ".join(cell or NONE for cell in line) + " |" for line in lines)


def _introduction(results: Results) -> str:
    labels = [label for label in results.labels.values() if label.service != "unknown"]
    by_ndpi = sum(label.source.startswith("ndpi") for label in labels)
    return f"""# How well flows are named

Made by the program, not by hand; the reasons are written in `bench/accuracy/reasons.yaml`:

```
sudo apt-get install libndpi-bin
./run accuracy ../shared/captures --peer --markdown docs/accuracy.md
```

{results.files} captures recorded by others and published for testing, which are not part of the project, with
{len(results.labels)} flows, each labelled. `citygate classify` reads them with the code of the gateway, file by file.

## How to read it

- **caught**: flows of that label whose name is right. Right are the label, a name in the label's `also` (a finer name,
  or another for the same), and a service that is part of the one labelled. **by also**: how many of the caught have a
  name that is only in `also`.
- A site is named by its host. What carries it (tls, http, quic, dns) is right too, as the site is the finer name:
  **by carrier** counts those that are right by nothing else. It excuses no service that is itself a label, nor any of
  the categories {", ".join(MEASURED)}.
- **recall**: caught of the labelled. **precision**: right of the flows given the name. The marks are {RECALL} and
  {PRECISION} for a service with {ENOUGH} labelled flows or more; below them the reason is given flow by flow.
- Flows labelled `unknown` ({len(results.labels) - len(labels)}) say nothing either way: a name given to one is counted
  under **on unknown**, neither for nor against. Flows labelled `other` are of protocols not listed here; a wrong name
  on one counts against that name. `unknown` and `encrypted` are no names.
- **packets passed**, **bytes passed**: what went through before the packet that got its name, both directions together,
  bytes of payload; median and 95th percentile. That packet itself is already judged.
- The captures were cut to the first packets of each flow, and many were chosen because they are hard. The figures say
  what is recognised of which protocol; they are no forecast of the share of a network's traffic.
- **The labels lean on nDPI.** {by_ndpi} of the {len(labels)} that say something come from a newer nDPI (4.11 in
  development; for old Skype that of January 2024), some confirmed with tshark. Where nDPI errs, the label errs with it,
  and the peer is measured against its own successor."""


def _by_service(results: Results) -> str:
    columns = ["service", "category", "flows", "caught", "missed", "by also", "by carrier", "recall"]
    columns += ["named", "wrong", "on unknown", "precision", "packets passed", "bytes passed"]
    return "## By service\n\n" + _table(columns, (_row(score) for score in services(results.scores)), 2)


def _beside(results: Results) -> str:
    title = "## Beside nDPI\n\n"
    if not results.peer:
        return title + "`ndpiReader` was not run: `--peer`, with Debian's package libndpi-bin installed."
    pairs = list(beside(results))
    rows = [[mine.service, str(len(mine.of_labels)), *_beside_figures(mine, theirs)] for mine, theirs in pairs]
    below = [mine.service for mine, theirs in pairs if mine.category in MEASURED and behind(mine, theirs)]
    told = f"Below nDPI: {', '.join(below)}." if below else "None is below nDPI."
    text = f"""`ndpiReader` of {results.peer} (Debian's package libndpi-bin) on the same files, with its guesses by port
and address. Both halves of its answer (`STUN.Teams`) count, and each may mean several of our services
(`bench/accuracy/ndpi.yaml`); where one of them is right, the answer is. **by name** is recall by the label's own name
alone.

"""
    table = _table(["service", "flows", *_beside_columns("nDPI")], rows)
    return f"{title}{text}{table}\n\nOf the services in {', '.join(MEASURED)}: {told}"


def _by_site(results: Results) -> str:
    columns = ["site", "category", "named", "by name", "by carrier", "wrong", "on unknown"]
    columns += ["packets passed", "bytes passed"]
    return "## Sites named by their host\n\n" + _table(columns, map(_site, sites(results.scores)), 2)


def _ordinary(results: Results) -> str:
    worst = on_ordinary(results.wrong, results.catalogue)
    told = "\n".join(f"- {one.file}: {_flows(results.wrong[one])} {one.label} as {one.given}" for one in worst)
    return f"""## The worst fault

Names of the categories {", ".join(MEASURED)} on flows labelled {", ".join(ORDINARY)}:

{told or "- none"}"""


def _below(results: Results) -> str:
    parts = [
        f"## Below the marks\n\nServices with {ENOUGH} labelled flows or more whose recall is below {RECALL} or "
        f"precision below {PRECISION}. Flows go by their file and their number in it; `{NO_NAME}` is no name."
    ]
    for score in services(results.scores):
        if score.below:
            rows = [
                [one.file, _flows(numbers), one.label, one.given, results.reasons.get(one, MISSING)]
                for one, numbers in of_service(results, score.service).items()
            ]
            figures = f"recall {ratio(score.recall)}, precision {ratio(score.precision)}"
            table = _table(["file", "flows", "labelled", "named", "why"], rows, 5)
            parts.append(f"### {score.service}: {figures}\n\n{table}")
    return "\n\n".join(parts if len(parts) > 1 else [*parts, "None."])


def of_service(results: Results, service: str) -> dict[Wrong, Sequence[int]]:
    return {one: numbers for one, numbers in results.wrong.items() if service in (one.label, one.given)}


def without_reason(results: Results) -> list[Wrong]:
    """What the document owes its readers."""
    below = [score.service for score in services(results.scores) if score.below]
    owed = {one for service in below for one in of_service(results, service)}
    return sorted(owed - results.reasons.keys())


def _flows(numbers: Sequence[int]) -> str:
    return " ".join(f"#{number}" for number in numbers)


def _renamed(results: Results) -> str:
    rows = [[str(times), str(flows)] for times, flows in sorted(results.renamed.items())]
    return "## Names that changed\n\n" + _table(["changes of a flow's name", "flows"], rows, 0)


def _confusions(results: Results) -> str:
    rows = (
        [label, given, str(where.total()), ", ".join(f"{name} {count}" for name, count in where.most_common())]
        for (label, given), where in confusions(results.wrong)
    )
    table = _table(["labelled", "named", "flows", "where"], ([*row] for row in rows), 4)
    return f"## What was taken for what\n\nAll that was not right; `{NO_NAME}` is no name.\n\n{table}"
