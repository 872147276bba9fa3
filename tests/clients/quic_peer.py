"""aioquic as a program: ``quic_peer.py serve ADDRESS PORT CERTIFICATE KEY``, and ``ask``.

``ask ADDRESS PORT CERTIFICATE HOST VERSION`` sends a line over a stream and ends well when the same line comes back.
"""

from __future__ import annotations

import asyncio
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.server import serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion

ALPN = ["hq-interop"]
VERSIONS = {"1": QuicProtocolVersion.VERSION_1, "2": QuicProtocolVersion.VERSION_2}
LINE = b"a line\n"


def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def answer() -> None:
        writer.write(await reader.readline())
        writer.write_eof()

    answering.append(asyncio.ensure_future(answer()))


answering: list[asyncio.Future[None]] = []
"""An event loop keeps no reference to its tasks."""


async def be_server(address: str, port: str, certificate: str, key: str) -> None:
    settings = QuicConfiguration(is_client=False, alpn_protocols=ALPN, supported_versions=list(VERSIONS.values()))
    settings.load_cert_chain(certificate, key)
    await serve(address, int(port), configuration=settings, stream_handler=echo)
    await asyncio.Event().wait()


async def be_client(address: str, port: str, certificate: str, host: str, version: str) -> None:
    settings = QuicConfiguration(
        alpn_protocols=ALPN,
        server_name=host,
        original_version=VERSIONS[version],
        supported_versions=[VERSIONS[version]],
        cafile=certificate,
    )
    async with connect(address, int(port), configuration=settings) as connection:
        reader, writer = await connection.create_stream()
        writer.write(LINE)
        assert await reader.readline() == LINE


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", address, port, certificate, key]:
            asyncio.run(be_server(address, port, certificate, key))
        case ["ask", address, port, certificate, host, version]:
            asyncio.run(be_client(address, port, certificate, host, version))
        case _:
            sys.exit(__doc__)
