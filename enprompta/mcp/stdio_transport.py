"""The server on standard input and output, as editors start it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp import stdio_server

if TYPE_CHECKING:
    from enprompta.mcp.server import PromptServer


async def serve_stdio(server: PromptServer) -> None:
    """Serve one client on standard input and output until the input ends.

    While it runs, file descriptor 1 points at standard error, so that nothing but the protocol reaches the client.
    """
    async with stdio_server() as (read_stream, write_stream):
        await server.run(read_stream, write_stream, server.create_initialization_options())
