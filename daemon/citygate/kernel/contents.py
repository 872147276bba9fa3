"""What the table's maps and sets hold for a policy: as plain values, netlink elements, nft commands, differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address

from citygate.kernel import marks, skeleton
from citygate.kernel.compile import Compiled
from citygate.kernel.netlink import Element, interval, marks_key
from citygate.policy.model import Network

# Marks; of zone4 and zone6 the first and the last address of an interval; of near4 and near6 the first byte.
Key = tuple[int, ...]
Value = int | str | None  # a zone's mark, the chain to go to, or nothing for a set
Contents = dict[str, dict[Key, Value]]

_MISSING = object()
_JUMPS = ("remember", "shadow")  # what they lead to comes back


def contents(table: Compiled) -> Contents:
    """Map or set name to all it holds, but for the zone maps."""
    shift = marks.ZONE_SHIFT
    remember = [skeleton.class_chain(number, final) for number in table.classes for final in (True, False)]
    return {
        "near4": near(table.zone4),
        "near6": near(table.zone6),
        "decisions": {(zone << shift, class_): chain for (zone, class_), chain in table.decisions.items()},
        "defaults": {(zone << shift,): chain for zone, chain in table.defaults.items()},
        "failing": {(zone << shift,): chain for zone, chain in table.failing.items()},
        "shadow": {(zone << shift, class_): chain for (zone, class_), chain in table.shadow.items()},
        "rehearsed": {(zone << shift,): None for zone in table.rehearsed},
        "remember": {(value,): chain for chain, _, value in remember},
    }


def zones(table: Compiled, side: str) -> Contents:
    """What the zone maps of a side hold."""
    return {
        skeleton.on(side, "zone4"): intervals(table.zone4),
        skeleton.on(side, "zone6"): intervals(table.zone6),
    }


def intervals(prefixes: Mapping[Network, int]) -> dict[Key, Value]:
    """(first, last address) to the zone's mark, for prefixes that do not overlap; neighbours of one zone are joined."""
    found: dict[Key, Value] = {}
    ends = sorted((int(prefix.network_address), prefix.num_addresses, zone) for prefix, zone in prefixes.items())
    first = last = number = -1
    for start, size, zone in ends:
        if zone == number and start == last + 1:
            del found[first, last]
        else:
            first, number = start, zone
        last = start + size - 1
        found[first, last] = zone << marks.ZONE_SHIFT
    return found


def near(prefixes: Mapping[Network, int]) -> dict[Key, Value]:
    """First bytes of the subscribers' addresses."""
    return {
        (byte,): None
        for prefix in prefixes
        for byte in range(prefix.network_address.packed[0], prefix.broadcast_address.packed[0] + 1)
    }


def differences(before: Contents, after: Contents) -> Iterator[tuple[bool, str, dict[Key, Value]]]:
    """(add or delete, map or set name, entries): deletions first, since an element's data cannot be replaced."""
    for add, old, new in ((False, after, before), (True, before, after)):
        for name, entries in new.items():
            other = old.get(name, {})
            changed = {key: value for key, value in entries.items() if other.get(key, _MISSING) != value}
            if changed:
                yield add, name, changed


def elements(before: Contents, after: Contents) -> Iterator[tuple[bool, str, list[Element]]]:
    """The differences for ``Netlink.edit``."""
    for add, name, entries in differences(before, after):
        yield add, name, [_element(name, key, value) for key, value in entries.items()]


def commands(before: Contents, after: Contents, table: str, most: int = 1000) -> Iterator[str]:
    """The differences as `nft` commands; ``most`` elements in each, since nft takes longer lines badly."""
    for add, name, entries in differences(before, after):
        texts = [_text(name, key, value if add else None) for key, value in entries.items()]
        for at in range(0, len(texts), most):
            yield f"{'add' if add else 'delete'} element {table} {name} {{ {', '.join(texts[at : at + most])} }}"


def _element(name: str, key: Key, value: Value) -> Element:
    if name.startswith("zone") and isinstance(value, int):
        first, last = key
        return interval(first, last, _size(name), value)
    if name.startswith("near"):
        return Element(bytes(key).ljust(_size(name), b"\0"))
    if value is None:
        return Element(marks_key(*key))
    return Element(marks_key(*key), chain=str(value), jump=name in _JUMPS)


def _text(name: str, key: Key, value: Value) -> str:
    """An element; a key alone without its value."""
    if name.startswith(("zone", "near")):
        address = IPv4Address if _size(name) == 4 else IPv6Address
        if name.startswith("near"):
            return str(address(bytes(key).ljust(_size(name), b"\0")))
        first, last = key
        text = f"{address(first)}-{address(last)}" if first != last else str(address(first))
        return text if value is None else f"{text} : {value:#x}"
    text = " . ".join(f"{number:#x}" for number in key)
    return text if value is None else f"{text} : {'jump' if name in _JUMPS else 'goto'} {value}"


def _size(name: str) -> int:
    """Bytes of an address."""
    return 4 if "4" in name else 16
