"""Which services a match can mean, and which signature comes first."""

from __future__ import annotations

from citygate.catalogue import Catalogue, Service
from citygate.catalogue.model import Piece, Signature
from citygate.policy.model import Match

KINDS = {"skype": "voip", "skypeout": "voip", "openvpn": "vpn"}
CATALOGUE = Catalogue(Service(name, kind, name, None, (), "", "") for name, kind in KINDS.items())


def test_categories_hold_their_services() -> None:
    assert dict(CATALOGUE.categories) == {"voip": {"skype", "skypeout"}, "vpn": {"openvpn"}}


def test_a_match_without_names_means_every_service() -> None:
    assert CATALOGUE.matching(Match()) == set(KINDS)


def test_a_list_means_any_of_its_names() -> None:
    assert CATALOGUE.matching(Match(services=("skype", "openvpn"))) == {"skype", "openvpn"}
    assert CATALOGUE.matching(Match(categories=("voip", "vpn"))) == set(KINDS)


def test_a_service_and_a_category_must_both_hold() -> None:
    assert CATALOGUE.matching(Match(services=("skype", "openvpn"), categories=("voip",))) == {"skype"}
    assert CATALOGUE.matching(Match(services=("openvpn",), categories=("voip",))) == frozenset()


def test_names_it_does_not_have_mean_nothing() -> None:
    assert CATALOGUE.matching(Match(services=("gone",))) == frozenset()
    assert CATALOGUE.matching(Match(categories=("gone",))) == frozenset()


def family(**parents: str | None) -> Catalogue:
    return Catalogue(
        Service(name, "voip", name, None, (f"{name}.example",), "", "", parent=parent)
        for name, parent in parents.items()
    )


def test_who_names_a_service_means_its_parts() -> None:
    catalogue = family(sip=None, pstn="sip", emergency="pstn", skype=None)
    assert catalogue.matching(Match(services=("sip",))) == {"sip", "pstn", "emergency"}
    assert catalogue.matching(Match(services=("pstn",))) == {"pstn", "emergency"}
    assert catalogue.matching(Match(services=("emergency", "skype"))) == {"emergency", "skype"}
    assert catalogue.matching(Match(services=("sip",), categories=("voip",))) == {"sip", "pstn", "emergency"}


def test_parents_that_make_a_circle_or_are_not_there_end() -> None:
    # The loader refuses them; a catalogue made otherwise must not hang.
    catalogue = family(a="b", b="a", c="gone")
    assert catalogue.matching(Match(services=("a",))) == {"a", "b"}
    assert catalogue.matching(Match(services=("c",))) == {"c"}


def test_own_signatures_come_first_then_those_that_fix_more() -> None:
    def signed(name: str, *texts: bytes) -> Service:
        found = [Signature("udp", (), (Piece(0, text, b"\xff" * len(text)),)) for text in texts]
        return Service(name, "voip", name, None, (), "", "", signatures=tuple(found))

    catalogue = Catalogue([signed("built-in", b"abcd", b"abcdef")], own=[signed("own", b"abcd", b"abcde")])
    assert [(str(s.pieces[0]), name) for s, name in catalogue.signatures] == [
        ('"abcde" at 0', "own"),
        ('"abcd" at 0', "own"),
        ('"abcdef" at 0', "built-in"),
        ('"abcd" at 0', "built-in"),
    ]


def test_a_signature_as_text() -> None:
    pieces = (Piece(0, b"\xac\x00\x30\x00", b"\xff\x00\xf0\x0f"), Piece(-2, b"\r\n", b"\xff\xff"))
    found = Signature("udp", ((7, 7), (9, 12)), pieces, (4, 8), "server")
    assert str(found) == "udp port 7, 9-12: ac ?? 3? ?0 at 0, 0d 0a at -2; 4 to 8 bytes; from the server"
    assert str(Signature("tcp", (), (Piece(1, b"MQTT", b"\xff" * 4),))) == 'tcp: "MQTT" at 1'
    assert found.fixed_bits == 8 + 4 + 4 + 16
