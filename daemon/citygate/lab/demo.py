"""`sudo ./run demo`: what citygate promises, shown on real packets. Gives 1 when something else is seen."""

from __future__ import annotations

import difflib
import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from citygate.lab import flows
from citygate.lab.call import Call, Tally
from citygate.lab.gateway import Gateway
from citygate.lab.topology import Lab, LabError, party
from citygate.lab.udp import Refusal
from citygate.lab.wire import converse
from citygate.tables import console

CALLERS = (("Shenzhen", "shenzhen"), ("Shenzhen, that household", "household"), ("Shanghai", "shanghai"))
CALLS = {"skypeout": "SkypeOut, to a telephone", "skype": "Skype, PC to PC"}
NAMED_WITHIN = 10
"""A refused call may get so many messages through before citygate knows what it is."""
EDIT_SECONDS = 5.0
"""How soon after the save an edit must show."""


class Promises:
    """What should be seen, and was not."""

    def __init__(self) -> None:
        self.broken: list[str] = []

    def check(self, kept: bool, promise: str) -> None:
        if not kept:
            self.broken.append(promise)


@dataclass(frozen=True, slots=True)
class Live:
    """A call that runs while Shanghai's policy is edited."""

    kind: str
    family: int
    call: Call


def demo(policies: Path) -> int:
    """Run the demo with a copy of ``policies``. Whatever happens, the lab, the daemon and the copy are removed."""
    out = console()
    promises = Promises()
    with ExitStack() as ending:
        directory = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="citygate-demo-")))
        out.rule("[bold]citygate: one call, three places, three policies")
        out.print(
            "\nA gateway stands between the access networks of some cities and the internet. Here each of them is a\n"
            "network namespace of this machine. The packets are real, and the gateway filters by one policy file a\n"
            "region.\n"
        )
        lab = ending.enter_context(Lab(f"demo-{os.getpid()}"))
        gateway = ending.enter_context(Gateway.with_policies(lab, directory, policies))
        out.print("The lab is up and citygate runs in its gateway. It said:")
        out.print(f"  {gateway.log.read_text().strip()}\n", style="dim", markup=False)
        _same_calls(out, lab, promises)
        _edit(out, lab, gateway, promises)
        _counters(out, gateway, promises)
    if promises.broken:
        out.print("[bold red]Not as promised:[/]")
        for promise in promises.broken:
            out.print(f"  - {promise}")
        return 1
    out.print("[bold green]All as promised.[/] The lab is removed; nothing of it is left on this machine.")
    return 0


def _same_calls(out: Console, lab: Lab, promises: Promises) -> None:
    out.rule("[bold]1  The same calls from three places")
    out.print(
        "\nThree callers make the same two calls, byte for byte, each over IPv4 and IPv6. SkypeOut is a call from a\n"
        "computer to a telephone. Shenzhen's policy refuses it, but not to one household; Shanghai's allows all.\n"
    )
    table = Table("caller", "call", "", box=box.SIMPLE_HEAD)
    for title in ("sent", "arrived"):
        table.add_column(title, justify="right")
    table.add_column("what became of it")
    for caller, name in CALLERS:
        for kind, title in CALLS.items():
            for family in (4, 6):
                report = converse(lab, flows.named(kind), party(name), party("internet"), family)
                sent, arrived = (sum(getattr(flow, what) for flow in report.flows) for what in ("sent", "arrived"))
                refused = next((flow for flow in report.flows if flow.refused is not Refusal.NONE), None)
                fate = "[green]went through" if refused is None else f"[red]refused from message {refused.refused_from}"
                how = "" if refused is None else f", {refused.refused.value}"
                table.add_row(caller, title, f"IPv{family}", str(sent), str(arrived), fate + how)
                where = f"{title} over IPv{family} from {caller}"
                if (name, kind) == ("shenzhen", "skypeout"):
                    told = refused is not None and refused.refused is Refusal.ICMP
                    promises.check(told and arrived <= NAMED_WITHIN, f"{where} is refused, and the caller is told")
                else:
                    promises.check(arrived == sent, f"{where} goes through whole")
    out.print(table)
    out.print(
        "The first messages of the refused call got through: a flow has no name before it has spoken. From then on\n"
        "the kernel refuses by itself and tells the caller (ICMP: administratively prohibited). Calls from Skype to\n"
        "Skype are another service of the same program, and were left alone.\n"
    )


def _edit(out: Console, lab: Lab, gateway: Gateway, promises: Promises) -> None:
    out.rule("[bold]2  One line of Shanghai's policy, while calls are up")
    out.print(
        "\nFour calls from Shanghai are up: a SkypeOut call and a Skype call, over IPv4 and over IPv6, a message\n"
        "every 20 ms and an answer to each. Then somebody saves this:\n"
    )
    file = gateway.region("shanghai")
    allowed = file.read_text()
    refused = allowed.replace("action: allow", "action: reject", 1)
    if refused == allowed:
        raise LabError(f"{file.name} has no rule that says `action: allow`")
    names = ("a/regions/shanghai.yaml", "b/regions/shanghai.yaml")
    diff = difflib.unified_diff(allowed.splitlines(), refused.splitlines(), *names, n=1, lineterm="")
    out.print(Syntax("\n".join(diff), "diff", background_color="default"))

    with ExitStack() as ending:
        calls = []
        for seed, (kind, family) in enumerate(((kind, family) for kind in CALLS for family in (4, 6)), start=2):
            call = ending.enter_context(Call(lab, kind, party("shanghai"), party("internet"), family, seed))
            calls.append(Live(kind, family, call))
        telephone = [each for each in calls if each.kind == "skypeout"]
        for each in calls:
            each.call.wait_for_frames(100)
        rejected = gateway.edit("shanghai", refused, wait=False)
        cut = {each.family: each.call.wait_until_cut(rejected, EDIT_SECONDS) for each in telephone}
        time.sleep(1.0)  # a second of refused speech, for the table
        restored = gateway.edit("shanghai", allowed, wait=False)
        alive = {each.family: each.call.wait_until_alive(restored, EDIT_SECONDS) for each in telephone}
        time.sleep(0.5)  # and half a second of speech again
        for each in calls:
            each.call.stop()

    for family, moment in cut.items():
        promises.check(moment is not None, f"the SkypeOut call over IPv{family} is cut by the edit")
        promises.check(alive[family] is not None, f"the SkypeOut call over IPv{family} lives again after the edit back")
    before = {each: each.call.tally(until=rejected) for each in calls}
    table = Table("call from Shanghai", "", box=box.SIMPLE_HEAD)
    for title in ("lost before", "lost while refused", "lost after", "messages in all"):
        table.add_column(title, justify="right")
    table.add_column("told")
    for each in calls:
        tallies = _around(each, rejected, restored, cut.get(each.family), alive.get(each.family))
        whole = each.call.tally()
        losses = [str(tally.lost) for tally in tallies]
        table.add_row(CALLS[each.kind], f"IPv{each.family}", *losses, str(whole.sent), whole.refused.value)
        where = f"{CALLS[each.kind]} over IPv{each.family}"
        if each.kind == "skype":
            promises.check(whole.lost == 0, f"{where} loses no message while another rule is edited")
        else:
            promises.check(before[each].lost == 0, f"{where} loses no message before the edit")
            promises.check(whole.refused is Refusal.ICMP, f"{where} is told that it is refused")
            promises.check(tallies[2].lost == 0, f"{where} loses no message after the edit back")
    for family, moment in cut.items():
        again = alive[family]
        if moment is not None and again is not None:
            out.print(
                f"SkypeOut over IPv{family}: refused [bold]{_ms(moment - rejected)}[/] after the save,"
                f" answered again [bold]{_ms(again - restored)}[/] after the edit back."
            )
    out.print(table)
    out.print(
        "Nobody asked about these calls again: the kernel knew their names, and only what it does with a name\n"
        "changed. The Skype calls beside them lost nothing.\n"
    )


def _around(each: Live, rejected: float, restored: float, cut: float | None, alive: float | None) -> tuple[Tally, ...]:
    """A call's tallies before the edit took hold, while it held, and afterwards."""
    first, last = cut or rejected, alive or restored
    return each.call.tally(until=first), each.call.tally(first, last), each.call.tally(since=last)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _counters(out: Console, gateway: Gateway, promises: Promises) -> None:
    out.rule("[bold]3  What Prometheus sees")
    out.print("\nThe kernel counted every packet, by region, service and verdict; citygate serves the counts.\n")
    packets = _by_region(gateway, "citygate_packets_total")
    named = _by_region(gateway, "citygate_flows_named_total")
    table = Table("region", "service", "verdict", box=box.SIMPLE_HEAD)
    for title in ("packets up", "packets down"):
        table.add_column(title, justify="right")
    for region, service, verdict in sorted(packets):
        up, down = (packets[region, service, verdict].get(way, 0) for way in ("up", "down"))
        table.add_row(region, service or "[dim]not yet named", verdict, f"{up:.0f}", f"{down:.0f}")
    out.print("[dim]citygate_packets_total")
    out.print(table)
    reloads = gateway.total("citygate_policy_reloads_total", result="applied")
    flows_named = sum(value for ways in named.values() for value in ways.values())
    unfiltered = gateway.total("citygate_unfiltered_packets_total")
    out.print(f"[dim]citygate_flows_named_total[/] {flows_named:.0f}, one a flow, whatever its length")
    out.print(f"[dim]citygate_unfiltered_packets_total[/] {unfiltered:.0f}, packets that nobody could look at")
    out.print(f"[dim]citygate_policy_reloads_total[/] {reloads:.0f}, the start and two edits\n")
    for region in ("shenzhen", "shanghai"):
        promises.check(any(key[:2] == (region, "skypeout") for key in packets), f"SkypeOut in {region} is counted")
        blocked = packets.get((region, "skypeout", "blocked"), {})
        promises.check(blocked.get("up", 0) > 0, f"refused SkypeOut packets of {region} are counted")
    promises.check(reloads == 3, "the start and both edits are counted as reloads")
    promises.check(unfiltered == 0, "no packet goes by unlooked-at")


def _by_region(gateway: Gateway, metric: str) -> dict[tuple[str, str, str], dict[str, float]]:
    """A metric's values by (region, service, verdict), then by direction."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for (name, labels), value in gateway.metrics().items():
        if name == metric:
            has = dict(labels)
            key = has["region"], has["service"], has.get("verdict", "")
            found.setdefault(key, {})[has.get("direction", "")] = value
    return found
