"""Values that several schemas hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from citygate.policy.model import Action, Mode
from citygate.policy.values import Keys, Name, Some, Text, one_of

names: TypeAdapter[str] = TypeAdapter(Name)
texts: TypeAdapter[str] = TypeAdapter(Text)
several: TypeAdapter[list[str]] = TypeAdapter(Some[Name])


@given(st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True))
def test_a_name(name: str) -> None:
    assert names.validate_python(name) == name


@pytest.mark.parametrize(
    "name", ["", "x" * 41, "Shenzhen", "a b", "a+b", "a:b", "a\n", "深圳", "a_b", 7, True, None, ["a"]]
)
def test_no_name(name: object) -> None:
    with pytest.raises(ValidationError):
        names.validate_python(name)


@pytest.mark.parametrize("value", [7, 1.5, False, None, [], {}])
def test_text_is_not_made_from_other_values(value: object) -> None:
    with pytest.raises(ValidationError):
        texts.validate_python(value)


def test_one_value_stands_for_a_list_of_one() -> None:
    assert several.validate_python("a") == several.validate_python(["a"]) == ["a"]
    assert several.validate_python(["a", "b"]) == ["a", "b"]


@pytest.mark.parametrize("value", [[], None, {}, [["a"]], {"a": "b"}])
def test_an_empty_list_is_not_the_absence_of_one(value: object) -> None:
    with pytest.raises(ValidationError):
        several.validate_python(value)


@pytest.mark.parametrize("action", Action)
def test_one_of_a_few_words(action: Action) -> None:
    assert one_of(*Action)(str(action)) is action


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("montor", "'montor' is not enforce or monitor, did you mean `monitor`?"),
        ("", "'' is not enforce or monitor"),
        (True, "must be enforce or monitor"),
        (None, "must be enforce or monitor"),
        (["monitor"], "must be enforce or monitor"),
    ],
)
def test_another_word(value: object, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        one_of(*Mode)(value)
    assert str(error.value) == sentence


def test_keys_take_no_others() -> None:
    class One(Keys):
        name: Name

    with pytest.raises(ValidationError, match="Extra inputs"):
        One.model_validate({"name": "a", "nmae": "b"})
