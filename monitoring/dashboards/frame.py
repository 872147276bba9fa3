"""What every dashboard has around its panels: variables, links to the others, annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import DataSourceRef

from monitoring.dashboards.promql import GATEWAY

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG = "citygate"
TITLES = {
    "citygate-overview": "Overview",
    "citygate-region": "Region",
    "citygate-daemon": "Daemon",
    "citygate-licences": "Licences",
}

Panels = list[Builder[model.Panel]]
"""From left to right; a line has 24 columns."""


def link(uid: str, **variables: str) -> str:
    """To another dashboard, of the same gateways and time; ``variables`` to values or Grafana's expressions."""
    chosen = [f"var-{name}={value}" for name, value in variables.items()]
    kept = [f"${{{name}:queryparam}}" for name in ("datasource", "job", "instance")]
    return f"/d/{uid}?{'&'.join([*chosen, *kept])}&${{__url_time_range}}"


def frame(
    uid: str, description: str, rows: Mapping[str, Panels], variables: Sequence[Builder[model.VariableModel]] = ()
) -> model.Dashboard:
    """``rows``: headings to the panels below them. ``variables``: beside those that choose the gateway."""
    made = (
        Dashboard(f"citygate / {TITLES[uid]}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .annotation(_revisions())
        .variables([*_gateway_variables(), *variables])
    )
    for other, title in TITLES.items():  # placed in sight: the SDK's default is a menu
        if other != uid:
            made.link(
                DashboardLink(title).type(model.DashboardLinkType.LINK).icon("dashboard").placement("").url(f"/d/{other}")
                .tooltip(f"citygate / {title}").include_vars(True).keep_time(True)
            )  # fmt: skip
    for heading, panels in rows.items():
        made.with_row(Row(heading))
        for panel in panels:
            made.with_panel(panel)
    built = made.build()
    for number, each in enumerate(built.panels or (), 1):
        each.id_val = number
    return built


def choice(name: str, label: str, query: str, *, several: bool) -> QueryVariable:
    """A variable whose values Prometheus knows. With ``several`` any number of them, at first all."""
    made = (
        QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
    if several:
        everything = model.VariableOption(selected=True, text="All", value="$__all")
        made.multi(True).include_all(True).all_value(".*").current(everything)
    return made


def _gateway_variables() -> list[Builder[model.VariableModel]]:
    return [
        DatasourceVariable("datasource").label("Data source").type("prometheus"),
        choice("job", "Job", "label_values(citygate_policy_regions, job)", several=False),
        choice("instance", "Gateway", 'label_values(citygate_policy_regions{job="$job"}, instance)', several=True),
    ]


def _revisions() -> AnnotationQuery:
    """A line where a policy came into force, at the moment it did."""
    loaded = f"citygate_policy_last_reload_timestamp_seconds{{{GATEWAY}}}"
    revision = f"on (job, instance) group_left (revision) citygate_policy_info{{{GATEWAY}}}"
    return (
        AnnotationQuery()
        .name("Policy")
        .datasource(PROMETHEUS)
        .enable(True)
        .icon_color("blue")
        .placement("")
        .expr(f"{loaded} * {revision} * 1000")
        .use_value_for_time(True)
        .step("10s")
        .title_format("Policy {{revision}} in force")
        .text_format("{{instance}}")
        .tag_keys("revision")
    )
