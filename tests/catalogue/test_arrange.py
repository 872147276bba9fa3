"""Where signatures are looked for, and how few a payload meets."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from citygate.catalogue.arrange import BUCKET, PLACES, Key, arrange, byte_keys
from citygate.catalogue.model import Piece, Signature


def signature(value: bytes, at: int = 0, ports: tuple[tuple[int, int], ...] = (), proto: str = "udp") -> Signature:
    return Signature(proto, ports, (Piece(at, value, b"\xff" * len(value)),))


def test_few_ports_are_keys() -> None:
    (keys,) = arrange([signature(b"ab", ports=((7, 8), (8, 9)))]).keys
    assert keys == (Key("udp", None, 7), Key("udp", None, 8), Key("udp", None, 9))


def test_many_ports_or_none_are_looked_for_by_bytes() -> None:
    arrangement = arrange([signature(b"abcd", ports=((1, 65),)), signature(b"abcd", at=-4), signature(b"efgh")])
    assert arrangement.keys == ((Key("udp", 0, 0x6162),), (Key("udp", -4, 0x6162),), (Key("udp", 0, 0x6566),))


def test_byte_keys_have_no_wildcard() -> None:
    pieces = (Piece(-2, b"yz", b"\xff\xff"), Piece(4, b"\x01\x02\x00\x04\x05\x06", b"\xff\xff\x00\xff\xff\xff"))
    keys = [key[1:] for key in byte_keys(Signature("udp", (), pieces))]
    assert keys == [(4, 0x0102), (7, 0x0405), (8, 0x0506), (-2, 0x797A)]


def test_a_place_already_used_is_preferred_until_it_is_full() -> None:
    alike = [signature(b"abc" + bytes([i])) for i in range(BUCKET + 1)]
    arrangement = arrange([*alike, signature(b"xyz0")])
    assert arrangement.keys[-1] == (Key("udp", 0, 0x7879),)
    # From the last to the first: the first listed had to go elsewhere.
    assert [keys[0].place for keys in arrangement.keys] == [1, *[0] * (BUCKET + 1)]
    assert not arrangement.refused


def test_too_many_of_a_port_are_refused() -> None:
    crowd = [signature(bytes([i, i]), ports=((7, 7),)) for i in range(BUCKET + 2)]
    arrangement = arrange(crowd)
    assert arrangement.refused.keys() == {0, 1}
    assert arrangement.keys[0] == ()
    assert "16 signatures are on port udp/7 already" in arrangement.refused[0]


def test_too_many_places_are_refused() -> None:
    spread = [signature(b"abcd", at=10 * i) for i in range(PLACES + 1)]
    arrangement = arrange(spread)
    assert arrangement.refused.keys() == {0}
    assert arrangement.refused[0].endswith("where bytes are looked at already (10, 20, 30, 40, 50, 60, 70, 80)")
    # Each protocol has its own.
    assert not arrange([signature(b"abcd", proto="tcp"), *spread[1:]]).refused


@given(
    st.lists(
        st.builds(
            signature,
            st.binary(min_size=4, max_size=5).map(lambda data: bytes(byte & 1 for byte in data)),
            st.integers(0, 12),
            st.sampled_from([(), (), ((7, 7),), ((7, 9),), ((1, 1000),)]),
            st.sampled_from(["tcp", "udp"]),
        ),
        max_size=120,
    )
)
def test_bounds(listed: list[Signature]) -> None:
    arrangement = arrange(listed)
    filled = Counter(key for keys in arrangement.keys for key in keys)
    assert all(count <= BUCKET for count in filled.values())
    for proto in ("tcp", "udp"):
        assert len({key.place for key in filled if key.proto == proto and key.place is not None}) <= PLACES
    for i, keys in enumerate(arrangement.keys):
        assert bool(keys) != (i in arrangement.refused)
