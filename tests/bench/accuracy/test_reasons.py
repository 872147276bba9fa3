"""reasons.yaml as it is read."""

from __future__ import annotations

import pytest

from bench.accuracy.reasons import idle, parse, written
from bench.accuracy.score import Wrong

ENTRY = """
- files: [a.pcap, b.pcap]
  label: tls
  given: "-"
  reason: The hello is not in the capture.
"""


def test_an_entry_speaks_for_its_files() -> None:
    sentence = "The hello is not in the capture."
    assert parse(ENTRY) == {Wrong("a.pcap", "tls", "-"): sentence, Wrong("b.pcap", "tls", "-"): sentence}


def test_none_are_fine() -> None:
    assert parse("") == parse("[]") == {}


@pytest.mark.parametrize(
    "text",
    [
        ENTRY + ENTRY,
        ENTRY.replace("[a.pcap, b.pcap]", "[]"),
        ENTRY.replace("capture.", "capture"),
        ENTRY.replace("hello is", "hello | is"),
        ENTRY.replace("label: tls", ""),
        ENTRY + "  note: none\n",
    ],
    ids=["twice", "no file", "no sentence", "breaks a table", "no label", "unknown key"],
)
def test_mistakes_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_reasons_for_what_is_right_now() -> None:
    assert idle(parse(ENTRY), [Wrong("a.pcap", "tls", "-")]) == [Wrong("b.pcap", "tls", "-")]


def test_those_of_the_project_can_be_read() -> None:
    written()
