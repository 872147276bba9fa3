"""Plain data to a typed schema, and the schema's complaints as sentences with places."""

from __future__ import annotations

import typing
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from citygate.policy.problem import Problem
from citygate.policy.source import Source
from citygate.policy.suggest import meant
from citygate.policy.values import Keys

K = TypeVar("K", bound=Keys)


def fit(source: Source, keys: type[K]) -> K | None:
    """The file's data as ``keys``; None when it does not fit, with every reason added to the source's problems."""
    if not source.usable:
        return None
    try:
        return keys.model_validate(source.data)
    except ValidationError as error:
        # An alias was read as no value, and complained of.
        aliases = {(problem.line, problem.column) for problem in source.problems}
        for detail in error.errors(include_url=False):
            if detail["input"] is not None or source.place(detail["loc"]) not in aliases:
                source.problems.append(_problem(source, keys, detail))
        return None


def _problem(source: Source, keys: type[Keys], error: ErrorDetails) -> Problem:
    path, kind = error["loc"], error["type"]
    key = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
    if kind == "extra_forbidden":
        return source.problem(source.key_place(path), _unknown_key(_keys_at(keys, path[:-1]), key))
    if kind == "missing":
        return source.problem(source.place(path[:-1]), f"`{key}` is missing")
    # A value that stands alone where a list may is itself, not an entry.
    entry = bool(path) and isinstance(path[-1], int) and path in source.values
    subject = f"an entry of `{key}`" if entry else f"`{key}`" if key else "the file"
    return source.problem(source.place(path), _sentence(subject, key, error))


def _sentence(subject: str, key: str, error: ErrorDetails) -> str:
    if error["input"] is None:
        return f"{subject} has no value"
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
