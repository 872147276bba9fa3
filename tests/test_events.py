"""The event log: fields and their form, which flows get a line, and what becomes of the rest."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from communityid import CommunityID, FlowTuple
from hypothesis import given
from hypothesis import strategies as st

from citygate import config, events, inforce
from citygate.control import Refused
from citygate.datapath.named import Named
from citygate.inforce import InForce
from citygate.register import Register
from tests.inforce_samples import sample, write_policy

OFFSET = 1_700_000_000.0  # 2023-11-14T22:13:20 UTC, the datapath's clock at 0


def named(src: str, dst: str, service: str, **more: Any) -> Named:
    """A UDP flow from port 40000 to port 12340, named after its first packet."""
    fields: dict[str, Any] = {
        "time_ms": 1234, "proto": 17, "src": src, "sport": 40000, "dst": dst, "dport": 12340,
        "family": 6 if ":" in src else 4, "service": service, "provider": "", "protocol": service, "host": "",
        "alpn": "", "ech": False, "why": "a test",
        "class_number": 1, "zone": 1, "packets": 1, "payloads": 1, "bytes": 8, "final": True,
    }  # fmt: skip
    return Named(**fields | more)


@pytest.fixture(scope="module")
def in_force(tmp_path_factory: pytest.TempPathFactory) -> InForce:
    return sample(tmp_path_factory.mktemp("events"))


def describe(flow: Named, in_force: InForce) -> dict[str, Any]:
    return events.Describer().describe(flow, in_force, OFFSET)


@pytest.mark.parametrize(("src", "dst"), [("10.10.0.5", "198.51.100.10"), ("fd00:10::5", "2001:db8:100::10")])
def test_a_line(in_force: InForce, src: str, dst: str) -> None:
    event = describe(named(src, dst, "skypeout", host="", why="constant connection id"), in_force)
    flow_id = event.pop("flow_id")
    assert 0 <= flow_id < 1 << 53
    assert event == {
        "timestamp": "2023-11-14T22:13:21.234000+0000",
        "event_type": "citygate",
        "src_ip": src,
        "src_port": 40000,
        "dest_ip": dst,
        "dest_port": 12340,
        "proto": "UDP",
        "app_proto": "skypeout",
        "community_id": CommunityID().calc(FlowTuple(17, src, dst, 40000, 12340)),
        "citygate": {
            "region": "shenzhen",
            "service": "skypeout",
            "provider": "",
            "licence": "none",
            "rule": "skypeout",
            "verdict": "reject",
            "policy_revision": in_force.policy.revision,
            "why": "constant connection id",
            "host": "",
            "alpn": "",
            "ech": False,
            "final": True,
        },
    }


@pytest.mark.parametrize(
    ("protocol", "service", "expected"),
    [("unknown", "unknown", "failed"), ("encrypted", "encrypted", "failed"), ("signature", "mqtt", "mqtt"),
     ("tls", "youtube", "tls")],
)  # fmt: skip
def test_the_protocol(in_force: InForce, protocol: str, service: str, expected: str) -> None:
    event = describe(named("fd00:10::5", "2001:db8::1", service, protocol=protocol), in_force)
    assert event["app_proto"] == expected


def test_community_id_of_the_specification(in_force: InForce) -> None:
    # github.com/corelight/community-id-spec, baseline: the first packet of its tcp.pcap, seed 0.
    flow = named("128.232.110.120", "66.35.250.204", "http", proto=6, sport=34855, dport=80)
    assert describe(flow, in_force)["community_id"] == "1:LQU9qZlK+B5F3KDmev6m5PMibrg="


@pytest.mark.parametrize(
    ("src", "dst", "service", "expected"),
    [
        ("10.10.3.7", "198.51.100.10", "skypeout", ("shenzhen", None, "allow")),  # the excepted household
        ("fd00:10:0:37::7", "2001:db8::1", "skypeout", ("shenzhen", None, "allow")),
        ("fd00:10::5", "2001:db8::1", "skype", ("shenzhen", None, "allow")),
        ("198.51.100.10", "10.30.0.5", "openvpn", ("beijing", "vpn", "drop")),  # opened from outside
        ("fd00:10::5", "fd00:30::5", "openvpn", ("beijing", "vpn", "drop")),  # the other end's region refuses
        ("fd00:10::5", "fd00:30::5", "skypeout", ("shenzhen", "skypeout", "reject")),
        ("10.10.3.7", "10.10.0.5", "skypeout", ("shenzhen", "skypeout", "reject")),  # only the responder's zone refuses
        ("192.0.2.1", "192.0.2.2", "dns", ("", None, "allow")),
    ],
)
def test_rule_and_verdict(in_force: InForce, src: str, dst: str, service: str, expected: tuple[Any, ...]) -> None:
    own = describe(named(src, dst, service), in_force)["citygate"]
    assert (own["region"], own["rule"], own["verdict"]) == expected


REGISTER = """\
providers:
  - {provider: unicom, title: China Unicom, services: [vpn], licence: {status: granted, until: 2023-11-14}}
  - {provider: bt, title: BT, services: [vpn], licence: {status: granted, from: 2023-11-15, regions: [north]}}
  - {provider: att, title: AT&T, services: [vpn], licence: {status: revoked}}
  - {provider: neusoft, title: Neusoft, services: [vpn], licence: {status: applied}}
"""
SHANGHAI = "Asia/Shanghai"  # where it is the fifteenth already


@pytest.fixture(scope="module")
def licensed(tmp_path_factory: pytest.TempPathFactory) -> InForce:
    path = tmp_path_factory.mktemp("licensed")
    rules = "default: drop\nrules: [{name: lawful, match: {category: vpn, licence: granted}, action: allow}]\n"
    policies = write_policy(
        path,
        north=f"region: north\ntimezone: {SHANGHAI}\nsubscribers: [10.10.0.0/16, 'fd00:10::/48']\n{rules}",
        south=f"region: south\ntimezone: UTC\nsubscribers: [10.30.0.0/16, 'fd00:30::/48']\n{rules}",
    )
    (policies / "providers.yaml").write_text(REGISTER)
    register = Register(path / "register.jsonl")
    try:
        return inforce.load(policies, register)
    finally:
        register.close()


@pytest.mark.parametrize("number", [4, 6])
@pytest.mark.parametrize(
    ("region", "provider", "licence", "verdict"),
    [
        ("north", "unicom", "expired", "drop"), ("south", "unicom", "granted", "allow"),
        ("north", "bt", "granted", "allow"), ("south", "bt", "none", "drop"),
        ("north", "att", "revoked", "drop"), ("north", "neusoft", "applied", "drop"),
        ("north", "", "none", "drop"), ("", "unicom", "none", "allow"),
    ],
)  # fmt: skip
def test_licences(licensed: InForce, region: str, provider: str, licence: str, verdict: str, number: int) -> None:
    """By the day in the region that decides, at the moment the flow was named."""
    ends = {
        "north": ("10.10.0.5", "fd00:10::5"),
        "south": ("10.30.0.5", "fd00:30::5"),
        "": ("192.0.2.9", "2001:db8::9"),
    }
    src, dst = ends[region][number == 6], ("198.51.100.10", "2001:db8::1")[number == 6]
    own = describe(named(src, dst, "openvpn", provider=provider), licensed)["citygate"]
    assert (own["region"], own["provider"], own["licence"], own["verdict"]) == (region, provider, licence, verdict)
    back = describe(named(dst, src, "openvpn", provider=provider), licensed)["citygate"]
    assert back == own  # whoever opened it


@pytest.mark.parametrize(
    ("number", "name"),
    [(6, "TCP"), (17, "UDP"), (132, "SCTP"), (1, "ICMP"), (58, "IPv6-ICMP"), (50, "ESP"), (47, "GRE"), (4, "004")],
)
def test_protocols(in_force: InForce, number: int, name: str) -> None:
    event = describe(named("fd00:10::5", "2001:db8::1", "unknown", proto=number), in_force)
    assert event["proto"] == name
    assert event["app_proto"] == "failed"
    assert ("src_port" in event, "dest_port" in event) == ((number in (6, 17, 132)),) * 2
    assert ("community_id" in event) == (number not in (1, 58))


def test_flow_id_joins_both_directions_and_nothing_else() -> None:
    describer = events.Describer()
    one = named("fd00:10::5", "2001:db8::1", "dns")
    back = one._replace(src=one.dst, dst=one.src, sport=one.dport, dport=one.sport, time_ms=99)
    others = [one._replace(sport=1), one._replace(dst="2001:db8::2"), one._replace(proto=6)]
    assert describer.flow_id(one) == describer.flow_id(back)
    assert len({describer.flow_id(flow) for flow in (one, *others)}) == 4
    assert describer.flow_id(one) != events.Describer().flow_id(one)


def test_a_host_name_cannot_break_the_line(in_force: InForce) -> None:
    event = describe(named("fd00:10::5", "2001:db8::1", "tls", host='a"\n\u2028\\'), in_force)
    assert json.loads(json.dumps(event))["citygate"]["host"] == 'a"\n\u2028\\'
    assert "\n" not in json.dumps(event)


@given(
    st.integers(1, 50), st.integers(1, 50), st.lists(st.floats(0, 0.5), min_size=1, max_size=300), st.integers(0, 2**32)
)
def test_limits(sample: int, rate: int, gaps: list[float], seed: int) -> None:
    limiter = events.Limiter(sample, rate)
    random_ = random.Random(seed)
    now, passed = 0.0, []
    for gap in gaps:
        now += gap
        flow_id = random_.getrandbits(53)
        reason = limiter.refuses(flow_id, now)
        assert (reason == "sampled") == (flow_id % sample != 0)
        if reason is None:
            passed.append(now)
    # A bucket of `rate` that refills at `rate` a second: never more in any span than that.
    for i, begin in enumerate(passed):
        for j in range(i, len(passed)):
            assert j - i + 1 <= rate * (passed[j] - begin) + rate + 1e-6


def test_a_limit_lets_through_what_it_may() -> None:
    limiter = events.Limiter(1, 10)
    assert [limiter.refuses(0, 0.0) for _ in range(12)] == [None] * 10 + ["rate"] * 2
    assert [limiter.refuses(0, 0.5) for _ in range(6)] == [None] * 5 + ["rate"]


def run(
    settings: config.Events, flows: list[Named], in_force: InForce, then: Callable[[events.EventLog], None]
) -> dict[str, int]:
    """Feed ``flows`` to a log; ``then`` runs when they are all done with. Gives the counts at the end."""
    waiting = list(flows)

    def take(limit: int) -> list[Named]:
        taken = waiting[:limit]
        del waiting[:limit]
        return taken

    log = events.EventLog(settings, [take], lambda: in_force)
    log.start()
    until(lambda: sum(log.counts().values()) == len(flows))
    then(log)
    log.stop()
    return log.counts()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited ten seconds"
        time.sleep(0.01)


def flows(count: int) -> list[Named]:
    return [named("fd00:10::5", "2001:db8::1", "dns", sport=1024 + i, protocol="dns") for i in range(count)]


def test_the_file_has_one_line_a_flow(tmp_path: Path, in_force: InForce) -> None:
    path = tmp_path / "events.json"
    counts = run(config.Events(to=path), flows(100), in_force, lambda log: None)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["src_port"] for line in lines] == list(range(1024, 1124))
    assert counts == {"written": 100, "sampled": 0, "rate": 0, "write_error": 0}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000", line["timestamp"]) for line in lines)


def test_what_is_left_out_is_counted(tmp_path: Path, in_force: InForce) -> None:
    path = tmp_path / "events.json"
    counts = run(config.Events(to=path, sample=2, rate=5), flows(200), in_force, lambda log: None)
    assert counts["written"] == len(path.read_text().splitlines()) >= 5
    assert 60 <= counts["sampled"] <= 140  # half of 200, six standard deviations wide
    assert counts["rate"] > 0
    assert sum(counts.values()) == 200


def test_reopen_after_a_rename(tmp_path: Path, in_force: InForce) -> None:
    path, old = tmp_path / "events.json", tmp_path / "events.json.1"

    def rotate(log: events.EventLog) -> None:
        path.rename(old)
        log.reopen()
        until(path.exists)

    run(config.Events(to=path), flows(3), in_force, rotate)
    assert len(old.read_text().splitlines()) == 3
    assert path.read_text() == ""


def test_a_reopen_that_fails_keeps_the_old_file(
    tmp_path: Path, in_force: InForce, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()

    def rotate(log: events.EventLog) -> None:
        folder.rename(tmp_path / "gone")
        log.reopen()
        until(lambda: "cannot be opened again" in caplog.text)

    assert run(config.Events(to=folder / "events.json"), flows(2), in_force, rotate)["written"] == 2


def test_write_errors_are_counted_and_said_once(
    tmp_path: Path, in_force: InForce, caplog: pytest.LogCaptureFixture
) -> None:
    counts = run(config.Events(to=Path("/dev/full")), flows(3), in_force, lambda log: None)
    assert Counter(counts) == Counter(write_error=3)
    assert caplog.text.count("the event log cannot be written") == 1


def test_a_file_that_cannot_be_opened(tmp_path: Path, in_force: InForce) -> None:
    with pytest.raises(FileNotFoundError):
        events.EventLog(config.Events(to=tmp_path / "no" / "events.json"), [], lambda: in_force)


class Source:
    """A ring to put flows into while a log's thread takes them out."""

    def __init__(self) -> None:
        self._waiting: deque[Named] = deque()

    def put(self, count: int, src: str = "fd00:10::5", service: str = "dns", **more: Any) -> None:
        now = {"time_ms": int(time.monotonic() * 1000), **more}
        for i in range(count):
            self._waiting.append(named(src, "2001:db8::1", service, sport=1024 + i, **now))

    def take(self, limit: int) -> list[Named]:
        return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]

    @property
    def left(self) -> int:
        return len(self._waiting)


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    monkeypatch.setattr(events, "STALLED_S", 30.0)  # a slow machine's log is waited for
    return Source()


@pytest.fixture(params=["off", "file"])
def log(request: pytest.FixtureRequest, tmp_path: Path, source: Source, in_force: InForce) -> Iterator[events.EventLog]:
    """Its sample leaves out nearly all, which is nothing to followers."""
    limits: dict[str, Any] = {"sample": 1_000_000, "rate": 5000}
    to = {"off": config.Events(to="off", **limits), "file": config.Events(to=tmp_path / "events.json", **limits)}
    log = events.EventLog(to[request.param], [source.take], lambda: in_force)
    log.start()
    yield log
    log.stop()


def some(lines: Iterator[dict[str, Any] | None], count: int) -> list[dict[str, Any]]:
    """So many lines, however long nothing comes."""
    found: list[dict[str, Any]] = []
    end = time.monotonic() + 10
    while len(found) < count:
        assert time.monotonic() < end, "waited ten seconds"
        if line := next(lines):
            found.append(line)
    return found


def ports(lines: list[dict[str, Any]]) -> list[int]:
    return [line["src_port"] for line in lines]


def test_a_follower_gets_the_lines_from_now_on(log: events.EventLog, source: Source) -> None:
    source.put(1, time_ms=int(time.monotonic() * 1000) - 5000)  # one that lay in the ring
    with log.follow({}) as one, log.follow({}) as two:
        source.put(50)
        for follower in (one, two):
            assert ports(some(follower.lines(), 50)) == list(range(1024, 1074))
            assert next(follower.lines()) is None


def test_followers_may_want_some_only(log: events.EventLog, source: Source) -> None:
    wants = [{"region": "beijing"}, {"service": "openvpn"}, {"verdict": "drop", "region": "beijing"}]
    with ExitStack() as ending:
        followers = [ending.enter_context(log.follow(wanted)) for wanted in wants]
        for src, service in (("10.10.0.5", "openvpn"), ("fd00:30::5", "openvpn"), ("10.30.0.5", "dns")):
            source.put(1, src, service)
        expected = [["fd00:30::5", "10.30.0.5"], ["10.10.0.5", "fd00:30::5"], ["fd00:30::5"]]
        for follower, addresses in zip(followers, expected, strict=True):
            assert [line["src_ip"] for line in some(follower.lines(), len(addresses))] == addresses
        assert [next(follower.lines()) for follower in followers] == [None] * 3


def test_a_slow_follower_is_told_what_it_missed(log: events.EventLog, source: Source) -> None:
    with log.follow({}) as follower:
        source.put(events.FOLLOWER_LINES + 7)
        log.stop()  # all of them are done with
        first, *rest = some(follower.lines(), events.FOLLOWER_LINES + 1)
        assert first == {"lost": 7}
        assert ports(rest) == [1024 + i for i in range(events.FOLLOWER_LINES)]
        assert next(follower.lines()) is None


def test_followers_have_a_rate(source: Source, in_force: InForce) -> None:
    log = events.EventLog(config.Events(to="off", rate=10), [source.take], lambda: in_force)
    with log.follow({}) as follower:
        source.put(100)
        log.start()
        log.stop()
        first, *rest = some(follower.lines(), 11)
        assert first["lost"] + len(rest) == 100
        assert 10 <= len(rest) <= 20


def test_without_readers_the_ring_is_left_alone(source: Source, in_force: InForce) -> None:
    log = events.EventLog(config.Events(to="off"), [source.take], lambda: in_force)
    with log.follow({}):
        pass
    source.put(5)
    log.start()
    log.stop()
    assert source.left == 5


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"region": "shenzen"}, "no region `shenzen`, did you mean `shenzhen`?"),
        ({"service": "Skypeout"}, "no service `Skypeout`, did you mean `skypeout`?"),
        ({"verdict": "blocked"}, "no verdict `blocked`"),
    ],
)
def test_nobody_follows_what_there_is_not(
    in_force: InForce, log: events.EventLog, wanted: dict[str, str], words: str
) -> None:
    with pytest.raises(Refused, match=re.escape(words)):
        next(events.follow(log, in_force, wanted))


def test_an_answer_that_is_given_up_follows_no_more(in_force: InForce, log: events.EventLog, source: Source) -> None:
    answer = events.follow(log, in_force, {"region": "shenzhen"})
    assert next(answer) is None
    source.put(1)
    until(lambda: next(answer) is not None)
    answer.close()
    assert log._followers == ()


def test_a_torn_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    # A pipe of one page that is nearly full takes the beginning of a line and no more.
    read, write = os.pipe()
    os.set_blocking(write, False)
    output = events.Output(Path(f"/proc/self/fd/{write}"))
    os.set_blocking(output._file, False)
    filler = 0
    with pytest.raises(OSError, match=r"bytes written|temporarily unavailable"):
        while True:
            output.write(b"x" * 5000)
            filler += 1
    got = os.read(read, 1 << 20)
    assert got.count(b"\n") == filler
    output.write(b"next")
    assert os.read(read, 100).endswith(b"\nnext\n" if not got.endswith(b"\n") else b"next\n")
    output.close()
    os.close(read)
    os.close(write)
