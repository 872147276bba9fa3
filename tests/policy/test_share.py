"""Who is inside a rollout. That the kernel chooses the same is in tests/kernel/test_share_kernel.py."""

from __future__ import annotations

import math
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import ip_addresses

from citygate.policy.model import Address, Share
from citygate.policy.share import inside, jhash, parse_percent, seed_of, subscriber_key

SEEDS = st.integers(0, 0xFFFFFFFF)
PARTS = st.integers(0, 10_000)
# Neighbours, as providers give them out: a hash that is too weak would show.
NEIGHBOURS: dict[int, list[Address]] = {
    4: [IPv4Address("10.10.0.0") + n for n in range(10_000)],
    6: [IPv6Address("fd00:10::5") + (n << 64) for n in range(10_000)],
}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("0%", 0),
        ("25%", 2500),
        ("25 %", 2500),
        ("0.5%", 50),
        ("0.05%", 5),
        ("12.25%", 1225),
        ("100%", 10_000),
        ("100.00%", 10_000),
    ],
)
def test_a_percentage(text: str, parts: int) -> None:
    assert parse_percent(text) == parts


FORM = "is not a percentage, write 25% or, with at most two decimals, 0.25%"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (25, "must be a percentage with its sign, such as 25% or 0.5%"),
        (0.25, "must be a percentage with its sign, such as 25% or 0.5%"),
        (True, "must be a percentage with its sign, such as 25% or 0.5%"),
        ("25", f"'25' {FORM}"),
        ("0.125%", f"'0.125%' {FORM}"),
        ("-5%", f"'-5%' {FORM}"),
        ("1/4", f"'1/4' {FORM}"),
        ("12,5%", f"'12,5%' {FORM}"),
        ("1e1%", f"'1e1%' {FORM}"),
        ("٢٥%", f"'٢٥%' {FORM}"),
        ("", f"'' {FORM}"),
        ("100.01%", "100.01% is more than everybody, write 100% or less"),
        ("250%", "250% is more than everybody, write 100% or less"),
    ],
)
def test_what_is_wrong_with_it(value: object, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_percent(value)
    assert str(error.value) == sentence


@given(PARTS)
def test_every_part_can_be_written(parts: int) -> None:
    assert parse_percent(f"{parts / 100:.2f}%") == parts


@given(st.text())
def test_any_other_text_is_a_sentence(text: str) -> None:
    try:
        assert 0 <= parse_percent(text) <= 10_000
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("data", "seed", "hashed"),
    [
        # From include/linux/jhash.h, compiled: each number of words, with and without a rest.
        ("", 0, 0xDEADBEEF),
        ("0a0a0005", 0, 0xE728CD03),
        ("0a0a0005", 0x1234, 0x5621BE61),
        ("fd001000000000000000000000000000", 0xFFFFFFFF, 0x55F12043),
        ("00", 1, 0x62CD61B3),
        ("000102030405060708090a0b", 1, 0x453F0BF7),
        ("000102030405060708090a0b0c0d0e0f101112131415161718", 1, 0x524E2864),
    ],
)
def test_the_hash_is_the_kernels(data: str, seed: int, hashed: int) -> None:
    assert jhash(bytes.fromhex(data), seed) == hashed


def test_a_rules_seed_is_the_same_for_ever() -> None:
    # printf shenzhen/p2p-trial | sha256sum
    assert seed_of("shenzhen", "p2p-trial") == 0x077F521B
    assert seed_of("shenzhen", "p2p-trial2") != seed_of("shanghai", "p2p-trial") != seed_of("shenzhen", "p2p-trial")


def test_a_subscriber_is_one_ipv4_address_or_one_64() -> None:
    assert subscriber_key(ip_address("10.10.3.7")) == bytes([10, 10, 3, 7])
    assert subscriber_key(ip_address("fd00:10:0:37::7")) == bytes.fromhex("fd000010000000370000000000000000")


@given(SEEDS, PARTS, ip_addresses(v=6), st.integers(0, (1 << 64) - 1))
def test_a_new_address_of_a_64_does_not_change_the_answer(seed: int, parts: int, address: Address, low: int) -> None:
    other = IPv6Address(int(address) >> 64 << 64 | low)
    assert inside(Share(parts, seed), other) == inside(Share(parts, seed), address)


@given(SEEDS, PARTS, PARTS, ip_addresses())
def test_who_is_inside_stays_inside_when_it_grows(seed: int, one: int, other: int, address: Address) -> None:
    small, large = sorted((one, other))
    assert inside(Share(large, seed), address) or not inside(Share(small, seed), address)


@given(SEEDS, ip_addresses())
def test_nobody_and_everybody(seed: int, address: Address) -> None:
    assert not inside(Share(0, seed), address)
    assert inside(Share(10_000, seed), address)


# A binomial count of 10,000 stays within four standard deviations but once in 16,000 samples; seeds are fixed.
def near(count: int, share: float) -> bool:
    return abs(count - 10_000 * share) <= 4 * math.sqrt(10_000 * share * (1 - share))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("parts", [50, 1225, 2500, 5000, 9900])
def test_a_share_is_near_its_percentage(family: int, parts: int) -> None:
    share = Share(parts, seed_of("shenzhen", "p2p-trial"))
    assert near(sum(inside(share, address) for address in NEIGHBOURS[family]), parts / 10_000)


@pytest.mark.parametrize("family", [4, 6])
def test_different_rules_choose_different_subscribers(family: int) -> None:
    seeds = [0, 1, 0x80000000, seed_of("shenzhen", "p2p-trial"), seed_of("shanghai", "p2p-trial")]
    chosen = [{each for each in NEIGHBOURS[family] if inside(Share(2500, seed), each)} for seed in seeds]
    for one, other in combinations(chosen, 2):
        assert near(len(one & other), 0.25 * 0.25)
