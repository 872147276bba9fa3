"""The declarations in pyproject.toml against the files on disk, and what the build makes of them."""

from __future__ import annotations

import ast
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

DAEMON = ROOT / "daemon"
PACKAGE = DAEMON / "citygate"
COMPILED = sorted(PACKAGE.rglob("*.pyx"))


def declared() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(DAEMON).with_suffix("").parts)


def test_every_compiled_module_is_declared_once() -> None:
    listed = [module["name"] for module in declared()["tool"]["setuptools"]["ext-modules"]]
    assert sorted(listed) == sorted(module_name(path) for path in COMPILED)


def test_compiled_modules_are_built_alike() -> None:
    for module in declared()["tool"]["setuptools"]["ext-modules"]:
        path = module["name"].replace(".", "/")
        assert module["sources"] == [f"daemon/{path}.pyx"]
        assert module["extra-compile-args"] == ["-O2", "-g0"], module["name"]


@pytest.mark.parametrize("source", COMPILED, ids=module_name)
def test_compiled_module_has_a_typed_face(source: Path) -> None:
    assert source.with_suffix(".pyi").is_file()


def modules_to_test() -> list[Path]:
    """Modules that compute something. Those that only declare (a model, bits, an error) are tested where they are used,
    and the command line's entry by every end-to-end test."""
    python = [path for path in PACKAGE.rglob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    return sorted(COMPILED + [path for path in python if any(map(computes, ast.walk(ast.parse(path.read_text()))))])


def computes(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def test_every_module_has_its_test_file() -> None:
    places = [source.relative_to(PACKAGE) for source in modules_to_test()]
    wanted = [place.parent / f"test_{place.stem}.py" for place in places]
    assert "\n".join(str(path) for path in wanted if not (ROOT / "tests" / path).is_file()) == ""


@pytest.mark.parametrize("folder", sorted({path.parent for path in (ROOT / "tests").rglob("test_*.py")}), ids=str)
def test_test_folder_is_a_package(folder: Path) -> None:
    assert (folder / "__init__.py").is_file(), "two test files of the same name would clash"


def setuptools(*command: str) -> None:
    """Runs the build backend's own command in the checkout, as pip does."""
    script = "from setuptools import setup; setup()"
    done = subprocess.run([sys.executable, "-c", script, "-q", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_installed_package_has_its_data(tmp_path: Path) -> None:
    setuptools("build_py", "--build-lib", str(tmp_path))
    installed = tmp_path / "citygate"
    assert (installed / "py.typed").is_file()
    for pattern in ("**/*.py", "**/*.pyi", "**/*.pxd", "catalogue/*.yaml", "web/page.html"):
        wanted = {path.relative_to(PACKAGE) for path in PACKAGE.glob(pattern)}
        assert wanted, f"the checkout has no {pattern}"
        assert wanted <= {path.relative_to(installed) for path in installed.rglob("*")}, pattern


def test_source_distribution_is_whole(tmp_path: Path) -> None:
    setuptools("sdist", "--dist-dir", str(tmp_path))
    (archive,) = tmp_path.glob("citygate-*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    files = [ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "run", ".ci/run")]
    for folder in ("packaging", "tests", "policies", "systemd"):
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    files += [path for pattern in ("*.py", "*.pyx", "*.pxd", "*.pyi", "*.yaml") for path in PACKAGE.rglob(pattern)]
    assert {str(path.relative_to(ROOT)) for path in files} <= names
    made = {str(path.with_suffix(".c").relative_to(ROOT)) for path in COMPILED}
    assert not made & names, "C made on this machine must not travel"


def test_version_has_its_place_in_the_changelog() -> None:
    assert declared()["project"]["version"] in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["buster"], "no package for buster: bookworm or trixie"),
        (["--fresh", "buster"], "no package for buster: bookworm or trixie"),
        (["--frehs"], "no package for --frehs: bookworm or trixie"),
        (["trixie", "--fresh"], "one release at a time: [--fresh] [RELEASE]"),
    ],
)
def test_a_package_is_for_one_release_that_there_is(arguments: list[str], words: str) -> None:
    done = subprocess.run([ROOT / "packaging" / "deb", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"deb: {words}\n")
