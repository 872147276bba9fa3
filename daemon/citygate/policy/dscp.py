"""Differentiated services code points, by number and by name: the IANA registry "DSCP Field Codepoints"."""

from __future__ import annotations

from citygate.policy.suggest import meant

HIGHEST = 63

_NAMES = (
    {f"CS{number}": number * 8 for number in range(8)}  # RFC 2474
    | {f"AF{class_}{drop}": class_ * 8 + drop * 2 for class_ in range(1, 5) for drop in range(1, 4)}  # RFC 2597
    | {"LE": 1, "VOICE-ADMIT": 44, "EF": 46}  # RFC 8622, RFC 5865, RFC 3246
)
_OTHER_NAMES = {"DF": 0, "BE": 0}  # default forwarding, best effort: CS0
_NUMBERS = _NAMES | _OTHER_NAMES
_BY_NUMBER = {number: name for name, number in _NAMES.items()}


def parse_dscp(value: object) -> int:
    """``EF``, ``AF41`` or 46: 0 to 63. Raises ValueError with a sentence."""
    if isinstance(value, str):
        number = _NUMBERS.get(value.upper())
        if number is None:
            raise ValueError(
                f"{value!r} is not a DSCP: a name such as EF, AF41 or CS1, or 0 to {HIGHEST}{meant(value, _NUMBERS)}"
            )
        return number
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"must be a DSCP: a name such as EF, AF41 or CS1, or 0 to {HIGHEST}")
    if not 0 <= value <= HIGHEST:
        raise ValueError(f"{value} is not a DSCP: they are 0 to {HIGHEST}")
    return value


def dscp_text(number: int) -> str:
    """The name, or the number where it has none."""
    return _BY_NUMBER.get(number, str(number))
