"""What the documents say exists, exists: commands, files, metrics, the kernel's maps; and what they show works."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from citygate import metrics
from citygate.__main__ import commands as program
from citygate.catalogue import builtin
from citygate.kernel import skeleton
from citygate.policy.load import load
from citygate.policy.problem import PolicyError
from tests.conftest import ROOT
from tests.inforce_samples import sample
from tests.test_metrics import sources

README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(group: click.Group) -> set[str]:
    """``check``, ``lab up`` and so on: what may be typed after the program's name."""
    context = click.Context(group)
    found: set[str] = set()
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        found |= {f"{word} {sub}" for sub in commands(command)} if isinstance(command, click.Group) else {word}
    return found


def shown_as_code(text: str) -> str:
    """The code of a document, blocks and inline, one piece a line."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


def mentioned(text: str) -> set[str]:
    """Commands of citygate in the code of a document, as far as they can be told from their arguments."""
    groups = {command.partition(" ")[0] for command in commands(program) if " " in command}
    found = re.findall(r"\bcitygate ([a-z]+)(?: ([a-z]+))?", shown_as_code(text))
    return {f"{first} {second}".rstrip() if first in groups else first for first, second in found} - groups


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_commands_named_exist(document: Path) -> None:
    assert mentioned(document.read_text()) <= commands(program)


def test_readme_names_every_command() -> None:
    rows = re.findall(r"^\| `citygate ([a-z]+)", README.read_text(), re.MULTILINE)
    assert set(rows) == set(program.list_commands(click.Context(program)))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_steps_of_run_named_exist(document: Path) -> None:
    steps = set(re.findall(r"\./run ([a-z]+)", shown_as_code(document.read_text())))
    assert steps <= set(re.findall(r"\./run ([a-z]+)", (ROOT / "run").read_text()))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_within_the_project_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\bcitygate_[a-z0-9_]+", text))


@pytest.fixture(scope="module")
def metrics_served(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names as a scrape shows them, of the daemon's own metrics."""
    in_force = sample(tmp_path_factory.mktemp("docs"))
    families = list(metrics.Figures(sources(in_force)).collect())
    return {f"{family.name}{'_total' if family.type == 'counter' else ''}" for family in families}


def test_metrics_documented_are_those_served(metrics_served: set[str]) -> None:
    assert metrics_in((ROOT / "docs" / "metrics.md").read_text()) == metrics_served


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "monitoring" / "prometheus.yml"], ids=name)
def test_metrics_named_exist(document: Path, metrics_served: set[str]) -> None:
    assert metrics_in(document.read_text()) <= metrics_served


def test_maps_and_sets_of_the_table_are_explained() -> None:
    text = (ROOT / "docs" / "kernel.md").read_text()
    declared = skeleton.declarations(dict.fromkeys(skeleton.COUNTERS, 1))
    names = [re.fullmatch(rf"(?:map|set) inet {skeleton.TABLE} (\w+) .*", line) for line in declared]
    for found in names:
        assert found
        assert f"`{found[1]}`" in text or found[1].startswith("recent_"), found[1]


REGISTER = "providers: [{provider: telecom, title: Telecom, services: [vpn], licence: {status: granted}}]"
"""Without a provider nobody could have a licence, and a rule that asks for one would be an error."""


def regions_shown(document: Path) -> list[str]:
    blocks = re.findall(r"```yaml\n(.*?)```", document.read_text(), re.DOTALL)
    return [block for block in blocks if re.search(r"^region:", block, re.MULTILINE)]


@pytest.mark.parametrize("document", [README, ROOT / "docs" / "policy.md"], ids=name)
def test_region_shown_is_a_policy(document: Path, tmp_path: Path) -> None:
    (block,) = regions_shown(document)
    (tmp_path / "regions").mkdir()
    (tmp_path / "regions" / "shown.yaml").write_text(block)
    (tmp_path / "providers.yaml").write_text(REGISTER)
    policy = load(tmp_path, builtin()).policy
    assert [region.name for region in policy.regions] == ["shenzhen"]
    assert policy.regions[0].rules


def test_mistake_shown_reads_so(tmp_path: Path) -> None:
    document = ROOT / "docs" / "policy.md"
    (block,) = regions_shown(document)
    (tmp_path / "regions").mkdir()
    (tmp_path / "providers.yaml").write_text(REGISTER)
    (tmp_path / "regions" / "shenzhen.yaml").write_text(block.replace("service: skypeout", "service: skypeuot"))
    with pytest.raises(PolicyError) as refused:
        load(tmp_path, builtin())
    assert str(refused.value).removeprefix(f"{tmp_path}/") in document.read_text().splitlines()


def test_packages_are_the_same_everywhere() -> None:
    listed = re.search(r"^packages=\((.*)\)$", (ROOT / "run").read_text(), re.MULTILINE)
    explained = (ROOT / "docs" / "install.md").read_text()
    by_hand = re.search(r"apt-get install (python3.*)$", explained, re.MULTILINE)
    assert listed and by_hand
    wanted = set(listed[1].split()) - {"python3"}  # comes with python3-venv
    assert set(by_hand[1].split()) == wanted
    assert all(f"`{package}`" in explained for package in wanted)
