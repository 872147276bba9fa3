"""A UDP socket in a lab's namespace that tells how a datagram was refused."""

from __future__ import annotations

import errno
import socket
import struct
from collections import deque
from enum import StrEnum
from ipaddress import ip_address

from citygate.lab.topology import Lab

IP_RECVERR, IPV6_RECVERR = 11, 25  # linux/in.h, linux/in6.h
SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6 = 2, 3  # linux/errqueue.h
REFUSED = (errno.EACCES, errno.EHOSTUNREACH)  # what ICMP's "prohibited" fails a call with, IPv6 and IPv4
BUFFER = 1 << 20

Address = tuple[str, int]


class Refusal(StrEnum):
    """How the network said no."""

    NONE = "-"
    RESET = "tcp reset"
    ICMP = "icmp prohibited"  # administratively prohibited
    OTHER_ICMP = "icmp other"  # another ICMP error: not a policy's
    SILENCE = "silence"  # it did not arrive, and nobody said so


def icmp_refusal(version: int, kind: int, code: int) -> Refusal:
    """What an ICMP error stands for: RFC 1812, 5.2.7.1 (net, host, communication prohibited), RFC 4443, 3.1."""
    if (version, kind) == (4, 3):
        return Refusal.ICMP if code in (9, 10, 13) else Refusal.OTHER_ICMP
    if (version, kind) == (6, 1):
        return Refusal.ICMP if code == 1 else Refusal.OTHER_ICMP
    return Refusal.NONE


class UdpSocket:
    """Bound to an address of a host, not connected, never blocking. Closed as a context manager or by ``close``."""

    def __init__(self, lab: Lab, host: str, address: str, port: int) -> None:
        self.address: Address = (address, port)
        version = ip_address(address).version
        with lab.inside(host):
            self._socket = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        if version == 4:
            self._socket.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        else:
            self._socket.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        self._socket.bind(self.address)
        self._refusals: deque[Refusal] = deque()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, payload: bytes, to: Address) -> None:
        # An ICMP error that came since the last call fails this one without sending: take note of it and send again.
        for _ in range(8):
            try:
                self._socket.sendto(payload, to)
                return
            except OSError as error:
                self._excuse(error)
        raise OSError(f"{self.address} cannot send for ICMP errors")

    def receive(self) -> tuple[bytes, Address] | None:
        """The next datagram and who sent it, or None when there is none now."""
        while True:
            try:
                payload, source = self._socket.recvfrom(65535)
                return payload, (source[0], source[1])
            except BlockingIOError:
                self._take_errors()
                return None
            except OSError as error:
                self._excuse(error)

    def refusals(self) -> list[Refusal]:
        """The refusals that came since the last call, oldest first."""
        self._take_errors()
        taken = list(self._refusals)
        self._refusals.clear()
        return taken

    def _excuse(self, error: OSError) -> None:
        """Take note of the ICMP errors behind a failed call; raise the failure when there are none.

        The kernel puts an ICMP error into the queue first and fails the next call second (udp_err, udpv6_err): what was
        read in between may fail a call that finds the queue empty.
        """
        if not self._take_errors() and error.errno not in REFUSED:
            raise error

    def _take_errors(self) -> int:
        """Read the socket's error queue: ip(7), IP_RECVERR."""
        count = 0
        while True:
            try:
                _, control, _, _ = self._socket.recvmsg(512, 512, socket.MSG_ERRQUEUE)
            except BlockingIOError:
                return count
            for _, _, data in control:
                _, origin, kind, code = struct.unpack_from("=IBBB", data)  # struct sock_extended_err
                if origin in (SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6):
                    self._refusals.append(icmp_refusal(4 if origin == SO_EE_ORIGIN_ICMP else 6, kind, code))
                count += 1
