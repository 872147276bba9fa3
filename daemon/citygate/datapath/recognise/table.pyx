# cython: language_level=3, boundscheck=False, wraparound=False
"""The recognisers in asking order, and one of them asked from Python.

The first YES names the flow, so what is sure by a few fixed bytes comes before what only agrees over several packets,
and what rests on other flows comes last. Skype's fixed hellos imitate TLS and come before it; a tracker's request is
HTTP and comes before that.
"""
from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address
from typing import NamedTuple

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from citygate.datapath.cursor cimport Cursor, over
from citygate.datapath.endpoints cimport Shared
from citygate.datapath.recognise.anyconnect cimport anyconnect
from citygate.datapath.recognise.bittorrent cimport bittorrent
from citygate.datapath.recognise.dhcp cimport dhcp
from citygate.datapath.recognise.discord cimport discord
from citygate.datapath.recognise.dns cimport dns
from citygate.datapath.recognise.dtls cimport dtls
from citygate.datapath.recognise.edonkey cimport edonkey
from citygate.datapath.recognise.encrypted cimport looks_encrypted
from citygate.datapath.recognise.ftp cimport ftp
from citygate.datapath.recognise.gnutella cimport gnutella
from citygate.datapath.recognise.gre cimport gre
from citygate.datapath.recognise.h323 cimport h323
from citygate.datapath.recognise.http cimport http
from citygate.datapath.recognise.iax2 cimport iax2
from citygate.datapath.recognise.icmp cimport icmp
from citygate.datapath.recognise.ipsec cimport ipsec
from citygate.datapath.recognise.kerberos cimport kerberos
from citygate.datapath.recognise.l2tp cimport l2tp
from citygate.datapath.recognise.irc cimport irc
from citygate.datapath.recognise.ldap cimport ldap
from citygate.datapath.recognise.mail cimport mail
from citygate.datapath.recognise.media cimport media
from citygate.datapath.recognise.mgcp cimport mgcp
from citygate.datapath.recognise.mqtt cimport mqtt
from citygate.datapath.recognise.mse cimport mse
from citygate.datapath.recognise.mumble cimport mumble
from citygate.datapath.recognise.netbios cimport netbios
from citygate.datapath.recognise.ntp cimport ntp
from citygate.datapath.recognise.openvpn cimport openvpn
from citygate.datapath.recognise.pptp cimport pptp
from citygate.datapath.recognise.quic cimport quic
from citygate.datapath.recognise.radius cimport radius
from citygate.datapath.recognise.rdp cimport rdp
from citygate.datapath.recognise.rpc cimport rpc
from citygate.datapath.recognise.rtp cimport rtp
from citygate.datapath.recognise.rtsp cimport rtsp
from citygate.datapath.recognise.sip cimport sip
from citygate.datapath.recognise.skinny cimport skinny
from citygate.datapath.recognise.skype cimport skype_peer, skype_tcp, skype_udp
from citygate.datapath.recognise.skypeout cimport skypeout
from citygate.datapath.recognise.smb cimport smb
from citygate.datapath.recognise.snmp cimport snmp
from citygate.datapath.recognise.socks cimport socks
from citygate.datapath.recognise.softether cimport softether
from citygate.datapath.recognise.ssh cimport ssh
from citygate.datapath.recognise.stun cimport stun
from citygate.datapath.recognise.syslog cimport syslog
from citygate.datapath.recognise.tinc cimport tinc
from citygate.datapath.recognise.tls cimport tls
from citygate.datapath.recognise.tor cimport tor
from citygate.datapath.recognise.viber cimport viber
from citygate.datapath.recognise.tftp cimport tftp
from citygate.datapath.recognise.wireguard cimport wireguard
from citygate.datapath.recognise.zoom cimport zoom
from citygate.datapath.view cimport (
    ANYCONNECT, BITTORRENT, DHCP, DISCORD_VOICE, DNS, DTLS, EDONKEY, FTP, GNUTELLA, GRE, H323, HEAD, HTTP,
    IAX2, ICMP, IPSEC, IRC, KERBEROS, L2TP, LDAP, MGCP, MQTT, MUMBLE, NETBIOS, NFS, NO, NTP, OPENVPN, PPTP, QUIC, RADIUS,
    RDP, RTP, RTSP, SEEN, SIP, SKINNY, SKYPE, SKYPEOUT, SMB, SMTP, SNMP, SOCKS, SOFTETHER, SSH, STUN, SYSLOG, TFTP, TINC,
    TLS, TOR, VIBER, WIREGUARD, YES, ZOOM, Answer, Found, Protocol, Seen, View,
)


PROTOCOL_NAMES = (
    "none", "signature", "unknown", "encrypted", "dns", "http", "tls", "quic", "ssh", "sip", "sip-pstn", "stun",
    "turn", "rtp", "rtcp", "dtls", "skype", "skypeout", "h323", "iax2", "mgcp", "megaco", "skinny", "rtsp", "teams",
    "whatsapp-call", "viber", "zoom", "discord-voice", "telegram-call", "signal-call", "facetime", "google-meet",
    "messenger-call", "mumble", "openvpn", "wireguard", "ipsec", "l2tp", "pptp", "gre", "sstp", "softether",
    "anyconnect", "tor", "socks", "http-connect", "bittorrent", "edonkey", "gnutella", "dns-over-tls", "rdp", "smb",
    "netbios", "ftp", "smtp", "imap", "pop3", "ntp", "snmp", "mqtt", "dhcp", "ldap", "kerberos", "nfs", "radius",
    "syslog", "icmp", "tinc", "irc", "tftp", "webrtc")

cdef Recogniser[MOST] ORDER
cdef size_t COUNT = 0


cdef void put(Ask ask, Protocol protocol, bint tcp, bint udp, bint other):
    global COUNT
    ORDER[COUNT].ask = ask
    ORDER[COUNT].protocol = protocol
    ORDER[COUNT].tcp = tcp
    ORDER[COUNT].udp = udp
    ORDER[COUNT].other = other
    COUNT += 1


#               tcp    udp    other
put(icmp, ICMP, False, False, True)
put(ipsec, IPSEC, True, True, True)
put(gre, GRE, False, False, True)
put(pptp, PPTP, True, False, False)
put(ftp, FTP, True, False, False)
put(l2tp, L2TP, False, True, True)
put(media, RTP, False, True, False)
put(skype_tcp, SKYPE, True, False, False)
put(tor, TOR, True, False, False)
put(tls, TLS, True, False, False)
put(ssh, SSH, True, False, False)
put(bittorrent, BITTORRENT, True, True, False)
put(gnutella, GNUTELLA, True, True, False)
put(edonkey, EDONKEY, True, True, False)
put(rtsp, RTSP, True, False, False)
put(softether, SOFTETHER, True, True, False)
put(http, HTTP, True, False, False)
put(smb, SMB, True, False, False)
put(netbios, NETBIOS, True, True, False)
put(rdp, RDP, True, True, False)
put(h323, H323, True, True, False)
put(ldap, LDAP, True, True, False)
put(kerberos, KERBEROS, True, True, False)
put(mail, SMTP, True, False, False)
put(irc, IRC, True, False, False)
put(mqtt, MQTT, True, False, False)
put(skinny, SKINNY, True, False, False)
put(socks, SOCKS, True, False, False)
put(rpc, NFS, True, True, False)
put(quic, QUIC, False, True, False)
put(dtls, DTLS, False, True, False)
put(dns, DNS, True, True, False)
put(dhcp, DHCP, False, True, False)
put(snmp, SNMP, False, True, False)
put(ntp, NTP, False, True, False)
put(radius, RADIUS, False, True, False)
put(syslog, SYSLOG, True, True, False)
put(tftp, TFTP, False, True, False)
put(mgcp, MGCP, True, True, False)
put(stun, STUN, True, True, False)
put(sip, SIP, True, True, False)
put(iax2, IAX2, False, True, False)
put(wireguard, WIREGUARD, False, True, False)
put(openvpn, OPENVPN, True, True, False)
put(anyconnect, ANYCONNECT, False, True, False)
put(skypeout, SKYPEOUT, False, True, False)
put(discord, DISCORD_VOICE, False, True, False)
put(zoom, ZOOM, False, True, False)
put(viber, VIBER, True, True, False)
put(mumble, MUMBLE, False, True, False)
put(rtp, RTP, False, True, False)
put(skype_udp, SKYPE, False, True, False)
put(skype_peer, SKYPE, True, False, False)
put(mse, BITTORRENT, True, False, False)
put(tinc, TINC, True, True, False)


cdef const Recogniser* recognisers() noexcept nogil:
    return ORDER


cdef size_t recogniser_count() noexcept nogil:
    return COUNT


class Asked(NamedTuple):
    """What a recogniser said of one payload."""

    answer: str         # "no", "more" or "yes"
    protocol: str       # a name of PROTOCOL_NAMES; "none" unless the answer is yes
    host: str           # "" when there is none
    keep_asking: bool
    why: str
    rank: int = 0       # of view.Rank; 0: final
    alpn: str = ""
    ech: bool = False


cdef bytes mapped(address):
    """16 bytes in network order, IPv4 as ::ffff:a.b.c.d."""
    if isinstance(address, IPv4Address):
        return bytes(10) + b"\xff\xff" + address.packed
    return address.packed


def ask(
    str name,
    bytes data,
    *,
    bint from_client=True,
    int ip_proto=17,
    int family=4,
    client=None,
    server=None,
    int client_port=40000,
    int server_port=40001,
    length=None,
    bint mid_stream=False,
    bint last=False,
    now=0,
    earlier: Sequence[tuple[bytes, bool]] = (),
    Shared endpoints=None,
    str guessed="none",
):
    """Ask the recognisers of protocol ``name`` about one payload, as classify does; see ``View`` for the arguments.

    ``earlier`` is (payload, from_client) of the flow's earlier payloads, oldest first; the first eight are shown. The
    data lies in a heap block of exactly its size, so that a sanitizer sees any read beyond it. KeyError for an unknown
    name.
    """
    if name not in PROTOCOL_NAMES:
        raise KeyError(name)
    cdef int wanted = PROTOCOL_NAMES.index(name)
    cdef bytes client_bytes = mapped(ip_address(client or ("192.0.2.1" if family == 4 else "2001:db8::1")))
    cdef bytes server_bytes = mapped(ip_address(server or ("198.51.100.1" if family == 4 else "2001:db8:1::1")))
    cdef View view
    cdef Found found
    cdef Seen[SEEN] seen
    cdef size_t i
    cdef bint more = False
    cdef Answer answer
    cdef uint8_t* block = <uint8_t*>malloc(len(data) or 1)
    if block == NULL:
        raise MemoryError
    try:
        memcpy(block, <const char*>data, len(data))
        memset(&view, 0, sizeof(View))
        memset(seen, 0, sizeof(seen))
        for i, (payload, sent) in enumerate(list(earlier)[:SEEN]):
            seen[i].length = <uint16_t>len(payload)
            seen[i].from_client = bool(sent)
            seen[i].kept = min(len(payload), HEAD)
            memcpy(seen[i].head, <const char*>(<bytes>payload), seen[i].kept)
        view.data = over(block, len(data))
        view.length = len(data) if length is None else length
        view.ip_proto = ip_proto
        view.family = family
        view.from_client = from_client
        view.mid_stream = mid_stream
        view.last = last
        memcpy(view.client, <const char*>client_bytes, 16)
        memcpy(view.server, <const char*>server_bytes, 16)
        view.client_port = client_port
        view.server_port = server_port
        view.now = now
        view.seen = seen
        view.seen_count = min(len(earlier), SEEN)
        view.payloads = len(earlier)
        view.endpoints = endpoints.table if endpoints is not None else NULL
        view.resolved = endpoints.resolved if endpoints is not None else NULL
        view.guessed = PROTOCOL_NAMES.index(guessed)
        for i in range(COUNT):
            if <int>ORDER[i].protocol != wanted or not (
                    ORDER[i].tcp if ip_proto == 6 else ORDER[i].udp if ip_proto == 17 else ORDER[i].other):
                continue
            memset(&found, 0, sizeof(Found))
            found.protocol = ORDER[i].protocol
            answer = ORDER[i].ask(&view, &found)
            if answer == YES:
                return Asked("yes", PROTOCOL_NAMES[found.protocol], found.host[:found.host_length].decode("ascii"),
                             bool(found.keep_asking), (<bytes>found.why).decode("ascii") if found.why != NULL else "",
                             found.rank, found.alpn[:found.alpn_length].decode("ascii", "backslashreplace"),
                             bool(found.ech))
            more |= answer != NO
        return Asked("more" if more else "no", "none", "", False, "")
    finally:
        free(block)


def encrypted(bytes data) -> bool:
    """Whether these bytes look fully encrypted, as classify asks when it gives a flow up."""
    cdef uint8_t* block = <uint8_t*>malloc(len(data) or 1)
    cdef Cursor c
    if block == NULL:
        raise MemoryError
    try:
        memcpy(block, <const char*>data, len(data))
        c = over(block, len(data))
        return looks_encrypted(&c)
    finally:
        free(block)
