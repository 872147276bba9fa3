"""The rule of USENIX Security 2023 against what it must and must not take for encrypted."""

from __future__ import annotations

import gzip
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import encrypted


def test_random_bytes_look_encrypted() -> None:
    # Six printable bytes come first in 0.27 % of cases; the other rules fail even more rarely at this size.
    dice = random.Random(1)
    taken = sum(encrypted(dice.randbytes(400)) for _ in range(1000))
    assert taken >= 985


@pytest.mark.parametrize(
    "data",
    [
        b"",
        random.Random(2).randbytes(31),  # too few to tell
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        b"EHLO mail.example.org\r\n" * 3,
        b"secret" + random.Random(3).randbytes(300),  # six printable bytes at the head
        b"\0" * 400,
        b"\xff" * 400,
        bytes(range(32)) * 20,  # few bits set
        b"\x01\x02" + string.ascii_letters.encode() + random.Random(4).randbytes(300),
    ],
)
def test_others_do_not(data: bytes) -> None:
    assert not encrypted(data)


def test_compressed_data_looks_the_same() -> None:
    text = " ".join(str(random.Random(5).random()) for _ in range(400)).encode()
    assert encrypted(gzip.compress(random.Random(6).randbytes(800) + text)[20:])


@given(st.binary(max_size=2000))
def test_as_written_in_the_paper(data: bytes) -> None:
    head = data[:256]
    printable = [0x20 <= b <= 0x7E for b in head]
    run = longest = 0
    for is_printable in printable:
        run = run + 1 if is_printable else 0
        longest = max(longest, run)
    bits = sum(b.bit_count() for b in head)
    expected = (
        len(head) >= 32
        and 3.4 < bits / len(head) < 4.6
        and not all(printable[:6])
        and sum(printable) <= len(head) / 2
        and longest <= 20
    )
    assert encrypted(data) == expected
