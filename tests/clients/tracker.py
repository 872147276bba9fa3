"""A BitTorrent tracker that knows one peer: ``tracker.py ADDRESS PORT PEER-ADDRESS PEER-PORT``. BEP 3, 7, 23."""

from __future__ import annotations

import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address

INTERVAL = b"d8:intervali60e"


def answer(peer: str, port: int) -> bytes:
    """What everybody is told who asks, in bencoding."""
    address = ip_address(peer)
    key = b"5:peers" if address.version == 4 else b"5:peers0:6:peers6"
    compact = address.packed + port.to_bytes(2, "big")
    return INTERVAL + key + b"%d:%b" % (len(compact), compact) + b"e"


def main(address: str, port: str, peer: str, peer_port: str) -> None:
    page = answer(peer, int(peer_port))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

    class Server(HTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    Server((address, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
