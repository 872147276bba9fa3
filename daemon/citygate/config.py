"""The daemon's own configuration: a small YAML file. ``systemd/citygate.yaml`` shows every key with its default.

Read once, at the start; what may change while the daemon runs is in the policy directory.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, PlainValidator, model_validator

from citygate.policy.problem import PolicyError
from citygate.policy.shape import fit
from citygate.policy.source import read
from citygate.policy.values import Keys, Text, one_of

QUEUE_NUMBERS = 65536  # NFQUEUE's queue numbers have 16 bits


class ConfigError(PolicyError):
    """The configuration cannot be used; ``problems`` holds all that was found, in order of place."""


class Listen(NamedTuple):
    """Where metrics are served."""

    address: str  # IPv4 or IPv6, without brackets
    port: int  # 0: any free one

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def _path(value: object) -> Path:
    if not isinstance(value, str | Path) or str(value) == "" or "\0" in str(value):
        raise ValueError("must be a path")
    return Path(value)


def _number(first: int, last: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not first <= value <= last:
            raise ValueError(f"must be a whole number from {first} to {last}")
        return value

    return read


def _listen(value: object) -> Listen | None:
    if _is_off(value):
        return None
    address, _, port = (value if isinstance(value, str) else "").rpartition(":")
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    try:
        brackets = bare != address
        if port.isascii() and port.isdigit() and int(port) < 65536 and (ip_address(bare).version == 6) == brackets:
            return Listen(bare, int(port))
    except ValueError:  # not an address
        pass
    raise ValueError('must be address:port, such as 127.0.0.1:9436 or "[::1]:9436", or off')


def _target(value: object) -> Path | str:
    if _is_off(value):
        return "off"
    return "journal" if value == "journal" else _path(value)


def _unless_off(value: object) -> object:
    return None if _is_off(value) else value


def _is_off(value: object) -> bool:
    return value is False or value == "off"  # YAML 1.1 reads the word `off` as false


FilePath = Annotated[Path, PlainValidator(_path)]


class Queues(Keys):
    """NFQUEUE queues ``first`` to ``first + count - 1``, one thread each; ``length`` packets may wait in each."""

    first: Annotated[int, PlainValidator(_number(0, QUEUE_NUMBERS - 1))] = 0
    count: Annotated[int, PlainValidator(_number(1, 64))] = 1
    length: Annotated[int, PlainValidator(_number(64, 1_000_000))] = 8192

    @model_validator(mode="after")
    def _numbers_exist(self) -> Queues:
        if self.numbers.stop > QUEUE_NUMBERS:
            raise ValueError(f"queue numbers end at {QUEUE_NUMBERS - 1}")
        return self

    @property
    def numbers(self) -> range:
        return range(self.first, self.first + self.count)


class Events(Keys):
    """The event log: where to (journal is standard output), one flow in ``sample``, at most ``rate`` a second."""

    to: Annotated[Path | Literal["off", "journal"], PlainValidator(_target)] = "journal"
    sample: Annotated[int, PlainValidator(_number(1, 1_000_000))] = 1
    rate: Annotated[int, PlainValidator(_number(1, 1_000_000))] = 1000


class Control(Keys):
    """The Unix socket on which operators' tools ask the daemon, and the group that may."""

    socket: FilePath = Path("/run/citygate/control.sock")
    group: Text = "citygate"


class Config(Keys):
    """A configuration. ``metrics`` and ``control`` are None when switched off; ``on_stop`` is for ``stopped``."""

    policies: FilePath
    queues: Queues = Queues()
    metrics: Annotated[Listen | None, PlainValidator(_listen)] = Listen("127.0.0.1", 9436)
    control: Annotated[Control | None, BeforeValidator(_unless_off)] = Control()
    state: FilePath = Path("/var/lib/citygate")
    events: Events = Events()
    on_stop: Annotated[str, PlainValidator(one_of("remove", "keep"))] = "remove"


def load(path: Path) -> Config:
    """The configuration in the file at ``path``; its paths made absolute from the file's own directory.

    Raises ConfigError with every problem found.
    """
    source = read(path)
    config = fit(source, Config)
    if config is None or source.problems:
        raise ConfigError(source.problems)
    base = path.absolute().parent
    to = config.events.to
    events = config.events.model_copy(update={"to": base / to}) if isinstance(to, Path) else config.events
    control = config.control and config.control.model_copy(update={"socket": base / config.control.socket})
    absolute = {"policies": base / config.policies, "state": base / config.state}
    return config.model_copy(update={**absolute, "events": events, "control": control})
