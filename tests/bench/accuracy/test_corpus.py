"""labels.csv as it is read."""

from __future__ import annotations

from pathlib import Path

from bench.accuracy.corpus import key, labels_of, ours_by_theirs, plain, same
from citygate.catalogue import builtin

HEADER = "file,proto,client_ip,client_port,server_ip,server_port,service,also,source,carrier,ip_proto\n"


def read(folder: Path, *rows: str) -> list[tuple[str, int, str, set[str]]]:
    (folder / "labels.csv").write_text(HEADER + "\n".join(rows) + "\n")
    return [(one.file, one.number, one.service, set(one.also)) for one in labels_of(folder).values()]


def test_flows_are_numbered_in_their_file(tmp_path: Path) -> None:
    assert read(
        tmp_path,
        "a.pcap,udp,192.0.2.1,1,192.0.2.2,53,dns,,tshark,dns,17",
        "b.pcap,udp,192.0.2.1,1,192.0.2.2,53,mdns,dns|llmnr,tshark,dns,17",
        "a.pcap,udp,2001:db8::1,2,2001:db8::2,53,dns,,tshark,dns,17",
    ) == [("a.pcap", 1, "dns", set()), ("b.pcap", 1, "mdns", {"dns", "llmnr"}), ("a.pcap", 2, "dns", set())]


def test_of_other_the_carrier_is_right(tmp_path: Path) -> None:
    rows = (
        "a.pcap,tcp,192.0.2.1,1,192.0.2.2,9,other,,tshark,source_engine,6",
        "a.pcap,tcp,192.0.2.1,2,192.0.2.2,9,skype,,tshark,tls,6",
    )
    assert [also for *_, also in read(tmp_path, *rows)] == [{"source-engine"}, set()]


def test_what_means_the_same_is_right_too(tmp_path: Path) -> None:
    rows = (
        "a.pcap,tcp,192.0.2.1,1,192.0.2.2,853,tls,dot,tshark,tls,6",
        "a.pcap,udp,2001:db8::1,2,2001:db8::2,319,other,,tshark,PTPv2,17",
        "a.pcap,udp,192.0.2.1,3,192.0.2.2,319,rtp,,tshark,ptpv2,17",
    )
    assert [also for *_, also in read(tmp_path, *rows)] == [{"dot", "dns-over-tls"}, {"ptpv2", "ptp"}, set()]


def test_a_name_with_two_meanings() -> None:
    assert ours_by_theirs("one: [X_y]\ntwo: [x-Y, z]\n") == {"x-y": ("one", "two"), "z": ("two",)}


def test_same_names_only_services_that_there_are() -> None:
    assert {service for services in same().values() for service in services} <= set(builtin().services)


def test_a_flow_is_the_same_from_both_ends() -> None:
    one, other = ("192.0.2.1", "1"), ("192.0.2.2", 53)
    assert key("a", 17, one, other) == key("a", 17, other, one) == key("a", 17, ("192.0.2.1", 1), other)
    assert key("a", 17, one, other) != key("a", 6, one, other)
    assert key("a", 17, one, other) != key("b", 17, one, other)


def test_no_port_is_written_in_several_ways() -> None:
    one, other = "2001:db8::1", "2001:db8::2"
    assert key("a", 50, (one, ""), (other, "")) == key("a", 50, (other, 0), (one, "0"))


def test_names_differ_in_more_than_strokes_and_capitals() -> None:
    assert plain("DoH_DoT") == plain("doh-dot") != plain("doh")
