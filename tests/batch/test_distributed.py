"""Runs on Dask workers: results as a collection, keys independent of partitions, and a killed worker."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from enprompta import AsyncEnprompta, ConfigurationError, Enprompta, InsufficientTokensError, NotFoundError
from enprompta.batch import BatchResult, Budget, RowError, distributed
from enprompta.batch.client_pool import ClientPool, client_pool
from enprompta.emulator import Emulator
from enprompta.limiters import LocalLimiter
from tests.limiters.redis_server import BINARY

dask: Any = pytest.importorskip("dask", reason="the extra `dask` is not installed")
bags: Any = pytest.importorskip("dask.bag", reason="the extra `dask` is not installed")
cloudpickle: Any = pytest.importorskip("cloudpickle")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from enprompta.emulator.serving.faults import Fault

ENDURANCE = Path(__file__).with_name("distributed_endurance.py")
ROWS = [{"n": str(i)} for i in range(25)]
OUTPUTS = [f"row {i}" for i in range(25)]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Run an emulator with enough budget for all tests."""
    with Emulator(rate_limits=False) as emulator:
        yield emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Enprompta]:
    """Make an unpaced client; the emulator does not limit it."""
    with Enprompta(api_key=emulator.keys.enterprise, base_url=emulator.url, limiter=None) as client:
        yield client
    client_pool.close()


@pytest.fixture
def prompt(client: Enprompta) -> str:
    """Make a prompt."""
    return client.prompts.create(title="Row", content="row {{n}}").id


@pytest.fixture
def seen(emulator: Emulator) -> Iterator[Fault]:
    """Make executions take a moment."""
    yield emulator.faults.add("/prompts/*/execute", latency=1e-6)
    emulator.faults.clear()


@pytest.fixture(autouse=True)
def in_this_process() -> Iterator[None]:
    """Compute in this process by default; tests of several processes use real ones."""
    with dask.config.set(scheduler="synchronous"):
        yield


def uneven() -> Any:
    """Return the rows as a bag with long, short and empty partitions."""
    return bags.from_delayed([dask.delayed(part) for part in (ROWS[:3], [], ROWS[3:4], ROWS[4:], [])])


def keys(seen: Fault) -> list[str]:
    """Return the idempotency keys of the requests since the last call."""
    found = [hit.headers["idempotency-key"] for hit in seen.hits]
    seen.hits.clear()
    return found


def charged(client: Enprompta) -> int:
    """Return the credits used so far."""
    usage = client.usage.get()
    assert usage.tokens is not None
    return usage.tokens.used or 0


def test_the_results_are_a_bag(client: Enprompta, prompt: str, seen: Fault) -> None:
    """The result is a bag in the order of the rows, with the given partition size; computing it sends the requests."""
    results = distributed.execute_many(client, prompt, ROWS, partition_size=10, concurrency=4)
    assert type(results) is bags.Bag
    assert results.npartitions == 3
    assert keys(seen) == []
    computed: list[BatchResult[dict[str, str]]] = results.compute()
    assert [result.index for result in computed] == list(range(25))
    assert [result.row for result in computed] == ROWS
    assert results.map(lambda result: result.output).compute() == OUTPUTS


@pytest.mark.parametrize("form", ["iterator", "tuple", "uneven bag", "bag of one part"])
def test_keys_are_those_of_one_machine(client: Enprompta, prompt: str, form: str, seen: Fault) -> None:
    """With any partitions and any reader, each row has the same key as in a run on one machine."""
    rows: Any = {
        "iterator": iter(ROWS),
        "tuple": tuple(ROWS),
        "uneven bag": uneven(),
        "bag of one part": uneven().repartition(1),
    }[form]
    run = list(client.prompts.execute_many(prompt, ROWS, run_id="r"))
    before, alone = charged(client), keys(seen)
    assert len(set(alone)) == len(run) == 25
    results = distributed.execute_many(client, prompt, rows, run_id="r", partition_size=7).compute()
    assert sorted(keys(seen)) == sorted(alone)
    assert {result.execution.id for result in results} == {result.execution.id for result in run if result.execution}
    assert [result.output for result in results] == OUTPUTS
    assert charged(client) == before


def test_computed_again_nothing_is_charged(client: Enprompta, prompt: str, seen: Fault) -> None:
    """A collection keeps its run id, so computing it twice is charged once; another collection has another id."""
    before = charged(client)
    results = distributed.execute_many(client, prompt, ROWS)
    results.compute()
    first = set(keys(seen))
    results.compute()
    assert set(keys(seen)) == first
    assert charged(client) == before + 25
    distributed.execute_many(client, prompt, ROWS).compute()
    assert first.isdisjoint(keys(seen))
    assert charged(client) == before + 50


def test_a_data_frame_gives_a_row_a_record(client: Enprompta, prompt: str) -> None:
    """The rows of a Dask data frame are mappings from column to value."""
    frames: Any = pytest.importorskip("dask.dataframe")
    pandas: Any = pytest.importorskip("pandas")
    frame = frames.from_pandas(pandas.DataFrame({"n": range(25), "other": "x"}), npartitions=3)
    results = distributed.execute_many(client, prompt, frame, variables=["n"]).compute()
    assert [result.output for result in results] == OUTPUTS
    assert results[24].row == {"n": 24, "other": "x"}


def test_no_rows(client: Enprompta, prompt: str) -> None:
    """No rows give an empty bag."""
    assert distributed.execute_many(client, prompt, []).compute() == []


def test_failed_rows_are_collected(client: Enprompta, prompt: str) -> None:
    """A failed row is a result with an error that names the row's index in the whole input."""
    rows = [*ROWS[:7], 7, *ROWS[8:]]
    results = distributed.execute_many(client, prompt, rows, partition_size=5).compute()
    assert [result.index for result in results if not result.ok] == [7]
    assert isinstance(results[7].error, RowError)
    assert "row 7 has variables of type int" in str(results[7].error)


def test_failed_rows_are_raised(client: Enprompta, prompt: str) -> None:
    """With `errors="raise"` the computation ends at the first row that fails."""
    rows = [*ROWS[:7], 7, *ROWS[8:]]
    with pytest.raises(RowError, match=r"row 7 has variables.* this was in the partition of rows 5 to 9"):
        distributed.execute_many(client, prompt, rows, partition_size=5, errors="raise").compute()


def test_what_no_row_could_do_better_is_raised(client: Enprompta) -> None:
    """An unknown prompt ends the computation, and the error says how to resume."""
    with pytest.raises(NotFoundError, match="With run_id='r' and the same rows"):
        distributed.execute_many(client, "nope", ROWS, run_id="r").compute()


def test_the_next_computation_resumes(client: Enprompta, prompt: str, emulator: Emulator) -> None:
    """After running out of credits, the same computation charges only rows that were not executed."""
    before = charged(client)
    options: Any = {"run_id": "r", "partition_size": 5, "concurrency": 1}
    emulator.faults.add("/prompts/*/execute", latency=1e-6, times=12)
    emulator.faults.add("/prompts/*/execute", status=402)
    with pytest.raises(InsufficientTokensError):
        distributed.execute_many(client, prompt, ROWS, **options).compute()
    emulator.faults.clear()
    assert charged(client) == before + 12
    results = distributed.execute_many(client, prompt, ROWS, **options).compute()
    assert [result.output for result in results] == OUTPUTS
    assert charged(client) == before + 25


def test_one_client_a_process(client: Enprompta, prompt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All partitions of a run in one process share a client."""
    results = distributed.execute_many(client, prompt, ROWS, partition_size=5)
    used: list[object] = []
    borrow = client_pool.borrow
    monkeypatch.setattr(client_pool, "borrow", lambda name, make: used.append(name) or borrow(name, make))
    with dask.config.set(scheduler="threads"):
        assert [result.output for result in results.compute()] == OUTPUTS
    work = next(name for name in used)
    travelled = cloudpickle.loads(cloudpickle.dumps(results))  # as Dask sends a partition to a worker
    travelled.compute()
    assert used == [work] * 10
    assert len(client_pool._entries) == 1
    assert client_pool._entries[str(work)].client is not client


def test_results_travel(client: Enprompta, prompt: str) -> None:
    """A pickled result is equal after unpickling, for executed and failed rows."""
    results = distributed.execute_many(client, prompt, [ROWS[0], 7]).compute()
    copies = cloudpickle.loads(cloudpickle.dumps(results))
    assert copies[0] == results[0]
    assert str(copies[1].error) == str(results[1].error)


def test_nothing_shows(client: Enprompta, prompt: str) -> None:
    """The graph and its names show no credential and no content of rows."""
    secret = str(client._arguments()["api_key"])
    results = distributed.execute_many(client, prompt, [{"n": "private"}])
    shown = f"{results!r} {results} {dict(results.dask)!r} {list(results.dask)} {results.dask!r}"
    (optimized,) = dask.optimize(results)
    shown += f"{dict(optimized.dask)!r}"
    assert "execute" in shown
    assert secret not in shown
    assert "private" not in shown


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"budget": Budget(credits=5)}, "no worker knows what the others have spent"),
        ({"checkpoint": "run.db"}, "Pass run_id"),
        ({"first_index": 5}, "numbered from 0"),
        ({"ordered": True}, "always in the order"),
        ({"progress": True}, "Dask does"),
        ({"on_progress": print}, "Dask does"),
        ({"skip_done": True}, "there is none"),
        ({"retry_failed": False}, "there is none"),
        ({"total": 25}, "Dask counts"),
        ({"partition_size": 0}, "partition_size must be"),
        ({"partition_size": 2.5}, "partition_size must be"),
        ({"concurrency": 0}, "concurrency must be"),
        ({"run_id": ""}, "run_id must be"),
    ],
)
def test_what_cannot_be_kept_to_is_refused(client: Enprompta, option: dict[str, Any], says: str) -> None:
    """An option that needs a single machine is refused with the reason and an alternative."""
    with pytest.raises(ConfigurationError, match=says):
        distributed.execute_many(client, "p", ROWS, **option)


def test_what_is_unknown_is_refused(client: Enprompta) -> None:
    """A misspelled option is an error; None for an unavailable option is accepted."""
    misspelt: Any = {"concurency": 5}
    with pytest.raises(TypeError, match="'concurency'"):
        distributed.execute_many(client, "p", ROWS, **misspelt)
    nothing: Any = {"budget": None, "checkpoint": None}
    distributed.execute_many(client, "p", ROWS, **nothing)


@pytest.mark.parametrize("rows", [5, "text", {"n": "1"}])
def test_rows_must_be_rows(client: Enprompta, rows: Any) -> None:
    """Invalid rows, and a list that lacks a column, are refused before anything is sent."""
    with pytest.raises(ConfigurationError, match="rows must be an iterable"):
        distributed.execute_many(client, "p", rows)
    with pytest.raises(RowError, match="row 1 has no column 'n'"):
        distributed.execute_many(client, "p", [{"n": "1"}, {"m": "1"}], variables=["n"])


class Unpicklable:
    """Hooks with an attribute that cannot be pickled."""

    def __init__(self) -> None:
        self.lines = (line for line in "")

    def on_retry(self, record: object) -> None:
        """Do nothing."""


def test_the_client_must_be_able_to_travel() -> None:
    """A client that cannot be used by many processes is refused: for its limiter, class, hooks or connections."""
    import httpx

    given: Any = {"api_key": "ep_x"}
    with httpx.Client() as http:
        for client, says in [
            (Enprompta(**given), "RedisLimiter"),
            (Enprompta(**given, limiter=LocalLimiter()), "RedisLimiter"),
            (AsyncEnprompta(**given, limiter=None), "pass an Enprompta"),
            (Enprompta(**given, limiter=None, hooks=[Unpicklable()]), "check its hooks: TypeError"),
            (Enprompta(**given, limiter=None, http_client=http), "http_client"),
        ]:
            anything: Any = client
            with pytest.raises(ConfigurationError, match=says):
                distributed.execute_many(anything, "p", ROWS)


def test_without_dask(client: Enprompta, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Dask is not installed, the error says what to install."""
    monkeypatch.setitem(sys.modules, "dask.bag", None)
    with pytest.raises(ConfigurationError, match=r'pip install "enprompta\[dask\]"'):
        distributed.execute_many(client, "p", ROWS)


def test_dask_is_loaded_on_first_use() -> None:
    """Importing the package, `batch` and `distributed` does not load Dask."""
    script = "import sys, enprompta, enprompta.batch, enprompta.batch.distributed as d; print('dask' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_unused_clients_are_closed() -> None:
    """A client stays open while it is used or was used lately, and is created again later."""
    lending = ClientPool()
    made: list[Enprompta] = []

    def make() -> Enprompta:
        made.append(Enprompta(api_key="ep_x", limiter=None))
        return made[-1]

    with lending.borrow("a", make) as first:
        for name in "bcdefg":
            with lending.borrow(name, make), lending.borrow("a", make) as same:
                assert same is first
        assert not first.is_closed
        assert [client.is_closed for client in made] == [False, *[True] * 3, *[False] * 3]
        with lending.borrow("b", make) as again:
            assert again is not made[1]
    lending.close()
    assert all(client.is_closed for client in made)


def test_a_child_creates_separate_clients() -> None:
    """After a fork, the pool of the child is empty."""
    lending = ClientPool()
    numbers = itertools.count()

    def make() -> Enprompta:
        return Enprompta(api_key=f"ep_{next(numbers)}", limiter=None)

    with lending.borrow("a", make) as parents:
        lending._after_fork()
        with lending.borrow("a", make) as own:
            assert own is not parents
        lending.close()
        assert own.is_closed
        assert not parents.is_closed
    parents.close()


LOGGED = """
import sys
from dask.distributed import Client, LocalCluster
from enprompta import Enprompta
from enprompta.batch import distributed

if __name__ == "__main__":
    key, url = sys.argv[1:]
    client = Enprompta(api_key=key, base_url=url, limiter=None)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster):
        try:
            distributed.execute_many(client, "nope", [{"n": "private"}] * 3).compute()
        except Exception as error:
            print(type(error).__name__, error)
"""


@pytest.mark.slow
@pytest.mark.step("cluster")
def test_logs_of_a_cluster(emulator: Emulator, tmp_path: Path) -> None:
    """Dask's log of a failed partition has the error, but no credentials and no content of rows."""
    script = tmp_path / "script.py"
    script.write_text(LOGGED)
    command = [sys.executable, script, emulator.keys.enterprise, emulator.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("NotFoundError")
    assert "Compute Failed" in done.stderr
    assert emulator.keys.enterprise not in done.stdout + done.stderr
    assert "private" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.step("cluster")
@pytest.mark.skipif(BINARY is None, reason="redis-server is not installed")
@pytest.mark.parametrize("how", ["list", "bag", "stream"])
def test_a_worker_is_killed(how: str) -> None:
    """With two workers on one Redis, one killed midway, each row has one result and one charge, without a 429."""
    command = [sys.executable, "-W", "error", ENDURANCE, "800", how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(done.stdout)
    assert (counts["results"], counts["credits"], counts["executions"], counts["429"]) == (800, 800, 800, 0)
    assert counts["killed_at"] < 800
