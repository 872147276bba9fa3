"""YAML text to plain data, with the place of every node.

Built from the parser's events without recursion, so that a limit is met before memory or stack is spent. The language
is a part of YAML 1.1: one document, no aliases (which also rules out their bombs), no tags, keys are text and unique in
their mapping.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml.constructor import SafeConstructor
from yaml.reader import Reader
from yaml.resolver import Resolver

from citygate.policy.problem import Problem

SIZE = 4 * 1024 * 1024  # bytes of a file: 100,000 IPv6 prefixes, one a line, are 3 MB
NODES = 250_000  # values and keys of a file
SENTENCE = 400  # characters of a problem's sentence
DEPTH = 16  # lists and mappings inside each other; the language needs seven

NodePath = tuple[str | int, ...]
"""Keys and list indices from the top of the file to a node."""

# The C parser gives the same events ten times faster; PyYAML may be built without it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What else a plain word can be in YAML 1.1. Any other tag (`<<`, `=`) is left as the text it is.
_RESOLVER: Any = Resolver()
_TYPED = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "timestamp"))


# YAML 1.1 also reads 010 as eight, 1_0 as ten and 18:00 as 1,080. Who writes that means something else.
_INTEGER = "tag:yaml.org,2002:int"
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)


class Place(NamedTuple):
    line: int  # from 1
    column: int  # from 1, in characters


@dataclass(slots=True)
class Source:
    """One file as read. ``usable`` is False when reading stopped early; ``data`` is None then."""

    name: str
    data: object = None
    usable: bool = False
    problems: list[Problem] = field(default_factory=list)
    values: dict[NodePath, Place] = field(default_factory=dict)
    keys: dict[NodePath, Place] = field(default_factory=dict)

    def place(self, path: NodePath) -> Place:
        """Where the value at ``path`` begins; where there is none, the nearest node around it."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Place(1, 1))

    def key_place(self, path: NodePath) -> Place:
        """Where the key that ``path`` ends in is written."""
        return self.keys.get(path) or self.place(path)

    def problem(self, place: Place, sentence: str) -> Problem:
        """One line, however long or broken the file's own words in it are, and nothing that moves a terminal."""
        line = "".join(sign if sign.isprintable() else "\ufffd" for sign in " ".join(sentence.split()))
        return Problem(self.name, *place, line if len(line) <= SENTENCE else f"{line[:SENTENCE]}…")


class _Stop(Exception):
    """Nothing behind this place can be read."""

    def __init__(self, place: Place, sentence: str) -> None:
        self.place = place
        self.sentence = sentence


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    path: NodePath
    content: list[object] | dict[str, object]
    key: str | None = None  # of a mapping: read, its value not yet


def read(path: Path) -> Source:
    """The file at ``path``. Never raises: what is wrong is in ``problems``."""
    data = fetch(path)
    return parse(data, str(path)) if isinstance(data, bytes) else Source(str(path), problems=[data])


def fetch(path: Path) -> bytes | Problem:
    """The bytes of a file, not more than one too many; or why they cannot be had."""
    name = str(path)
    try:
        # Not a plain open: a FIFO without a writer would hold us for ever.
        with open(path, "rb", opener=lambda file, flags: os.open(file, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return Problem(name, 1, 1, "is not a regular file")
            return file.read(SIZE + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        return Problem(name, 1, 1, f"cannot be read: {reason}")


def parse(data: bytes, name: str) -> Source:
    """``data`` as the file ``name``. Never raises: what is wrong is in ``problems``."""
    source = Source(name)
    try:
        source.data = _build(source, _decode(data))
        source.usable = True
    except _Stop as stop:
        source.problems.append(source.problem(stop.place, stop.sentence))
    return source


def _decode(data: bytes) -> str:
    if len(data) > SIZE:
        raise _Stop(Place(1, 1), f"the file is larger than {SIZE} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        raise _Stop(_place_after(before), f"byte 0x{data[error.start]:02x} is not UTF-8") from None
    unprintable = Reader.NON_PRINTABLE.search(text)
    if unprintable:
        sentence = f"character U+{ord(unprintable.group()):04X} is not allowed in YAML"
        raise _Stop(_place_after(text[: unprintable.start()]), sentence)
    return text


def _place_after(text: str) -> Place:
    return Place(text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1)


def _build(source: Source, text: str) -> object:
    """The only document's data; fills the source's places and its problems that need not stop the reading."""
    top: list[object] = []
    stack = [_Open((), top)]
    documents = nodes = 0
    for event in _events(text):
        assert event.start_mark
        place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _Stop(place, "a file holds one YAML document, here begins a second")
        elif isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
        elif isinstance(event, yaml.NodeEvent):
            nodes += 1
            if nodes > NODES:
                raise _Stop(place, f"the file has more than {NODES} values")
            _node(source, stack, event, place)
    if not top:
        raise _Stop(Place(1, 1), "the file is empty")
    return top[0]


def _events(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        context = f" {error.context}" if error.context else ""
        raise _Stop(place, f"not valid YAML: {error.problem or 'cannot be read'}{context}") from None
    except yaml.YAMLError as error:
        raise _Stop(Place(1, 1), f"not valid YAML: {' '.join(str(error).split())}") from None


def _node(source: Source, stack: list[_Open], event: yaml.NodeEvent, place: Place) -> None:
    """Put a scalar, or the beginning of a list or mapping, where it belongs."""
    parent = stack[-1]
    if isinstance(parent.content, dict) and parent.key is None:
        parent.key = _key(source, parent, event, place)
        return
    if parent is stack[0]:
        path: NodePath = ()
    else:
        path = (*parent.path, parent.key if parent.key is not None else len(parent.content))
    source.values[path] = place
    value = _value(source, event, place)
    if isinstance(parent.content, dict):
        assert parent.key is not None
        parent.content[parent.key] = value
        parent.key = None
    else:
        parent.content.append(value)
    if isinstance(value, (list, dict)):
        if len(stack) > DEPTH:
            raise _Stop(place, f"lists and mappings are nested more than {DEPTH} deep")
        stack.append(_Open(path, value))


def _key(source: Source, parent: _Open, event: yaml.NodeEvent, place: Place) -> str:
    if not isinstance(event, yaml.ScalarEvent):
        raise _Stop(place, "a key must be plain text")
    key = event.value
    path = (*parent.path, key)
    if path in source.keys:
        first = source.keys[path].line
        source.problems.append(source.problem(place, f"`{key}` is given twice in one mapping, first in line {first}"))
    source.keys[path] = place
    return key


def _value(source: Source, event: yaml.NodeEvent, place: Place) -> object:
    if isinstance(event, yaml.AliasEvent):
        source.problems.append(source.problem(place, f"aliases (*{event.anchor}) are not allowed, write the value out"))
        return None
    assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
    if event.tag is not None:
        source.problems.append(source.problem(place, f"tags ({event.tag}) are not allowed"))
    if isinstance(event, yaml.SequenceStartEvent):
        return []
    if isinstance(event, yaml.MappingStartEvent):
        return {}
    assert isinstance(event, yaml.ScalarEvent)
    tag = _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit) if event.tag is None else None
    if tag not in _TYPED or (tag == _INTEGER and not _DECIMAL.fullmatch(event.value)):
        return event.value
    try:
        typed: object = SafeConstructor().construct_object(yaml.ScalarNode(tag, event.value))
        return typed
    except ValueError:
        # A date of month 13, a number of 5,000 digits: it looks like one and is none. Whoever needs text says so.
        return event.value
