"""The lines kept of each flow."""

from __future__ import annotations

from bench.accuracy.corpus import Key
from bench.accuracy.golden import lines
from citygate.capture.classify import Flow, Row
from tests.bench.accuracy.samples import CLIENT, SERVER, flow, label

HEADER = "file,flow,label,service,protocol,packets_needed"


def named(file: str, service: str, packets: int | str = 1) -> Flow:
    return Flow(Row(file, "udp", CLIENT, 1, SERVER, 443, service, "", "a.example", packets), 17, "dns")


def test_flows_go_by_their_number_and_nothing_tells_who_they_are() -> None:
    flows: dict[Key, Flow] = {
        flow(3, "two.pcap"): named("two.pcap", "tube", 4),
        flow(12): named("one.pcap", "unknown", ""),
        flow(2): named("one.pcap", "dns"),
    }
    labels = {
        flow(2): label("dns", number=2),
        flow(12): label("tls", number=12),
        flow(3, "two.pcap"): label("tls", file="two.pcap"),
    }
    assert lines(labels, flows) == [
        HEADER,
        "one.pcap,2,dns,dns,dns,1",
        "one.pcap,12,tls,unknown,dns,",
        "two.pcap,1,tls,tube,dns,4",
    ]


def test_flows_without_a_label_follow_in_an_order_of_their_own() -> None:
    flows = {flow(number): named("one.pcap", name) for number, name in ((7, "dns"), (5, "tls"), (1, "tube"))}
    expected = [HEADER, "one.pcap,1,tls,tube,dns,1", "one.pcap,2,,tls,dns,1", "one.pcap,3,,dns,dns,1"]
    assert lines({flow(1): label("tls")}, flows) == expected
    assert lines({flow(1): label("tls")}, dict(reversed(flows.items()))) == expected


def test_a_flow_that_was_not_read_has_no_line() -> None:
    assert lines({flow(1): label("tls")}, {}) == [HEADER]
