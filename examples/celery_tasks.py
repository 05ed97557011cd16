"""Execute prompts in Celery tasks, each charged once even if its task is delivered several times.

`celery -A celery_tasks worker` runs the tasks, configured by environment variables. Run as a script, this file starts
an emulator of the API and a worker, with a queue of files, and shows a task that is delivered twice.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from celery import Celery, Task

from enprompta import APIConnectionError, Enprompta, InternalServerError, RateLimitError

FOLDER = Path(os.environ.get("QUEUE_FOLDER", "queue"))


def queue_in(folder: object) -> dict[str, str]:
    """Return the settings of a file queue in one folder."""
    tasks = f"{folder}/tasks"
    return {"data_folder_in": tasks, "data_folder_out": tasks, "control_folder": f"{folder}/control"}


app = Celery(
    "celery_tasks",
    broker=os.environ.get("CELERY_BROKER_URL", "filesystem://"),
    backend=os.environ.get("CELERY_RESULT_BACKEND", f"file://{FOLDER}/results"),
    broker_transport_options=queue_in(FOLDER),
    task_acks_late=True,  # redeliver a task if its worker dies; the idempotency key below makes that safe
    broker_connection_retry_on_startup=True,
)
# One client per process, created by its first task, so that a process that only sends tasks needs no API key. A client
# created at import works too: forked workers inherit it, and each opens separate connections.
_clients: list[Enprompta] = []


def client() -> Enprompta:
    """Return the client of this process, created on first use."""
    if not _clients:
        _clients.append(Enprompta(deadline=60.0))
    return _clients[0]


@app.task(bind=True, max_retries=10)
def execute(self: "Task[Any, Any]", prompt_id: str, variables: dict[str, str], key: str) -> str | None:
    """Execute a prompt.

    The client retries for about a minute; Celery retries the task after a longer outage.
    """
    try:
        execution = client().prompts.execute(prompt_id, variables=variables, idempotency_key=key)
    except (APIConnectionError, InternalServerError, RateLimitError) as error:
        raise self.retry(exc=error, countdown=getattr(error, "retry_after", None) or 60) from error
    print("executed", execution.id)
    return execution.output


def try_out(here: Enprompta, worker: "subprocess.Popen[bytes]") -> None:
    """Send some tasks, one of them twice, and print what was charged."""
    prompt = here.prompts.create(title="Greeting", content="Good day, {{name}}.")
    orders = [("Ada", "order-1"), ("Bob", "order-2"), ("Ada", "order-1")]
    sent = [execute.delay(prompt.id, {"name": name}, key) for name, key in orders]
    for result in sent:
        print(result.get(timeout=60))
    print(len(sent), "tasks,", here.usage.get().executions, "executions charged; worker", worker.poll() or "running")


def main() -> None:
    """Run the emulator, and a worker in a separate process."""
    from enprompta.emulator import Emulator  # noqa: PLC0415 (workers do not need it)

    with tempfile.TemporaryDirectory() as folder, Emulator() as emulator:
        for name in ("tasks", "results"):
            Path(folder, name).mkdir()
        app.conf.update(result_backend=f"file://{folder}/results", broker_transport_options=queue_in(folder))
        options = ["--concurrency", "2", "--loglevel", "WARNING"]
        alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]  # there is only one worker
        command = [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", *options, *alone]
        settings = {
            "QUEUE_FOLDER": folder,
            "ENPROMPTA_API_KEY": emulator.keys.pro,
            "ENPROMPTA_BASE_URL": emulator.url,
            "PYTHONPATH": str(Path(__file__).parent),
            "C_FORCE_ROOT": "1",  # a container may have no other user
        }
        environment = {**os.environ, **settings}
        log = Path(folder, "worker.log")
        with (
            log.open("w") as file,
            Enprompta(api_key=emulator.keys.pro, base_url=emulator.url) as here,
            subprocess.Popen(command, env=environment, cwd=folder, stdout=file, stderr=file) as worker,  # noqa: S603
        ):
            try:
                try_out(here, worker)
            except BaseException:
                print(log.read_text())
                raise
            finally:
                worker.terminate()


if __name__ == "__main__":
    main()
