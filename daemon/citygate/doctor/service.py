"""citygate itself: its configuration, its policy, its state directory, its table and its daemon."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from citygate.catalogue.load import builtin
from citygate.config import Config, Queues
from citygate.config import load as load_config
from citygate.doctor.finding import Finding, Level
from citygate.doctor.machine import has_net_admin
from citygate.kernel import listing, queue_step
from citygate.policy.load import load as load_policy
from citygate.policy.problem import PolicyError

CONFIG = Path("/etc/citygate/citygate.yaml")
_TELLING = 3  # problems of a policy that are shown; `citygate check` shows all


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that is bound to a queue. ``pid`` is None where this account may not see it."""

    pid: int | None = None
    command: str = ""

    @property
    def is_citygate(self) -> bool:
        """Of what cannot be seen, the likely."""
        return self.pid is None or "citygate" in self.command


def configuration(file: Path) -> tuple[Config | None, list[Finding]]:
    """The configuration, where it can be used."""
    try:
        return load_config(file), [Finding("config", Level.OK, f"{file} is in order")]
    except PolicyError as error:
        return None, [
            Finding("config-refused", Level.PROBLEM, str(problem), "without it the daemon does not start")
            for problem in error.problems
        ]


def policy(directory: Path) -> tuple[set[int], list[Finding]]:
    """The address families of its subscribers; both where it cannot be read."""
    try:
        loaded = load_policy(directory, builtin()).policy
    except PolicyError as error:
        problems = "; ".join(map(str, error.problems[:_TELLING]))
        remedy = f"citygate check {directory}; until then the policy in force stays"
        return {4, 6}, [Finding("policy-refused", Level.PROBLEM, problems, remedy)]
    families: set[int] = {network.version for region in loaded.regions for network in region.subscribers}
    return families, [Finding("policy", Level.OK, f"{directory} loads, revision {loaded.revision}")]


def state(directory: Path, daemon: Holder | None) -> Iterator[Finding]:
    """Whether new numbers can be written there, by the daemon where one runs."""
    there = next(path for path in (directory, *directory.parents) if path.is_dir())
    if _may_write(there, daemon):
        yield Finding("state", Level.OK, f"{directory} can be written to")
    else:
        yield Finding(
            "state-not-writable",
            Level.PROBLEM,
            f"{there} cannot be written to, so new classes and zones get no number",
            f"give {directory} to the account that the daemon runs under",
        )


def _may_write(directory: Path, daemon: Holder | None) -> bool:
    if not os.access(directory, os.W_OK):  # also of a file system that is read-only
        return False
    if daemon is None or daemon.pid is None:
        return True
    user, groups = _account(daemon.pid)
    about = directory.stat()
    if user == 0:
        return True
    if user == about.st_uid:
        return bool(about.st_mode & stat.S_IWUSR)
    return bool(about.st_mode & (stat.S_IWGRP if about.st_gid in groups else stat.S_IWOTH))


def _account(process: int) -> tuple[int, set[int]]:
    """Effective user and all groups: proc_pid_status(5)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    return int(fields["Uid"][1]), {int(fields["Gid"][1]), *map(int, fields["Groups"])}


def holders() -> dict[int, Holder]:
    """Queue number to who is bound to it, as far as this account may see. Raises OSError where it may not at all."""
    sockets = {f"socket:[{inode}]": number for number, inode in listing.bound().items()}
    found = {number: Holder() for number in sockets.values()}
    for file in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        try:
            number = sockets.get(os.readlink(file))
            if number is not None:
                process = file.parts[2]
                words = Path("/proc", process, "cmdline").read_text().split("\0")
                found[number] = Holder(int(process), " ".join(filter(None, words)))
        except OSError:  # it is closed, or belongs to somebody else
            continue
    return found


def queues(numbers: range, held: dict[int, Holder]) -> Iterator[Finding]:
    for number in sorted(set(numbers) & held.keys()):
        holder = held[number]
        if not holder.is_citygate:
            yield Finding(
                "queue-taken",
                Level.PROBLEM,
                f"queue {number} is bound by another program: {holder.command} (process {holder.pid})",
                "give one of the two another number: `queues: {first: ...}` in citygate.yaml",
            )


def running(numbers: range, daemon: Holder | None) -> Iterator[Finding]:
    """The table and the daemon: each without the other is worth a word. Raises KernelError."""
    there = {"steer", "enforce"} <= listing.own_chains()
    if daemon is None:
        if there:
            yield _standing()
        else:
            sentence = "no citygate runs here: nothing is filtered"
            yield Finding("not-running", Level.NOTE, sentence, "systemctl start citygate")
        return
    if not there:
        remedy = "the daemon makes it again within a second; if not, see its log"
        yield Finding("table-missing", Level.PROBLEM, "a daemon runs, but table inet citygate is not there", remedy)
    elif queue_step.probe() == "xtables" and not queue_step.has_xtables(numbers):
        sentence = "the rule that sends packets to the daemon is not in `iptables -t mangle` or `ip6tables -t mangle`"
        yield Finding("queue-rule-missing", Level.PROBLEM, sentence, "systemctl reload citygate")
    elif daemon.pid is None:
        yield Finding("daemon", Level.OK, "table inet citygate stands, and a daemon is bound to its queue")
    else:
        yield from _daemon(daemon.pid)


def _daemon(process: int) -> Iterator[Finding]:
    user, _ = _account(process)
    yield Finding("daemon", Level.OK, f"table inet citygate stands, process {process} names flows, as user {user}")
    if not has_net_admin(process):
        remedy = "AmbientCapabilities=CAP_NET_ADMIN in its unit"
        yield Finding("daemon-privilege", Level.PROBLEM, "the daemon has no CAP_NET_ADMIN: no edit can hold", remedy)
    elif user == 0:
        remedy = "use the unit that comes with citygate: an account of its own"
        yield Finding("daemon-root", Level.NOTE, "the daemon runs as root, and needs CAP_NET_ADMIN alone", remedy)


def _standing() -> Finding:
    return Finding(
        "daemon-absent",
        Level.WARNING,
        "table inet citygate stands, but no daemon is bound to its queue: flows with a name stay under policy, others "
        "get their region's on_failure, and an edit of the policy does nothing",
        "systemctl start citygate, or citygate teardown where nothing is to be filtered any more",
    )


def numbers_of(config: Config | None) -> range:
    """The queue numbers of a configuration; the default ones without it."""
    return (config.queues if config else Queues()).numbers
