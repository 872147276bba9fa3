from collections.abc import Sequence
from typing import NamedTuple

from citygate.datapath.endpoints import Shared

PROTOCOL_NAMES: tuple[str, ...]

class Asked(NamedTuple):
    answer: str
    protocol: str
    host: str
    keep_asking: bool
    why: str
    rank: int = 0
    alpn: str = ""
    ech: bool = False

def ask(
    name: str,
    data: bytes,
    *,
    from_client: bool = True,
    ip_proto: int = 17,
    family: int = 4,
    client: str | None = None,
    server: str | None = None,
    client_port: int = 40000,
    server_port: int = 40001,
    length: int | None = None,
    mid_stream: bool = False,
    last: bool = False,
    now: int = 0,
    earlier: Sequence[tuple[bytes, bool]] = (),
    endpoints: Shared | None = None,
    guessed: str = "none",
) -> Asked: ...
def encrypted(data: bytes) -> bool: ...
