"""Trace a FastAPI service: one `Tracing` for its lifetime, a span per request, sessions from a header.

This uses an emulator of the API on this machine, and calls the service in this process. Needs
`pip install "enprompta[emulator,tracing]"`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import FastAPI, Header

from enprompta import AsyncEnprompta, Enprompta
from enprompta.emulator import Emulator
from enprompta.tracing import Tracing


def service(client: AsyncEnprompta, prompt_id: str) -> FastAPI:
    """Create the service."""
    tracing = Tracing(client, service_name="api")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with tracing:  # sends what waits when the service stops
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/about/{topic}")
    async def about(topic: str, x_session: Annotated[str, Header()]) -> str:
        async with tracing.span("about", session_id=x_session, input=topic) as span:
            execution = await client.prompts.execute(prompt_id, variables={"topic": topic})
            span.set_output(execution.output)
            return str(execution.output)

    return app


async def serve(app: FastAPI) -> None:
    """Call the service at once for several users."""
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as users,
    ):
        calls = (users.get(f"/about/{topic}", headers={"X-Session": topic}) for topic in ("tea", "coffee"))
        for answer in await asyncio.gather(*calls):
            print(answer.json())


async def run(emulator: Emulator, prompt_id: str) -> None:
    """Run the service with an async client."""
    async with AsyncEnprompta(api_key=emulator.keys.team, base_url=emulator.url) as client:
        await serve(service(client, prompt_id))


def main() -> None:
    """Serve two users, then read their traces back."""
    with Emulator() as emulator, Enprompta(api_key=emulator.keys.team, base_url=emulator.url) as client:
        prompt = client.prompts.create(title="About", content="Write about {{topic}}.")
        asyncio.run(run(emulator, prompt.id))
        for trace in client.traces.list(prompt_id=prompt.id):
            print("session", trace.session_id, "prompt", trace.prompt_id == prompt.id)


if __name__ == "__main__":
    main()
