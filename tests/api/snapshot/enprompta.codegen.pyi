__all__ = ['ExecuteOptions', 'PromptCall']
class ExecuteOptions(TypedDict):
    deadline: float | None
    headers: Mapping[str, str]
    idempotency_key: str
    max_retries: int
    max_tokens: int
    model: str
    provider: str
    stop_sequences: Sequence[str]
    temperature: float
    timeout: float | None
    top_p: float
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
