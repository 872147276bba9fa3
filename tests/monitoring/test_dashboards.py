"""The dashboards: the committed files are what the code makes, and what they name exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from citygate import metrics
from monitoring.dashboards import written
from tests.inforce_samples import sample
from tests.monitoring.dashboards import DASHBOARDS, FOLDER, panels
from tests.monitoring.prometheus import promtool, rules
from tests.test_metrics import sources

GRAFANA_S = {"__range", "__rate_interval", "__url_time_range", "__value", "__data", "__field", "__all"}
PROMETHEUS_S = {"up": set(), "scrape_duration_seconds": set(), "ALERTS": {"alertname", "alertstate", "severity"}}
EMPTY = {"empty", "null"}
COLOURS = {"green", "red", "orange", "blue", "purple", "text", "transparent"}

each = pytest.mark.parametrize("uid", DASHBOARDS)


def test_the_files_are_what_the_code_makes() -> None:
    """`./run dashboards` makes them."""
    made = written()
    assert set(made) == set(FOLDER.iterdir())
    for path, text in made.items():
        assert path.read_text() == text, path.name


@each
def test_the_file_is_all_that_the_sdk_s_model_knows(uid: str) -> None:
    again = json.loads(json.dumps(Dashboard.from_json(DASHBOARDS[uid]), cls=JSONEncoder))
    assert placed_alike(again) == placed_alike(DASHBOARDS[uid])


def placed_alike(dashboard: Any) -> Any:
    """Without where links and annotations are offered: the model reads that as a menu, whatever is written."""
    copy = json.loads(json.dumps(dashboard))
    for part in (*copy["links"], *copy["annotations"]["list"]):
        part.pop("placement")
    return copy


@each
def test_names(uid: str) -> None:
    dashboard = DASHBOARDS[uid]
    assert dashboard["uid"] == uid
    assert dashboard["title"].startswith("citygate / ")
    assert dashboard["description"]
    assert "citygate" in dashboard["tags"]


def test_titles_are_unique() -> None:
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS) == 4


@each
def test_panels_lie_side_by_side(uid: str) -> None:
    found = DASHBOARDS[uid]["panels"]
    assert sorted(panel["id"] for panel in found) == list(range(1, len(found) + 1))
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in found):
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert place["x"] + place["w"] <= 24  # Grafana's grid
        assert not cells & taken
        taken |= cells
    ends: dict[int, int] = {}  # by line, how far its panels reach
    for x, y in taken:
        ends[y] = max(ends.get(y, 0), x)
    assert set(ends.values()) == {23}, "a line that is not full"


@each
def test_every_panel_explains_itself(uid: str) -> None:
    for name, panel in panels(DASHBOARDS[uid]).items():
        assert panel["description"].endswith("."), name
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, name
        assert {json.dumps(target["datasource"]) for target in panel["targets"]} == {json.dumps(panel["datasource"])}
        defaults = panel["fieldConfig"]["defaults"]
        assert "unit" in defaults or panel["type"] == "heatmap", name
        assert defaults["noValue"], name
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references), name


@each
def test_an_empty_cell_does_not_say_that_there_is_no_data(uid: str) -> None:
    """Grafana puts a panel's words for no data in the place of each empty text, unless a mapping says otherwise."""
    for name, panel in panels(DASHBOARDS[uid]).items():
        special = [each["options"] for each in panel["fieldConfig"]["defaults"].get("mappings", [])]
        shown = {each["match"]: each["result"]["text"] for each in special if "match" in each}
        assert shown == (dict.fromkeys(EMPTY, "–") if panel["type"] == "table" else {}), name


@each
def test_values_are_asked_for_at_once_and_graphs_over_time(uid: str) -> None:
    over_time = {"timeseries", "heatmap"}
    for name, panel in panels(DASHBOARDS[uid]).items():
        for target in panel["targets"]:
            assert (target["range"], target["instant"]) == (
                (True, False) if panel["type"] in over_time else (False, True)
            ), name


@each
def test_legends_and_columns_name_labels_of_their_query(uid: str) -> None:
    for name, panel in panels(DASHBOARDS[uid]).items():
        for target in panel["targets"]:
            labels = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
            for step in panel.get("transformations", []):
                if step["id"] == "groupingToMatrix":
                    options = step["options"]
                    labels |= {options["rowField"], options["columnField"], options["valueField"]} - {"Value"}
                if step["id"] == "organize":
                    labels |= step["options"]["indexByName"].keys() - step["options"]["renameByName"].keys()
            kept = kept_labels(target["expr"])
            assert kept is None or labels <= kept, name


def kept_labels(expression: str) -> set[str] | None:
    """Of a query's result, where it sums by labels; None where it keeps all."""
    found = re.findall(r"\bby \((.*?)\)", expression)
    return {label for labels in found for label in labels.split(", ")} if found else None


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)


def variables(uid: str) -> set[str]:
    return {variable["name"] for variable in DASHBOARDS[uid]["templating"]["list"]}


@each
def test_variables_used_are_those_there_are(uid: str) -> None:
    used = {name for text in texts(DASHBOARDS[uid]) for name in re.findall(r"\$\{?(\w+)", text)}
    assert used - GRAFANA_S == variables(uid)


@each
def test_links_lead_to_dashboards_and_their_variables(uid: str) -> None:
    found = [text for text in texts(DASHBOARDS[uid]) if text.startswith("/d/")]
    assert {urlsplit(text).path for text in found} >= {f"/d/{other}" for other in DASHBOARDS if other != uid}
    for text in found:
        parts = urlsplit(text)
        target = parts.path.removeprefix("/d/")
        assert target in DASHBOARDS
        chosen = {name.removeprefix("var-") for name, _ in parse_qsl(parts.query) if name.startswith("var-")}
        kept = set(re.findall(r"\${(\w+):queryparam}", parts.query))
        assert chosen | kept <= variables(target), text


@pytest.mark.parametrize("title", ["Verdicts", "Rates"])
def test_a_region_s_cell_leads_to_the_region(title: str) -> None:
    matrix = panels(DASHBOARDS["citygate-overview"])[f"Regions and services / {title}"]
    (cell,) = matrix["fieldConfig"]["defaults"]["links"]
    assert "/d/citygate-region?var-region=${__data.fields[0]}&var-service=${__field.name}&" in cell["url"]
    (row,) = matrix["fieldConfig"]["overrides"]
    assert row["matcher"] == {"id": "byName", "options": r"region\service"}
    (link,) = next(each["value"] for each in row["properties"] if each["id"] == "links")
    assert "/d/citygate-region?var-region=${__value.text}&" in link["url"]


@each
def test_no_colour_stands_alone(uid: str) -> None:
    """Those that say something come with a word, dashes or a line; and all are named, so that they fit both themes."""
    for name, panel in panels(DASHBOARDS[uid]).items():
        defaults = panel["fieldConfig"]["defaults"]
        mappings = [each["options"] for each in defaults.get("mappings", []) if each["type"] == "value"]
        words = [each for mapping in mappings for each in mapping.values()]
        assert all(word["text"] for word in words), name
        steps = defaults.get("thresholds", {}).get("steps", [])
        if len(steps) > 1:
            assert defaults["custom"]["thresholdsStyle"]["mode"] == "dashed", name
        elif steps and steps[0]["color"] == "red":
            assert any(word["color"] == "green" for word in words), name
        for override in panel["fieldConfig"]["overrides"]:
            properties = {each["id"] for each in override["properties"]}
            assert "color" not in properties or "custom.lineStyle" in properties, name
    styles = [
        json.dumps(each["value"])
        for panel in panels(DASHBOARDS[uid]).values()
        for override in panel["fieldConfig"]["overrides"][-4:]
        for each in override["properties"]
        if each["id"] == "custom.lineStyle"
    ]
    assert len(set(styles)) in (0, 4)
    named = set(re.findall(r'"(?:\w*[cC]olor|fill)": "([^"]*)"', json.dumps(DASHBOARDS[uid])))
    assert named <= COLOURS | {"solid", "dash"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every metric there is, recorded ones too, and its labels."""
    registry = metrics.registry_of(sources(sample(tmp_path_factory.mktemp("dashboards"))))
    found: dict[str, set[str]] = dict(PROMETHEUS_S)
    for family in registry.collect():
        labels = set(getattr(family, "_labelnames", ()))
        if isinstance(family, HistogramMetricFamily):
            found[f"{family.name}_bucket"] = labels | {"le"}
        else:
            found[family.name + ("_total" if isinstance(family, CounterMetricFamily) else "")] = labels
    for name, expression in rules("record").items():
        sources_ = [found[each] for each in names(expression)]
        found[name] = kept_labels(expression) or set.union(*sources_)
    return found


def names(expression: str) -> list[str]:
    bare = re.sub(r"\{.*?\}|\b(?:by|on|group_left) \(.*?\)", "", expression)
    return re.findall(r"\b(?:citygate[_:][\w:]+|process_\w+|up|ALERTS|scrape_\w+)\b", bare)


def expressions() -> dict[str, str]:
    found = {f"{kind} {name}": expression for kind in ("alert", "record") for name, expression in rules(kind).items()}
    for uid, dashboard in DASHBOARDS.items():
        for name, panel in panels(dashboard).items():
            found |= {f"{uid} / {name} {target['refId']}": target["expr"] for target in panel["targets"]}
        for annotation in dashboard["annotations"]["list"]:
            found[f"{uid} annotation {annotation['name']}"] = annotation["expr"]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                found[f"{uid} ${variable['name']}"] = variable["query"]
    return found


@pytest.mark.parametrize("where", expressions())
def test_metrics_and_labels_exist(where: str, served: dict[str, set[str]]) -> None:
    expression = expressions()[where]
    used = names(expression)
    assert used
    assert set(used) <= served.keys()
    listed = re.findall(r"(?:by|on|group_left) \(([^)]+)\)", expression)
    labels = {label for labels in listed for label in labels.split(", ")}
    labels |= set(re.findall(r"(\w+)(?:=|!=|=~|!~)\"", expression))
    labels |= set(re.findall(r"label_values\(.*, (\w+)\)", expression))
    assert labels <= set.union(*(served[name] for name in used)) | {"job", "instance"}


def test_prometheus_understands_the_queries(tmp_path_factory: pytest.TempPathFactory) -> None:
    # As recording rules, since that is what promtool checks; Grafana's own variables filled in.
    found = [
        {"record": f"citygate:query{number}", "expr": re.sub(r"\$__\w+", "1m", expression).replace("$", "")}
        for number, (where, expression) in enumerate(expressions().items())
        if " $" not in where
    ]
    file = tmp_path_factory.mktemp("queries") / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": found}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stderr + done.stdout
