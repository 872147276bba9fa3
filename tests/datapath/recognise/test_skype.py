"""Skype between clients: what a payload shows, and what other flows have told."""

from __future__ import annotations

import random

import pytest

from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import Asked, ask
from tests.datapath.recognise.calls import packed
from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp
from tests.datapath.recognise.hellos import client_hello, record

CLIENT = {4: "192.0.2.10", 6: "2001:db8::10"}
STRANGER = {4: "192.0.2.77", 6: "2001:db8::77"}
NODES = {4: ["198.51.100.1", "198.51.100.2", "203.0.113.3"], 6: ["2001:db8:1::1", "2001:db8:1::2", "2001:db8:1::3"]}
dice = random.Random(7)


def request(number: int, size: int = 18) -> bytes:
    return number.to_bytes(2, "big") + b"\x02" + dice.randbytes(size - 3)


CHALLENGE = bytes.fromhex("83b08656")
# Id, function 7 with three random bits, the asker's address, the challenge (printed by Biondi and Desclaux, 2006).
REFUSAL = bytes.fromhex("7f48 77 527c4833") + CHALLENGE
RESEND = bytes.fromhex("7f48 63 01") + CHALLENGE + bytes.fromhex("c6336401") + dice.randbytes(11)  # 198.51.100.1

HELLO = bytes.fromhex(
    "80 46 01 03 01 00 2d 00 00 00 10"  # SSL 2 form, TLS 1.0, 15 ciphers, a challenge of 16
    "000005 000004 00000a 000009 000064 000062 000008 000003 000006 010080 0700c0 030080 060040 020080 040080"
) + bytes(range(16))
ANSWER = bytes.fromhex(
    "16 03 01 00 4a 02 00 00 46 03 01"
    "40 1b e4 86"  # 2004-01-31 18:23:18
    "02 ad e0 29 e1 77 74 e5 44 b9 c9 9c b4 31 31 5e 02"
) + bytes(47)  # fmt: skip


def probe(told: Shared, family: int, node: int, data: bytes, port: int = 13021) -> Asked:
    return ask(
        "skype",
        data,
        family=family,
        client=CLIENT[family],
        client_port=port,
        server=NODES[family][node],
        endpoints=told,
    )


@pytest.fixture(params=[4, 6])
def family(request: pytest.FixtureRequest) -> int:
    assert isinstance(request.param, int)
    return request.param


def test_ids_rise_over_one_socket(family: int) -> None:
    told = Shared()
    assert probe(told, family, 0, request(100)).answer == "more"
    assert probe(told, family, 1, request(102)).why == "skype request, ids rising over one socket"
    assert probe(told, family, 2, request(7)).answer == "yes", "the socket is known by now"


@pytest.mark.parametrize("number", [100, 99, 101, 104, 111, 5000])
def test_ids_that_do_not_rise(family: int, number: int) -> None:
    told = Shared()
    probe(told, family, 0, request(100))
    assert probe(told, family, 1, request(number)).answer == "more"


def test_same_destination_or_another_socket(family: int) -> None:
    told = Shared()
    probe(told, family, 0, request(100))
    assert probe(told, family, 0, request(102)).answer == "more"
    assert probe(told, family, 1, request(104), port=13022).answer == "more"


def test_nothing_is_told_without_a_table(family: int) -> None:
    for number in (100, 102):
        assert ask("skype", request(number), family=family).answer == "more"


def test_known_socket_names_messages_both_ways(family: int) -> None:
    told = Shared()
    probe(told, family, 0, request(100))
    probe(told, family, 1, request(102))
    media = b"\x11\x22\x0d" + bytes(60)
    inward = {"client": NODES[family][2], "server": CLIENT[family], "server_port": 13021}
    assert ask("skype", media, family=family, endpoints=told, **inward).answer == "yes"  # type: ignore[arg-type]  # ask's keywords
    assert probe(told, family, 2, b"\x11\x22\x0c" + bytes(60)).answer == "no", "12 is no function"


def test_multicast_is_none_of_it() -> None:
    assert ask("skype", request(1), server="239.1.1.1").answer == "no"
    assert ask("skype", request(1), server="ff02::1", family=6).answer == "no"


def test_ber_that_fills_the_datagram_is_none_of_it() -> None:
    assert ask_both("skype", b"\x30\x26\x02" + bytes(37), endpoints=Shared()).answer == "no"


def test_refusal_answers_a_request() -> None:
    earlier = [(b"\x7f\x48\x02" + bytes(15), True)]
    assert ask_both("skype", REFUSAL, from_client=False, earlier=earlier).answer == "yes"
    assert ask_both("skype", REFUSAL, from_client=False, earlier=[(b"\x7f\x49\x02" + bytes(15), True)]).answer == "no"
    for size in range(len(REFUSAL)):
        assert ask_both("skype", REFUSAL[:size], from_client=False, earlier=earlier).answer == "no"
    assert ask_both("skype", REFUSAL + b"\0", from_client=False, earlier=earlier).answer == "no"


def test_refusal_names_whom_it_goes_to() -> None:
    assert ask("skype", REFUSAL, from_client=False, client="82.124.72.51").answer == "yes"
    assert ask("skype", REFUSAL, from_client=False, client="82.124.72.52").answer == "no"


def test_resend_names_its_node() -> None:
    assert ask("skype", RESEND, server="198.51.100.1").answer == "yes"
    assert ask("skype", RESEND, server="198.51.100.2").answer == "no"
    assert ask("skype", RESEND[:22], server="198.51.100.1").answer == "no"


def test_fixed_hellos() -> None:
    four_ways_tcp("skype", HELLO)
    four_ways_tcp("skype", ANSWER, from_client=False)
    four_ways_tcp("skype", b"\x16\x03\x01\x00\x00")
    four_ways_tcp("skype", b"\x17\x03\x01\x00\x00", from_client=False)


def test_tls_is_not_skype() -> None:
    for data in (record(client_hello()), HELLO[:13] + b"\x07" + HELLO[14:], b"\x17\x03\x03\x00\x20" + bytes(32)):
        assert ask_both("skype", data, ip_proto=TCP).answer == "no"
    assert ask_both("skype", HELLO, ip_proto=TCP, mid_stream=True).answer == "no"


def peer(told: Shared | None, family: int, data: bytes, earlier: int = 0, node: int = 2, port: int = 443) -> Asked:
    """TCP of the client whose UDP socket may be known; ``earlier`` bytes of the stream came before this segment."""
    return ask(
        "skype", data, ip_proto=TCP, family=family, client=CLIENT[family], server=NODES[family][node], server_port=port,
        endpoints=told, earlier=[(data[:earlier], True)] if earlier else [],
    )  # fmt: skip


@pytest.fixture
def told(family: int) -> Shared:
    """The client has a Skype socket and asked node 1."""
    table = Shared()
    probe(table, family, 0, request(100))
    assert probe(table, family, 1, request(102)).answer == "yes"
    return table


NOISE = dice.randbytes(57)


def test_noise_to_a_node(told: Shared, family: int) -> None:
    assert peer(told, family, NOISE, node=1).answer == "yes"
    assert peer(told, family, b"GET / HTTP/1.1\r\nHost: node.example\r\n\r\n", node=1).answer == "no"
    assert peer(told, family, record(client_hello()), node=1).answer == "no"


@pytest.mark.parametrize(("second", "answer"), [(8, "yes"), (14, "yes"), (17, "yes"), (9, "no"), (40, "no")])
def test_key_agreement_of_a_known_host(told: Shared, family: int, second: int, answer: str) -> None:
    assert peer(told, family, NOISE).answer == "more"
    assert peer(told, family, NOISE + dice.randbytes(second), earlier=57).answer == answer


def test_noise_of_nobody_known(family: int) -> None:
    for table in (None, Shared()):
        assert peer(table, family, NOISE).answer == "no"
        assert peer(table, family, NOISE + dice.randbytes(8), earlier=57).answer == "no"


def test_fixed_hello_tells_of_its_node(family: int) -> None:
    table = Shared()
    assert peer(table, family, HELLO).answer == "yes"
    assert peer(table, family, NOISE, port=12350).answer == "yes"


class TestNobodyIsMadeAHostByOthers:
    """What a stranger sends names his own flows alone."""

    MEDIA = b"\x11\x22\x0d" + bytes(60)

    def is_host(self, told: Shared, family: int) -> bool:
        names = {peer(told, family, NOISE, node=node).answer for node in range(3)}
        return names != {"no"} or probe(told, family, 2, self.MEDIA).answer == "yes"

    def test_by_a_refusal_of_nothing(self, family: int) -> None:
        told = Shared()
        refusal = REFUSAL[:3] + packed(CLIENT[family])[-4:] + REFUSAL[7:]
        said = ask(
            "skype", refusal, family=family, client=CLIENT[family], client_port=13021, server=NODES[family][0],
            from_client=False, endpoints=told, earlier=[(bytes(30), True)],
        )  # fmt: skip
        assert (said.answer == "yes") == (family == 4)
        assert not self.is_host(told, family)

    def test_by_a_resend_to_a_node(self, family: int) -> None:
        told = Shared()
        for node in NODES[family]:
            resend = RESEND[:8] + packed(node)[-4:] + RESEND[12:]
            ask("skype", resend, family=family, client=STRANGER[family], server=node, endpoints=told)
        assert not self.is_host(told, family)

    def test_by_a_hello_or_an_answer(self, family: int) -> None:
        told = Shared()
        for node in NODES[family]:
            ask("skype", HELLO, ip_proto=TCP, family=family, client=STRANGER[family], server=node, endpoints=told)
            said = ask(
                "skype", ANSWER, ip_proto=TCP, family=family, client=CLIENT[family], server=node, from_client=False,
                endpoints=told,
            )  # fmt: skip
            assert said.answer == "yes"
        assert not self.is_host(told, family)

    def test_by_writing_to_one(self, family: int) -> None:
        told = Shared()
        for node, number in ((0, 100), (1, 102)):
            ask(
                "skype", request(number), family=family, client=STRANGER[family], client_port=13021,
                server=NODES[family][node], endpoints=told,
            )  # fmt: skip
        how = {"client": CLIENT[family], "client_port": 13021, "server": STRANGER[family], "server_port": 13021}
        assert ask("skype", request(7), family=family, endpoints=told, **how).answer == "yes"  # type: ignore[arg-type]  # ask's keywords
        assert not self.is_host(told, family)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"\x40\x01\x02\x07\xb4temp" + bytes(20), b"\x40\x03\x02\x08\xb4temp" + bytes(20)),  # CoAP: GET, then PUT
        (b"\0\x1e\2" + bytes(29), b"\0\x20\2" + bytes(31)),  # lengths, with and without themselves
        (b"\0\x1e\2" + bytes(27), b"\0\x20\2" + bytes(29)),
    ],
)
def test_methods_and_lengths_that_differ_by_two(family: int, first: bytes, second: bytes) -> None:
    told = Shared()
    assert probe(told, family, 0, first).answer == "no"
    assert probe(told, family, 1, second).answer == "no"
