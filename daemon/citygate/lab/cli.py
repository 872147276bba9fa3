"""The commands `citygate lab …`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from random import SystemRandom
from types import FrameType
from typing import Any

import click

from citygate.lab import flows, netns
from citygate.lab.call import FRAME_SECONDS, LONGEST_SECONDS
from citygate.lab.topology import GATEWAY, HOSTS, PARTIES, Lab, LabError, party
from citygate.tables import console


class Commands(click.Group):
    """A group whose commands end with a message, not a traceback, when the lab cannot do what was asked."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except LabError as error:
            raise click.ClickException(str(error)) from None


def _name(command: Callable[..., None]) -> Callable[..., None]:
    return click.option("--name", default="lab", show_default=True, help="Which lab; several can stand side by side.")(
        command
    )


@click.group(cls=Commands)
def lab() -> None:
    """A gateway, subscribers and an internet host in network namespaces."""


@lab.command()
@_name
def up(name: str) -> None:
    """Make a lab. It stays until `citygate lab down`."""
    made = Lab(name)
    made.up()
    click.echo(f"lab {name!r} is up: {', '.join([GATEWAY, *(each.name for each in HOSTS)])}")


@lab.command()
@_name
def down(name: str) -> None:
    """Remove a lab, also one that is half made."""
    standing = Lab(name)
    standing.require_up()
    strangers = standing.strangers()
    standing.down()
    click.echo(f"lab {name!r} is removed")
    if strangers:
        click.echo(f"still running in its namespaces, and keeping them: {', '.join(map(str, strangers))}", err=True)


# What follows the host belongs to the command, options included.
@lab.command("exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
@_name
@click.argument("host")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(name: str, host: str, command: tuple[str, ...]) -> None:
    """Run COMMAND in the namespace of HOST; the gateway is called `gw`."""
    if command[0] == "--":  # click leaves it in place behind the first argument
        command = command[1:]
    if not command:
        raise click.UsageError("no command behind the --")
    standing = Lab(name)
    standing.require_up()
    netns.enter(standing.netns(host))
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise LabError(f"cannot run {command[0]}: {error.strerror}") from None


@lab.command()
@_name
@click.argument("what")
@click.option("--from", "sender", default="shenzhen", show_default=True, type=click.Choice(list(PARTIES)))
@click.option("--to", "receiver", default="internet", show_default=True, type=click.Choice(list(PARTIES)))
@click.option("--ipv6", is_flag=True, help="Send IPv4 flows as IPv6.")
@click.option("--sockets", is_flag=True, help="Use the hosts' own addresses and sockets; for named flows only.")
@click.option("--seed", type=int, help="Draw the same ports and payloads again; by default new ones.")
def play(name: str, what: str, sender: str, receiver: str, ipv6: bool, sockets: bool, seed: int | None) -> None:
    """Send flows through the gateway and say what arrives.

    WHAT is a pcap or pcapng file, or a synthetic flow: bittorrent, dns, http, openvpn, rtp, sip, skype, skypeout, ssh,
    tls, wireguard.
    """
    from citygate.lab.playing import play_capture, play_named  # scapy takes a second to import

    standing = Lab(name)
    standing.require_up()
    seed = SystemRandom().getrandbits(32) if seed is None else seed
    ends = party(sender), party(receiver)
    if what in flows.NAMES:
        report = play_named(standing, what, *ends, family=6 if ipv6 else 4, seed=seed, sockets=sockets)
    elif Path(what).is_file():
        if sockets:
            raise LabError("a capture is sent as raw packets, not over sockets")
        report = play_capture(standing, Path(what), *ends, as_ipv6=ipv6, seed=seed)
    else:
        raise LabError(f"{what!r} is neither a file nor a flow; flows are: {', '.join(flows.NAMES)}")
    console().print(report.table())
    for reason, count in report.left_out.items():
        click.echo(f"packets not played, {reason}: {count}")


@lab.command()
@click.argument("what")
@click.option("--from", "sender", required=True, type=click.Choice(list(PARTIES)), help="Whom this machine stands for.")
@click.option("--to", "receiver", default="internet", show_default=True, type=click.Choice(list(PARTIES)))
@click.option("--ipv6", is_flag=True, help="Send over IPv6.")
@click.option("--seconds", type=click.FloatRange(0, LONGEST_SECONDS), help="How long a call (skype, skypeout) speaks.")
@click.option("--seed", type=int, help="Draw the same ports and payloads again; by default new ones.")
def call(what: str, sender: str, receiver: str, ipv6: bool, seconds: float | None, seed: int | None) -> None:
    """Send a synthetic UDP flow to another machine of a lab of machines, where `citygate lab answer` runs.

    WHAT: dns, openvpn, rtp, sip, skype, skypeout, wireguard.
    """
    from citygate.lab import apart  # scapy takes a second to import

    if what not in flows.NAMES:
        raise LabError(f"no flow {what!r}; there are: {', '.join(flows.NAMES)}")
    seed = SystemRandom().getrandbits(32) if seed is None else seed
    frames = flows.FRAMES if seconds is None else round(seconds / FRAME_SECONDS)

    def say(news: str) -> None:
        click.echo(f"{datetime.now():%H:%M:%S}  {news}")

    report = apart.call(what, party(sender), party(receiver), 6 if ipv6 else 4, seed, frames, say)
    console().print(report.table())


@lab.command()
def answer() -> None:
    """Answer `citygate lab call` from other machines, until interrupted."""
    from citygate.lab import apart

    with apart.Answering() as answering:
        click.echo(f"answering calls; callers say at port {apart.PORT} what comes")
        answering.serve()


@lab.command()
@click.option(
    "--policies",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(__file__).parents[3] / "policies",
    help="The example policies; by default those of the checkout.",
)
def demo(policies: Path) -> None:
    """Show citygate at work in a lab of its own: calls, an edit while they run, the counters."""
    from citygate.lab.demo import demo as show

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)  # leaving by exception takes the lab down
    sys.exit(show(policies))


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
