"""What became of the flows that were played."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich import box
from rich.markup import escape
from rich.table import Table

from citygate.lab.udp import Refusal


@dataclass(slots=True)
class FlowResult:
    """One flow's fate. Counted are packets where they were sent raw, messages where they went over sockets."""

    label: str  # the service it is known to be, or "" for a capture's flow without a label
    proto: str
    client: str  # address and port, as sent in the lab
    server: str
    sent: int = 0
    arrived: int = 0
    refused: Refusal = Refusal.NONE
    refused_from: int | None = None  # the first packet that did not arrive, counted from 1

    def missed(self) -> None:
        """Note that the packet sent last has not arrived."""
        if self.refused_from is None:
            self.refused_from = self.sent

    def close(self) -> None:
        """After the last packet: what is missing and was refused by nobody is silence."""
        if self.arrived < self.sent and self.refused is Refusal.NONE:
            self.refused = Refusal.SILENCE


@dataclass(slots=True)
class Report:
    """All flows of one play, and the packets that were not sent, by reason."""

    flows: list[FlowResult]
    left_out: dict[str, int] = field(default_factory=dict)

    def table(self) -> Table:
        table = Table("flow", "protocol", box=box.SIMPLE)
        for title in ("client", "server"):
            table.add_column(title, overflow="fold")
        for title in ("sent", "arrived", "refused from"):
            table.add_column(title, justify="right")
        table.add_column("refused how")
        for flow in self.flows:
            first = "-" if flow.refused_from is None else f"packet {flow.refused_from}"
            ends = (escape(flow.client), escape(flow.server))
            table.add_row(flow.label, flow.proto, *ends, str(flow.sent), str(flow.arrived), first, flow.refused.value)
        return table


def endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
