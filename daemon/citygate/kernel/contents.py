"""What the table's maps and sets hold for a policy: as plain values, netlink elements, nft commands, differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address

from citygate.kernel import skeleton
from citygate.kernel.compile import Compiled, Entries, Key, Value
from citygate.kernel.netlink import Element, interval, marks_key

Contents = Mapping[str, Mapping[int, Entries]]
"""Map or set to zone number to what it holds of the zone; 0 for what is no zone's. Keys of near4 and near6 are first
bytes."""

_MISSING = object()
_NOBODY: Entries = {}
_ZONED = ("decisions", "defaults", "failing", "shadow", "rehearsed")
_JUMPS = ("remember", "shadow")  # what they lead to comes back


def contents(table: Compiled) -> Contents:
    """All that maps and sets hold but for the zone maps."""
    remember = [skeleton.class_chain(number, final) for number in table.classes for final in (True, False)]
    held: dict[str, Mapping[int, Entries]] = {
        f"near{family}": {0: {(byte,): None for byte in _near(table, family)}} for family in (4, 6)
    }
    held |= {name: {number: zone.maps[name] for number, zone in table.tables.items()} for name in _ZONED}
    return held | {"remember": {0: {(value,): chain for chain, _, value in remember}}}


def zones(table: Compiled, side: str) -> Contents:
    """What the zone maps of a side hold."""
    return {
        skeleton.on(side, name): {number: zone.maps[name] for number, zone in table.tables.items()}
        for name in skeleton.ZONE_MAPS
    }


def _near(table: Compiled, family: int) -> list[int]:
    return sorted(frozenset[int]().union(*(zone.near[family] for zone in table.tables.values())))


def differences(before: Contents, after: Contents) -> Iterator[tuple[bool, str, Entries]]:
    """(add or delete, map or set name, entries): deletions first, since an element's data cannot be replaced."""
    for add, old, new in ((False, after, before), (True, before, after)):
        for name, zones in new.items():
            others = old.get(name, {})
            changed: dict[Key, Value] = {}
            for number, entries in zones.items():
                other = others.get(number, _NOBODY)
                if entries is not other:
                    changed |= {key: value for key, value in entries.items() if other.get(key, _MISSING) != value}
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
