"""Pieces of PromQL that the panels share. ``$__range`` and the like are Grafana's."""

from __future__ import annotations

GATEWAY = 'job="$job", instance=~"$instance"'


def picked(metric: str, *matchers: str) -> str:
    """The metric's series of the chosen gateways."""
    return f"{metric}{{{', '.join([GATEWAY, *matchers])}}}"


def growth(counter: str, *matchers: str) -> str:
    """What ``counter`` grew by in the last 30 seconds, by the recording rules."""
    return picked(f"citygate:{counter}:increase30s", *matchers)


def per_second(counter: str, by: str, *matchers: str) -> str:
    return f"sum by ({by}) ({growth(counter, *matchers)}) / 30"


def in_range(counter: str, by: str, *matchers: str) -> str:
    """What it grew by in the time shown. Exact, but for the last 30 seconds."""
    return f"sum by ({by}) (sum_over_time({growth(counter, *matchers)}[$__range:30s]))"


def rate(counter: str, by: str, *matchers: str) -> str:
    """Of a counter that is there from the start, at 0."""
    return f"sum by ({by}) (rate({picked(counter, *matchers)}[$__rate_interval]))"


def share(part: str, whole: str) -> str:
    """From 0 to 1. ``part``'s series may be missing where ``whole`` has some; nothing where ``whole`` is 0."""
    return f"({part} or {whole} * 0) / ({whole} > 0)"


def or_zero(expression: str) -> str:
    """For a sum without labels that may have nothing to sum."""
    return f"{expression} or vector(0)"
