"""The token bucket of a throttle: one for each subscriber and rule, both directions together; of IPv6 one for a /64.

A dynamic set with a limit an element (net/netfilter/nft_limit.c): a bucket holds one second of its rate and the burst,
and is full at first. What is over the rate is dropped, nothing waits.

Measured with TCP (bench/throttle.py; Linux 6.18, 64 kbit/s to 1 Gbit/s, GSO on and off, IPv4 and IPv6, up, down and
both): behind the first bucket a subscriber gets 0.86 to 1.00 of the rate as payload with cubic, 0.78 to 1.00 with BBR;
headers, acknowledgements and retransmissions take the rest. One connection waits for its next byte at most 0.6 s at
64 kbit/s and 1.5 s at 32 kbit/s, hence ``policy.rate.LOWEST``. Of four connections of one subscriber one may wait for
6 s at 1 Mbit/s, 20 s at 256 kbit/s and more than a minute at 64 kbit/s, while the others take the rate.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from citygate.kernel import marks

SEGMENT = 66_000  # bytes; a packet larger than the bucket never passes, and GSO and reassembly make them of 64 KiB
# Of one rule and family that have a bucket at one time; who comes after is not throttled. The kernel makes a set's
# first hash table for the lowest 16 bits of its size (lib/rhashtable.c, nelem_hint): for a plain million of 0.5 MB.
SUBSCRIBERS = 1 << 20
IDLE_SECONDS = 60  # after which a bucket is forgotten: by then it is full again

_FAMILIES = ((4, "ipv4_addr", "ip saddr"), (6, "ipv6_addr", f"ip6 saddr & {marks.SUBSCRIBER6}"))


@dataclass(frozen=True, slots=True)
class Bucket:
    region: str
    rule: str
    rate: int  # bytes a second

    @property
    def burst(self) -> int:
        return max(0, SEGMENT - self.rate)

    @property
    def sets(self) -> tuple[str, str]:
        """Names of the sets, IPv4 and IPv6: others where the rate is another, so no bucket keeps its old limit."""
        digest = hashlib.sha256(f"{self.region}/{self.rule}/{self.rate}".encode()).hexdigest()[:16]
        return f"rate4_{digest}", f"rate6_{digest}"

    def declarations(self) -> list[str]:
        """The sets, as nftables writes them."""
        return [
            f"set {name} {{ type {type_}; size {SUBSCRIBERS}; flags dynamic,timeout; timeout {IDLE_SECONDS}s; }}"
            for name, (_, type_, _) in zip(self.sets, _FAMILIES, strict=True)
        ]

    def conditions(self) -> list[tuple[int, str, str]]:
        """What holds for a packet over the rate: end that is asked, address family, condition."""
        limit = f"limit rate over {self.rate} bytes/second burst {self.burst} bytes"
        return [
            (end, subscriber.split()[0], f"update @{name} {{ ct {near} {subscriber} {limit} }}")
            for end, near in ((0, "original"), (marks.RESPONDER, "reply"))
            for name, (_, _, subscriber) in zip(self.sets, _FAMILIES, strict=True)
        ]
