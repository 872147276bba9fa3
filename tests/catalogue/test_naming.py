"""A catalogue as the classifiers use it: every way in which a service is told leads to its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from citygate.catalogue import builtin, with_local
from citygate.catalogue.naming import naming
from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import PROTOCOL_NAMES
from tests.datapath.packets import FAMILIES, NOBODYS, udp

OWN = """
services:
  - service: acme-voice
    category: voip
    title: ACME desk phones
    hosts: [voice.acme.example]
    networks: [203.0.113.0/24, "2001:db8:5070::/48"]
    signatures:
      - {proto: udp, port: 5070, payload: {hex: "ac 3e ?? 01"}}
"""


def test_every_protocol_names_a_service_of_the_built_in_catalogue() -> None:
    catalogue = builtin(PROTOCOL_NAMES)
    names = naming(catalogue, {name: number for number, name in enumerate(catalogue.services, 1)})
    for protocol in PROTOCOL_NAMES:
        if protocol not in ("none", "signature"):
            assert catalogue.services[names.service(protocol)[0]].recognise == protocol


def test_hosts_and_networks(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text(OWN)
    catalogue = with_local(builtin(), tmp_path / "services.yaml")
    names = naming(catalogue, {name: number for number, name in enumerate(catalogue.services, 1)})
    assert names.service("tls", "voice.acme.example")[0] == "acme-voice"
    for network in catalogue.services["acme-voice"].networks:
        packed = network[7].packed
        address = packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed
        assert names.network(address, own=True) == "acme-voice"
    builtins = [network for s in builtin().services.values() for network in s.networks]
    assert builtins, "no built-in service has a network any more"
    for network in builtins:
        packed = network[0].packed
        address = packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed
        assert names.network(address) != ""
        assert names.network(address, own=True) == ""


@pytest.mark.parametrize("ends", FAMILIES)
def test_a_site_s_own_signature(tmp_path: Path, ends: tuple[str, str]) -> None:
    (tmp_path / "services.yaml").write_text(OWN)
    catalogue = with_local(builtin(), tmp_path / "services.yaml")
    classes = {name: number for number, name in enumerate(catalogue.services, 1)}
    made = Classifier(naming(catalogue, classes), endpoints=Shared())
    assert made.packet(udp(ends, 40000, 5070, b"\xac\x3e\x07\x01" + NOBODYS), 1) == classes["acme-voice"]
    (named,) = made.take_named(2)
    assert (named.service, named.protocol, named.why) == ("acme-voice", "signature", "signature")
