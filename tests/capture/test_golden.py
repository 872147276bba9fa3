"""Every flow of the captures of others is named as tests/golden and docs/accuracy.md say, and the names do no harm."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from bench.accuracy import golden
from bench.accuracy.document import document
from bench.accuracy.measure import Run, run
from bench.accuracy.reasons import idle
from bench.accuracy.report import without_reason
from bench.accuracy.score import on_ordinary
from tests.conftest import ROOT

DOCUMENT = ROOT / "docs" / "accuracy.md"
SHOWN = 60  # lines of a difference
AGAIN = "./run accuracy FOLDER --peer --golden --markdown docs/accuracy.md"


@pytest.fixture(scope="module")
def done(captures: Path) -> Run:
    if not (captures / "labels.csv").is_file():
        pytest.skip(f"no labels.csv in {captures}")
    return run(captures, peer=True)


@pytest.fixture(scope="module")
def same_captures(done: Run) -> None:
    if not {line.split(",")[0] for line in golden.FILE.read_text().splitlines()[1:]} & {key[0] for key in done.flows}:
        pytest.skip("tests/golden was made from other captures")


def compare(kept: list[str], found: list[str]) -> None:
    lines = difflib.unified_diff(kept, found, "kept", "found", lineterm="", n=0)
    changed = [line for line in lines if not line.startswith("@@")]
    if changed:
        more = [f"... and {len(changed) - SHOWN} lines more"] if len(changed) > SHOWN else []
        how = f"to keep what was found: {AGAIN}"
        pytest.fail("\n".join([*changed[:SHOWN], *more, how]), pytrace=False)


@pytest.mark.usefixtures("same_captures")
def test_names_are_those_kept(done: Run) -> None:
    compare(golden.FILE.read_text().splitlines(), golden.lines(done.labels, done.flows))


@pytest.mark.usefixtures("same_captures")
def test_the_document_tells_of_these_names(done: Run) -> None:
    text = DOCUMENT.read_text()
    if not done.results.peer or done.results.peer not in text:
        pytest.skip(f"made beside another nDPI than {done.results.peer or 'none'}")
    compare(text.splitlines(), document(done.results).splitlines())


@pytest.mark.usefixtures("same_captures")
def test_each_flow_that_is_not_right_has_its_reason(done: Run) -> None:
    assert without_reason(done.results) == []
    assert idle(done.results.reasons, done.results.wrong) == []


def test_no_call_tunnel_or_file_sharing_is_seen_in_web_mail_or_dns_without_a_reason(done: Run) -> None:
    worst = on_ordinary(done.results.wrong, done.results.catalogue)
    without = [one for one in worst if one not in done.results.reasons]
    assert [f"{one.file}: {done.results.wrong[one]} {one.label} as {one.given}" for one in without] == []
