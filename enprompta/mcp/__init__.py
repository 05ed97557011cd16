"""An MCP server for an Enprompta account: its prompts as MCP prompts, and tools to search, inspect and execute them.

    import anyio

    from enprompta import AsyncEnprompta
    from enprompta.mcp import ServerOptions, create_server, serve_stdio

    async def main() -> None:
        async with AsyncEnprompta() as client:
            await serve_stdio(create_server(client, ServerOptions(label="production")))

    anyio.run(main)

`enprompta mcp` does the same from a shell.
"""

from __future__ import annotations

try:
    from enprompta.mcp.http_transport import create_app, serve_http
    from enprompta.mcp.options import Permission, ServerOptions
    from enprompta.mcp.server import PromptServer, create_server, serve_stdio
except ModuleNotFoundError as _missing:
    _package = (_missing.name or "").partition(".")[0]
    if _package not in {"mcp", "mcp_types", "starlette", "uvicorn"}:
        raise
    _message = f'The MCP server needs {_package}, which is not installed: pip install "enprompta[mcp]"'
    raise ImportError(_message, name=_package) from _missing

__all__ = ["Permission", "PromptServer", "ServerOptions", "create_app", "create_server", "serve_http", "serve_stdio"]
