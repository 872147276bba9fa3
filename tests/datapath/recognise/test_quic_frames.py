"""The ClientHello of QUIC out of frames and datagrams in any order, as the recogniser of QUIC puts it together."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import ask
from tests.datapath.names import CLASS, NOT_FINAL, naming
from tests.datapath.packets import FAMILIES, back, udp
from tests.datapath.recognise.feeding import ask_both
from tests.datapath.recognise.hellos import client_hello, extension, protocols
from tests.datapath.recognise.initials import ID, crypto, datagram

HELLO = client_hello(more=protocols(b"h3"))
FINAL = 0
SERVER_INITIAL = datagram(b"\2\0\0\0\0")  # an acknowledgement; nobody looks inside


def test_frames_shuffled_and_mixed() -> None:
    """What Chromium does so that nobody relies on an order."""
    cuts = [0, 3, 40, 41, 90, 150, len(HELLO)]
    frames = [crypto(start, HELLO[start:end]) for start, end in itertools.pairwise(cuts)]
    for order in itertools.islice(itertools.permutations(frames), 0, None, 37):
        mixed = b"\1" + b"\0\0\1".join(order) + bytes.fromhex("02 05 40ff 01 00 01 02 03 02 00 00 00 01 02 03")
        assert ask_both("quic", datagram(mixed)).host == "www.example.com"


@pytest.mark.parametrize(
    "frames",
    [
        b"\x1c\0\0\0",  # closed
        b"\2\5\0\0\0",  # an acknowledgement alone
        b"\x08\0\0\0",  # a frame that an Initial may not hold
        crypto(0, b"\2\0\0\5hello"),
        crypto(1 << 40, HELLO),
        b"\6\0\x44\xb0",  # longer than the packet
        b"\2" + b"\xff" * 8 * 3,
        b"",
    ],
)
def test_initial_without_a_hello(frames: bytes) -> None:
    said = ask_both("quic", datagram(frames))
    assert (said.answer, said.host, said.rank) == ("yes", "", FINAL) or (frames[:1] == b"\6" and said.answer == "more")


LONG = client_hello(more=extension(51, bytes(2400)) + protocols(b"h3"))
PARTS = [datagram(crypto(at, LONG[at : at + 1000])) for at in range(0, len(LONG), 1000)]


@pytest.mark.parametrize("ends", FAMILIES)
class TestOverSeveralDatagrams:
    @staticmethod
    def classifier() -> Classifier:
        return Classifier(naming(hosts=(("*.example.com", "example"),)), endpoints=Shared())

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    def test_in_any_order(self, ends: tuple[str, str], order: tuple[int, ...]) -> None:
        made = self.classifier()
        answers = [made.packet(udp(ends, 4000, 443, PARTS[i]), 1) for i in order]
        assert answers == [0, 0, CLASS["example"]]
        [named] = made.take_named(10)
        assert (named.host, named.final, named.why) == ("www.example.com", True, "quic client hello")

    def test_frames_shuffled_across_them(self, ends: tuple[str, str]) -> None:
        pieces = [crypto(at, LONG[at : at + 150]) for at in range(0, len(LONG), 150)]
        made = self.classifier()
        for start, left in ((1, 0), (0, 0), (2, CLASS["example"])):
            data = datagram(b"".join(pieces[start::3][::-1]))
            assert made.packet(udp(ends, 4000, 443, data), 1) == left

    def test_a_part_that_was_lost(self, ends: tuple[str, str]) -> None:
        """The server's answer makes it a guess; the part sent again names it, under the connection id it had first."""
        made = self.classifier()
        assert made.packet(udp(ends, 4000, 443, PARTS[0]), 1) == 0
        assert made.packet(udp(ends, 4000, 443, PARTS[2]), 1) == 0
        assert made.packet(udp(back(ends), 443, 4000, SERVER_INITIAL), 1) == CLASS["quic"] | NOT_FINAL
        again = datagram(crypto(1000, LONG[1000:2000]), destination=b"servers!", sealed_for=ID, number=3)
        assert made.packet(udp(ends, 4000, 443, again), 1) == CLASS["example"]
        assert [(named.service, named.final) for named in made.take_named(10)] == [("quic", False), ("example", True)]

    def test_a_part_that_never_comes(self, ends: tuple[str, str]) -> None:
        made = self.classifier()
        answers = [made.packet(udp(ends, 4000, 443, PARTS[1]), 1) for _ in range(8)]
        assert answers == [0] * 7 + [CLASS["quic"]]

@given(frames=st.binary(max_size=300))
def test_any_frames(frames: bytes) -> None:
    assert ask("quic", datagram(frames)).answer in ("more", "yes")
