__all__ = ['AsyncBatchRun', 'BatchOptions', 'BatchResult', 'BatchRun', 'Budget', 'CheckpointError', 'ExecutionFailedError', 'Progress', 'RowError', 'Rows', 'RunOptions', 'read_rows']
class AsyncBatchRun(Generic[RowT, ExecutionT]):
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None: ...
    def __aiter__(self) -> AsyncIterator[BatchResult[RowT, ExecutionT]]: ...
    def __init__(self, client: AsyncStepRunner, call: Call[Execution], rows: Iterable[RowT] | AsyncIterable[RowT], variables: Variables[RowT] = None, **options: Any) -> None: ...
    async def aclose(self) -> None: ...
    async def cancel(self) -> None: ...
    end_soon: Callable[[], None]
    ending: Ending | None
    async def next(self) -> BatchResult[RowT, ExecutionT]: ...
    progress: Progress
    resume_hint: str
    run_id: str
class BatchOptions(RunOptions):
    budget: Budget | None
    checkpoint: str | os.PathLike[str] | None
    first_index: int
    on_progress: Callable[[Progress], object] | None
    ordered: bool
    progress: bool
    retry_failed: bool
    skip_done: bool
    total: int | None
class BatchResult(Generic[RowT, ExecutionT]):
    def __init__(self, index: int, row: RowT, variables: Mapping[str, Any], execution: ExecutionT | None = None, error: EnpromptaError | None = None, attempts: tuple[Attempt, ...] = (), restored: bool = False) -> None: ...
    attempts: tuple[Attempt, ...]
    error: EnpromptaError | None
    execution: ExecutionT | None
    index: int
    ok: bool
    output: str | None
    restored: bool
    row: RowT
    variables: Mapping[str, Any]
class BatchRun(Generic[RowT, ExecutionT]):
    def __enter__(self) -> Self: ...
    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None: ...
    def __init__(self, client: SyncStepRunner, call: Call[Execution], rows: Iterable[RowT], variables: Variables[RowT] = None, **options: Any) -> None: ...
    def __iter__(self) -> Iterator[BatchResult[RowT, ExecutionT]]: ...
    def close(self) -> None: ...
    ending: Ending | None
    progress: Progress
    resume_hint: str
    run_id: str
class Budget:
    def __init__(self, *, credits: int | None = None, usd: float | None = None) -> None: ...
    def __post_init__(self) -> None: ...
    credits: int | None
    usd: float | None
class CheckpointError(EnpromptaError):
    pass
class ExecutionFailedError(EnpromptaError):
    def __init__(self, message: str, *, execution: Execution) -> None: ...
    execution: Execution
class Progress:
    def __init__(self, done: int, failed: int, restored: int, in_flight: int, total: int | None, rate: float, tokens: int, cost: float, credits: int, elapsed: float, eta: float | None, waiting: float) -> None: ...
    cost: float
    credits: int
    done: int
    elapsed: float
    eta: float | None
    failed: int
    in_flight: int
    rate: float
    restored: int
    tokens: int
    total: int | None
    waiting: float
class RowError(EnpromptaError, ValueError):
    def __init__(self, message: str, *, variables: Mapping[str, Any] | None = None) -> None: ...
    variables: Mapping[str, Any]
class Rows:
    def __init__(self, read: Callable[[], Numbered], variables: tuple[str, ...], count: int, skipped: int = 0) -> None: ...
    def __iter__(self) -> Iterator[Row]: ...
    def __len__(self) -> int: ...
    skipped: int
    variables: tuple[str, ...]
class RunOptions(TypedDict):
    concurrency: int
    deadline: float | None
    errors: Literal['collect', 'raise']
    expect_version: ExpectedVersion
    headers: Mapping[str, str]
    max_retries: int
    max_tokens: int
    model: str
    provider: str
    repair: int
    run_id: str | None
    stop_sequences: Sequence[str]
    temperature: float
    timeout: float | None
    top_p: float
def read_rows(path: str | os.PathLike[str], *, format: Format | None = None, prompt: Prompt | None = None) -> Rows: ...
