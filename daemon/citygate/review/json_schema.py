"""JSON Schemas of the files that people write, generated from their pydantic models: for editors, draft 2020-12.

A schema says what one value by itself can be. How values stand to one another, and to the catalogue and the register,
is for ``citygate check`` to say. Editors read YAML 1.2, so a day and the word ``off`` are text to them.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from citygate.catalogue.load import builtin
from citygate.catalogue.schema import FileKeys
from citygate.catalogue.signature import REACH
from citygate.config import Config
from citygate.policy.dscp import HIGHEST, dscp_text
from citygate.policy.model import Licence
from citygate.policy.schema import RegionKeys, RegisterKeys
from citygate.review.descriptions import KEYS
from citygate.review.trial_schema import TrialKeys

DRAFT = "https://json-schema.org/draft/2020-12/schema"

FILES: Mapping[str, tuple[str, Any]] = {
    "region": ("A region of a citygate policy", RegionKeys),
    "providers": ("The licence register of a citygate policy", RegisterKeys),
    "services": ("A site's own services in a citygate policy", FileKeys),
    "tests": ("Tests of a citygate policy", Annotated[list[TrialKeys], Field(min_length=1)]),
    "config": ("The citygate daemon's configuration", Config),
}


def text(file: str) -> str:
    """The schema of one kind of file, as it is shipped."""
    return json.dumps(schema(file), indent=2) + "\n"


def schema(file: str) -> dict[str, Any]:
    """The schema of one of ``FILES``."""
    title, type_ = FILES[file]
    made = TypeAdapter(type_).json_schema(schema_generator=_Generator)
    mappings: dict[str, Any] = made.pop("$defs", {})
    if "properties" in made:
        mappings[type_.__name__] = made
    for name, mapping in mappings.items():
        mapping["properties"] = {
            key: {"description": KEYS[name][key], **_referring(_with_words(name, key, value), _SHARED)}
            for key, value in mapping["properties"].items()
        }
    definitions = {name: mapping for name, mapping in mappings.items() if mapping is not made}
    top = {"$schema": DRAFT, "title": title, **made}
    return top | {"$defs": _used({**definitions, **_SHARED, **_words()}, top)}


def _used(definitions: Mapping[str, JsonSchemaValue], top: JsonSchemaValue) -> JsonSchemaValue:
    """The definitions that ``top`` refers to, and those that they refer to."""
    found: JsonSchemaValue = {}
    waiting = [top]
    while waiting:
        text = json.dumps(waiting.pop())
        for name in definitions:
            if name not in found and json.dumps(_reference(name))[1:-1] in text:
                found[name] = definitions[name]
                waiting.append(definitions[name])
    return {name: found[name] for name in definitions if name in found}


def _reference(name: str) -> JsonSchemaValue:
    return {"$ref": f"#/$defs/{name}"}


def _referring(part: Any, definitions: Mapping[str, JsonSchemaValue]) -> Any:
    """``part`` with a reference wherever it holds what is defined."""
    for name, defined in definitions.items():
        if part == defined:
            return _reference(name)
    if isinstance(part, dict):
        return {key: _referring(inner, definitions) for key, inner in part.items()}
    return [_referring(inner, definitions) for inner in part] if isinstance(part, list) else part


def _text_like(pattern: str, *examples: str) -> JsonSchemaValue:
    found: JsonSchemaValue = {"type": "string", "pattern": f"^(?:{pattern})$"}
    return found | {"examples": list(examples)} if examples else found


def _any_of(*choices: JsonSchemaValue) -> JsonSchemaValue:
    return {"anyOf": list(choices)}


def _one(words: Iterable[str]) -> JsonSchemaValue:
    return {"enum": [str(word) for word in words]}


def _mapping(**properties: JsonSchemaValue) -> JsonSchemaValue:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _any_case(words: Iterable[str]) -> str:
    return "|".join("".join(f"[{c.upper()}{c.lower()}]" if c.isalpha() else c for c in word) for word in words)


_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_V4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_V6 = f"(?:[0-9a-fA-F]{{0,4}}:){{2,8}}(?:[0-9a-fA-F]{{0,4}}|{_V4})"
_PORT = "[0-9]{1,5}"
_HOURS = "(?:[01]?[0-9]|2[0-4]):[0-5][0-9]"
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAY = f"(?:{_any_case([*_DAYS, *(day[:3] for day in _DAYS)])})"
_SOME_DAYS = f"{_DAY}(?: *- *{_DAY})?"
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"

_PREFIX = _text_like(
    f"{_V4}(?:/(?:0{{0,2}}[0-9]|0?[12][0-9]|0?3[0-2]))?|{_V6}(?:/[0-9]{{1,3}})?", "10.10.0.0/16", "fd00:10::/48"
)
_ADDRESS = _text_like(f"{_V4}(?:/0?32)?|{_V6}(?:/128)?", "10.10.0.5", "fd00:10::5")
_PERCENT = _text_like(r"0*(?:100(?:\.0{1,2})?|[0-9]{1,2}(?:\.[0-9]{1,2})?) *%", "25%")
_RATE = _text_like(
    r"[0-9]{1,12}(?:\.[0-9]{1,9})? *(?:[kMG]?bit/s|[kMG]bps|[kMG]?B/s|[KM]iB/s)", "2 Mbit/s", "512 kbit/s", "250 kB/s"
)
_CODE_POINTS = [name for name in map(dscp_text, range(HIGHEST + 1)) if not name.isdigit()]
_DSCP = _any_of(
    _one(_CODE_POINTS),
    {"type": "integer", "minimum": 0, "maximum": HIGHEST},
    _text_like(_any_case([*_CODE_POINTS, "DF", "BE"])),
)
_SEED = {"type": "integer", "minimum": 0, "maximum": (1 << 32) - 1}
_OFF = _any_of({"const": False}, {"const": "off"})
_PATH = {"type": "string", "minLength": 1}
_NAME = _text_like("[a-z0-9-]{1,40}")
_HOST = _text_like(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*", "example.com", "*.example.com") | {"maxLength": 253}
_FAR_PORT = _text_like(f"(?:tcp|udp)/{_PORT}(?:-{_PORT})?", "tcp/443", "udp/12340", "tcp/8000-8100")
_WINDOW = _text_like(
    f"(?=.)(?:{_SOME_DAYS}(?: *, *{_SOME_DAYS})*)? *(?:{_HOURS} *- *{_HOURS})?", "Mon-Fri 18:00-23:00", "Sat,Sun"
)
_DAY_OF_YEAR = _text_like("[0-9]{4}-[0-9]{2}-[0-9]{2}", "2016-05-18")
_WHOLE_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}

# Those that stand in many places.
_SHARED: dict[str, JsonSchemaValue] = {
    "name": _NAME,
    "prefix": _PREFIX,
    "address": _ADDRESS,
    "far-port": _FAR_PORT,
    "host": _HOST,
    "rate": _RATE,
    "dscp": _DSCP,
    "percent": _PERCENT,
    "window": _WINDOW,
    "day": _DAY_OF_YEAR,
    "off": _OFF,
}

# What each reader of a plain value takes, by its place in the code.
_READERS: dict[str, JsonSchemaValue] = {
    "policy.values._text": {"type": "string"},
    "policy.values._name": _NAME,
    "policy.prefix.parse_network": _PREFIX,
    "policy.schema._ports": _FAR_PORT,
    "policy.schema._timezone": _text_like("[A-Za-z0-9_+/-]+", "Asia/Shanghai", "UTC"),
    "policy.schema._date": _DAY_OF_YEAR,
    "policy.schema._status": _one(licence for licence in Licence if licence is not Licence.EXPIRED),
    "policy.schema._action": _any_of(_one(("allow", "drop", "reject")), _mapping(throttle=_RATE), _mapping(mark=_DSCP)),
    "policy.schema._rollout": _any_of(_PERCENT, _mapping(share=_PERCENT, seed=_SEED)),
    "policy.windows.parse_window": _WINDOW,
    "policy.share.parse_percent": _PERCENT,
    "policy.schema._seed": _SEED,
    "policy.rate.parse_rate": _RATE,
    "policy.dscp.parse_dscp": _DSCP,
    "review.ends.parse_address": _ADDRESS,
    "review.ends.parse_port": _text_like(f"(?:tcp|udp)/{_PORT}", "udp/12340"),
    "policy.moment.parse_moment": _text_like("[0-9]{4}.*", "2016-06-01T12:00+08:00", "2016-06-01"),
    "catalogue.schema._host": _HOST,
    "catalogue.schema._network": _PREFIX,
    "catalogue.signature._at": {"type": "integer", "minimum": -REACH, "maximum": REACH - 1},
    "catalogue.signature._hex": _text_like(r"\s*[0-9a-fA-F?][0-9a-fA-F?\s]*", "ac 3e ?? 01"),
    "catalogue.signature._text": {"type": "string", "minLength": 1},
    "catalogue.signature._ports": _any_of(_WHOLE_PORT, _text_like(f"{_PORT}-{_PORT}", "5070-5079")),
    "catalogue.signature._lengths": _any_of(_WHOLE_PORT, _text_like(rf"{_PORT}\.\.{_PORT}", "16..1400")),
    "config._path": _PATH,
    "config._listen": _any_of(_OFF, _text_like(rf"(?:{_V4}|\[[^\]]+\]):[0-9]+", "127.0.0.1:9436", "[::1]:9436")),
    "config._target": _any_of(_OFF, _PATH),
}

# Words of the catalogue that an editor offers. Others are as right: a site has its own.
_OFFERED = {
    ("MatchKeys", "service"): "service",
    ("MatchKeys", "category"): "category",
    ("ProviderKeys", "services"): "service-or-category",
    ("ServiceKeys", "category"): "category",
    ("ServiceKeys", "parent"): "service",
    ("ExpectKeys", "service"): "service",
}


def _words() -> dict[str, JsonSchemaValue]:
    catalogue = builtin()
    services, categories = sorted(catalogue.services), sorted(catalogue.categories)
    return {
        "service": _any_of(_one(services), _NAME),
        "category": _any_of(_one(categories), _NAME),
        "service-or-category": _any_of(_one(sorted({*services, *categories})), _NAME),
    }


def _with_words(mapping: str, key: str, value: JsonSchemaValue) -> JsonSchemaValue:
    """The value's schema; where the key takes the catalogue's words, with those in place of any name."""
    found: JsonSchemaValue = value
    if (mapping, key) in _OFFERED:
        found = _referring(value, {_OFFERED[mapping, key]: _NAME})
    return found


class _Generator(GenerateJsonSchema):
    """pydantic's own, with what our readers take."""

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> JsonSchemaValue:
        return _taken(schema["function"]["function"])

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        match _place(schema["function"]["function"]):
            case "policy.values._several":
                return _any_of(inner["items"], inner)
            case "config._unless_off":
                return _any_of(_OFF, inner)
        raise TypeError(f"no JSON Schema is known for {schema['function']}")

    def function_wrap_schema(self, schema: core_schema.WrapValidatorFunctionSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])  # `catalogue.signature._pieces`, the only one
        return _any_of(inner["items"], inner)

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])  # None is a key left out

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])  # told in words

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        return {key: value for key, value in made.items() if key not in ("title", "description")}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _taken(reader: Callable[..., Any]) -> JsonSchemaValue:
    """What a reader takes; of one made for a choice of words or numbers, by what it was made with."""
    place = _place(reader)
    if place in _READERS:
        return _READERS[place]
    made_with = inspect.getclosurevars(reader).nonlocals
    if place == "policy.values.one_of.<locals>.read":
        return _one(made_with["words"])
    if place == "config._number.<locals>.read":
        return {"type": "integer", "minimum": made_with["first"], "maximum": made_with["last"]}
    raise TypeError(f"no JSON Schema is known for {place}")


def _place(reader: Callable[..., Any]) -> str:
    return f"{reader.__module__}.{reader.__qualname__}".removeprefix("citygate.")
