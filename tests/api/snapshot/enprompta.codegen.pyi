__all__ = ['ExecuteOptions', 'PromptCall', 'TypedPromptCall']
class ExecuteOptions(TypedDict):
    deadline: float | None
    expect_version: ExpectedVersion | Unset
    headers: Mapping[str, str]
    idempotency_key: str
    max_response_bytes: int
    max_retries: int
    max_tokens: int | Unset
    model: str | Unset
    provider: str | Unset
    repair: int
    stop_sequences: Sequence[str] | Unset
    temperature: float | Unset
    timeout: float | None
    top_p: float | Unset
class PromptCall:
    def __init__(self, *, prompt_id: str | None, version: int | None, content: str, declared: Sequence[Mapping[str, object]] = (), variables: Mapping[str, object]) -> None: ...
    async def aexecute(self, client: AsyncEnprompta, **options: Unpack[ExecuteOptions]) -> Execution: ...
    content: str
    declared: Sequence[Mapping[str, object]]
    def execute(self, client: Enprompta, **options: Unpack[ExecuteOptions]) -> Execution: ...
    prompt_id: str | None
    def render(self) -> str: ...
    variables: Mapping[str, object]
    version: int | None
class TypedPromptCall(PromptCall, Generic[T]):
    def __init__(self, *, prompt_id: str | None, version: int | None, content: str, declared: Sequence[Mapping[str, object]] = (), variables: Mapping[str, object], output: type[T]) -> None: ...
    async def aexecute(self, client: AsyncEnprompta, **options: Unpack[ExecuteOptions]) -> TypedExecution[T]: ...
    def execute(self, client: Enprompta, **options: Unpack[ExecuteOptions]) -> TypedExecution[T]: ...
    output: type[T]
