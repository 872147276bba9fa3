"""The bits of the marks and of the counters' keys (docs/architecture.md), in host order as nftables keeps marks."""

CLASS = 0x7FFF  # packet and conntrack mark: the class
NOT_FINAL = 0x8000  # packet and conntrack mark: named for now, keep asking
ANSWER = CLASS | NOT_FINAL
ASK = 0x4000_0000  # packet mark: waits for the daemon
ZONE = 0x3FFF_0000  # packet mark: the zone
ZONE_SHIFT = 16

SUBSCRIBER6 = "ffff:ffff:ffff:ffff::"  # an IPv6 subscriber is a /64: its hosts change their addresses by the day

# Low bits of the packet mark in `enforce`, beside the zone; there the class is read from the conntrack mark.
RESPONDER = 0x2  # the zone is the responder's, not the originator's

# Counter keys: zone and end, class, conntrack direction. `unfiltered` has a mark alone, since some of its packets have
# no conntrack entry: zone, direction, why, and what became of the packet.
END = ZONE | RESPONDER
DOWN = 0x1  # this packet goes to the subscriber
CAUSE_SHIFT = 4
CAUSES = ("no_daemon", "queue_full", "invalid", "untracked")
QUEUE_FULL, INVALID, UNTRACKED = (CAUSES.index(cause) << CAUSE_SHIFT for cause in CAUSES[1:])
CAUSE = 0x30
DROPPED = 0x100
UNFILTERED = ZONE | DROPPED | CAUSE | DOWN
