"""The document docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.accuracy.corpus import UNKNOWN
from bench.accuracy.reasons import MISSING
from bench.accuracy.report import (
    NONE,
    Results,
    below_marks,
    below_peer,
    number,
    of_services,
    ordered,
    passed,
    ratio,
    services,
    site_row,
    sites,
)
from bench.accuracy.score import ENOUGH, MEASURED, ORDINARY, PRECISION, RECALL, How, Score, Wrong, on_ordinary

INTRODUCTION = """# How well flows are named

{flows} flows of {files} captures, each flow labelled; {peer}. The captures were recorded by others and
published for testing; they are not part of the project. This page is made by a program, but for the reasons, which are
written by hand in `bench/accuracy/reasons.yaml`:

```
sudo apt-get install libndpi-bin
./run accuracy ../shared/captures --peer --golden --markdown docs/accuracy.md
```

## What is measured, and what is not

- `citygate classify` names the flows of each file with the code of the gateway, every file for itself.
- **caught**: flows of that label whose name is right. Right are the label; a name in the label's `also` (a finer name,
  or another for the same) or our name for it (`bench/accuracy/same.yaml`); and a service that is part of the one
  labelled. A site is named by its host and is right on what carries it (tls, http, quic, dns), unless it is a label
  itself or in {measured}.
- **recall**: caught of the flows labelled. **precision**: right of the flows given that very name, not that of a part.
  The marks are {recall} and {precision}, for services with {enough} labelled flows or more. Every flow that is not
  right is listed, with the reason.
- **nDPI** is `ndpiReader` as it comes, with its guesses by port and address. Both halves of its answer (`STUN.Teams`)
  count, and each may mean several of our services (`bench/accuracy/ndpi.yaml`); where one is right, the answer is.
- **packets passed**, **bytes passed**: what went through before the packet that got its name, both directions together,
  bytes of payload; median and 95th percentile. That packet itself is already judged.
- {unknown} flows are labelled `unknown`: a name there counts neither for nor against. Flows labelled `other` are of
  protocols the labels do not list; a wrong name there counts against that name. `unknown` and `encrypted` are no names.
- **Not held out.** These captures were looked at while the recognisers were written. Expect less on others.
- **No forecast.** The captures are cut to the first packets of each flow, and many were chosen because they are hard.
  The figures say what is recognised of which protocol, nothing about the share of a network's traffic.
- **The labels lean on nDPI.** {by_ndpi} of the {labels} that say something come from a newer nDPI (4.11 in
  development; for old Skype that of January 2024), some confirmed with tshark. Where nDPI errs, the label errs with it,
  and the peer is measured against its own successor."""


def document(results: Results) -> str:
    return "\n\n".join(
        (
            _introduction(results),
            _by_service(results),
            _ordinary(results),
            _below(results),
            _besides(results),
            _by_site(results),
            _renamed(results),
        )
    ) + "\n"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], text: int = 1) -> str:
    """The first ``text`` columns are words, the others figures."""
    lines = [columns, ["---" if i < text else "--:" for i in range(len(columns))], *rows]
    return "\n".join("| " + " | ".join(cell or NONE for cell in line) + " |" for line in lines)


def _introduction(results: Results) -> str:
    labels = [label for label in results.labels.values() if label.service != UNKNOWN]
    return INTRODUCTION.format(
        flows=len(results.labels),
        files=results.files,
        peer=f"{results.peer} beside" if results.peer else "nDPI was not run",
        unknown=len(results.labels) - len(labels),
        measured=", ".join(MEASURED),
        recall=RECALL,
        precision=PRECISION,
        enough=ENOUGH,
        labels=len(labels),
        by_ndpi=sum(label.source.startswith("ndpi") for label in labels),
    )


def _by_service(results: Results) -> str:
    columns = ["service", "category", "flows", "caught", "recall", "nDPI", "named", "wrong", "precision", "nDPI"]
    columns += ["packets passed", "bytes passed"]
    shown = [score for score in services(results.scores) if score.of_labels or score.wrong]
    table = _table(columns, (_with_peer(score, results.peer_scores.get(score.service)) for score in shown), 2)
    never_wrong = [score for score in services(results.scores) if score not in shown]
    by = {how: {score.service: score.of_labels.count(how) for score in shown} for how in (How.ALSO, How.CARRIER)}
    lines = [
        f"Right by `also` alone: {_counts(by[How.ALSO])}. Right by what carries the site alone: "
        f"{_counts(by[How.CARRIER])}.",
        f"Names that no label has for its own and that were never wrong: "
        f"{_counts({score.service: len(score.of_named) for score in never_wrong})}.",
        f"Names on flows labelled `unknown`: "
        f"{_counts({score.service: score.on_unknown for score in ordered(results.scores.values())})}.",
    ]
    if results.peer:
        worse = ", ".join(score.service for score in below_peer(results))
        told = f"below nDPI in recall or precision: {worse}; the reasons are below" if worse else "none is below nDPI"
        lines.append(f"Of the services in {', '.join(MEASURED)}, {told}.")
    return "\n\n".join(["## By service", table, *lines])


def _with_peer(mine: Score, theirs: Score | None) -> list[str]:
    return [
        mine.service, mine.category, number(len(mine.of_labels)), number(mine.caught), ratio(mine.recall),
        ratio(theirs.recall if theirs else None), number(len(mine.of_named)), number(mine.wrong),
        ratio(mine.precision), ratio(theirs.precision if theirs else None), passed(mine.packets), passed(mine.bytes),
    ]  # fmt: skip


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "none"


def _ordinary(results: Results) -> str:
    worst = on_ordinary(results.wrong, results.catalogue)
    flows = sum(len(results.wrong[one]) for one in worst)
    text = f"""## The worst fault

Names of the categories {", ".join(MEASURED)} on web, mail or DNS, that is on flows labelled {", ".join(ORDINARY)}:
{flows} flows."""
    return f"{text}\n\n{_flow_by_flow(results, worst)}" if worst else text


def _below(results: Results) -> str:
    worse = [*below_marks(results), *(score for score in below_peer(results) if not score.below)]
    title = "## Below the marks" + (", or below nDPI" if results.peer else "")
    if not worse:
        return f"{title}\n\nNone."
    rows = ([score.service, ratio(score.recall), ratio(score.precision)] for score in worse)
    figures = _table(["service", "recall", "precision"], rows)
    return f"{title}\n\n{figures}\n\n{_flow_by_flow(results, of_services(results, worse))}"


def _besides(results: Results) -> str:
    told = {*of_services(results, [*below_marks(results), *below_peer(results)])}
    others = [one for one in results.wrong if one not in told]
    return f"## What else was not right\n\n{_flow_by_flow(results, others) if others else 'Nothing.'}"


def _flow_by_flow(results: Results, wrong: Iterable[Wrong]) -> str:
    """Flows go by their file and their number in it."""
    rows = [
        [one.file, numbers(results.wrong[one]), one.label, one.given, results.reasons.get(one, MISSING)]
        for one in sorted(wrong, key=lambda one: (one.label, one.given, one.file))
    ]
    return _table(["file", "flows in it", "labelled", "named", "why"], rows, 5)


def numbers(flows: Sequence[int]) -> str:
    """``#1-#3 #7``: numbers that follow each other as one."""
    runs: list[list[int]] = []
    for one in sorted(flows):
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return " ".join(f"#{run[0]}-#{run[-1]}" if len(run) > 2 else " ".join(f"#{one}" for one in run) for run in runs)


def _by_site(results: Results) -> str:
    columns = ["site", "category", "named", "by name", "by carrier", "wrong", "on unknown"]
    columns += ["packets passed", "bytes passed"]
    text = "No recogniser of its own and no label: right by a name in `also`, or by what carries it."
    return f"## Sites named by their host\n\n{text}\n\n" + _table(columns, map(site_row, sites(results.scores)), 2)


def _renamed(results: Results) -> str:
    rows = [[str(times), str(flows)] for times, flows in sorted(results.renamed.items())]
    text = "A guess that gave way to a surer name, the names of a DNS flow's messages apart."
    return f"## Names that changed\n\n{text}\n\n" + _table(["changes of a flow's name", "flows"], rows, 0)
