"""The bits of the marks and of the counters' keys (docs/architecture.md), in host order as nftables keeps marks."""

CLASS = 0x7FFF  # packet and conntrack mark: the class
NOT_FINAL = 0x8000  # packet and conntrack mark: named for now, keep asking
ANSWER = CLASS | NOT_FINAL
ASK = 0x4000_0000  # packet mark: waits for the daemon
ZONE = 0x3FFF_0000  # packet mark: the zone
ZONE_SHIFT = 16

# Low bits of the packet mark in `enforce`, beside the zone; there the class is read from the conntrack mark.
DOWN = 0x1  # this packet goes to the subscriber
RESPONDER = 0x2  # the zone was found at the responder's end

# Counter keys: zone and direction; `unfiltered` also says why, and what became of the packet.
COUNTER = ZONE | DOWN
CAUSE_SHIFT = 4
CAUSES = ("no_daemon", "queue_full", "invalid", "untracked")
QUEUE_FULL, INVALID, UNTRACKED = (CAUSES.index(cause) << CAUSE_SHIFT for cause in CAUSES[1:])
CAUSE = 0x30
DROPPED = 0x100
UNFILTERED = ZONE | DROPPED | CAUSE | DOWN
