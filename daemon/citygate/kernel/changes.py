"""Notice of edits of nftables by anybody in this network namespace, iptables-nft and ourselves too."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress

from citygate.kernel.netlink import NETLINK_NETFILTER

_NFNLGRP_NFTABLES = 7  # linux/netfilter/nfnetlink.h


class Changes:
    """A netlink socket in the group that hears of every transaction. Needs CAP_NET_ADMIN."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        self._socket.bind((0, 1 << (_NFNLGRP_NFTABLES - 1)))

    def close(self) -> None:
        self._socket.close()

    def wait(self, seconds: float) -> bool:
        """Whether something was edited within this time. What is not read in time counts as an edit."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(1)
        except TimeoutError:
            return False
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # a large load, ours for one, overflows the socket
                raise
        self._socket.setblocking(False)
        with suppress(OSError):  # the rest of what is told of it; an overflow is read by the next call
            while True:
                self._socket.recv(1)
        return True
