def keyed_hash(k0: int, k1: int, data: bytes) -> int:
    """SipHash-1-3 of whole words; ValueError for other lengths or more than 128 bytes."""
