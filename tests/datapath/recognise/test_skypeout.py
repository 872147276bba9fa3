"""SkypeOut: the gateway's port with a constant id, and the opening recorded in 2005."""

from __future__ import annotations

import random

import pytest

from tests.datapath.recognise.feeding import ask_both

ID = bytes.fromhex("194d9a2b")
PORT = 12340
GREETING = bytes.fromhex("c65cbf418e")
SHORT = [ID + bytes.fromhex("92f33fa6"), ID + bytes.fromhex("ea4b0271")]
dice = random.Random(5)
FRAMES = [ID + dice.randbytes(25) for _ in range(4)]  # 29 bytes, as Tstat measured


def sent(*payloads: bytes) -> list[tuple[bytes, bool]]:
    return [(payload, True) for payload in payloads]


def test_constant_id_on_the_gateway_port() -> None:
    assert ask_both("skypeout", FRAMES[0], server_port=PORT).answer == "more"
    assert ask_both("skypeout", FRAMES[1], server_port=PORT, earlier=sent(FRAMES[0])).answer == "more"
    said = ask_both("skypeout", FRAMES[2], server_port=PORT, earlier=sent(*FRAMES[:2]))
    assert (said.answer, said.why) == ("yes", "skypeout gateway port and constant connection id")


def test_id_that_changes_at_the_start_and_both_directions() -> None:
    earlier = [(dice.randbytes(29), True), (dice.randbytes(29), False), (FRAMES[0], True), (FRAMES[1], False)]
    assert ask_both("skypeout", FRAMES[2], server_port=PORT, earlier=earlier).answer == "yes"
    assert ask_both("skypeout", FRAMES[2], client_port=PORT, from_client=False, earlier=earlier).answer == "yes"


def test_the_id_alone_is_not_enough() -> None:
    assert ask_both("skypeout", FRAMES[2], earlier=sent(*FRAMES[:2])).answer == "no"


def test_the_port_alone_is_not_enough() -> None:
    others = [dice.randbytes(29) for _ in range(6)]
    assert ask_both("skypeout", others[5], server_port=PORT, earlier=sent(*others[:5])).answer == "more"


@pytest.mark.parametrize("head", ["00000001", "01010101", "80800000"])
def test_a_head_that_is_no_random_id(head: str) -> None:
    packets = [bytes.fromhex(head) + dice.randbytes(25) for _ in range(4)]
    assert ask_both("skypeout", packets[3], server_port=PORT, earlier=sent(*packets[:3])).answer == "more"


def test_a_counter_behind_the_id() -> None:
    packets = [ID + bytes([0, 0, number]) + bytes(20) for number in range(5)]
    assert ask_both("skypeout", packets[4], server_port=PORT, earlier=sent(*packets[:4])).answer == "more"


def test_one_message_again_and_again() -> None:
    assert ask_both("skypeout", FRAMES[0], server_port=PORT, earlier=sent(*[FRAMES[0]] * 5)).answer == "more"


def test_opening_without_the_port() -> None:
    opening = sent(GREETING, GREETING, SHORT[0], SHORT[0])
    assert ask_both("skypeout", SHORT[1], earlier=opening[:3]).answer == "more"
    assert ask_both("skypeout", SHORT[1], earlier=opening).why == "skypeout opening"
    assert ask_both("skypeout", FRAMES[0], earlier=opening).answer == "yes"


@pytest.mark.parametrize(
    "earlier",
    [
        (GREETING, GREETING[::-1], SHORT[0], SHORT[0]),
        (GREETING, GREETING, SHORT[0], SHORT[1]),
        (GREETING * 2, GREETING * 2, SHORT[0], SHORT[0]),
        (GREETING, GREETING, SHORT[0] * 2, SHORT[0] * 2),
        (SHORT[0], SHORT[0], SHORT[0], SHORT[0]),
    ],
)
def test_another_opening(earlier: tuple[bytes, ...]) -> None:
    assert ask_both("skypeout", SHORT[1], earlier=sent(*earlier)).answer == "more"


def test_large_datagrams_are_not_speech() -> None:
    assert ask_both("skypeout", ID + bytes(500), server_port=PORT, earlier=sent(*FRAMES)).answer == "no"


def test_every_cut_of_a_frame() -> None:
    for size in range(29):
        said = ask_both("skypeout", FRAMES[2][:size], server_port=PORT, earlier=sent(*FRAMES[:2]))
        assert (said.answer == "yes") == (size >= 7)


@pytest.mark.parametrize("head", [b"\x01\x00\x7f\x00", b"GET "])
def test_a_kind_with_its_flags_or_text(head: bytes) -> None:
    packets = [head + bytes(range(49 + 3 * n, 58)) + bytes(9) for n in range(3)]
    assert ask_both("skypeout", packets[2], server_port=PORT, earlier=sent(*packets[:2])).answer == "more"
