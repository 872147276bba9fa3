"""Pieces of PromQL that the panels share. ``$__range`` and the like are Grafana's."""

from __future__ import annotations

GATEWAY = 'job="$job", instance=~"$instance"'
UNNAMED = {"service": "(no name yet)", "region": "(none)", "provider": "(nobody)"}
"""Labels that may be empty, and what to show then: Grafana has its words for no data in the place of an empty text."""
NOTHING = "(nothing)"
"""In the place of a label, where there is nothing to show."""


def picked(metric: str, *matchers: str) -> str:
    """The metric's series of the chosen gateways."""
    return f"{metric}{{{', '.join([GATEWAY, *matchers])}}}"


TRACKED = f"{picked('citygate_conntrack_entries')} / ({picked('citygate_conntrack_limit')} > 0)"
"""How full connection tracking is; nothing where it has no limit, which the kernel says with 0."""


def growth(counter: str, *matchers: str) -> str:
    """What ``counter`` grew by in the last 30 seconds, by the recording rules."""
    return picked(f"citygate:{counter}:increase30s", *matchers)


def per_second(counter: str, by: str, *matchers: str) -> str:
    return _shown(f"sum by ({by}) ({growth(counter, *matchers)}) / 30", by)


def in_range(counter: str, by: str, *matchers: str) -> str:
    """What it grew by in the time shown. Exact while Prometheus ran, but for the last 30 seconds."""
    return _shown(f"sum by ({by}) (sum_over_time({fresh(growth(counter, *matchers))}[$__range:30s]))", by)


def fresh(recorded: str) -> str:
    """What the recording rules said last, in their interval: nothing where Prometheus was stopped."""
    return f"last_over_time({recorded}[15s])"


def rate(counter: str, by: str, *matchers: str) -> str:
    """Of a counter that is there from the start, at 0."""
    return f"sum by ({by}) (rate({picked(counter, *matchers)}[$__rate_interval]))"


def share(part: str, whole: str) -> str:
    """From 0 to 1. ``part``'s series may be missing where ``whole`` has some; nothing where ``whole`` is 0."""
    return f"({part} or {whole} * 0) / ({whole} > 0)"


def or_zero(expression: str) -> str:
    """For a sum without labels that may have nothing to sum."""
    return f"{expression} or vector(0)"


def or_zeros(expression: str, label: str, *values: str) -> str:
    """0 for each of these values of the only label that ``expression`` has, where it may be missing."""
    return " or ".join([expression, *(_zero(label, value) for value in values)])


def or_nothing(expression: str, label: str) -> str:
    """A row that says so, where ``expression`` has none."""
    return f"{expression} or on () {_zero(label, NOTHING)}"


def _zero(label: str, value: str) -> str:
    return f'label_replace(vector(0), "{label}", "{value}", "", "")'


def _shown(expression: str, by: str) -> str:
    for label in by.split(", "):
        if label in UNNAMED:
            expression = f'label_replace({expression}, "{label}", "{UNNAMED[label]}", "{label}", "")'
    return expression
