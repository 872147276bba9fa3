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
REGIONS = ("beijing", "shanghai", "shanghai-ftz", "shenzhen")
DECIDED = ("passed", "blocked", "throttled")
LEFT_OUT = ("rate", "ring_full", "sampled", "write_error")
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

    ``times``: of the unit that a row counts, how many the panel shows.
    """

    def check(scene: Scene, found: Vector) -> None:
        wanted = expected(scene)
        got = by_labels(found, labels)
        assert got.keys() == wanted.keys()
        for row, count in wanted.items():
            assert 0 < got[row] <= count * times / HALF_MINUTE + 1e-9, row

    return check


def named(labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> Check:
    return labelled(labels, lambda _: dict(values))


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
    labels: tuple[str, ...], of: Callable[[Outcome], bool] = lambda _: True, what: str = "packets"
) -> Callable[[Scene], Rows]:
    """The kernel's packets or bytes, summed by labels."""

    def count(scene: Scene) -> Rows:
        found: Rows = {}
        for outcome, number in getattr(scene, what).items():
            if of(outcome):
                row = tuple(getattr(outcome, label) for label in labels)
                found[row] = found.get(row, 0) + number
        return found

    return count


def flows_named(scene: Scene) -> Rows:
    """(region, service) to flows."""
    return {row: float(number) for row, number in scene.named.items()}


def refused_part(labels: tuple[str, ...], of: Callable[[Outcome], bool]) -> Callable[[Scene], Rows]:
    def count(scene: Scene) -> Rows:
        refused = sums(labels, lambda outcome: of(outcome) and outcome.verdict == "blocked")(scene)
        decided = sums(labels, lambda outcome: of(outcome) and outcome.verdict in DECIDED)(scene)
        return {row: refused.get(row, 0) / number for row, number in decided.items()}

    return count


def is_named(outcome: Outcome) -> bool:
    return outcome.service != "" and outcome.region != ""


def is_here(outcome: Outcome) -> bool:
    return outcome.region == "shenzhen"


def is_leak(outcome: Outcome) -> bool:
    return is_here(outcome) and outcome.service == "" and outcome.verdict == "passed"


def blocked_here(outcome: Outcome) -> bool:
    return is_here(outcome) and outcome.verdict == "blocked"


def passed_here(outcome: Outcome) -> bool:
    return is_here(outcome) and outcome.verdict == "passed"


def under_the_policy(scene: Scene) -> Rows:
    """(revision, verdict) to packets: there was one policy."""
    return {(scene.revision, *row): number for row, number in sums(("verdict",), is_here)(scene).items()}


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
    "overview / Regions and services / Refused part": [
        labelled(("region", "service"), refused_part(("region", "service"), is_named))
    ],
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
    "overview / Over time / Refused part": [each("region", REGIONS, 0, 1)],
    "overview / Over time / Unfiltered": [each("cause", CAUSES, 0, 0)],
    "region / Now / Packets": [
        peaks((), sums((), lambda outcome: is_here(outcome) and outcome.verdict in DECIDED))
    ],
    "region / Now / Refused": [peaks((), sums((), blocked_here))],
    "region / Now / Refused part": [labelled(("region",), refused_part(("region",), is_here))],
    "region / Now / Subscribers hit": [one(2)],  # one over IPv4, one over IPv6
    "region / Now / Leaked before naming": [labelled((), sums((), is_leak))],
    "region / Now / Unfiltered": [one(0)],
    "region / Before and after an edit / Packets by verdict": [peaks(("verdict",), sums(("verdict",), is_here))],
    "region / Before and after an edit / By policy": [
        labelled(("revision", "verdict"), under_the_policy),
        peaks(("revision", "verdict"), under_the_policy),
    ],
    "region / Before and after an edit / Subscribers hit": [one(2)],
    "region / Before and after an edit / Refused by service": [
        peaks(("service",), sums(("service",), blocked_here))
    ],
    "region / Before and after an edit / Passed by service": [peaks(("service",), sums(("service",), passed_here))],
    "region / Services / What became of the packets": [
        labelled(Outcome._fields[1:], sums(Outcome._fields[1:], is_here)),
        labelled(Outcome._fields[1:], sums(Outcome._fields[1:], is_here, "bytes")),
        peaks(Outcome._fields[1:], sums(Outcome._fields[1:], is_here)),
    ],
    "region / Services / Flows named": [
        labelled(
            ("service",),
            lambda scene: {row[1:]: number for row, number in flows_named(scene).items() if row[0] == "shenzhen"},
        )
    ],
    "region / Services / Traffic": [peaks(("direction",), sums(("direction",), is_here, "bytes"), 8)],
    "region / Before it has a name / Leaked before naming": [
        peaks(("direction",), sums(("direction",), is_leak))
    ],
    "region / Before it has a name / Leaked part": [within(1e-9, 1)],
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
    "daemon / Queues / Packets looked at": [each("answer", ("final", "not_final", "unnamed"), 0, 5000)],
    "daemon / Queues / Batch": [within(0.5, 64)],
    "daemon / Names / Names": [
        within(0.01, 100),
        each("reason", ("packet_budget", "byte_budget", "no_recogniser", "no_buffer", "no_message"), 0, 100),
    ],
    "daemon / Names / Packets to a name": [within(1, 20)],
    "daemon / Names / Flow table": [each("state", ("asking", "named"), 0, 100)],
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
    "licences / Their traffic / Packets by verdict": [peaks(("verdict",), licensed_by(3))],
    "licences / Their traffic / What became of the packets": [
        labelled(("region", "provider", "licence", "verdict"), licensed_by(0, 1, 2, 3))
    ],
}

RECORDED: dict[str, Check] = {
    "citygate:packets:increase30s": labelled(Outcome._fields, sums(Outcome._fields)),
    "citygate:bytes:increase30s": labelled(Outcome._fields, sums(Outcome._fields, what="bytes")),
    "citygate:licensed_packets:increase30s": labelled(
        ("region", "provider", "licence", "verdict", "direction"), licensed_by(0, 1, 2, 3, 4)
    ),
    "citygate:flows_named:increase30s": labelled(("region", "service"), flows_named),
    "citygate:blocked:ratio5m": labelled(("region",), refused_part(("region",), lambda _: True)),
}
"""What each rule's expression must give: growth summed over the time shown, a share at its end."""
