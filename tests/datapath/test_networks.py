"""Networks that hold an address, against a naive look-up, and what is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.networks import NetworkTable

Network = IPv4Network | IPv6Network

DOCUMENTATION = int(IPv6Address("2001:db8::"))
prefixes = st.one_of(
    st.builds(lambda a, n: ip_network((a << 28 | 0x0A000000, n), strict=False), st.integers(0, 3), st.integers(0, 32)),
    st.builds(lambda a, n: ip_network((DOCUMENTATION | a, n), strict=False), st.integers(0, 255), st.integers(0, 128)),
    st.builds(lambda a, n: ip_network((0xC0000200 | a, n), strict=False), st.integers(0, 255), st.integers(24, 32)),
    st.builds(lambda n: ip_network((0, n)), st.integers(1, 128).filter(lambda n: n > 32)),
)


def packed(address: IPv4Address | IPv6Address) -> bytes:
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


@given(st.lists(prefixes, max_size=12, unique=True), st.data())
def test_all_that_hold_it_longest_first(networks: list[Network], data: st.DataObject) -> None:
    table = NetworkTable((network, number) for number, network in enumerate(networks))
    edges = [edge for network in networks for edge in (network[0], network[-1])]
    near = st.builds(
        lambda edge, by: type(edge)(max(0, min(int(edge) + by, 2**edge.max_prefixlen - 1))),
        st.sampled_from(edges or [IPv4Address("192.0.2.1")]),
        st.integers(-1, 1),
    )
    address = data.draw(near)
    holding = [n for n in networks if n.version == address.version and address in n]
    expected = [networks.index(network) for network in sorted(holding, key=lambda n: -n.prefixlen)]
    assert table.holding(packed(address)) == expected


@pytest.mark.parametrize("network", ["::/0", "::/80", "::/64"])
def test_a_wide_ipv6_network_does_not_mean_ipv4(network: str) -> None:
    table = NetworkTable([(ip_network(network), 6), (ip_network("10.0.0.0/8"), 4)])
    assert table.holding(packed(ip_address("10.1.2.3"))) == [4]
    assert table.holding(packed(ip_address("192.0.2.1"))) == []
    assert table.holding(packed(ip_address("::1"))) == [6]
    whole = NetworkTable([(ip_network(network), 6), (ip_network("0.0.0.0/0"), 4)])
    assert whole.holding(packed(ip_address("10.1.2.3"))) == [4]


@pytest.mark.parametrize(("address", "bits"), [("198.51.100.77", 32), ("2001:db8::77", 128)])
def test_the_deepest_nest(address: str, bits: int) -> None:
    nest = [
        (ip_network((int(ip_address(address)), n) if bits == 128 else f"{address}/{n}", strict=False), n)
        for n in range(bits + 1)
    ]
    assert NetworkTable(nest).holding(packed(ip_address(address))) == list(range(bits, -1, -1))


@pytest.mark.parametrize("network", ["192.0.2.0/24", "2001:db8::/32"])
def test_what_is_refused(network: str) -> None:
    with pytest.raises(ValueError, match="a network is listed twice"):
        NetworkTable([(ip_network(network), 1), (ip_network(network), 2)])
    with pytest.raises(ValueError, match="16 bytes, not 4"):
        NetworkTable([]).holding(b"1234")
    assert NetworkTable([]).holding(bytes(16)) == []
