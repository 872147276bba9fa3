"""Whom the parts and ends of a comparison mean, one flow at a time."""

from __future__ import annotations

from citygate.policy.evaluate import Far, in_range
from citygate.policy.model import Address, Name, Share
from citygate.policy.share import inside
from citygate.review.compare import Change
from citygate.review.contrast import Ends, Part


def within(part: Part, subscriber: Address) -> bool:
    return all(
        inside(Share(piece.last, piece.seed), subscriber) and not inside(Share(piece.first, piece.seed), subscriber)
        for piece in part
    )


def hold(ends: Ends, far: Far) -> bool:
    listed = any(far.address in network for network in ends.networks)
    at = any(in_range(far, ports) for ports in ends.ports)
    return listed is not ends.networks_but and at is not ends.ports_but


def concerns(change: Change, subscriber: Address, name: Name, far: Far) -> bool:
    """``far`` is of the subscriber's address family."""
    return (
        name in change.names
        and any(subscriber in network for network in change.subscribers)
        and any(within(part, subscriber) for part in change.parts)
        and hold(change.ends, far)
    )
