"""The few kinds of panels there are.

Colours are Grafana's by name, which fit its dark and its light theme. They tell nothing alone: a word, a symbol, dashes
or a line at the threshold says it too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import bargauge, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    StackingConfig,
    TableSortByFieldState,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import DashboardLink, FieldColor, ThresholdsConfig
from grafana_foundation_sdk.builders.heatmap import HeatmapColorOptions, YAxisConfig
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from monitoring.dashboards.frame import PROMETHEUS
from monitoring.dashboards.promql import picked

PACKETS, BITS, SHARE, COUNT, SECONDS = "pps", "bps", "percentunit", "short", "s"
GOOD, BAD, UNSURE, CALM = "green", "red", "orange", "text"

Words = Mapping[str, tuple[str, str]]
"""A value as text to the word shown in its place and its colour."""
Queries = Mapping[str, str]
"""What a series is called, with labels as {{label}}, to its query."""

NOTHING = "nothing in the time shown"  # in place of Grafana's "No data", which sounds like a fault
NONE: Words = {"0": ("✓ none", GOOD)}

VERDICTS = {  # colour, and the dashes of its line
    "passed": (GOOD, None),
    "blocked": (BAD, [10, 6]),
    "throttled": (UNSURE, [2, 6]),
    "would_block": ("purple", [14, 4, 2, 4]),
}


def number(
    title: str,
    description: str,
    query: str,
    unit: str = COUNT,
    *,
    words: Words | None = None,
    alarm: bool = False,
    each: str = "",
    name_only: bool = False,
    width: int = 3,
    to: str = "",
) -> stat.Panel:
    """One value as of now. ``words`` stand for some values; with ``alarm`` all others but those are bad news.

    ``each``: the label by which there may be several, whose value names them, or with ``name_only`` stands alone.
    ``to``: where a click leads.
    """
    made = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .height(4)
        .span(width)
        .unit(unit)
        .min(0)
        .no_value(NOTHING)
        .with_target(_instant(query).legend_format(f"{{{{{each}}}}}" if each else title))
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .text_mode(common.BigValueTextMode.NAME if name_only else common.BigValueTextMode.AUTO)
        .mappings(_mappings(words))
        .thresholds(_thresholds(BAD if alarm else CALM))
    )
    return made.data_links([DashboardLink("Look closer").url(to)]) if to else made


def gateways(width: int, to: str = "") -> stat.Panel:
    return number(
        "Gateways",
        "Whether the daemon of each chosen gateway answers Prometheus.",
        picked("up"),
        words={"1": ("✓ answers", GOOD), "0": ("✗ down", BAD)},
        each="instance",
        width=width,
        to=to,
    )


def unfiltered(text: str, *matchers: str, width: int, to: str = "") -> stat.Panel:
    return number(
        "Unfiltered",
        text,
        f"ceil(sum(increase({picked('citygate_unfiltered_packets_total', *matchers)}[$__range])))",
        words=NONE,
        alarm=True,
        width=width,
        to=to,
    )


def lines(
    title: str,
    description: str,
    queries: Queries,
    unit: str = COUNT,
    *,
    width: int = 12,
    stacked: bool = False,
    below: float | None = None,
) -> timeseries.Panel:
    """Values over time. ``below``: a limit, drawn as a dashed line. Verdicts have their own colours and dashes."""
    made = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .height(8)
        .span(width)
        .unit(unit)
        .min(0)
        .no_value(NOTHING)
        .line_width(2)
        .fill_opacity(25 if stacked else 5)
        .show_points(common.VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
        .color_scheme(FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    )
    for reference, (name, query) in zip("ABCDEFGH", queries.items(), strict=False):
        made.with_target(_query(query).legend_format(name).ref_id(reference).range())
    if stacked:
        made.stacking(StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if below is not None:
        dashed = GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        made.thresholds(_thresholds("transparent", below, BAD)).thresholds_style(dashed)
    for verdict, (colour, dashes) in VERDICTS.items() if "{{verdict}}" in queries else ():
        style: dict[str, object] = {"fill": "dash", "dash": dashes} if dashes else {"fill": "solid"}
        made.override_by_name(verdict, [_fixed(colour), DynamicConfigValue("custom.lineStyle", style)])
    return made


def bars(title: str, description: str, name: str, query: str, *, to: str) -> bargauge.Panel:
    """The largest values as of now, one bar each."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .height(9)
        .span(12)
        .unit(COUNT)
        .min(0)
        .decimals(0)
        .no_value(NOTHING)
        .with_target(_instant(query).legend_format(name))
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .value_mode(common.BarGaugeValueMode.TEXT)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .color_scheme(FieldColor().mode(FieldColorModeId.FIXED).fixed_color("blue"))
        .data_links([DashboardLink("Look closer").url(to)])
    )


def matrix(
    title: str,
    description: str,
    query: str,
    rows: str,
    columns: str,
    unit: str = COUNT,
    *,
    cells: str = "Value",
    words: Words | None = None,
    to: str = "",
    row_to: str = "",
    height: int = 9,
    width: int = 24,
) -> table.Panel:
    """A table of two labels; its cells hold the value, or the label ``cells``.

    ``to`` and ``row_to``: where a click on a cell and on a row's name leads.
    """
    corner = f"{rows}\\{columns}"  # what Grafana calls the first column
    made = _table(title, description, unit, width, height).with_target(_as_table(query))
    made.with_transformation(
        DataTransformerConfig(
            "groupingToMatrix", options={"columnField": columns, "rowField": rows, "valueField": cells}
        )
    )
    made.mappings([*_mappings(words), *_empty()]).thresholds(_thresholds(CALM))
    made.cell_options(common.TableColorTextCellOptions())
    if to:
        made.data_links([DashboardLink("Look closer").url(to)])
    first = [
        DynamicConfigValue("displayName", rows),
        DynamicConfigValue("links", [{"title": "Look closer", "url": row_to}] if row_to else []),
    ]
    return made.override_by_name(corner, first)


def listing(
    title: str,
    description: str,
    queries: Queries,
    labels: Sequence[str],
    units: Mapping[str, str],
    *,
    sort: str,
    to: Mapping[str, str] | None = None,
    height: int = 9,
    width: int = 24,
) -> table.Panel:
    """A row for each combination of ``labels``; a column for each of them and for each query, by its name.

    ``units``: of the queries' columns; ``to``: of a label, where a click on its value leads.
    """
    made = _table(title, description, COUNT, width, height)
    values = {}
    for reference, (name, query) in zip("ABCDEFGH", queries.items(), strict=False):
        made.with_target(_as_table(query).ref_id(reference))
        values[f"Value #{reference}" if len(queries) > 1 else "Value"] = name
    made.with_transformation(DataTransformerConfig("merge", options={}))
    order = [*labels, *values]
    made.with_transformation(
        DataTransformerConfig(
            "organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {name: place for place, name in enumerate(order)},
                "renameByName": values,
            },
        )
    )
    made.sort_by([TableSortByFieldState().display_name(sort).desc(True)])
    for name in queries:
        made.override_by_name(name, [DynamicConfigValue("unit", units[name])])
    for label, url in (to or {}).items():
        made.override_by_name(label, [DynamicConfigValue("links", [{"title": "Look closer", "url": url}])])
    return made


def heat(title: str, description: str, query: str, unit: str) -> heatmap.Panel:
    """A histogram over time. The colours go from the background's to its opposite on both themes."""
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .height(8)
        .span(12)
        .with_target(_query(query).legend_format("{{le}}").format(PromQueryFormat.HEATMAP).range())
        .no_value(NOTHING)
        .calculate(False)
        .exemplars_color(UNSURE)
        .color(HeatmapColorOptions().mode(HeatmapColorMode.OPACITY).fill("blue").exponent(0.5).steps(64))
        .y_axis(YAxisConfig().unit(unit))
        .show_value(common.VisibilityMode.NEVER)
    )


def _table(title: str, description: str, unit: str, width: int, height: int) -> table.Panel:
    return (
        table.Panel().title(title).description(description).datasource(PROMETHEUS).height(height).span(width).unit(unit)
        .no_value(NOTHING).filterable(True).mappings(_empty())
    )  # fmt: skip


def _query(query: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().datasource(PROMETHEUS).expr(query).ref_id("A")


def _instant(query: str) -> prometheus.Dataquery:
    return _query(query).instant()


def _as_table(query: str) -> prometheus.Dataquery:
    return _instant(query).format(PromQueryFormat.TABLE)


def _mappings(words: Words | None) -> list[dashboard.ValueMapping]:
    if not words:
        return []
    results = enumerate(words.items())
    return [ValueMap({value: ValueMappingResult(text, colour, index=n) for n, (value, (text, colour)) in results})]


def _empty() -> list[dashboard.ValueMapping]:
    """A cell without a value, in whose place Grafana would put the table's words for no data at all."""
    return [
        SpecialValueMap(DashboardSpecialValueMapOptions(match, ValueMappingResult("–", index=100 + number)))
        for number, match in enumerate((SpecialValueMatch.EMPTY, SpecialValueMatch.NULL))
    ]


def _thresholds(base: str, limit: float | None = None, above: str = "") -> ThresholdsConfig:
    steps = [Threshold(None, base)] + ([] if limit is None else [Threshold(limit, above)])
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _fixed(colour: str) -> DynamicConfigValue:
    return DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})


def _legend() -> VizLegendOptions:
    listed: Any = common.LegendDisplayMode.TABLE
    return (
        VizLegendOptions().display_mode(listed).placement(common.LegendPlacement.BOTTOM).show_legend(True)
        .calcs(["lastNotNull", "max"])
    )  # fmt: skip
