"""The groups along each axis against the rules themselves, asked one value at a time."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from citygate.policy.axes import Axes, Columns, Line, axes, columns, numbers, port_span, reached, takers
from citygate.policy.evaluate import holds
from citygate.policy.model import Licence, Match, PortRange, Region
from citygate.policy.spans import Span, overlay, span
from citygate.policy.zones import carve_region
from tests.policy import flows
from tests.policy.flows import AT, NAMES, REGISTERS

spans = st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda given: (given[0], given[0] + given[1]))


@given(st.lists(st.lists(spans, max_size=4), max_size=4), spans)
def test_a_line_knows_the_groups_of_each_stretch(layers: list[list[Span]], wanted: Span) -> None:
    line = Line(overlay(layers))
    held = [
        sum(1 << i for i, layer in enumerate(layers) if any(first <= number <= last for first, last in layer))
        for number in range(wanted[0], wanted[1] + 1)
    ]
    assert line.within(wanted) == {rules for rules in held if rules}


@settings(max_examples=20)
@given(flows.regions())
def test_rules_hold_for_a_flow_when_its_groups_have_them_in_common(region: Region) -> None:
    """Every flow is in one group along each axis, and no group is without a flow."""
    found = axes(region, tuple(carve_region(region)), NAMES)
    seen: dict[int, list[set[int]]] = {family.version: [set() for _ in family.groups] for family in found}
    families = {family.version: family for family in found}
    for flow in flows.flows(region):
        version = flow.subscriber.version
        groups = groups_of(families[version], flow)
        common = set.intersection(*(set(numbers(group)) for group in groups))
        applied = {
            i
            for i, rule in enumerate(region.rules)
            if rule in flow.zone.rules and holds(rule.match, region.name, flow.name, flow.far, AT.date(), flow.names)
        }
        assert common == applied
        for held, group in zip(seen[version], groups, strict=True):
            held.add(group)
    for family in found:
        if family.subscribers.groups:
            for held, axis in zip(seen[family.version], family.groups, strict=True):
                assert {group for group in axis if group} <= held


def groups_of(family: Axes, flow: flows.Flow) -> list[int]:
    """The group of a flow along each axis; 0 where no rule holds for it."""
    known = columns(NAMES)
    licence = flow.names.licence(flow.name, "r", AT.date())
    column = known.of(Match(services=(flow.name.service,), licences=(licence,)))
    if flow.name.provider:
        column &= known.of(Match(providers=(flow.name.provider,)))
    else:
        column &= ~known.of(Match(providers=tuple(flows.OFFERED)))
    far, port = int(flow.far.address), 2 << 16
    if flow.far.port is not None:
        port = port_span(PortRange(flow.far.proto, flow.far.port, flow.far.port))[0]
    found = [
        [rules for rules, held in family.names.items() if held & column],
        family.far.within((far, far)),
        family.ports.within((port, port)),
        family.subscribers.within(span(ip_network(flow.subscriber))),
    ]
    return [sum(groups) for groups in found]


def test_columns_are_names_with_every_licence_their_provider_could_have() -> None:
    known = Columns(NAMES)
    alone = [name for name in NAMES.all if not name.provider]
    assert known.every.bit_count() == len(alone) + 5 * (len(NAMES.all) - len(alone))
    assert known.of(Match()) == known.every
    assert known.of(Match(providers=("bt",))).bit_count() == 5
    for licence, names in REGISTERS.items():
        by_register = names.matching(Match(categories=("vpn",), licences=(licence,)), "r", AT.date())
        assert known.of(Match(categories=("vpn",), licences=(licence,))).bit_count() == len(by_register)


def test_ports_of_two_protocols_do_not_meet() -> None:
    ports = [(proto, first, last) for proto in ("tcp", "udp") for first, last in ((1, 65535), (65535, 65535))]
    ranges = {port: port_span(PortRange(*port)) for port in ports}
    for one, other in product(ports, repeat=2):
        if one[0] != other[0]:
            assert ranges[one][1] < ranges[other][0] or ranges[other][1] < ranges[one][0]


def test_a_flow_is_left_when_one_group_of_each_axis_has_nothing_above_in_common() -> None:
    both, first, second, neither = 0b111, 0b101, 0b110, 0b100  # rules 0 and 1, and rule 2 below them in each group
    assert reached([{first}, {second}], 2, 0b011)
    assert not reached([{first}, {both}], 2, 0b011)
    assert reached([{first}, {both, neither}], 2, 0b011)
    assert takers([[{first}, {second}]], 2, 0b011) is None
    assert takers([[{first}, {both, first}]], 2, 0b011) == (0,)
    assert takers([[{first}, {first}], [{second}, {both}]], 2, 0b011) == (0, 1)
    assert takers([[set(), {both}]], 2, 0b011) == ()


def test_every_licence_is_in_the_registers() -> None:
    for licence, names in REGISTERS.items():
        assert all(names.licence(name, "r", AT.date()) is licence for name in names.all if name.provider)
    assert set(REGISTERS) == set(Licence)
