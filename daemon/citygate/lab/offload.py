"""Switch a network interface's offloads off, so that a packet counted is a packet sent.

With GSO, GRO or TSO one skb carries many packets on the wire, and with checksum offload a packet crosses a veth pair
without its checksum. The commands are the single-valued ones of the ethtool ioctl, linux/ethtool.h.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket

SIOCETHTOOL = 0x8946  # linux/sockios.h
COMMANDS = {
    "rx checksum": 0x15,  # ETHTOOL_SRXCSUM
    "tx checksum": 0x17,  # ETHTOOL_STXCSUM
    "scatter-gather": 0x19,  # ETHTOOL_SSG
    "tso": 0x1F,  # ETHTOOL_STSO
    "gso": 0x24,  # ETHTOOL_SGSO
    "gro": 0x2C,  # ETHTOOL_SGRO
}
"""Each sets one feature; the number before it reads the same feature."""


class _Value(ctypes.Structure):
    """``struct ethtool_value``."""

    _fields_ = [("cmd", ctypes.c_uint32), ("data", ctypes.c_uint32)]


class _Request(ctypes.Structure):
    """``struct ifreq`` with the pointer member of its union; the tail pads it to the union's full size."""

    _fields_ = [("name", ctypes.c_char * 16), ("data", ctypes.c_void_p), ("tail", ctypes.c_char * 16)]


def switch_off(interface: str) -> None:
    """Switch all offloads of ``interface``, seen from the calling thread's namespace, off. Raises ``OSError``."""
    for command in COMMANDS.values():
        value(interface, command)


def value(interface: str, command: int, given: int = 0) -> int:
    """Run one command and give the data that comes back: 1 for a feature that is on. Raises ``OSError``."""
    data = _Value(command, given)
    request = _Request(interface.encode(), ctypes.addressof(data))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCETHTOOL, request)
    return int(data.data)
