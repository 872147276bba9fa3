"""Files of services: the built-in ones are sound, and a site's own are refused where they would not work."""

from __future__ import annotations

from pathlib import Path

import pytest

from citygate.catalogue import Catalogue, Service, builtin, with_local
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
        (f"services: [{{{ENTRY}, hosts: x.example, networks: []}}]", "1:93: this version does not know `networks:"),
        (f"services: [{{{ENTRY}, hosts: x.example, signatures: []}}]", "1:93: this version does not know `signature"),
        ("services: [{service: a, title: x, hosts: b.c}]", "1:12: `category` is missing"),
        ("services: []", "1:11: `services` must not be empty"),
        ("service: x", "1:1: "),
        (f"services: [{{{ENTRY}}}]", "1:12: service `acme-voice` has no hosts, so no flow would ever be named so"),
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


def test_two_services_refused_are_both_told(tmp_path: Path) -> None:
    text = "services:\n  - {service: a, category: A, title: x, hosts: b.c}\n  - {service: a, category: b, hosts: 7}\n"
    assert [problem.split(" ")[0] for problem in problems(tmp_path, text)] == ["2:28:", "3:5:", "3:38:"]
