"""Files of services: the built-in ones are sound, and a site's own are refused where they would not work."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from citygate.catalogue import Catalogue, Service, builtin, with_local
from citygate.policy.model import Match
from citygate.policy.problem import PolicyError

KNOWN = Catalogue([Service("skype", "voip", "Skype", "skype", ("skype.com", "*.skype.com"), "", "")])
ENTRY = "service: acme-voice, category: voip, title: ACME desk phones"


def problems(folder: Path, text: str) -> list[str]:
    """``line:column: sentence`` of each problem of ``services.yaml``."""
    file = folder / "services.yaml"
    file.write_text(text)
    with pytest.raises(PolicyError) as error:
        with_local(KNOWN, file)
    return [str(problem).removeprefix(f"{file}:") for problem in error.value.problems]


def test_the_built_in_catalogue_is_sound() -> None:
    catalogue = builtin()
    # What the daemon says of a flow it has given up on; rules can match it.
    assert catalogue.services["unknown"].recognise == "unknown"
    for name, service in catalogue.services.items():
        assert name == service.name
        assert service.title
        assert service.source, f"{name} does not say where its facts come from"


def test_a_protocol_no_recogniser_has_is_told() -> None:
    protocols = {service.recognise for service in builtin().services.values() if service.recognise}
    assert builtin(protocols).services.keys() == builtin().services.keys()
    with pytest.raises(PolicyError) as error:
        builtin(protocols - {"skypeout"})
    (problem,) = error.value.problems
    assert problem.file.startswith("citygate/catalogue/")
    assert problem.sentence.startswith("no protocol `skypeout` is free to recognise")


def test_a_sites_own_service(tmp_path: Path) -> None:
    file = tmp_path / "services.yaml"
    file.write_text(f"services: [{{{ENTRY}, hosts: [voice.acme.example, '*.voice.acme.example']}}]")
    both = with_local(KNOWN, file)
    hosts = ("voice.acme.example", "*.voice.acme.example")
    assert both.services["acme-voice"] == Service("acme-voice", "voip", "ACME desk phones", None, hosts, "", "")
    assert both.services["skype"] == KNOWN.services["skype"]
    assert both.categories["voip"] == {"skype", "acme-voice"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"services: [{{{ENTRY}, hosts: x.example, hots: y}}]", "1:93: unknown key `hots`, did you mean `hosts`?"),
        (f"services: [{{{ENTRY}, hosts: x.example, networks: []}}]", "1:103: `networks` must not be empty"),
        (f"services: [{{{ENTRY}, hosts: x.example, signatures: []}}]", "1:105: `signatures` must not be empty"),
        ("services: [{service: a, title: x, hosts: b.c}]", "1:12: `category` is missing"),
        ("services: []", "1:11: `services` must not be empty"),
        ("service: x", "1:1: "),
        (f"services: [{{{ENTRY}}}]", "1:12: service `acme-voice` has no hosts, networks or signatures, so no flow"),
        (f"services: [{{{ENTRY}, recognise: foo}}]", "1:86: no protocol `foo` is free to recognise, a site's own se"),
        (f"services: [{{{ENTRY}, hosts: '*.skype.com'}}]", "1:82: `*.skype.com` is already the host of service `sky"),
        (f"services: [{{{ENTRY}, hosts: [x.y, x.y]}}]", "1:88: `x.y` is already the host of service `acme-voice`"),
        (
            "services: [{service: skype, category: voip, title: Skype, hosts: x.y}]",
            "1:22: `skype` is already the name of service `skype`",
        ),
    ],
)
def test_a_sites_own_service_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text)[0].startswith(problem)


SIGNATURE = "{proto: udp, port: 5070, payload: {hex: ac 3e ?? 01}}"


def test_all_keys_of_a_sites_own_service(tmp_path: Path) -> None:
    file = tmp_path / "services.yaml"
    keys = f"parent: skype, networks: [198.51.100.0/24, '2001:db8::/48'], signatures: [{SIGNATURE}]"
    file.write_text(f"services: [{{{ENTRY}, {keys}}}]")
    both = with_local(KNOWN, file)
    acme = both.services["acme-voice"]
    assert acme.networks == (IPv4Network("198.51.100.0/24"), IPv6Network("2001:db8::/48"))
    assert [(str(signature), name) for signature, name in both.signatures] == [
        ("udp port 5070: ac 3e ?? 01 at 0", "acme-voice")
    ]
    assert both.matching(Match(services=("skype",))) == {"skype", "acme-voice"}


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("networks: [0.0.0.0/0]", "0.0.0.0/0 is every address, so every flow would be named so"),
        ("networks: ['::/0']", "::/0 is every address, so every flow would be named so"),
        ("networks: [10.0.0.1/8]", "10.0.0.1/8 has host bits set, the prefix is 10.0.0.0/8"),
        ("networks: [10.0.0.0/8, 10.0.0.0/8]", "`10.0.0.0/8` is already the network of service `acme-voice`"),
        ("networks: [192.0.2.0/24]", "`192.0.2.0/24` is already the network of service `known`"),
        (f"signatures: [{SIGNATURE}, {SIGNATURE}]", "`udp port 5070: ac 3e ?? 01 at 0` is already the signature of"),
        ("hosts: x.y, parent: known2", "no service `known2` in the catalogue, did you mean `known`?"),
        ("hosts: x.y, parent: acme-voice", "`acme-voice` would be a part of itself"),
    ],
)
def test_networks_signatures_and_parents_refused(tmp_path: Path, keys: str, problem: str) -> None:
    file = tmp_path / "services.yaml"
    file.write_text(f"services:\n  - {{{ENTRY},\n     {keys}}}\n")
    known = Service("known", "voip", "Known", None, (), "", "", networks=(IPv4Network("192.0.2.0/24"),))
    mail = Service("mail", "base", "Mail", None, ("mail.example",), "", "")
    with pytest.raises(PolicyError) as error:
        with_local(Catalogue([known, mail]), file)
    (found,) = error.value.problems
    assert problem in found.sentence
    assert found.line == 3


def test_parts_of_one_another_are_refused(tmp_path: Path) -> None:
    entries = [
        f"{{service: {name}, category: voip, title: x, hosts: {name}.example, parent: {parent}}}"
        for name, parent in (("a", "b"), ("b", "c"), ("c", "b"), ("d", "skype"))
    ]
    found = problems(tmp_path, f"services: [{', '.join(entries)}]")
    assert [problem.split(": ")[1] for problem in found] == [f"`{name}` would be a part of itself" for name in "bc"]


def test_more_signatures_than_one_port_has_room_for(tmp_path: Path) -> None:
    lines = [f"      - {{proto: udp, port: 5070, payload: {{hex: ac 3e {i:02x}}}}}" for i in range(17)]
    text = "services:\n  - service: a\n    category: b\n    title: c\n    signatures:\n" + "\n".join(lines)
    (problem,) = problems(tmp_path, text)
    assert problem == "6:9: 16 signatures are on port udp/5070 already, and more would slow it"


def test_two_services_refused_are_both_told(tmp_path: Path) -> None:
    text = "services:\n  - {service: a, category: A, title: x, hosts: b.c}\n  - {service: a, category: b, hosts: 7}\n"
    assert [problem.split(" ")[0] for problem in problems(tmp_path, text)] == ["2:28:", "3:5:", "3:38:"]
