"""``./run accuracy FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.accuracy import golden
from bench.accuracy.document import document
from bench.accuracy.measure import run
from bench.accuracy.reasons import idle
from bench.accuracy.report import show, without_reason
from citygate.tables import console


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--wrong", is_flag=True, help="Tell in which captures the confusions are.")
@click.option("--peer", is_flag=True, help="Run nDPI on the same files and show its figures beside.")
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Write the document to this file.")
@click.option("--golden", "rewrite", is_flag=True, help="Keep the names as they are now in tests/golden.")
def main(folder: Path, wrong: bool, peer: bool, markdown: Path | None, rewrite: bool) -> None:
    """How well the flows of the captures in FOLDER are named, against its labels.csv."""
    labels, flows, results = run(folder, peer)
    show(results, console(), wrong)
    if without := sum(key not in labels for key in flows):
        print(f"{without} flows without a label", file=sys.stderr)
    if rewrite:
        golden.write(labels, flows)
    if markdown:
        markdown.write_text(document(results))
        files = {label.file for label in labels.values()}
        for one in idle(results.reasons, results.wrong):
            if one.file in files:
                print(f"reason for what is right now: {one.file}: {one.label} as {one.given}", file=sys.stderr)
        for one in without_reason(results):
            print(f"no reason given: {one.file}: {one.label} as {one.given}", file=sys.stderr)


if __name__ == "__main__":
    main(prog_name="./run accuracy")
