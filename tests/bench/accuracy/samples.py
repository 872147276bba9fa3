"""A small catalogue, labels and answers."""

from __future__ import annotations

from bench.accuracy.corpus import Key, Label, key
from bench.accuracy.score import Answer
from citygate.catalogue.model import Catalogue, Service

CLIENT, SERVER = "192.0.2.1", "2001:db8::1"


def service(name: str, category: str = "base", *, parent: str | None = None, hosts: tuple[str, ...] = ()) -> Service:
    """Named by its hosts where it has any, else by a recogniser."""
    return Service(name, category, name, None if hosts else name, hosts, "", "", parent=parent)


CATALOGUE = Catalogue(
    [
        service("tls"),
        service("dns"),
        service("unknown"),
        service("encrypted"),
        service("stun", "voip"),
        service("sip", "voip"),
        service("sip-pstn", "voip", parent="sip"),
        service("teams", "voip", hosts=("teams.example",)),
        service("chat", "messaging", hosts=("chat.example",)),
        service("tube", "video", hosts=("tube.example",)),
    ]
)


def label(name: str, *also: str, file: str = "one.pcap", number: int = 1, source: str = "tshark") -> Label:
    return Label(file, number, name, frozenset(also), source)


def flow(number: int, file: str = "one.pcap") -> Key:
    return key(file, 17, (CLIENT, number), (SERVER, 443))


def answer(*names: str, above: str = "", carrier: str = "", packets: int | None = None) -> Answer:
    """``packets`` passed before the name, of 100 bytes each."""
    return Answer(names, (above,) if above else (), carrier, packets, None if packets is None else packets * 100)


def world(*pairs: tuple[Label, Answer]) -> tuple[dict[Key, Label], dict[Key, Answer]]:
    """Labels and answers of flows numbered as they come."""
    labels = {flow(i): one._replace(number=i) for i, (one, _) in enumerate(pairs, 1)}
    return labels, {flow(i): given for i, (_, given) in enumerate(pairs, 1)}
