"""A FastAPI service that executes prompts, and hears by webhook what each execution cost.

`create_app()` is the service; `uvicorn --factory fastapi_service:create_app` serves it with the settings of the
environment. Run as a script, it serves itself on this machine beside an emulator of the API, and is tried out.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

from enprompta import AsyncEnprompta, EnpromptaError, NotFoundError, RateLimitError
from enprompta.emulator import Emulator
from enprompta.webhooks import PromptExecuted, WebhookReceiver


class Question(BaseModel):
    """What is asked of the service."""

    topic: str


def create_app(**settings: str) -> FastAPI:
    """Make the service.

    Args:
        **settings: Arguments of `AsyncEnprompta`; what is not given is read from the environment.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # One client for the life of the process. It gives up before the gateway in front of this service does.
        async with AsyncEnprompta(deadline=20.0, **settings) as client:  # type: ignore[arg-type] # only those of text
            app.state.client = client
            yield

    app = FastAPI(lifespan=lifespan)
    app.state.spent = {}
    receiver = WebhookReceiver(os.environ["ENPROMPTA_WEBHOOK_SECRET"])

    @receiver.on("prompt.executed")
    async def count(event: PromptExecuted) -> None:
        app.state.spent[event.data.execution_id] = event.data.cost

    # Not `app.mount`, which answers a POST to the path itself with a redirect that no delivery follows.
    app.add_route("/webhooks/enprompta", receiver.asgi, methods=["POST"])

    @app.post("/prompts/{prompt_id}")
    async def ask(prompt_id: str, question: Question, request: Request) -> dict[str, str | None]:
        client: AsyncEnprompta = request.app.state.client
        try:
            execution = await client.prompts.execute(prompt_id, variables={"topic": question.topic})
        except NotFoundError as error:
            raise HTTPException(404, "no such prompt") from error
        except RateLimitError as error:
            raise HTTPException(429, headers={"Retry-After": f"{error.retry_after or 60:.0f}"}) from error
        except EnpromptaError as error:  # down, or too slow: the client has tried again by itself
            raise HTTPException(503, "try again later") from error
        return {"execution": execution.id, "output": execution.output}

    @app.get("/spent")
    async def spent(request: Request) -> dict[str, float | None]:
        return request.app.state.spent

    return app


async def try_out(client: AsyncEnprompta, prompt_id: str, server: uvicorn.Server, address: str) -> None:
    """Ask the service, and wait until it knows what the answer cost."""
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    async with httpx.AsyncClient(base_url=address, trust_env=False) as browser:
        print((await browser.post(f"/prompts/{prompt_id}", json={"topic": "tea"})).json())
        print((await browser.post("/prompts/pmt_nowhere", json={"topic": "tea"})).json())
        forged = {"id": "evt_1", "event": "prompt.executed", "data": {"execution_id": "exe_1", "cost": 1000}}
        print("a forged webhook:", (await browser.post("/webhooks/enprompta", json=forged)).status_code)
        while not (spent := (await browser.get("/spent")).json()):  # noqa: ASYNC110 (it comes when it comes)
            await asyncio.sleep(0.01)
        print("spent, as the webhook tells:", spent)
    await client.prompts.delete(prompt_id)
    server.should_exit = True
    await serving


async def main() -> None:
    """Serve on a free port, beside an emulator that delivers its webhooks there."""
    with Emulator() as emulator, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        settings = {"api_key": emulator.keys.pro, "base_url": emulator.url}
        async with AsyncEnprompta(api_key=emulator.keys.pro, base_url=emulator.url) as client:
            webhook = await client.webhooks.create(
                name="Costs", url=f"{address}/webhooks/enprompta", events=["prompt.executed"]
            )
            os.environ["ENPROMPTA_WEBHOOK_SECRET"] = webhook.secret or ""  # in earnest: from your secret store
            prompt = await client.prompts.create(title="Line", content="One line about {{topic}}.")
            server = uvicorn.Server(uvicorn.Config(create_app(**settings), log_level="warning"))
            server.config.fd = free.fileno()
            free.listen()
            await try_out(client, prompt.id, server, address)


if __name__ == "__main__":
    asyncio.run(main())
