"""What each panel's queries must give after the traffic of ``scene``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from citygate.kernel.skeleton import COUNTERS, REFUSED
from tests.monitoring.prometheus import Vector
from tests.monitoring.scene import Outcome, Scene

Check = Callable[[Scene, Vector], None]
Rows = dict[tuple[str, ...], float]

CAUSES = ("no_daemon", "queue_full", "invalid", "untracked")
HIT = {"beijing": 0, "shanghai": 2, "shanghai-ftz": 2, "shenzhen": 2}  # subscribers: each by IPv4 and IPv6
REGIONS = tuple(HIT)
DECIDED = ("passed", "blocked", "throttled")
LEFT_OUT = ("rate", "ring_full", "sampled", "write_error")
UNNAMED = {"service": "(no name yet)", "region": "(none)", "provider": "(nobody)"}
NOTHING = "(nothing)"
HALF_MINUTE = 30


def one(expected: float | Callable[[Scene], float]) -> Check:
    """Exactly this value, and no other."""

    def check(scene: Scene, found: Vector) -> None:
        (value,) = found.values()
        assert value == (expected(scene) if callable(expected) else expected)

    return check


def within(least: float, most: float) -> Check:
    """One value, in these bounds."""

    def check(_: Scene, found: Vector) -> None:
        (value,) = found.values()
        assert least <= value <= most

    return check


def labelled(labels: tuple[str, ...], expected: Callable[[Scene], Rows]) -> Check:
    """Exactly these rows, by the values of these labels."""

    def check(scene: Scene, found: Vector) -> None:
        assert by_labels(found, labels) == expected(scene)

    return check


def peaks(labels: tuple[str, ...], expected: Callable[[Scene], Rows], times: float = 1.0) -> Check:
    """Exactly these rows. Of what they count the rate saw something, and no more than if all had come in half a minute.

    ``times``: of the unit that a row counts, how many the panel shows. Before the traffic there was nothing to show.
    """

    def check(scene: Scene, found: Vector) -> None:
        wanted = expected(scene)
        rows = by_labels(found, labels)
        got = {row: most for row, most in rows.items() if row in wanted or most or NOTHING not in row}
        assert got.keys() == wanted.keys()
        for row, count in wanted.items():
            assert min(count, 1e-9) <= got[row] <= count * times / HALF_MINUTE + 1e-9, row

    return check


def named(labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> Check:
    return labelled(labels, lambda _: dict(values))


def some_refused(scene: Scene, found: Vector) -> None:
    """A part of the packets of the regions where some were."""
    refused = sums(("region",), lambda outcome: outcome.verdict == "blocked")(scene)
    got = by_labels(found, ("region",))
    assert got.keys() == {(region,) for region in REGIONS}
    for row, part in got.items():
        assert 0 < part <= 1 if row in refused else part == 0, row


def in_flow_table(scene: Scene, found: Vector) -> None:
    """Flows that were named, and no more than there were."""
    got = by_labels(found, ("state",))
    assert got.keys() == {("asking",), ("named",)}
    assert 0 < got["named",] <= sum(scene.named.values()), got
    assert got["asking",] <= sum(len(flows) for flows in scene.sent.values()), got


def answers(_: Scene, found: Vector) -> None:
    """Of the packets looked at some named their flow, and some did not yet."""
    got = by_labels(found, ("answer",))
    assert got.keys() == {("final",), ("not_final",), ("unnamed",)}
    assert got["final",] > 0 and got["unnamed",] > 0 and max(got.values()) < 5000, got


def each(label: str, values: tuple[str, ...], least: float, most: float) -> Check:
    """One row for each of these values of the label."""

    def check(_: Scene, found: Vector) -> None:
        got = by_labels(found, (label,))
        assert got.keys() == {(value,) for value in values}
        assert all(least <= value <= most for value in got.values()), got

    return check


def buckets(scene: Scene, found: Vector) -> None:
    """A histogram's: the more, the wider; the last holds packets."""
    rows = sorted((float(le), number) for (le,), number in by_labels(found, ("le",)).items())
    assert len(rows) > 5 and rows[-1][0] == float("inf")
    numbers = [number for _, number in rows]
    assert numbers == sorted(numbers) and 0 < numbers[-1] < sum(scene.packets.values())


def by_labels(found: Vector, labels: tuple[str, ...]) -> Rows:
    rows = {tuple(dict(has).get(label, "") for label in labels): value for has, value in found.items()}
    assert len(rows) == len(found), "rows that these labels do not tell apart"
    return rows


def sums(
    labels: tuple[str, ...],
    of: Callable[[Outcome], bool] = lambda _: True,
    what: str = "packets",
    unnamed: Mapping[str, str] = UNNAMED,
) -> Callable[[Scene], Rows]:
    """The kernel's packets or bytes, summed by labels. ``unnamed``: what stands for an empty one."""

    def count(scene: Scene) -> Rows:
        found: Rows = {}
        for outcome, number in getattr(scene, what).items():
            if of(outcome):
                row = tuple(getattr(outcome, label) or unnamed.get(label, "") for label in labels)
                found[row] = found.get(row, 0) + number
        return found

    return count


def or_zero(count: Callable[[Scene], Rows], *rows: tuple[str, ...]) -> Callable[[Scene], Rows]:
    """These rows are there, if with 0."""
    return lambda scene: dict.fromkeys(rows, 0.0) | count(scene)


def or_nothing(count: Callable[[Scene], Rows], *row: str) -> Callable[[Scene], Rows]:
    """Where there are no rows, this one with 0."""
    return lambda scene: count(scene) or {row: 0.0}


def flows_named(scene: Scene) -> Rows:
    """(region, service) to flows."""
    return {row: float(number) for row, number in scene.named.items()}


def part(
    verdicts: tuple[str, ...], labels: tuple[str, ...], of: Callable[[Outcome], bool]
) -> Callable[[Scene], Rows]:
    """Of the packets whose fate was settled, those with these verdicts."""

    def count(scene: Scene) -> Rows:
        refused = sums(labels, lambda outcome: of(outcome) and outcome.verdict in verdicts)(scene)
        decided = sums(labels, lambda outcome: of(outcome) and outcome.verdict in DECIDED)(scene)
        return {row: refused.get(row, 0) / number for row, number in decided.items()}

    return count


def is_named(outcome: Outcome) -> bool:
    return outcome.service != "" and outcome.region != ""


def is_decided(outcome: Outcome) -> bool:
    return is_named(outcome) and outcome.verdict in DECIDED


def licensed(scene: Scene) -> Rows:
    """(region, provider, licence, verdict, direction) to packets of the tunnels, which alone need a licence."""
    licences = {"china-telecom": "granted", "att": "none", "bt": "applied"}
    rows = sums(("region", "provider", "verdict", "direction"), lambda outcome: outcome.service == "openvpn")(scene)
    return {(region, of, licences[of], *rest): number for (region, of, *rest), number in rows.items()}


def licensed_by(*places: int) -> Callable[[Scene], Rows]:
    def count(scene: Scene) -> Rows:
        found: Rows = {}
        for row, number in licensed(scene).items():
            key = tuple(row[place] for place in places)
            found[key] = found.get(key, 0) + number
        return found

    return count


def held(_: Scene) -> Rows:
    everywhere = ("china-telecom", "21vianet", "diyixian", "neusoft")
    granted = {(provider, region) for provider in everywhere for region in REGIONS}
    granted |= {("china-unicom", region) for region in REGIONS if region != "beijing"}
    providers = {provider for provider, _ in granted} | {"bt", "att", "cisco", "kovurt"}
    words = {(provider, region): "none" for provider in providers for region in REGIONS}
    words |= dict.fromkeys(granted, "granted") | {("bt", "shanghai-ftz"): "applied"}
    return {(*key, word): 1.0 for key, word in words.items()}


ENDING = ("china-telecom", "china-unicom", "21vianet", "diyixian", "neusoft", "bt")
YEAR_2999, YEAR_3001 = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2999, 3001))

EXPECTED: dict[str, list[Check]] = {
    "overview / Health / Gateways": [one(1)],
    "overview / Health / Alerts": [one(0)],
    "overview / Health / Last policy": [one(0)],
    "overview / Health / Policy": [labelled(("revision",), lambda scene: {(scene.revision,): 1.0})],
    "overview / Health / In force for": [within(1, 600)],
    "overview / Health / Unfiltered": [one(0)],
    "overview / Health / Fullest counter set": [within(1e-9, 0.1)],
    "overview / Health / Connection tracking": [within(1e-9, 0.1)],
    "overview / Regions and services / Verdicts": [
        labelled(("region", "service"), part(("blocked", "throttled"), ("region", "service"), is_named))
    ],
    "overview / Regions and services / Rates": [peaks(("region", "service"), sums(("region", "service"), is_decided))],
    "overview / Regions and services / Rates and verdicts": [
        peaks(("region", "service", "verdict"), sums(("region", "service", "verdict"), is_named)),
        peaks(("region", "service", "verdict"), sums(("region", "service", "verdict"), is_named, "bytes"), 8),
        labelled(("region", "service", "verdict"), sums(("region", "service", "verdict"), is_named)),
    ],
    "overview / Regions and services / Most refused": [
        labelled(
            ("region", "service"), sums(("region", "service"), lambda outcome: outcome.verdict == "blocked")
        )
    ],
    "overview / Over time / Packets": [peaks(("verdict",), sums(("verdict",)))],
    "overview / Over time / Traffic": [peaks(("region",), sums(("region",), what="bytes"), 8)],
    "overview / Over time / Refused part": [some_refused],
    "overview / Over time / Unfiltered": [each("cause", CAUSES, 0, 0)],
    "daemon / Health / Gateways": [one(1)],
    "daemon / Health / Up for": [within(1, 600)],
    "daemon / Health / Waiting": [within(0, 64)],
    "daemon / Health / Slowest hundredth": [within(1e-6, 60)],
    "daemon / Health / Lost at the queues": [one(0)],
    "daemon / Health / Unread": [one(0)],
    "daemon / Queues / Waiting": [each("queue", ("0",), 0, 64)],
    "daemon / Queues / Lost and unfiltered": [
        each("reason", ("queue_full", "user"), 0, 0),
        one(0),
        each("cause", CAUSES, 0, 0),
        each("reason", ("unsent", "refused"), 0, 0),
    ],
    "daemon / Queues / Latency": [within(1e-6, 60)] * 3,
    "daemon / Queues / Latency, packet by packet": [buckets],
    "daemon / Queues / Packets looked at": [answers],
    "daemon / Queues / Batch": [within(0.5, 64)],
    "daemon / Names / Names": [
        within(0.01, 100),
        each("reason", ("packet_budget", "byte_budget", "no_recogniser", "no_buffer", "no_message"), 0, 100),
    ],
    "daemon / Names / Packets to a name": [within(1, 20)],
    "daemon / Names / Flow table": [in_flow_table],
    "daemon / Names / Flow table, in and out": [
        within(0.01, 100),
        within(0, 100),
        each("reason", ("named", "unnamed", "restarted"), 0, 100),
    ],
    "daemon / Machine / Processor": [within(1e-3, 4)],
    "daemon / Machine / Memory": [within(10e6, 2e9)],
    "daemon / Machine / Scrape": [within(1e-4, 10)],
    "daemon / Kernel and policy / Sets": [each("set", (*COUNTERS, *REFUSED), 0, 0.1)],
    "daemon / Kernel and policy / Connection tracking": [within(1e-9, 0.1)],
    "daemon / Kernel and policy / Loads of the policy": [
        each("result", ("applied", "refused", "restored", "timed"), 0, 0)
    ],
    "daemon / Kernel and policy / Events": [within(0.01, 1000), each("reason", LEFT_OUT, 0, 0)],
    "licences / Who may / Next end": [within(900 * 365 * 86400, 1100 * 365 * 86400)],
    "licences / Who may / End within 30 days": [one(0)],
    "licences / Who may / Ended": [one(0)],
    "licences / Who may / Providers": [one(9)],
    "licences / Who may / Who may where": [labelled(("provider", "region", "licence"), held)],
    "licences / Who may / Until when": [
        each("provider", ENDING, YEAR_2999 * 1000, YEAR_3001 * 1000),
        each("provider", ENDING, 900 * 365 * 86400, 1100 * 365 * 86400),
    ],
    "licences / Their traffic / Packets by provider and licence": [peaks(("provider", "licence"), licensed_by(1, 2))],
    "licences / Their traffic / Traffic by provider": [
        peaks(("provider",), sums(("provider",), lambda outcome: outcome.provider != "", "bytes"), 8)
    ],
    "licences / Their traffic / Packets by licence": [peaks(("licence",), licensed_by(2))],
    "licences / Their traffic / Packets by verdict": [
        peaks(("verdict",), or_zero(licensed_by(3), ("passed",), ("blocked",)))
    ],
    "licences / Their traffic / What became of the packets": [
        labelled(("region", "provider", "licence", "verdict"), licensed_by(0, 1, 2, 3))
    ],
}


def of_region(here: str) -> dict[str, list[Check]]:
    """The same of the dashboard Region, for this one."""
    whole = Outcome._fields[1:]

    def is_here(outcome: Outcome) -> bool:
        return outcome.region == here

    def is_leak(outcome: Outcome) -> bool:
        return passed(outcome) and outcome.service == ""

    def blocked(outcome: Outcome) -> bool:
        return is_here(outcome) and outcome.verdict == "blocked"

    def passed(outcome: Outcome) -> bool:
        return is_here(outcome) and outcome.verdict == "passed"

    def decided(outcome: Outcome) -> bool:
        return is_here(outcome) and outcome.verdict in DECIDED

    def under_the_policy(scene: Scene) -> Rows:
        """(revision, verdict) to packets: there was one policy."""
        return {(scene.revision, *row): number for row, number in sums(("verdict",), is_here)(scene).items()}

    def leaked_part(scene: Scene, found: Vector) -> None:
        (most,) = found.values()
        assert 0 < most <= 1 if sums((), is_leak)(scene) else most == 0

    def named_here(scene: Scene) -> Rows:
        return {row[1:]: number for row, number in flows_named(scene).items() if row[0] == here}

    def refused_part(scene: Scene) -> Rows:
        return {row[1:]: number for row, number in part(("blocked",), ("region",), is_here)(scene).items()}

    hit = one(HIT.get(here, 0))
    return {
        "region / Now / Packets": [peaks((), sums((), decided))],
        "region / Now / Refused": [peaks((), or_zero(sums((), blocked), ()))],
        "region / Now / Refused part": [labelled((), refused_part)],
        "region / Now / Subscribers hit": [hit],
        "region / Now / Leaked before naming": [labelled((), or_zero(sums((), is_leak), ()))],
        "region / Now / Unfiltered": [one(0)],
        "region / Before and after an edit / Packets by verdict": [
            peaks(("verdict",), or_zero(sums(("verdict",), is_here), ("passed",), ("blocked",)))
        ],
        "region / Before and after an edit / By policy": [
            labelled(("revision", "verdict"), under_the_policy),
            peaks(("revision", "verdict"), under_the_policy),
        ],
        "region / Before and after an edit / Subscribers hit": [hit],
        "region / Before and after an edit / Refused by service": [
            peaks(("service",), or_nothing(sums(("service",), blocked), NOTHING))
        ],
        "region / Before and after an edit / Passed by service": [peaks(("service",), sums(("service",), passed))],
        "region / Services / What became of the packets": [
            labelled(whole, sums(whole, is_here)),
            labelled(whole, sums(whole, is_here, "bytes")),
            peaks(whole, sums(whole, is_here)),
        ],
        "region / Services / Flows named": [labelled(("service",), named_here)],
        "region / Services / Traffic": [peaks(("direction",), sums(("direction",), is_here, "bytes"), 8)],
        "region / Before it has a name / Leaked before naming": [
            peaks(("direction",), or_zero(sums(("direction",), is_leak), ("up",), ("down",)))
        ],
        "region / Before it has a name / Leaked part": [leaked_part],
    }


RECORDED: dict[str, Check] = {
    "citygate:packets:increase30s": labelled(Outcome._fields, sums(Outcome._fields, unnamed={})),
    "citygate:bytes:increase30s": labelled(Outcome._fields, sums(Outcome._fields, what="bytes", unnamed={})),
    "citygate:licensed_packets:increase30s": labelled(
        ("region", "provider", "licence", "verdict", "direction"), licensed_by(0, 1, 2, 3, 4)
    ),
    "citygate:flows_named:increase30s": labelled(("region", "service"), flows_named),
    "citygate:blocked:increase30s": labelled(
        ("region",), sums(("region",), lambda outcome: outcome.verdict == "blocked")
    ),
    "citygate:blocked:ratio5m": labelled(("region",), part(("blocked",), ("region",), lambda _: True)),
}
"""What each rule's expression must give: growth summed over the time shown, a share at its end."""
