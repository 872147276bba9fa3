from typing import Any

ODDITIES: tuple[str, ...]

def headers(data: bytes, wire_length: int | None = None) -> dict[str, Any]: ...
