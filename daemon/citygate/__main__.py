"""The commands. Each calls one function, imported when asked for: `check` needs no root and no compiled module."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from pathlib import Path

import click

FILE = click.Path(path_type=Path, dir_okay=False)
DIRECTORY = click.Path(path_type=Path, file_okay=False)
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
@click.option("--config", "file", type=FILE, default="/etc/citygate/citygate.yaml", show_default=True)
def run(file: Path) -> None:
    """Filter until stopped; needs CAP_NET_ADMIN."""
    from citygate import daemon

    sys.exit(daemon.run(file))


@commands.command()
@click.argument("directory", type=DIRECTORY)
def check(directory: Path) -> None:
    """Check a policy directory; prints every problem with its place."""
    from citygate.policy import check

    sys.exit(check.check(directory))


@commands.command()
@click.argument("captures", metavar="CAPTURE...", type=FILE, nargs=-1, required=True)
@click.option("--format", "form", type=click.Choice(["csv", "json", "table"]), default="table", show_default=True)
def classify(captures: tuple[Path, ...], form: str) -> None:
    """Name the flows of pcap and pcapng files, one row a flow."""
    from citygate.capture import classify as capture

    sys.exit(capture.main(captures, form))


@commands.command()
@click.argument("name", required=False)
@click.option("--dir", "directory", type=DIRECTORY, help="A policy directory, for the site's own services.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
def services(name: str | None, directory: Path | None, as_json: bool) -> None:
    """Print the services that flows can be named as, or all about one of them."""
    from citygate.catalogue import show

    sys.exit(show.show(name, directory, as_json))


@commands.command()
def teardown() -> None:
    """Remove citygate's table and queue rules from the kernel.

    Stop the daemon first: it would make them again. Counters and the policy in force go with them, and packets waiting
    in any queue of this network namespace are lost.
    """
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
    commands(prog_name="citygate")


if __name__ == "__main__":
    main()
