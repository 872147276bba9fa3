"""The loop on real packets and a real queue; malformed messages come from a stand-in for the kernel."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.batch import LATENCY_SECONDS, Queue, Worker
from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.lab.topology import Lab
from tests.datapath.gateway import ASKED, SERVER, ZONE, Gateway
from tests.datapath.names import CLASS, NOT_FINAL, naming
from tests.datapath.packets import DHT_PING, DNS_QUERY, FAMILIES, NOBODYS, SSH_LINE, udp

PORT = 4242


@pytest.fixture(scope="module")
def gateway(root: None) -> Iterator[Gateway]:
    with Lab(f"batch-{os.getpid()}") as lab:
        made = Gateway(lab)
        made.prepare()
        yield made


@pytest.fixture(autouse=True)
def nothing_counted(request: pytest.FixtureRequest) -> None:
    if "gateway" in request.fixturenames:
        made: Gateway = request.getfixturevalue("gateway")
        made.marks()
        made.run("conntrack", "-F")


def classifier(first_class: int = 1) -> Classifier:
    return Classifier(naming(first_class), endpoints=Shared(), flows=1024, queue_length=256)


@contextmanager
def worker(
    gateway: Gateway, *, length: int = 256, socket_bytes: int = 1 << 20, start: bool = True
) -> Iterator[tuple[Worker, Callable[[], None]]]:
    """A worker on queue 0 and what starts its thread; stopped and unbound in the end."""
    with gateway.lab.inside("gw"):
        queue = Queue(0, length, socket_bytes=socket_bytes)
        made = Worker(queue.fd, 0, classifier())
    thread = threading.Thread(target=made.run)
    if start:
        thread.start()
    try:
        yield made, thread.start
    finally:
        made.stop()
        if not thread.ident:
            thread.start()
        thread.join()
        queue.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "did not happen within 5 s"
        time.sleep(0.01)


@pytest.mark.parametrize("family", [4, 6])
class TestQueue:
    def test_answer_is_the_whole_mark(self, gateway: Gateway, family: int) -> None:
        with (
            worker(gateway) as (made, _),
            gateway.receiver(socket.SOCK_DGRAM, family, PORT) as receiver,
            gateway.sender(socket.SOCK_DGRAM, family) as sender,
        ):
            sender.connect((SERVER.main(family), PORT))
            sender.send(DNS_QUERY)
            assert receiver.recv(2000) == DNS_QUERY
            sender.send(NOBODYS)
            assert receiver.recv(2000) == NOBODYS
        # The flow is not final, so the second payload keeps the first one's class.
        assert gateway.marks() == {CLASS["dns"] | NOT_FINAL: 2}
        assert made.counts()["packets"] == 2
        [named] = made.classifier.take_named(10)
        assert (named.service, named.zone, named.dst) == ("dns", 5, SERVER.main(family))

    def test_burst_of_one_new_flow_is_judged_alike(self, gateway: Gateway, family: int) -> None:
        with (
            worker(gateway, start=False) as (made, start),
            gateway.receiver(socket.SOCK_DGRAM, family, PORT) as receiver,
            gateway.sender(socket.SOCK_DGRAM, family) as sender,
        ):
            sender.connect((SERVER.main(family), PORT))
            for payload in (DHT_PING, *[NOBODYS] * 9):
                sender.send(payload)
            until(lambda: gateway.waiting() == 10)
            start()
            assert [receiver.recv(2000) for _ in range(10)] == [DHT_PING, *[NOBODYS] * 9]
        assert gateway.marks() == {CLASS["bittorrent"]: 10}
        assert len(made.classifier.take_named(100)) == 1

    def test_full_queue_lets_packets_pass_with_bit_30(self, gateway: Gateway, family: int) -> None:
        with (
            worker(gateway, length=5, start=False),
            gateway.receiver(socket.SOCK_DGRAM, family, PORT),
            gateway.sender(socket.SOCK_DGRAM, family) as sender,
        ):
            sender.connect((SERVER.main(family), PORT))
            for _ in range(20):
                sender.send(NOBODYS)
            until(lambda: gateway.waiting() == 5)
        # Those that waited were judged on the way out: fewer payloads than the budget, so no name.
        assert gateway.marks() == {ASKED ^ ZONE: 15, 0: 5}

    def test_stop_answers_what_waits(self, gateway: Gateway, family: int) -> None:
        with (
            worker(gateway, start=False) as (made, _),
            gateway.receiver(socket.SOCK_DGRAM, family, PORT) as receiver,
            gateway.sender(socket.SOCK_DGRAM, family) as sender,
        ):
            sender.connect((SERVER.main(family), PORT))
            for _ in range(100):
                sender.send(DHT_PING)
            until(lambda: gateway.waiting() == 100)
            made.stop()
            made.run()
            assert [receiver.recv(2000) for _ in range(100)] == [DHT_PING] * 100
        assert gateway.marks() == {CLASS["bittorrent"]: 100}

    def test_other_names_from_the_next_batch_on(self, gateway: Gateway, family: int) -> None:
        with worker(gateway) as (made, _), gateway.receiver(socket.SOCK_DGRAM, family, PORT) as receiver:
            for first_class in (1, 1000):
                made.use(naming(first_class))
                time.sleep(0.3)
                with gateway.sender(socket.SOCK_DGRAM, family) as sender:
                    sender.sendto(DHT_PING, (SERVER.main(family), PORT))
                    receiver.recv(2000)
        assert gateway.marks() == {CLASS["bittorrent"]: 1, CLASS["bittorrent"] + 999: 1}

    def test_time_from_arrival_to_verdict_is_taken(self, gateway: Gateway, family: int) -> None:
        with (
            worker(gateway, start=False) as (made, start),
            gateway.receiver(socket.SOCK_DGRAM, family, PORT) as receiver,
            gateway.sender(socket.SOCK_DGRAM, family) as sender,
        ):
            sender.connect((SERVER.main(family), PORT))
            time.sleep(0.1)  # the kernel begins to note times in a work queue of its own
            sent = time.time()
            for _ in range(5):
                sender.send(DHT_PING)
            until(lambda: gateway.waiting() == 5)
            time.sleep(0.3)
            start()
            for _ in range(5):
                receiver.recv(2000)
            until(lambda: sum(made.latency()[0]) == 5)
            longest = time.time() - sent
            packets, seconds = made.latency()
        assert 5 * 0.3 <= seconds <= 5 * longest
        first = next(at for at, bound in enumerate(LATENCY_SECONDS) if bound > 0.3)
        assert sum(packets[first:]) == 5

    def test_full_socket_buffer_is_counted(self, gateway: Gateway, family: int) -> None:
        with (
            worker(gateway, length=2000, socket_bytes=8192, start=False) as (made, start),
            gateway.receiver(socket.SOCK_DGRAM, family, PORT),
            gateway.sender(socket.SOCK_DGRAM, family) as sender,
        ):
            sender.connect((SERVER.main(family), PORT))
            for _ in range(200):
                sender.send(NOBODYS)
            start()
            until(lambda: gateway.waiting() == 0)
            sender.send(NOBODYS)  # its id shows the gap
            until(lambda: made.counts()["packets"] + made.counts()["unseen"] == 201)
            counts = made.counts()
        assert counts["unseen"] > 0
        assert counts["overruns"] > 0
        assert gateway.marks()[ASKED ^ ZONE] == counts["unseen"]

    def test_tcp_with_large_segments(self, gateway: Gateway, family: int) -> None:
        """Segments put together by the kernel come as one packet, cut by the copy range, and pass whole."""
        upload = SSH_LINE + bytes(range(256)) * 800
        gateway.allow_large_segments()
        with worker(gateway) as (made, _), gateway.receiver(socket.SOCK_STREAM, family, PORT) as listener:
            listener.listen()
            with gateway.sender(socket.SOCK_STREAM, family) as sender:
                sender.connect((SERVER.main(family), PORT))
                connection, _address = listener.accept()
                with connection:
                    sender.sendall(upload)
                    sender.shutdown(socket.SHUT_WR)
                    received = b""
                    while chunk := connection.recv(65536):
                        received += chunk
        assert received == upload
        [named] = made.classifier.take_named(10)
        assert (named.service, named.final) == ("ssh", True)
        assert gateway.marks("tcp")[CLASS["ssh"]] > 1
        assert made.counts()["truncated"] == 0


NFQA_PACKET_HDR, NFQA_MARK, NFQA_TIMESTAMP, NFQA_PAYLOAD, NFQA_CAP_LEN = 1, 3, 4, 10, 13
PACKET_MESSAGE, VERDICT_MESSAGE, CONFIG_MESSAGE = 0x300, 0x301, 0x302
NLMSG_ERROR = 2
NF_ACCEPT = 1


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, body: bytes, sequence: int = 0) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, sequence, 0) + body


def packet_message(packet_id: int, data: bytes, mark: int = ASKED, more: bytes = b"") -> bytes:
    """As nfqnl_build_packet_message() in net/netfilter/nfnetlink_queue.c makes it."""
    return message(
        PACKET_MESSAGE,
        b"\x02\x00\x00\x00"
        + attribute(NFQA_PACKET_HDR, struct.pack("!IHB", packet_id, 0x0800, 2))
        + attribute(NFQA_MARK, struct.pack("!I", mark))
        + more
        + attribute(NFQA_PAYLOAD, data),
    )


class StandIn:
    """The kernel's end of a datagram socket: answers configuration, sends what it is told, collects verdicts."""

    def __init__(self, error: int = 0) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.error = error
        self.verdicts: list[tuple[int, int]] = []  # packet id, mark
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()
        self.ours.close()
        self.theirs.close()

    def judge(self, *datagrams: bytes) -> tuple[list[tuple[int, int]], dict[str, int]]:
        """Send these, let a worker drain them; the verdicts and the worker's counters."""
        made = Worker(self.theirs.fileno(), 7, classifier())
        for datagram in datagrams:
            self.ours.send(datagram)
        made.stop()
        made.run()
        self._finish()
        return self.verdicts, made.counts()

    def _finish(self) -> None:
        if self._thread.is_alive():
            self.theirs.send(b"end")
            self._thread.join()

    def _answer(self) -> None:
        while (sent := self.ours.recv(65536)) != b"end":
            while sent:
                length, kind, flags, sequence = struct.unpack_from("=IHHI", sent)
                assert sent[16:20] == b"\x00\x00\x00\x07"  # any family, version 0, queue 7
                if kind == CONFIG_MESSAGE:
                    about = struct.pack("=IHHII", length, kind, flags, sequence, 0)
                    self.ours.send(message(NLMSG_ERROR, struct.pack("=i", -self.error) + about))
                elif kind == VERDICT_MESSAGE:
                    verdict, packet_id = struct.unpack_from("!II", sent, 24)
                    [mark] = struct.unpack_from("!I", sent, 36)
                    assert (length, verdict) == (40, NF_ACCEPT)
                    self.verdicts.append((packet_id, mark))
                sent = sent[length:]


def test_several_messages_in_a_datagram_and_a_gap_in_the_ids() -> None:
    packets = [udp(ends, 4000 + at, 53, DNS_QUERY) for at, ends in enumerate(FAMILIES)]
    with StandIn() as kernel:
        verdicts, counts = kernel.judge(
            packet_message(1, packets[0]) + packet_message(2, packets[1]), packet_message(7, b"")
        )
    assert verdicts[:2] == [(number, CLASS["dns"] | NOT_FINAL | ZONE) for number in (1, 2)]
    assert verdicts[2] == (7, CLASS["unknown"] | NOT_FINAL | ZONE)  # no packet in it, yet an answer
    assert counts["unseen"] == 4


def test_arrivals_that_make_no_sense_are_no_trouble() -> None:
    """A clock set back, numbers past all clocks, an attribute cut short."""
    times = [struct.pack("!QQ", int(time.time()) + 3600, 0), bytes([255] * 16), bytes(15), bytes(16)]
    packets = [
        packet_message(at, b"x", more=attribute(NFQA_TIMESTAMP, value)) for at, value in enumerate(times, start=1)
    ]
    with StandIn() as kernel:
        made = Worker(kernel.theirs.fileno(), 7, classifier())
        for packet in packets:
            kernel.ours.send(packet)
        made.stop()
        made.run()
    counted, seconds = made.latency()
    assert made.counts()["packets"] == len(packets)
    assert (counted[0], sum(counted), seconds) == (2, 2, 0)


def test_the_loop_goes_round_without_packets() -> None:
    with StandIn() as kernel:
        made = Worker(kernel.theirs.fileno(), 7, classifier())
        assert made.turns() == 0
        thread = threading.Thread(target=made.run)
        thread.start()
        until(lambda: made.turns() >= 3)
        made.stop()
        thread.join()


def test_ids_wrap() -> None:
    with StandIn() as kernel:
        verdicts, counts = kernel.judge(
            packet_message(0xFFFFFFFF, b"x"), packet_message(0, b"x"), packet_message(1, b"x")
        )
    assert [packet_id for packet_id, _ in verdicts] == [0xFFFFFFFF, 0, 1]
    assert counts["unseen"] == 0


def test_a_message_cut_by_the_slot_gets_its_verdict() -> None:
    large = packet_message(9, udp(FAMILIES[1], 4000, 53, DNS_QUERY + bytes(9000)))
    with StandIn() as kernel:
        verdicts, counts = kernel.judge(large)
    assert [packet_id for packet_id, _ in verdicts] == [9]
    assert counts["truncated"] == 1


def test_refused_configuration_is_said() -> None:
    with (
        StandIn(error=errno.EPERM) as kernel,
        pytest.raises(PermissionError, match="queue 7: copy range: Operation not permitted"),
    ):
        Worker(kernel.theirs.fileno(), 7, classifier())


def test_refused_verdict_is_counted() -> None:
    gone = struct.pack("=i", -2) + struct.pack("=IHHII", 40, VERDICT_MESSAGE, 1, 0, 0)
    with StandIn() as kernel:
        _, counts = kernel.judge(message(NLMSG_ERROR, gone))
    assert counts["refused"] == 1


@given(st.data())
def test_malformed_messages_never_hurt(data: st.DataObject) -> None:
    """Whatever a datagram holds, the loop goes on, and a packet whose header attribute is whole gets its verdict."""
    good = packet_message(5, udp(FAMILIES[0], 4000, 53, DNS_QUERY))
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(bad[: data.draw(st.integers(1, len(bad)))])
    noise = data.draw(st.binary(min_size=1, max_size=80))
    with StandIn() as kernel:
        verdicts, counts = kernel.judge(cut, noise, good)
    assert verdicts[-1][0] == 5
    assert len(verdicts) == counts["packets"]
    assert counts["packets"] + counts["odd"] + counts["refused"] >= 1
