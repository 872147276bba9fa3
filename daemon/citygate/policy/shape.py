"""Plain data to a typed schema, and the schema's complaints as sentences with places."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from citygate.policy.problem import Problem
from citygate.policy.source import NodePath, Source
from citygate.policy.suggest import meant
from citygate.policy.values import Keys

K = TypeVar("K", bound=Keys)


def fit(source: Source, keys: type[K]) -> K | None:
    """The file's data as ``keys``; None when it does not fit, with every reason added to the source's problems."""
    if not source.usable:
        return None
    # A key that is written has a value: blank it would read as left out. An alias was complained of already.
    aliases = {(problem.line, problem.column) for problem in source.problems}
    blanks = [path for path in _blanks(source.data, ()) if source.place(path) not in aliases]
    source.problems += (source.problem(source.place(path), f"{_subject(source, path)} has no value") for path in blanks)
    try:
        fitting = keys.model_validate(source.data)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            if detail["input"] is not None and not any(path[: len(detail["loc"])] == detail["loc"] for path in blanks):
                source.problems.append(_problem(source, keys, detail))
        return None
    return None if blanks else fitting


def _blanks(value: object, path: NodePath) -> Iterator[NodePath]:
    """Paths of the places where a value should be. Depth is bounded by the reader."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _blanks(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _blanks(inner, (*path, i))


def _subject(source: Source, path: NodePath) -> str:
    key = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
    # A value that stands alone where a list may is itself, not an entry.
    entry = bool(path) and isinstance(path[-1], int) and path in source.values
    return f"an entry of `{key}`" if entry else f"`{key}`" if key else "the file"


def _problem(source: Source, keys: type[Keys], error: ErrorDetails) -> Problem:
    path, kind = error["loc"], error["type"]
    key = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
    if kind == "extra_forbidden":
        return source.problem(source.key_place(path), _unknown_key(_keys_at(keys, path[:-1]), key))
    if kind == "missing":
        return source.problem(source.place(path[:-1]), f"`{key}` is missing")
    return source.problem(source.place(path), _sentence(_subject(source, path), key, error))


def _sentence(subject: str, key: str, error: ErrorDetails) -> str:
    match error["type"]:
        case "value_error":
            # Our own readers' words: about the value by itself, or what the subject must be.
            reason = str(error["ctx"]["error"])
            return f"{subject} {reason}" if reason.startswith("must ") else f"`{key}`: {reason}"
        case "model_type":
            return f"{subject} must be a mapping of keys to values"
        case "list_type":
            return f"{subject} must be a list"
        case "too_short":
            return f"{subject} must not be empty"
        case "too_long":
            return f"{subject} has more than {error['ctx']['max_length']} entries"
    # A kind that no schema here can give: the library's own words are better than none.
    return f"{subject}: {error['msg'].lower()}"


def _unknown_key(keys: type[Keys], key: str) -> str:
    known = [field.alias or name for name, field in keys.model_fields.items()]
    return f"unknown key `{key}`{meant(key, known)}"


def _keys_at(keys: type[Keys], path: tuple[int | str, ...]) -> type[Keys]:
    """The schema of the mapping at ``path`` in a file of ``keys``."""
    for step in path:
        if isinstance(step, str):
            fields = {field.alias or name: field for name, field in keys.model_fields.items()}
            keys = _inside(fields[step].annotation) or keys
    return keys


def _inside(annotation: Any) -> type[Keys] | None:
    """The schema that an annotation such as ``list[RuleKeys]`` is about."""
    if isinstance(annotation, type) and issubclass(annotation, Keys):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := _inside(part))), None)
