"""A Debian machine with systemd in a container (systemd-nspawn): the release's own programs on this kernel.

Its file system is the cached tree of a release with a layer over it that ends with the machine, so that each begins
alike; its network is a namespace that is there already, such as a lab's gateway. Everything it runs is in one control
group and its mounts are in a namespace of its own, so that nothing is left when it is gone, whatever happened.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
RELEASES = ("bookworm", "trixie")
PROGRAMS = {"mmdebstrap": "mmdebstrap", "rsync": "rsync", "systemd-nspawn": "systemd-container"}
"""What making and starting a machine needs, and the Debian package that has it."""
PACKAGES = ("dbus", "iptables", "libnetfilter-queue1", "nftables", "python3", "systemd-sysv")
"""What a machine has besides Debian's essential packages: what the citygate package depends on, and an init."""
BOOT_SECONDS = 120.0
RUN_SECONDS = 120.0
WAIT_SECONDS = 60.0

# In a mount namespace of its own: the layers, then the container over them; again after status 133, a reboot. Standard
# input is open as long as the tests run: should they be killed, this ends everything.
START = """
group=$1
echo $$ >"$group/cgroup.procs"
exec 3<&0 </dev/null
{ read -r _ || echo 1 >"$group/cgroup.kill"; } <&3 &
exec 3<&-
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$3,upperdir=$2/upper,workdir=$2/work" "$2/root"
shift 3
status=133
while [ $status = 133 ]; do
    status=0
    "$@" || status=$?
done
exit $status
"""
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


class MachineError(Exception):
    """The machine did not do what was asked; the text has its words."""


def missing() -> str:
    """What of this machine's programs and kernel is missing to start another; empty: nothing."""
    lacking = [f"{name} (Debian package {package})" for name, package in PROGRAMS.items() if not shutil.which(name)]
    if "overlay" not in Path("/proc/filesystems").read_text():
        subprocess.run(["modprobe", "-q", "overlay"], check=False)
        if "overlay" not in Path("/proc/filesystems").read_text():
            lacking.append("overlayfs in the kernel (CONFIG_OVERLAY_FS)")
    if not any(kind == "cgroup2" for _, kind in _mounts()):
        lacking.append("a mounted cgroup2 file system")
    return ", ".join(lacking)


def tree(release: str) -> Path:
    """The tree of a release, installed when it is not there yet. To be read only."""
    return Path(_output(ROOT / "packaging/root", release, "machine", *PACKAGES))


def package(release: str) -> Path:
    """The citygate package for a release, built when something it is made of has changed."""
    return ROOT / _output(ROOT / "packaging/deb", release)


class Machine:
    """One machine, from the end of ``start`` to ``stop``, or inside ``with``."""

    def __init__(self, release: str, netns: str, directory: Path) -> None:
        """``netns``: name of the network namespace it is to live in. ``directory``: an empty one, for its layer."""
        self.release = release
        self.name = f"citygate-{release}-{os.getpid()}-{netns}"[:64]
        self._netns = netns
        self._directory = directory
        self._tree = tree(release)
        self.group = _own_group() / self.name
        """The control group of all it runs."""
        self._process: subprocess.Popen[bytes] | None = None
        self._console = directory.with_name(directory.name + ".console")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Boot, and wait until systemd has started everything. Raises MachineError when it does not come up."""
        self.group.mkdir(exist_ok=True)
        container = [
            *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=read-only"),
            *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--capability=CAP_NET_ADMIN"),
            *(f"--machine={self.name}", f"--directory={self._directory}/root"),
            f"--network-namespace-path=/run/netns/{self._netns}",
        ]
        shell = ["unshare", "--mount", "--propagation=private", "sh", "-euc", START, "sh"]
        places = [str(self.group), str(self._directory), str(self._tree)]
        # /proc/sys/net is the namespace's own, and a gateway's to set. From systemd 256 on only this hierarchy works.
        settings = {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                [*shell, *places, *container],
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=console,
                env={**os.environ, **settings},
                start_new_session=True,
            )
        self._wait_until_booted()

    def stop(self) -> None:
        """End it at once, as when the power goes: nothing that the tests made is to be kept."""
        for attempt in range(500):
            try:
                self.group.joinpath("cgroup.kill").write_text("1")
                for path, _, _ in os.walk(self.group, topdown=False):
                    Path(path).rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:  # busy: what was killed takes a moment to end
                if attempt == 499:
                    raise
                time.sleep(0.02)
        if self._process and self._process.stdin:
            self._process.stdin.close()
            self._process.wait()
        made = Path("/run/systemd/nspawn/propagate", self.name)  # by systemd-nspawn, which had no time to remove it
        if made.exists():
            made.rmdir()

    def reboot(self) -> None:
        """As an operator does it; comes back when everything has been started again.

        The network namespace stays as it was, with the kernel's tables.
        """
        before = self._leader()
        self.run("systemctl", "reboot")
        deadline = time.monotonic() + BOOT_SECONDS
        while self._leader() in (None, before):
            self._check(deadline, "did not go down")
            time.sleep(0.02)
        self._wait_until_booted()

    def run(
        self, *command: str, given: str | None = None, check: bool = True, timeout: float = RUN_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as root, to the end. Raises MachineError with its words for another status than 0."""
        done = subprocess.run(
            self._inside(command), input=given, capture_output=True, text=True, timeout=timeout, env=ENVIRONMENT
        )
        if check and done.returncode:
            raise MachineError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def popen(self, *command: str, **options: Any) -> subprocess.Popen[Any]:
        """Start a command in it; it ends with the machine at the latest."""
        return subprocess.Popen(self._inside(command), env=ENVIRONMENT, **options)

    def path(self, inside: str) -> Path:
        """Where this process finds a path of the machine; not for one that leads over an absolute symbolic link."""
        return Path(f"/proc/{self._require_leader()}/root") / inside.lstrip("/")

    def copy(self, source: Path, to: str) -> None:
        """Copy a file or a directory of this machine into it."""
        (shutil.copytree if source.is_dir() else shutil.copy)(source, self.path(to))

    def journal(self, unit: str | None = None) -> str:
        """What was logged since the boot, of one unit or all; messages alone."""
        return self.run("journalctl", "--boot", "--output=cat", *(["--unit", unit] if unit else [])).stdout

    def property(self, unit: str, name: str) -> str:
        """A unit's property as ``systemctl show`` prints it."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).stdout.strip()

    def wait_for_state(self, unit: str, *wanted: str, timeout: float = WAIT_SECONDS) -> None:
        """Until a unit's ActiveState is one of these. Raises MachineError with its log when it takes too long."""
        deadline = time.monotonic() + timeout
        while (state := self.property(unit, "ActiveState")) not in wanted:
            if time.monotonic() > deadline:
                raise MachineError(f"{unit} is {state}, not {' or '.join(wanted)}:\n{self.journal(unit)[-4000:]}")
            time.sleep(0.05)

    def install(self, deb: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """``dpkg --install`` a package of this machine; what it depends on must be there."""
        self.copy(deb, f"/root/{deb.name}")
        return self.run("dpkg", *options, "--install", f"/root/{deb.name}")

    def _inside(self, command: Sequence[str]) -> list[str]:
        return ["nsenter", "--target", str(self._require_leader()), "--all", "--wdns=/", "--", *command]

    def _wait_until_booted(self) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            if self._leader():
                # Degraded: a unit has failed, which may be what a test is about.
                asked = self.run("systemctl", "is-system-running", check=False)
                if asked.stdout.strip() in ("running", "degraded"):
                    return
            self._check(deadline, "did not boot")
            time.sleep(0.05)

    def _check(self, deadline: float, what: str) -> None:
        if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
            raise MachineError(f"{self.name} {what}:\n{self._console.read_text(errors='replace')[-4000:]}")

    def _require_leader(self) -> int:
        leader = self._leader()
        if leader is None:
            raise MachineError(f"{self.name} is not running:\n{self._console.read_text(errors='replace')[-4000:]}")
        return leader

    def _leader(self) -> int | None:
        """The machine's first process, by its id here; None before it has begun and after it has ended."""
        try:
            for pid in (self.group / "payload/init.scope/cgroup.procs").read_text().split():
                status = Path(f"/proc/{pid}/status").read_text()
                # The ids it has here and in the namespace of the machine.
                if any(line.split() == ["NSpid:", pid, "1"] for line in status.splitlines()):
                    return int(pid)
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            pass
        return None


def _own_group() -> Path:
    """The control group of this process in the unified hierarchy."""
    [mounted] = [path for path, kind in _mounts() if kind == "cgroup2"][:1]
    [own] = [line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
    return Path(mounted) / own.lstrip("/")


def _mounts() -> list[tuple[str, str]]:
    """Path and kind of all file systems."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [(path, kind) for _, path, kind, *_ in lines]


def _output(*command: str | Path) -> str:
    """The last line a command of this machine prints. Raises MachineError with its words when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise MachineError(f"{' '.join(map(str, command))}:\n{done.stderr}")
    return done.stdout.splitlines()[-1]
