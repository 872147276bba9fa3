"""One signature of a file of services: what its keys mean, and which are refused in which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.catalogue import Catalogue, with_local
from citygate.catalogue.model import Piece, Signature
from citygate.catalogue.signature import SignatureKeys
from citygate.policy.problem import PolicyError


def read(**keys: object) -> Signature:
    return SignatureKeys.model_validate({"proto": "udp", **keys}).typed()


def test_the_form_of_the_language() -> None:
    found = read(port=5070, payload={"at": 0, "hex": "ac 3e ?? 01"}, length="16..1400")
    assert found == Signature(
        "udp", ((5070, 5070),), (Piece(0, b"\xac\x3e\0\1", b"\xff\xff\0\xff"),), (16, 1400), None
    )


def test_several_pieces_ports_and_the_sender() -> None:
    payload = [{"at": -2, "text": "\r\n"}, {"at": 4, "hex": "0? ?1 AB"}, {"text": "MQTT"}]
    found = read(port=[7, "5000-5009"], payload=payload, length=30, **{"from": "server"})
    assert found.pieces == (
        Piece(-2, b"\r\n", b"\xff\xff"),
        Piece(0, b"MQTT", b"\xff" * 4),
        Piece(4, b"\x00\x01\xab", b"\xf0\x0f\xff"),
    )
    assert (found.ports, found.lengths, found.sender) == (((7, 7), (5000, 5009)), (30, 30), "server")


@given(st.lists(st.sampled_from([*"0123456789abcdef", "?"]), min_size=2, max_size=16).filter(lambda d: len(d) % 2 == 0))
def test_hex_reads_as_it_is_shown(digits: list[str]) -> None:
    text = "".join(digits)
    # Enough beside it to be strong.
    found = read(port=1, payload=[{"hex": text}, {"at": 20, "text": "MQTT"}]).pieces[0]
    shown = str(found)
    assert shown.startswith('"') or shown == f"{' '.join(text[i : i + 2] for i in range(0, len(text), 2))} at 0"


def sentence(folder: Path, signature: str) -> str:
    """``column: sentence`` of the only problem; columns count from the signature's brace."""
    file = folder / "services.yaml"
    file.write_text(f"services:\n- service: a\n  category: b\n  title: c\n  signatures:\n  - {signature}\n")
    with pytest.raises(PolicyError) as error:
        with_local(Catalogue(()), file)
    (problem,) = error.value.problems
    assert problem.line == 6
    return f"{problem.column - 4}: {problem.sentence}"


@pytest.mark.parametrize(
    ("signature", "problem"),
    [
        ("{port: 7, payload: {text: abcd}}", "1: `proto` is missing"),
        ("{proto: sctp, payload: {text: abcd}}", "9: `proto`: 'sctp' is not tcp or udp"),
        ("{proto: udp, port: 7}", "1: `payload` is missing"),
        ("{proto: udp, port: 7, payload: []}", "32: `payload` must not be empty"),
        ("{proto: udp, port: 7, payload: abcd}", "32: `payload` must be a list"),
        ("{proto: udp, port: 7, payload: {txt: abcd}}", "33: unknown key `txt`, did you mean `text`?"),
        ("{proto: udp, port: 7, payload: [{txt: abcd}]}", "34: unknown key `txt`, did you mean `text`?"),
        ("{proto: udp, port: 7, payload: {at: 0}}", "32: `payload` must have either `hex` or `text`"),
        ("{proto: udp, port: 7, payload: {hex: ab cd, text: x}}", "32: `payload` must have either `hex` or `text`"),
        ("{proto: udp, port: 7, payload: {hex: ab c}}", "38: `hex` must be text of two digits a byte, ? for any"),
        ("{proto: udp, port: 7, payload: {hex: 1234}}", "38: `hex` must be text of two digits a byte, ? for any"),
        ("{proto: udp, port: 7, payload: {hex: ''}}", "38: `hex` must be text of two digits a byte, ? for any"),
        ("{proto: udp, port: 7, payload: {text: ü}}", "39: `text` must be text in ASCII; other bytes are written as"),
        ("{proto: udp, port: 7, payload: {text: ''}}", "39: `text` must be text in ASCII"),
        ("{proto: udp, port: 7, payload: {at: yes, text: ab}}", "37: `at` must be a whole number from -512"),
        ("{proto: udp, port: 7, payload: {at: 512, text: ab}}", "37: `at` must be a whole number from -512"),
        ("{proto: udp, port: 7, payload: {at: 511, text: ab}}", "32: `payload` must lie within the payload's first 51"),
        ("{proto: udp, port: 7, payload: {at: -1, text: ab}}", "32: `payload` must not begin before the datagram's"),
        ("{proto: udp, port: 0, payload: {text: abcd}}", "20: `port`: 0 is not a port from 1 to 65535, nor a range"),
        ("{proto: udp, port: 9-8, payload: {text: abcd}}", "20: `port`: '9-8' is not a port from 1 to 65535, nor a"),
        ("{proto: udp, port: [7, yes], payload: {text: abcd}}", "24: `port`: True is not a port from 1 to 65535, nor"),
        ("{proto: udp, length: 9..8, payload: {text: abcd}}", "22: `length`: '9..8' is not a length from 1 to 65535,"),
        ("{proto: udp, length: 3, payload: {text: abcd}}", "1: `signatures`: its payload reaches over 4 bytes, and `l"),
        ("{proto: udp, from: me, payload: {text: abcd}}", "20: `from`: 'me' is not client or server"),
        ("{proto: tcp, length: 9, payload: {text: abcd}}", "1: `signatures`: a TCP stream has no length: `length` is"),
        ("{proto: tcp, payload: {at: -4, text: abcd}}", "1: `signatures`: a TCP stream has no end to count from: `at`"),
        ("{proto: udp, payload: [{text: abcd}, {at: 3, hex: de}]}", "1: `signatures`: two pieces of its payload over"),
        (
            "{proto: udp, payload: {hex: '?? ??'}}",
            "1: `signatures`: it fixes 0 bits, and on any port it needs 32 or other traffic would fit too: give more "
            "bytes of the payload without wildcard, or name at most 64 ports",
        ),
        (
            "{proto: udp, port: 7, payload: {hex: ab c?}}",
            "1: `signatures`: it fixes 12 bits, and on 1 port it needs 16 or other traffic would fit too: give more "
            "bytes of the payload without wildcard",
        ),
        ("{proto: udp, port: 5000-5063, payload: {hex: ab cd}}", "1: `signatures`: it fixes 16 bits, and on 64 ports"),
        ("{proto: udp, port: 5000-5064, payload: {hex: ab cd ef}}", "1: `signatures`: it fixes 24 bits, and on 65 por"),
        (
            "{proto: udp, payload: {hex: ab ?? cd ?? ef ?? 01}}",
            "1: `signatures`: on any port it needs two neighbouring bytes without wildcard, to be looked for by",
        ),
        (
            "{proto: tcp, payload: {text: 'GET '}}",
            "1: `signatures`: any HTTP request fits it, so ordinary traffic would be named so: give more bytes of the",
        ),
    ],
)
def test_refused(tmp_path: Path, signature: str, problem: str) -> None:
    assert sentence(tmp_path, signature).startswith(problem)


def test_more_pieces_than_there_may_be() -> None:
    with pytest.raises(ValueError, match="at most 8 items"):
        read(port=7, payload=[{"at": i, "hex": "ab"} for i in range(9)])


def test_just_strong_enough() -> None:
    assert read(payload={"text": "MQTT"}).fixed_bits == 32
    assert read(port=7, payload={"text": "AC"}).fixed_bits == 16
    assert read(port="5000-5063", payload={"hex": "ab cd e? ?1"}).fixed_bits == 24
    assert read(port="5000-5064", payload={"hex": "ab cd ef 01"}).fixed_bits == 32
    assert read(port="1-65535", payload={"hex": "ab cd ef 01"}).fixed_bits == 32
