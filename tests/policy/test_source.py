"""Reading YAML: places of nodes, what is refused, and that nothing in a file can break the reader."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from citygate.policy.source import DEPTH, NODES, SENTENCE, SIZE, Place, Source, parse, read


def refused(data: str | bytes) -> tuple[int, int, str]:
    """Place and sentence of the only problem."""
    source = parse(data.encode() if isinstance(data, str) else data, "f.yaml")
    (problem,) = source.problems
    assert problem.file == "f.yaml"
    return problem.line, problem.column, problem.sentence


TEXT = """\
# a region
region: shenzhen
subscribers: [10.10.0.0/16, fd00:10::/48]
rules:
  - name: skypeout
    match: {service: skypeout}
"""


def test_every_node_has_its_place() -> None:
    source = parse(TEXT.encode(), "f.yaml")
    assert source.usable and not source.problems
    assert source.data == yaml.safe_load(TEXT)
    assert source.values[()] == Place(2, 1)
    assert source.values["region",] == Place(2, 9)
    assert source.values["subscribers", 1] == Place(3, 29)
    assert source.keys["rules", 0, "match"] == Place(6, 5)
    assert source.values["rules", 0, "match", "service"] == Place(6, 22)


def test_a_path_that_is_not_there_falls_back_to_what_holds_it() -> None:
    source = parse(TEXT.encode(), "f.yaml")
    assert source.place(("rules", 0, "match", "port", 3)) == source.values["rules", 0, "match"]
    assert source.key_place(("rules", 0, "action")) == source.values["rules", 0]


def test_columns_count_characters_not_bytes() -> None:
    source = parse("深圳: [北京, 上海]".encode(), "f.yaml")
    assert source.values["深圳", 1] == Place(1, 10)


def test_a_byte_order_mark_is_no_content() -> None:
    assert parse(b"\xef\xbb\xbfregion: a", "f.yaml").data == {"region": "a"}


def test_all_duplicate_keys_are_told_and_reading_goes_on() -> None:
    source = parse(b"a: 1\nb: 2\na: 3\nc: {d: 1, d: 2}\n", "f.yaml")
    assert [(p.line, p.column) for p in source.problems] == [(3, 1), (4, 11)]
    assert source.problems[0].sentence == "`a` is given twice in one mapping, first in line 1"
    assert source.usable


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: [1, 2\n", (2, 1), "not valid YAML"),
        ("a: b: c\n", (1, 5), "not valid YAML"),
        ("a:\n\t- b\n", (2, 1), "not valid YAML"),
        ("a: 'b\n", (2, 1), "not valid YAML"),
        ("a: 1\n--- \nb: 2\n", (2, 1), "one YAML document"),
        ("a: &x 1\nb: *x\n", (2, 4), "aliases (*x) are not allowed"),
        ("a: !!python/name:os.system x\n", (1, 4), "tags (tag:yaml.org,2002:python/name:os.system)"),
        ("a: !secret {b: c}\n", (1, 4), "tags (!secret)"),
        ("? [a, b]\n: c\n", (1, 3), "a key must be plain text"),
        ("", (1, 1), "the file is empty"),
        ("# only a comment\n", (1, 1), "the file is empty"),
        ("a: 1\nb: \x00\n", (2, 4), "U+0000 is not allowed"),
        ("a: 1\nb: x\x07y\n", (2, 5), "U+0007 is not allowed"),
    ],
)
def test_what_is_not_of_the_language_is_refused_at_its_place(text: str, place: tuple[int, int], words: str) -> None:
    line, column, sentence = refused(text)
    assert (line, column) == place
    assert words in sentence
    assert "\n" not in sentence


def test_bytes_that_are_not_utf8() -> None:
    assert refused(b"a: 1\nb: \xc3\xa9 \xff\n") == (2, 6, "byte 0xff is not UTF-8")
    assert refused("a: 1".encode("utf-16"))[2] == "byte 0xff is not UTF-8"


def test_a_file_too_large() -> None:
    assert refused(b"#" * (SIZE + 1))[2] == f"the file is larger than {SIZE} bytes"


def test_too_many_values() -> None:
    assert refused("[" + "a," * (NODES + 1) + "]")[2] == f"the file has more than {NODES} values"


def test_nesting_up_to_the_limit() -> None:
    assert parse(b"[" * DEPTH + b"]" * DEPTH, "f.yaml").usable
    assert refused(b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1))[1:] == (
        DEPTH + 1,
        f"lists and mappings are nested more than {DEPTH} deep",
    )


@pytest.mark.parametrize("unit", [b"[", b"{a: ", b"- ", b"? ", b"{", b"!a ", b"&a ", b'"', b"%A\n", b"a: |\n"])
def test_a_file_of_openings_costs_neither_stack_nor_time(unit: bytes) -> None:
    began = time.process_time()
    assert parse((unit * SIZE)[:SIZE], "f.yaml").problems
    assert time.process_time() - began < 20


def test_an_alias_bomb_is_refused_without_growing() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    source = parse("\n".join(lines).encode(), "f.yaml")
    assert len(source.problems) == 90


def test_values_that_only_look_like_numbers_and_dates_stay_text() -> None:
    text = f"a: 2016-13-45\nb: {'9' * 5000}\nc: <<\nd: =\n"
    assert parse(text.encode(), "f.yaml").data == {"a": "2016-13-45", "b": "9" * 5000, "c": "<<", "d": "="}


def test_a_merge_key_is_a_key_like_any_other() -> None:
    assert parse(b"<<: {a: 1}", "f.yaml").data == {"<<": {"a": 1}}


def test_a_sentence_is_one_short_line() -> None:
    problem = Source("f").problem(Place(1, 1), "x\ny " + "z" * 10_000)
    assert problem.sentence == ("x y " + "z" * 10_000)[:SENTENCE] + "…"
    assert str(problem).startswith("f:1:1: x y zzz")


def test_a_sentence_cannot_speak_to_the_terminal() -> None:
    source = parse(b'"\\e[31mred\\u202e": 1\n"\\e[31mred\\u202e": 2', "f.yaml")
    assert [problem.sentence for problem in source.problems] == [
        "`\ufffd[31mred\ufffd` is given twice in one mapping, first in line 1"
    ]


def test_files_that_cannot_be_read_are_problems(tmp_path: Path) -> None:
    assert read(tmp_path / "none.yaml").problems[0].sentence == "cannot be read: no such file or directory"
    assert read(tmp_path).problems[0].sentence == "cannot be read: is a directory"
    os.mkfifo(tmp_path / "pipe.yaml")
    assert read(tmp_path / "pipe.yaml").problems[0].sentence == "is not a regular file"


def test_a_file_is_read_under_its_own_name(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: 1")
    assert read(file).data == {"a": 1}
    assert read(file).name == str(file)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), inner),
    max_leaves=20,
)


@given(plain, st.booleans())
def test_whatever_yaml_writes_is_read_back(data: object, flow: bool) -> None:
    # The writer turns equal objects into aliases unless told not to.
    dumper = type("Dumper", (yaml.SafeDumper,), {"ignore_aliases": lambda self, data: True})
    text = yaml.dump(data, Dumper=dumper, default_flow_style=flow, allow_unicode=True)
    source = parse(text.encode(), "f.yaml")
    if source.usable:
        assert source.data == data
    else:
        assert "nested" in source.problems[0].sentence


@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"%@`#,? \n\t0", max_size=200).map(str.encode))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    source = parse(data, "f.yaml")
    assert source.usable or source.problems
    lines = data.count(b"\n") + data.count(b"\r") + data.count(b"\xc2\x85") + data.count(b"\xe2\x80") + 2
    for problem in source.problems:
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.sentence
