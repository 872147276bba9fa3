"""The text of iptables-save and ip6tables-save to rules (iptables-extensions(8): MARK, CONNMARK, NFQUEUE, CT)."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterator

from citygate.doctor.rule import ALL, Base, Chain, Rule, Ruleset, reached

_HOOKS = {
    "PREROUTING": "prerouting",
    "INPUT": "input",
    "FORWARD": "forward",
    "OUTPUT": "output",
    "POSTROUTING": "postrouting",
}
_PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}


def read(program: str, saved: str) -> Ruleset:
    """``program``: whose save it is, for people."""
    chains: list[Chain] = []
    rules: list[Rule] = []
    for table, lines in _tables(saved):
        bases: dict[str, Base] = {}
        jumps: dict[str, list[str]] = defaultdict(list)
        written: list[tuple[str, list[str]]] = []
        for line in lines:
            if line.startswith(":"):
                name, policy = line[1:].split()[:2]
                if name in _HOOKS:
                    bases[name] = Base(_HOOKS[name], _priority(table, name))
                    chains.append(Chain(f"{program} -t {table} {name}", bases[name], policy == "DROP"))
            elif line.startswith("-A "):
                words = shlex.split(line)
                written.append((line, words))
                jumps[words[1]].append(_value(words, "-j") or _value(words, "-g") or "")
        places = reached(jumps, bases)
        for line, words in written:
            rules.append(_rule(f"{program} -t {table}", line, words, places.get(words[1], frozenset())))
    return Ruleset(chains, rules)


def _tables(saved: str) -> Iterator[tuple[str, list[str]]]:
    for part in re.split(r"^\*", saved, flags=re.MULTILINE)[1:]:
        name, *lines = part.splitlines()
        yield name.strip(), lines


def _priority(table: str, chain: str) -> int:
    if table == "nat":  # the destination is changed early, the source late
        return 100 if chain in ("POSTROUTING", "INPUT") else -100
    return _PRIORITIES.get(table, 0)


def _rule(place: str, line: str, words: list[str], bases: frozenset[Base]) -> Rule:
    target = _value(words, "-j") or ""
    value, mask = _marked(_value(words, "--set-xmark"))
    nfmask, ctmask = (_number(_value(words, option), ALL) for option in ("--nfmask", "--ctmask"))
    packet = conntrack = restores = 0
    match target:
        case "MARK":
            packet = value | mask
        case "CONNMARK" if "--save-mark" in words:
            conntrack = nfmask | ctmask
        case "CONNMARK" if "--restore-mark" in words:
            packet, restores = nfmask | ctmask, ctmask
        case "CONNMARK":
            conntrack = value | mask
    looked_at, needs_mark = _looks(words)
    return Rule(
        place=place,
        text=line,
        chain=words[1],
        bases=bases,
        packet=packet,
        clears=target == "MARK" and value == 0,
        conntrack=conntrack,
        restores=restores,
        reads=looked_at,
        needs_mark=needs_mark,
        queues=_queues(words) if target == "NFQUEUE" else range(0),
        offloads=target == "FLOWOFFLOAD",
        zones=target == "CT" and any(word.startswith("--zone") for word in words),
        verdict=target,
    )


def _value(words: list[str], option: str) -> str | None:
    return words[words.index(option) + 1] if option in words[:-1] else None


def _looks(words: list[str]) -> tuple[int, bool]:
    """Which bits of the packet mark `-m mark` looks at, and whether a mark of 0 never matches."""
    match = ""
    for at, word in enumerate(words[:-1]):
        if word == "-m":
            match = words[at + 1]
        elif word == "--mark" and match == "mark":  # `-m connmark` has an option of this name too
            value, mask = _marked(words[at + 1])
            return mask, (value == 0) == (words[at - 1] == "!")
    return 0, False


def _number(text: str | None, default: int) -> int:
    return int(text, 0) if text else default


def _marked(text: str | None) -> tuple[int, int]:
    """Value and mask; (0, 0) of nothing."""
    if text is None:
        return 0, 0
    value, _, mask = text.partition("/")
    return int(value, 0), _number(mask, ALL)


def _queues(words: list[str]) -> range:
    first, _, last = (_value(words, "--queue-balance") or _value(words, "--queue-num") or "0").partition(":")
    return range(int(first), int(last or first) + 1)
