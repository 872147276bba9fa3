from __future__ import annotations

import itertools

import pytest
from scapy.layers.dns import DNS
from scapy.layers.rtp import RTP

from citygate.lab import flows
from citygate.lab.flows import Flow, Message


def payloads(flow: Flow, from_client: bool) -> list[bytes]:
    return [message.payload for message in flow.messages if message.from_client is from_client]


@pytest.mark.parametrize("name", flows.NAMES)
def test_a_seed_gives_the_same_flows_again_and_another_seed_others(name: str) -> None:
    assert flows.named(name, 7) == flows.named(name, 7)
    if name != "http":  # which has nothing random but its port
        assert [flow.messages for flow in flows.named(name, 7)] != [flow.messages for flow in flows.named(name, 8)]


@pytest.mark.parametrize("name", flows.NAMES)
def test_both_sides_speak_and_every_datagram_fits_a_link(name: str) -> None:
    for flow in flows.named(name):
        assert payloads(flow, True)
        assert payloads(flow, False)
        assert flow.service == name
        assert all(0 < len(message.payload) <= 1400 for message in flow.messages)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        flows.named("carrier-pigeon")


@pytest.mark.parametrize("seed", range(20))
def test_skypeout_is_as_the_papers_say(seed: int) -> None:
    [flow] = flows.named("skypeout", seed)
    sizes = [len(message.payload) for message in flow.messages]
    connection = flow.messages[-1].payload[:4]
    assert flow.server_port == 12340
    assert 1 <= sizes[0] <= 9
    assert all(size in (7, 8) for size in sizes[2:6])
    assert all(flow.messages[at] == flow.messages[at + 1] for at in (0, 2, 4))
    assert all(message.payload[:4] == connection[: len(message.payload)] for message in flow.messages)
    assert sizes[6:] == [29] * 2 * flows.FRAMES
    for side in (True, False):
        frames = payloads(flow, side)[-flows.FRAMES :]
        assert all(one[4] != next_[4] for one, next_ in itertools.pairwise(frames))


@pytest.mark.parametrize("seed", range(20))
def test_skype_probes_with_rising_ids_over_one_socket_and_then_speaks(seed: int) -> None:
    every = flows.named("skype", seed)
    firsts = [flow.messages[0].payload for flow in every]
    ids = [int.from_bytes(first[:2], "big") for first in firsts]
    assert len({flow.client_port for flow in every}) == 1
    assert len({(flow.server, flow.server_port) for flow in every}) == 5
    assert all(flow.server_port > 1023 and flow.server_port != flow.client_port for flow in every)
    assert [later - earlier for earlier, later in itertools.pairwise(ids)] == [2, 2, 2, 2]
    assert all(first[2] == 0x02 and 18 <= len(first) <= 40 for first in firsts)
    assert all(flow.messages[1].payload[:2] == flow.messages[0].payload[:2] for flow in every)
    speech = every[-1].messages[2:]
    assert {(message.payload[2], len(message.payload)) for message in speech} == {(0x0D, 67)}


def test_calls_go_on_for_ever_without_saying_a_thing_twice() -> None:
    for name in flows.CALLS:
        call = flows.call(name)
        frames = list(itertools.islice(call.frames[True], 500)) + list(itertools.islice(call.frames[False], 500))
        assert len(set(frames)) == 1000


def test_dns_parses_as_questions_and_their_answers() -> None:
    [flow] = flows.named("dns")
    parsed = [DNS(message.payload) for message in flow.messages]
    assert [each.qr for each in parsed] == [0, 1, 0, 1]
    assert [each.id for each in parsed[::2]] == [each.id for each in parsed[1::2]]
    assert {bytes(each.qd[0].qname) for each in parsed} == {b"www.example.com."}


def test_rtp_counts_on_in_each_direction() -> None:
    [flow] = flows.named("rtp")
    assert flow.client_port % 2 == flow.server_port % 2 == 0
    for side in (True, False):
        parsed = [RTP(payload) for payload in payloads(flow, side)]
        assert len({each.sourcesync for each in parsed}) == 1
        assert all(
            b.sequence - a.sequence == 1 and b.timestamp - a.timestamp == 160 for a, b in itertools.pairwise(parsed)
        )


def test_tls_records_and_hello_end_where_they_say() -> None:
    [flow] = flows.named("tls")
    for message in flow.messages:
        rest = message.payload
        while rest:
            assert rest[0] in (20, 22, 23)
            size = int.from_bytes(rest[3:5], "big")
            assert len(rest) >= 5 + size
            rest = rest[5 + size :]
    hello = flow.messages[0].payload[5:]
    assert hello[0] == 1
    assert int.from_bytes(hello[1:4], "big") == len(hello) - 4
    assert b"www.example.com" in hello


def test_ssh_packets_are_padded_as_the_rfc_wants() -> None:
    [flow] = flows.named("ssh")
    for message in flow.messages[2:]:
        size, padding = int.from_bytes(message.payload[:4], "big"), message.payload[4]
        assert len(message.payload) == 4 + size
        assert len(message.payload) % 8 == 0
        assert padding >= 4


def test_sip_says_how_long_its_body_is() -> None:
    [flow] = flows.named("sip")
    for message in flow.messages:
        head, _, body = message.payload.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head


def test_first_bytes_are_the_protocols_own() -> None:
    first = {name: flows.named(name)[0].messages for name in ("bittorrent", "openvpn", "wireguard", "http")}
    assert first["bittorrent"][0].payload[:20] == b"\x13BitTorrent protocol"
    assert len(first["bittorrent"][0].payload) == 68
    assert [(m.payload[0] >> 3, len(m.payload)) for m in first["openvpn"][:3]] == [(7, 14), (8, 26), (5, 22)]
    assert [(m.payload[0], len(m.payload)) for m in first["wireguard"][:2]] == [(1, 148), (2, 92)]
    assert first["http"][0] == Message(True, first["http"][0].payload)
    assert first["http"][0].payload.startswith(b"GET /")
