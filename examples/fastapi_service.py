"""A FastAPI service that executes prompts and receives the cost of each execution by webhook.

`create_app()` builds the service; `uvicorn --factory fastapi_service:create_app` serves it, configured by environment
variables. Run as a script, it serves itself with an emulator of the API on this machine and sends itself requests.
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
    """The request body of `/describe`."""

    topic: str


def create_app(**settings: str) -> FastAPI:
    """Build the service.

    Args:
        **settings: Arguments of `AsyncEnprompta`; missing ones are read from the environment.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # One client for the lifetime of the process. It gives up before the gateway in front of this service.
        async with AsyncEnprompta(deadline=20.0, **settings) as client:  # type: ignore[arg-type] # only those of text
            app.state.client = client
            yield

    app = FastAPI(lifespan=lifespan)
    app.state.spent = {}
    receiver = WebhookReceiver(os.environ["ENPROMPTA_WEBHOOK_SECRET"])

    @receiver.on("prompt.executed")
    async def count(event: PromptExecuted) -> None:
        app.state.spent[event.data.execution_id] = event.data.cost

    # Not `app.mount`, which redirects a POST to the path itself; deliveries do not follow redirects.
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
        except EnpromptaError as error:  # the client's retries have failed, or its deadline has passed
            raise HTTPException(503, "try again later") from error
        return {"execution": execution.id, "output": execution.output}

    @app.get("/spent")
    async def spent(request: Request) -> dict[str, float | None]:
        return request.app.state.spent

    return app


async def try_out(client: AsyncEnprompta, prompt_id: str, server: uvicorn.Server, address: str) -> None:
    """Call the service and wait until it knows the cost of the execution."""
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    async with httpx.AsyncClient(base_url=address, trust_env=False) as browser:
        print((await browser.post(f"/prompts/{prompt_id}", json={"topic": "tea"})).json())
        print((await browser.post("/prompts/pmt_nowhere", json={"topic": "tea"})).json())
        forged = {"id": "evt_1", "event": "prompt.executed", "data": {"execution_id": "exe_1", "cost": 1000}}
        print("a forged webhook:", (await browser.post("/webhooks/enprompta", json=forged)).status_code)
        while not (spent := (await browser.get("/spent")).json()):  # noqa: ASYNC110 (the webhook arrives asynchronously)
            await asyncio.sleep(0.01)
        print("spent, from the webhook:", spent)
    await client.prompts.delete(prompt_id)
    server.should_exit = True
    await serving


async def main() -> None:
    """Serve on a free port, with an emulator that delivers its webhooks there."""
    with Emulator() as emulator, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        settings = {"api_key": emulator.keys.pro, "base_url": emulator.url}
        async with AsyncEnprompta(api_key=emulator.keys.pro, base_url=emulator.url) as client:
            webhook = await client.webhooks.create(
                name="Costs", url=f"{address}/webhooks/enprompta", events=["prompt.executed"]
            )
            os.environ["ENPROMPTA_WEBHOOK_SECRET"] = webhook.secret or ""  # in production: from your secret store
            prompt = await client.prompts.create(title="Line", content="One line about {{topic}}.")
            server = uvicorn.Server(uvicorn.Config(create_app(**settings), log_level="warning"))
            server.config.fd = free.fileno()
            free.listen()
            await try_out(client, prompt.id, server, address)


if __name__ == "__main__":
    asyncio.run(main())
