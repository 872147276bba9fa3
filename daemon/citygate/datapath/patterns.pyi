from collections.abc import Iterable

class PatternTable:
    """Host patterns, each with a number up to 65534; immutable.

    A pattern is a lower-case name, or ``*.name``, which fits every name below it and not the name itself. An exact name
    comes before patterns, a longer pattern before a shorter one. ValueError where one is none, or is listed twice.
    """

    def __init__(self, patterns: Iterable[tuple[str, int]]) -> None: ...
    def fitting(self, host: bytes) -> list[int]:
        """The numbers of those that fit this lower-case name, longest first."""
