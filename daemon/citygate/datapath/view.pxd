# cython: language_level=3
"""What a recogniser sees, and what it answers."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from citygate.datapath.cursor cimport Cursor
from citygate.datapath.endpoints cimport Endpoints
from citygate.datapath.resolved cimport Resolved
from citygate.datapath.stream cimport Pool, Stream


cdef enum Answer:
    NO = 0     # not this protocol, whatever follows in this direction (TCP) or in this datagram (UDP)
    MORE = 1   # could be: ask again with the next bytes or datagram
    YES = 2


# A protocol the recognisers can tell. The catalogue says which service each one is (`recognise:` in its YAML);
# names in catalogue form are in recognise/table.pyx, and naming.pyx holds both lists against each other.
cdef enum Protocol:
    NONE = 0
    SIGNATURE     # a signature of the catalogue fitted; Found.service says whose
    UNKNOWN       # given up
    ENCRYPTED     # given up, and its bytes look like chance
    DNS
    HTTP
    TLS
    QUIC
    SSH
    SIP
    SIP_PSTN
    STUN
    TURN
    RTP
    RTCP
    DTLS
    SKYPE
    SKYPEOUT
    H323
    IAX2
    MGCP
    MEGACO
    SKINNY
    RTSP
    TEAMS
    WHATSAPP_CALL
    VIBER
    ZOOM
    DISCORD_VOICE
    TELEGRAM_CALL
    SIGNAL_CALL
    FACETIME
    GOOGLE_MEET
    MESSENGER_CALL
    MUMBLE
    OPENVPN
    WIREGUARD
    IPSEC
    L2TP
    PPTP
    GRE
    SSTP
    SOFTETHER
    ANYCONNECT
    TOR
    SOCKS
    HTTP_CONNECT
    BITTORRENT
    EDONKEY
    GNUTELLA
    DNS_OVER_TLS
    RDP
    SMB
    NETBIOS
    FTP
    SMTP
    IMAP
    POP3
    NTP
    SNMP
    MQTT
    DHCP
    LDAP
    KERBEROS
    NFS
    RADIUS
    SYSLOG
    ICMP
    TINC
    IRC
    TFTP
    WEBRTC
    PROTOCOLS      # how many


cdef enum:
    HEAD = 16      # bytes kept of each earlier payload
    SEEN = 8       # earlier payloads kept a flow: the first eight; with a guessed name, or of many messages, the latest
    ALPN = 32      # bytes kept of a protocol that a TLS or QUIC client offers first


# How sure a name is. A flow takes a new name only from a higher rank, so its class changes at most three times.
cdef enum Rank:
    FINAL = 0          # nothing later could say it better
    GUESS_CARRIER = 1  # what usually carries something else: STUN, a TLS hello without a name
    GUESS_SESSION = 2  # what was set up over that: DTLS
    GUESS_MEDIA = 3    # what looks like the flow's purpose, but an application may still show itself


# One earlier payload of this flow.
cdef struct Seen:
    uint16_t length           # bytes on the wire
    uint8_t from_client
    uint8_t kept              # valid bytes in head
    uint8_t head[HEAD]


# Filled by a recogniser that says YES. Zeroed by the caller, ``protocol`` set to the recogniser's own.
cdef struct Found:
    uint16_t protocol         # what it is; a recogniser of several sets it
    uint16_t host_length      # bytes of host; 0 when there is none
    uint8_t host[256]         # server name, Host or DNS question: lower case, dots between labels, no dot at the end
    bint keep_asking          # the flow carries many messages, each named for itself (DNS, SIP)
    uint8_t rank              # Rank; of a guess the flow is asked about again, within REFINE payloads
    uint16_t service          # with protocol SIGNATURE: index of the service whose signature fitted
    uint8_t alpn[ALPN]        # TLS and QUIC: the first protocol the client offers (RFC 7301), letters as they came
    uint8_t alpn_length
    bint ech                  # TLS and QUIC: the hello has an encrypted inner one, or greases so (RFC 9849)
    const char* why           # a static text of a few words for the event's `why`, such as "tls client hello"


cdef struct View:
    Cursor data               # UDP: this datagram's payload. TCP: this direction's stream from its first byte seen,
                              # in order, up to the byte budget. Else: the IP payload
    uint32_t length           # bytes of payload on the wire; data.left is smaller where the copy range cut it
    uint8_t ip_proto          # IANA protocol number: 6, 17, 50, …
    uint8_t family            # 4 or 6
    bint from_client          # sent by the flow's originator
    bint mid_stream           # TCP whose beginning was missed for sure (first payload seen is not the stream's start)
    uint8_t client[16]        # network order; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2)
    uint8_t server[16]
    uint16_t client_port      # 0 where the protocol has none
    uint16_t server_port
    uint64_t now              # milliseconds, monotonic (a capture's own clock in `classify`)
    const Seen* seen          # earlier payloads, oldest first, both directions
    uint32_t seen_count
    uint32_t payloads         # all earlier payloads of the flow, kept or not
    Endpoints* endpoints      # what other flows told about an address and port; may be NULL
    bint last                 # the budget ends here: MORE is taken as NO, so say YES now if this is enough
    uint16_t guessed          # Protocol that an earlier payload of this flow was guessed to be; NONE: no name yet
    Resolved* resolved        # host names by address, from DNS answers; may be NULL
    Pool* pool                # for ``hidden``; may be NULL
    Stream* hidden            # UDP: room to put a stream in order that datagrams carry inside (QUIC's CRYPTO frames), by
                              # ``stream.feed`` with offsets as sequence numbers after ``stream.open_at(…, 0)``
