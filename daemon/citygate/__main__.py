"""The commands. Each calls one function, imported when asked for: `check` needs no root and no compiled module."""

from __future__ import annotations

import errno
import importlib
import importlib.metadata
import os
import sys
from pathlib import Path

import click

# Whether a file can be read the commands find out, and say why not.
FILE = click.Path(path_type=Path, dir_okay=False, readable=False)
DIRECTORY = click.Path(path_type=Path, file_okay=False, readable=False)
SHORTEST_S, LONGEST_S = 0.1, 3600.0  # of an interval
CONFIG = "/etc/citygate/citygate.yaml"
POLICIES = "/etc/citygate/policies"
AT = click.option("--at", metavar="TIME", help="2016-06-01T12:00+08:00, or a day for its noon; left out: now.")
JSON = click.option("--json", "as_json", is_flag=True, help="For programs: one object, or one a line.")
SOCKET = click.option(
    "--socket",
    type=FILE,
    envvar="CITYGATE_CONTROL",
    default=Path("/run/citygate/control.sock"),
    show_default=True,
    help="Of the daemon.",
)
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EPIPE)  # of standard output
# Groups of commands that live elsewhere: name to module, which has the group under the same name.
GROUPS = {"lab": "citygate.lab.cli"}


class Commands(click.Group):
    """A group that imports the groups below it only when one of them is called."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted([*super().list_commands(context), *GROUPS])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in GROUPS:
            return super().get_command(context, name)
        command: click.Command = getattr(importlib.import_module(GROUPS[name]), name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Filter a gateway's traffic by application, one YAML policy per region."""


@commands.command()
@click.option("--config", "file", type=FILE, default=CONFIG, show_default=True)
def run(file: Path) -> None:
    """Filter until stopped; needs CAP_NET_ADMIN."""
    from citygate import daemon

    sys.exit(daemon.run(file))


@commands.command()
@click.argument("directory", type=DIRECTORY, required=False)
@click.option("--config", "file", type=FILE, help="A daemon's configuration, and the policy directory that it names.")
@click.option(
    "--days", type=click.IntRange(0, 36500), default=30, show_default=True, help="How far ahead licences are told of."
)
@AT
@click.option("--strict", is_flag=True, help="Status 1 for warnings too.")
@click.option("--quiet", is_flag=True, help="Print problems alone.")
@JSON
def check(
    directory: Path | None, file: Path | None, days: int, at: str | None, strict: bool, quiet: bool, as_json: bool
) -> None:
    """Check a policy directory, or a daemon's --config: every problem with its place, and warnings."""
    from citygate.review import check

    place = directory or file
    if place is None or (directory and file):
        raise click.UsageError("name a policy directory, or a daemon's configuration with --config")
    sys.exit(check.check(place, as_json, days, at, strict, quiet, place == file))


@commands.command()
@click.argument("file", type=click.Choice(["region", "providers", "services", "tests", "config"]))
def schema(file: str) -> None:
    """Print the JSON Schema of one kind of file, for editors."""
    from citygate.review import json_schema

    click.echo(json_schema.text(file), nl=False)


@commands.command()
@click.argument("directory", type=DIRECTORY)
@JSON
def test(directory: Path, as_json: bool) -> None:
    """Run the policy tests in DIRECTORY/tests; status 1 when one fails."""
    from citygate.review import trial

    sys.exit(trial.run(directory, as_json))


@commands.command()
@click.option("--dir", "directory", type=DIRECTORY, default=POLICIES, show_default=True)
@click.option("--from", "origin", metavar="ADDRESS", help="Who opens the flow.")
@click.option("--service", help="What the flow is; without it a --flow has no name yet.")
@click.option("--provider", help="Whose the far end is; left out: as its address says.")
@click.option("--flow", metavar="FIVE-TUPLE", help='"udp 10.10.0.5:5060 > 198.51.100.10:12340", or with commas.')
@click.option("--packet", metavar="CAPTURE:N", help="The flow of a capture's N-th packet, from 1.")
@click.option("--to", metavar="ADDRESS", help="The far end; left out: an address that no policy speaks of.")
@click.option("--port", metavar="PORT", help="Of the far end, such as udp/53.")
@AT
@JSON
def explain(directory: Path, as_json: bool, **options: str | None) -> None:
    """Say what becomes of one flow, by which rule, why by no other, and when that changes by itself."""
    from citygate.review import explain as tool

    sys.exit(tool.explain(directory, tool.Options(**options), as_json))


@commands.command()
@click.argument("captures", metavar="CAPTURE...", type=FILE, nargs=-1, required=True)
@click.option("--dir", "directory", type=DIRECTORY, default=POLICIES, show_default=True)
@click.option("--as", "moves", metavar="OLD=NEW", multiple=True, help="Take addresses of the captures for others.")
@AT
@click.option("--flows", "per_flow", is_flag=True, help="A row a flow in place of the totals.")
@JSON
def replay(
    captures: tuple[Path, ...], directory: Path, moves: tuple[str, ...], at: str | None, per_flow: bool, as_json: bool
) -> None:
    """Tell what a policy would do to each flow of captures."""
    from citygate.review import replay

    sys.exit(replay.replay(captures, directory, moves, at, per_flow, as_json))


@commands.command()
@click.argument("old", type=DIRECTORY)
@click.argument("new", type=DIRECTORY)
@AT
@click.option("--capture", "captures", type=FILE, multiple=True, help="Only the flows of this capture.")
@click.option("--as", "moves", metavar="OLD=NEW", multiple=True, help="Take addresses of the captures for others.")
@click.option("--live", is_flag=True, help="Only the flows of this gateway, where OLD is in force.")
@SOCKET
@JSON
def diff(
    old: Path,
    new: Path,
    at: str | None,
    captures: tuple[Path, ...],
    moves: tuple[str, ...],
    live: bool,
    socket: Path,
    as_json: bool,
) -> None:
    """Tell which flows an edit changes. Status 0: none, 1: some, 2: trouble."""
    from citygate.review.diff import Options, diff

    if live and captures:
        raise click.UsageError("--live and --capture exclude each other")
    if moves and not captures:
        raise click.UsageError("--as is about the addresses of a --capture")
    sys.exit(diff(old, new, Options(at, captures, moves, socket if live else None), as_json))


@commands.command()
@click.option("--config", "file", type=FILE, default=CONFIG, show_default=True)
@JSON
def doctor(file: Path, as_json: bool) -> None:
    """Look for what keeps this machine from filtering as its policy says; changes nothing."""
    from citygate import doctor as doctors

    sys.exit(doctors.doctor(file, as_json))


@commands.command()
@click.argument("captures", metavar="CAPTURE...", type=FILE, nargs=-1, required=True)
@click.option("--dir", "directory", type=DIRECTORY, help="A policy directory, for its services and providers.")
@click.option("--format", "form", type=click.Choice(["csv", "json", "table"]), default="table", show_default=True)
def classify(captures: tuple[Path, ...], form: str, directory: Path | None) -> None:
    """Name the flows of pcap and pcapng files, one row a flow."""
    from citygate.capture import classify as capture

    sys.exit(capture.main(captures, form, directory=directory))


@commands.command()
@click.argument("name", required=False)
@click.option("--dir", "directory", type=DIRECTORY, help="A policy directory, for the site's own services.")
@JSON
def services(name: str | None, directory: Path | None, as_json: bool) -> None:
    """Print the services that flows can be named as, or all about one of them."""
    from citygate.catalogue import show

    sys.exit(show.show(name, directory, as_json))


@commands.command()
@SOCKET
@JSON
def status(socket: Path, as_json: bool) -> None:
    """Show how the daemon is, and what is wrong; status 1 when something is."""
    from citygate.tools import status

    sys.exit(status.status(socket, as_json))


@commands.command()
@SOCKET
@JSON
def counters(socket: Path, as_json: bool) -> None:
    """Show what became of the packets, by region and service."""
    from citygate.tools import counters

    sys.exit(counters.counters(socket, as_json))


@commands.command()
@SOCKET
@click.option("--region", help="Of either end.")
@click.option("--service", help="And its parts; '' for flows without a name yet.")
@click.option("--category", help="Of the service.")
@click.option("--verdict", help="allow, drop, reject, throttle, mark or undecided.")
@click.option("--address", metavar="PREFIX", help="That either end lies in.")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="The busiest; 0: all.")
@JSON
def flows(
    socket: Path,
    region: str | None,
    service: str | None,
    category: str | None,
    verdict: str | None,
    address: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show who talks what: the connection tracking table with names, regions and verdicts."""
    from citygate.tools import flows as tool

    sys.exit(tool.flows(socket, region, service, category, verdict, address, limit, as_json))


@commands.command()
@SOCKET
@click.option("--interval", type=float, default=1.0, show_default=True, help="Seconds, 0.1 to 3600.")
@click.option("--region", help="Only this one.")
@click.option("--service", help="Only this one.")
@click.option("--sort", type=click.Choice(["packets", "bytes", "blocked"]), default="packets", show_default=True)
@click.option("--once", is_flag=True, help="Print the rates of one interval.")
@JSON
def top(
    socket: Path,
    interval: float,
    region: str | None,
    service: str | None,
    sort: str,
    once: bool,
    as_json: bool,
) -> None:
    """Show rates and verdicts by region and service, live; ? on the keyboard for help."""
    from citygate.tools import top as tool

    if not SHORTEST_S <= interval <= LONGEST_S:  # FloatRange takes nan for any number
        raise click.BadParameter(f"{interval:g} is not from {SHORTEST_S:g} to {LONGEST_S:g}", param_hint="--interval")
    sys.exit(tool.top(socket, interval, region, service, sort, once, as_json))


@commands.command()
@click.option("--follow", is_flag=True, help="As they come; what was before is in the event log.")
@click.option("--region", help="Only of this region.")
@click.option("--service", help="Only of this service.")
@click.option("--verdict", help="Only with this verdict.")
@SOCKET
@JSON
def events(
    follow: bool, region: str | None, service: str | None, verdict: str | None, socket: Path, as_json: bool
) -> None:
    """Show flows as they are named, a line each."""
    from citygate.tools import follow as following

    if not follow:
        raise click.UsageError("say --follow; what was before is in the event log")
    sys.exit(following.follow(socket, region, service, verdict, as_json))


@commands.command()
@SOCKET
@click.option("--config", "file", type=FILE, help="The daemon's configuration, which names its socket.")
@JSON
@click.pass_context
def reload(context: click.Context, socket: Path, file: Path | None, as_json: bool) -> None:
    """Have the daemon read its policy again, and wait for what comes of it."""
    from citygate.tools import reload

    if file is None:
        sys.exit(reload.reload(socket, as_json))
    if context.get_parameter_source("socket") is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("--config names the socket: say one of --config and --socket")
    sys.exit(reload.reload_configured(file, as_json))


@commands.command()
@click.argument("directory", type=DIRECTORY, required=False)
@click.option("--off", is_flag=True, help="End the rehearsal.")
@SOCKET
@JSON
def shadow(directory: Path | None, off: bool, socket: Path, as_json: bool) -> None:
    """Rehearse the policy in DIRECTORY: the kernel counts what it would do otherwise. Without DIRECTORY: the counts."""
    from citygate.tools import shadow as tool

    if off and directory:
        raise click.UsageError("--off ends a rehearsal, a directory begins one")
    sys.exit(tool.end(socket, as_json) if off else tool.shadow(socket, directory, as_json))


@commands.command()
@SOCKET
@JSON
def promote(socket: Path, as_json: bool) -> None:
    """Put the rehearsed policy's files in place of those in force, and have the daemon take them."""
    from citygate.tools import promote as tool

    sys.exit(tool.promote(socket, as_json))


@commands.command()
@click.option("--if-stopped", "unit", metavar="UNIT", help="Only if systemd stops UNIT for good, and `on_stop` agrees.")
@click.option("--config", "file", type=FILE, default=CONFIG, show_default=True, help="It says `on_stop`.")
def teardown(unit: str | None, file: Path) -> None:
    """Remove citygate's table and queue rules from the kernel.

    Stop the daemon first: it would make them again. Counters and the policy in force go with them, and packets waiting
    in any queue of this network namespace are lost. With --if-stopped it is the ExecStopPost of the service's unit.
    """
    if unit is not None:
        from citygate import stopped

        sys.exit(stopped.stopped(unit, file))
    from citygate.kernel import KernelError, remove

    try:
        remove()
    except KernelError as error:
        raise click.ClickException(str(error)) from None
    click.echo("removed: table inet citygate and the queue rules; nothing is filtered any more")


@commands.command()
def version() -> None:
    """Print the version."""
    click.echo(importlib.metadata.version("citygate"))


def main() -> None:
    """The `citygate` program."""
    try:
        try:
            commands(prog_name="citygate")
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in the buffer goes nowhere at exit
        if error.errno != errno.EPIPE:  # whoever read has had enough
            print(f"the output cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
