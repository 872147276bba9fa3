"""The Debian package: what is in it, and what installing, upgrading, removing and purging it do to a real Debian."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from citygate.lab.gateway import Metered
from citygate.lab.stream import Stream, Streams
from citygate.lab.topology import Lab, party
from tests.conftest import ROOT
from tests.e2e.tools import region, unfiltered
from tests.service.asking import Asking
from tests.service.machine import Machine
from tests.test_packaging import COMPILED, PACKAGE

SITE = r"usr/lib/citygate/lib/python3\.\d+/site-packages"
CONFIG = "/etc/citygate/citygate.yaml"
EXAMPLE = "/etc/citygate/policies/regions/example.yaml"
ENABLED = "/etc/systemd/system/multi-user.target.wants/citygate.service"
INSTANCE = "citygate@apart.service"  # in the network namespace `apart`
# Listings of what is in the kernel, of both.
TABLES = (("nft", "list", "ruleset"), ("nsenter", "--net=/run/netns/apart", "nft", "list", "ruleset"))
ADDED = "# new in the next version\n"
RATE = 500.0  # datagrams a second of each stream
REFUSED, ALLOWED = "openvpn", "wireguard"


class Entry(NamedTuple):
    """One file of a package."""

    mode: str  # as ls prints it
    owner: str  # user/group
    path: str  # without the leading slash
    target: str  # of a symbolic link


def contents(deb: Path) -> list[Entry]:
    lines = subprocess.run(["dpkg-deb", "--contents", deb], capture_output=True, text=True, check=True).stdout
    entries = []
    for line in lines.splitlines():
        mode, owner, _, _, _, name = line.split(maxsplit=5)
        path, _, target = name.partition(" -> ")
        entries.append(Entry(mode, owner, path.removeprefix("./"), target))
    return entries


def field(deb: Path, name: str) -> str:
    return subprocess.run(["dpkg-deb", "--field", deb, name], capture_output=True, text=True, check=True).stdout.strip()


def unpacked(deb: Path, to: Path) -> Path:
    subprocess.run(["dpkg-deb", "--raw-extract", deb, to], check=True)
    return to


@pytest.fixture(scope="module")
def newer(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same package with a higher version and a line more in each configuration file: a release to come."""
    place = tmp_path_factory.mktemp("newer")
    tree = unpacked(deb, place / "tree")
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: (.*)~", r"Version: \1+next~", control.read_text(), flags=re.MULTILINE))
    for name in (CONFIG, EXAMPLE):
        with (tree / name.lstrip("/")).open("a") as file:
            file.write(ADDED)
    made = place / "newer.deb"
    subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, made], check=True, capture_output=True)
    shutil.rmtree(tree)
    return made


def test_is_named_after_version_and_release(release: str, deb: Path) -> None:
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert field(deb, "Version") == f"{version[1]}~{release}"
    assert deb.name == f"citygate_{version[1]}~{release}_{field(deb, 'Architecture')}.deb"


def test_depends_on_the_release_it_is_for(release: str, deb: Path) -> None:
    depends = field(deb, "Depends")
    python, ssl = {"bookworm": ((11, 12), "libssl3"), "trixie": ((13, 14), "libssl3t64")}[release]
    assert f"python3 (>= 3.{python[0]}~), python3 (<< 3.{python[1]})" in depends
    assert {ssl, "libnetfilter-queue1", "nftables"} <= set(re.findall(r"[a-z0-9-]+", depends))
    assert field(deb, "Recommends") == "iptables"


def test_holds_what_a_gateway_needs_and_no_more(release: str, deb: Path) -> None:
    entries = {entry.path: entry for entry in contents(deb)}
    units = "lib/systemd/system" if release == "bookworm" else "usr/lib/systemd/system"
    for path in (
        f"{units}/citygate.service",
        f"{units}/citygate@.service",
        "usr/lib/sysusers.d/citygate.conf",
        "usr/share/bash-completion/completions/citygate",
        "usr/share/citygate/monitoring/prometheus.yml",
        "usr/share/citygate/policies/providers.yaml",
        "usr/share/citygate/policies/regions/shenzhen.yaml",
        "usr/share/doc/citygate/bundled",
        "usr/share/doc/citygate/changelog.gz",
        "usr/share/doc/citygate/copyright",
    ):
        assert path in entries
    assert entries["usr/bin/citygate"].target == "../lib/citygate/bin/citygate"
    assert {entry.owner for entry in entries.values()} == {"root/root"}
    assert not [entry.path for entry in entries.values() if entry.mode[8] == "w" and entry.mode[0] != "l"]
    programs = {entry.path.rpartition("/")[2] for entry in entries.values() if "/citygate/bin/" in entry.path}
    assert {re.sub(r"3\.\d+$", "3.x", name) for name in programs} == {"", "citygate", "python", "python3", "python3.x"}
    unwanted = re.compile(r"\.(pyx|pxd|pyi|c|h|o)$|/tests?/|/(pip|setuptools|Cython|wheel|pytest|mypy|ruff)[-/]")
    libraries = [path for path in entries if path.startswith("usr/lib/citygate/")]
    assert not [path for path in libraries if unwanted.search(path)]


def test_each_module_is_there_and_compiled(deb: Path) -> None:
    modules = {re.sub(f"^{SITE}/", "", entry.path) for entry in contents(deb)}
    modules = {re.sub(r"\.cpython-\d+", "", module) for module in modules}
    modules |= {re.sub(r"-[a-z0-9_]+-linux-gnu\.so$", ".so", module) for module in modules}
    for source in COMPILED + list(PACKAGE.rglob("*.py")):
        place = source.relative_to(PACKAGE.parent)
        if source.suffix == ".py":
            assert {str(place), str(place.parent / "__pycache__" / f"{place.name}c")} <= modules
        else:
            assert str(place.with_suffix(".so")) in modules


def test_scripts_begin_with_the_python_of_the_package(deb: Path, tmp_path: Path) -> None:
    tree = unpacked(deb, tmp_path / "tree")
    assert (tree / "usr/lib/citygate/bin/citygate").read_text().startswith("#!/usr/lib/citygate/bin/python\n")
    files = [path for path in (tree / "usr").rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if b"/build/citygate/" in path.read_bytes()] == []  # where it was built


def test_lintian_finds_no_error(deb: Path) -> None:
    if not shutil.which("lintian"):
        pytest.skip("needs lintian")
    done = subprocess.run(["lintian", "--allow-root", deb], capture_output=True, text=True, check=False)
    assert "E: " not in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fresh_install_filters_at_once_and_touches_nobody(bare: Machine, deb: Path) -> None:
    bare.install(deb)
    assert bare.property("citygate", "ActiveState") == "active"
    assert bare.run("systemctl", "is-enabled", "citygate").stdout.strip() == "enabled"
    assert bare.run("systemctl", "is-enabled", "citygate@.service", check=False).stdout.strip() == "disabled"
    assert bare.run("citygate", "version").stdout.split()[-1] == field(deb, "Version").partition("~")[0]
    assert bare.run("getent", "group", "citygate").stdout.startswith("citygate:")
    assert re.search(r":/usr/sbin/nologin$", bare.run("getent", "passwd", "citygate").stdout.strip())
    assert bare.run("stat", "--format=%U", "/var/lib/citygate").stdout.strip() == "citygate"
    assert bare.run("stat", "--format=%U %a", CONFIG, EXAMPLE).stdout == "root 644\n" * 2
    bare.run("citygate", "check", "--strict", "/etc/citygate/policies")
    bare.run("citygate", "check", "/usr/share/citygate/policies")
    listed = bare.run("nft", "list", "table", "inet", "citygate").stdout
    assert set(re.findall(r"\d+\.\d+\.\d+\.\d+/\d+", listed)) == {"192.0.2.0/24"}  # RFC 5737: nobody's
    assert bare.run("citygate", "status").stdout
    said = bare.run("bash", "-c", ". /usr/share/bash-completion/completions/citygate; complete -p citygate").stdout
    assert "-F _citygate_completion citygate" in said
    assert bare.run("dpkg", "--verify", "citygate").stdout == ""


def test_an_upgrade_under_traffic_loses_nothing_and_lets_nothing_through(
    bare: Machine, lab: Lab, deb: Path, newer: Path
) -> None:
    """Flows with names, over IPv4 and IPv6: refused ones stay refused, allowed ones lose no packet. Of those without
    names, what the daemon was not there to look at is counted.
    """
    bare.install(deb)
    policy = region(f"match: {{service: {REFUSED}}}, action: allow")
    put_policy(bare, policy)
    caller, callee = party("shenzhen"), party("internet")
    streams = {
        (name, family): Stream(lab, name, caller, callee, family) for name in (REFUSED, ALLOWED) for family in (4, 6)
    }
    with Streams(list(streams.values()), RATE), ThreadPoolExecutor(1) as beside:
        put_policy(bare, policy.replace("allow}", "drop}"))
        before, asking = pid(bare), Asking(lab)
        since = time.monotonic()
        upgrade = beside.submit(bare.install, newer)  # comes back when the service is ready again
        asking.until(upgrade.done)
        upgrade.result()
        asking.end()
        upto = time.monotonic()
    assert bare.run("dpkg-query", "--show", "--showformat=${Version}", "citygate").stdout == field(newer, "Version")
    assert bare.property("citygate", "ActiveState") == "active"
    assert pid(bare) not in (before, 0)
    assert "adopted table" in bare.journal("citygate").rpartition("Stopped")[2]
    passed = unfiltered(Metered(lab))
    print(f"{bare.release}, upgrade, {upto - since:.1f} s of traffic:")
    print(f"  flows without a name: {sum(passed.values())} of {asking.sent} packets unfiltered")
    for (name, family), stream in streams.items():
        sent = len(stream.arrived(since, upto)) + len(stream.lost(since, upto))
        print(f"  {name} over IPv{family}: {len(stream.arrived(since, upto))} of {sent} arrived")
        assert sent > 100
        assert stream.arrived(since, upto) == [] if name == REFUSED else stream.lost(since, upto) == []
    assert asking.arrived == asking.sent
    assert passed and {cause for cause, _, _ in passed} <= {"no_daemon", "queue_full"}
    assert sum(passed.values()) < asking.sent


def test_an_upgrade_keeps_what_operators_wrote_and_switched_off(bare: Machine, deb: Path, newer: Path) -> None:
    bare.install(deb)
    edited = bare.path(CONFIG).read_text().replace("on_stop: remove", "on_stop: keep")
    bare.path(CONFIG).write_text(edited)
    own = bare.path("/etc/citygate/policies/regions/shenzhen.yaml")
    own.write_text(region())
    register = bare.path("/var/lib/citygate/register.jsonl").read_bytes()
    bare.run("systemctl", "disable", "--now", "citygate")
    start_instance(bare)
    before = pid(bare, INSTANCE)

    bare.install(newer, "--force-confold")
    assert bare.path(CONFIG).read_text() == edited
    assert bare.path(CONFIG + ".dpkg-dist").read_text().endswith(ADDED)
    assert bare.path(EXAMPLE).read_text().endswith(ADDED)  # nobody had touched it
    assert own.read_text() == region()
    assert bare.path("/var/lib/citygate/register.jsonl").read_bytes().startswith(register)
    assert bare.property("citygate", "ActiveState") == "inactive"
    assert bare.run("systemctl", "is-enabled", "citygate", check=False).stdout.strip() == "disabled"
    assert bare.property(INSTANCE, "ActiveState") == "active"
    assert pid(bare, INSTANCE) not in (before, 0)


def test_an_upgrade_ends_well_whatever_the_policy(bare: Machine, deb: Path, newer: Path) -> None:
    """Named flows stay under the policy from before, until what is refused is mended."""
    bare.install(deb)
    start_instance(bare)
    example = bare.path(EXAMPLE).read_text()
    bare.path(EXAMPLE).write_text("region: [\n")  # both have it
    tables = [bare.run(*listing).stdout for listing in TABLES]
    bare.install(newer, "--force-confold")
    assert bare.run("dpkg-query", "--show", "--showformat=${Status}", "citygate").stdout == "install ok installed"
    assert [pid(bare), pid(bare, INSTANCE)] == [0, 0]
    assert [bare.run(*listing).stdout for listing in TABLES] == tables
    bare.path(EXAMPLE).write_text(example)
    for unit in ("citygate", INSTANCE):
        bare.wait_for_state(unit, "active")

    bare.run("systemctl", "stop", "citygate", INSTANCE)  # but not disabled: this one comes back with the next
    bare.install(deb, "--force-confold")
    assert bare.property("citygate", "ActiveState") == "active"
    assert bare.property(INSTANCE, "ActiveState") == "inactive"


def test_remove_keeps_the_configuration_and_purge_leaves_nothing(bare: Machine, deb: Path) -> None:
    bare.install(deb)
    bare.path(CONFIG).write_text(bare.path(CONFIG).read_text().replace("on_stop: remove", "on_stop: keep"))
    bare.run("systemctl", "restart", "citygate")
    start_instance(bare)
    own = "/etc/citygate/policies/regions/shenzhen.yaml"
    bare.path(own).write_text(region())
    assert all("table inet citygate" in bare.run(*listing).stdout for listing in TABLES)

    bare.run("dpkg", "--remove", "citygate")
    assert pid(bare) == pid(bare, INSTANCE) == 0
    assert not any("citygate" in bare.run(*listing).stdout for listing in TABLES)
    assert bare.path(own).exists()
    assert bare.path("/var/lib/citygate/register.jsonl").exists()
    assert left(bare, "/usr") == []
    assert bare.run("systemctl", "--failed", "--quiet").stdout == ""

    bare.install(deb)  # again: as it was left
    assert bare.property("citygate", "ActiveState") == "active"
    assert "on_stop: keep" in bare.path(CONFIG).read_text()

    bare.run("dpkg", "--purge", "citygate")
    assert "citygate" not in bare.run("nft", "list", "ruleset").stdout
    assert left(bare, "/etc", "/usr", "/var", "/run") == []
    assert bare.run("dpkg-query", "--show", "citygate", check=False).returncode == 1


def put_policy(machine: Machine, text: str) -> None:
    """A region beside the example; in force when it comes back."""
    machine.path("/etc/citygate/policies/regions/shenzhen.yaml").write_text(text)
    machine.run("systemctl", "reload", "citygate")


def start_instance(machine: Machine) -> None:
    """A citygate of its own for another network namespace, whose table is to stay when it stops."""
    machine.run("sh", "-ec", "mkdir -p /run/netns; touch /run/netns/apart; unshare --net=/run/netns/apart true")
    control = "{socket: /run/citygate/apart/control.sock}"
    settings = f"policies: policies\nstate: /var/lib/citygate/apart\ncontrol: {control}\non_stop: keep\n"
    machine.path("/etc/citygate/apart.yaml").write_text(settings)
    machine.run("systemctl", "start", INSTANCE)


def pid(machine: Machine, unit: str = "citygate") -> int:
    return int(machine.property(unit, "MainPID"))


def left(machine: Machine, *places: str) -> list[str]:
    """What is still there by the package's name."""
    found = machine.run("find", *places, "-xdev", "-name", "*citygate*").stdout.splitlines()
    return [path for path in found if not path.startswith("/run/systemd")]  # systemd's own notes of the boot
