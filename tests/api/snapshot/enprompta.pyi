__all__ = ['UNSET', 'APIConnectionError', 'APIError', 'APIResponse', 'APIResponseError', 'APIStatusError', 'APITimeoutError', 'AsyncEnprompta', 'AsyncPage', 'AsyncPager', 'Attempt', 'AuthenticationError', 'BadRequestError', 'Call', 'ConfigurationError', 'ConflictError', 'Enprompta', 'EnpromptaError', 'FieldError', 'InsufficientTokensError', 'InternalServerError', 'NotFoundError', 'OutputError', 'Page', 'PermissionDeniedError', 'RateLimit', 'RateLimitError', 'RequestOptions', 'Split', 'TemplateError', 'TemplateWarning', 'UnprocessableEntityError', 'Unset', 'VersionMismatchError', 'WebhookError', 'WebhookPayloadError', 'WebhookSignatureError', 'WorkflowFailedError', 'WriteOptions', '__version__']
UNSET: Final = Unset()
from enprompta.errors import APIConnectionError as APIConnectionError
from enprompta.errors import APIError as APIError
class APIResponse(Generic[T_co]):
    def __init__(self, data: T_co, status_code: int, headers: Mapping[str, str], request_id: str | None, rate_limit: RateLimit | None, attempts: tuple[Attempt, ...], content: bytes = b'') -> None: ...
    attempts: tuple[Attempt, ...]
    content: bytes
    data: T_co
    headers: Mapping[str, str]
    rate_limit: RateLimit | None
    request_id: str | None
    status_code: int
from enprompta.errors import APIResponseError as APIResponseError
from enprompta.errors import APIStatusError as APIStatusError
from enprompta.errors import APITimeoutError as APITimeoutError
class AsyncEnprompta:
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None: ...
    def __init__(self, *, api_key: str | None = None, client_id: str | None = None, client_secret: str | None = None, scopes: Sequence[str] | None = None, base_url: str | None = None, timeout: float | Unset | None = UNSET, deadline: float | Unset | None = UNSET, max_retries: int | None = None, max_wait: float | None = None, max_response_bytes: int | None = None, limiter: Limiter | Unset | None = UNSET, default_headers: Mapping[str, str] | None = None, hooks: Iterable[object] = (), cache_dir: str | PathLike[str] | None = None, http_client: httpx.AsyncClient | httpx2.AsyncClient | Literal['aiohttp', 'httpx2'] | None = None) -> None: ...
    account_key: str
    async def aclose(self) -> None: ...
    def add_hook(self, hook: object, /) -> None: ...
    base_url: str
    async def drive(self, steps: Steps[T], /) -> T: ...
    executions: Namespace[AsyncExecutions]
    def flow_steps(self, flow: Flow[T], /) -> Steps[T]: ...
    async def health(self, *, detailed: bool = False, **options: Unpack[RequestOptions]) -> Health: ...
    is_closed: bool
    limiter: Limiter | None
    live_cache: LiveCache
    prompt_versions: Versions
    prompts: Namespace[AsyncPrompts]
    rate_limit: RateLimit | None
    def remove_hook(self, hook: object, /) -> None: ...
    def repeating(self, call: Call[T], /) -> Callable[[bytes, str], Steps[Answered[T]]]: ...
    def reset_rate_limit(self) -> None: ...
    @overload
    async def run(self, call: Call[Page[T]], /) -> AsyncPage[T]: ...
    @overload
    async def run(self, call: Call[T], /) -> T: ...
    async def run(self, call: Call[Any], /) -> Any: ...
    async def run_flow(self, flow: Flow[T], /) -> T: ...
    @overload
    async def run_raw(self, call: Call[Page[T]], /) -> APIResponse[AsyncPage[T]]: ...
    @overload
    async def run_raw(self, call: Call[T], /) -> APIResponse[T]: ...
    async def run_raw(self, call: Call[Any], /) -> APIResponse[Any]: ...
    def settings_for(self, options: RequestOptions) -> Settings: ...
    teams: Namespace[AsyncTeams]
    templates: Namespace[AsyncTemplates]
    traces: Namespace[AsyncTraces]
    usage: Namespace[AsyncUsage]
    webhooks: Namespace[AsyncWebhooks]
    def with_options(self, *, timeout: float | Unset | None = UNSET, deadline: float | Unset | None = UNSET, max_retries: int | Unset = UNSET, max_response_bytes: int | Unset = UNSET, headers: Mapping[str, str] | Unset = UNSET) -> AsyncEnprompta: ...
    with_raw_response: AsyncRawEnprompta
    workflows: Namespace[AsyncWorkflows]
from enprompta.pagination import AsyncPage as AsyncPage
from enprompta.pagination import AsyncPager as AsyncPager
from enprompta.errors import Attempt as Attempt
from enprompta.errors import AuthenticationError as AuthenticationError
from enprompta.errors import BadRequestError as BadRequestError
class Call(Generic[T]):
    def __init__(self, method: str, path: str, returns: type[T], params: Mapping[str, object] | None = None, json: object = None, options: RequestOptions | None = None, enveloped: bool = True, within: str = '') -> None: ...
    enveloped: bool
    json: object
    method: str
    options: RequestOptions
    params: Mapping[str, object]
    path: str
    returns: type[T]
    within: str
from enprompta.errors import ConfigurationError as ConfigurationError
from enprompta.errors import ConflictError as ConflictError
class Enprompta:
    def __enter__(self) -> Self: ...
    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None: ...
    def __init__(self, *, api_key: str | None = None, client_id: str | None = None, client_secret: str | None = None, scopes: Sequence[str] | None = None, base_url: str | None = None, timeout: float | Unset | None = UNSET, deadline: float | Unset | None = UNSET, max_retries: int | None = None, max_wait: float | None = None, max_response_bytes: int | None = None, limiter: Limiter | Unset | None = UNSET, default_headers: Mapping[str, str] | None = None, hooks: Iterable[object] = (), cache_dir: str | PathLike[str] | None = None, http_client: httpx.Client | httpx2.Client | Literal['httpx2'] | None = None) -> None: ...
    account_key: str
    def add_hook(self, hook: object, /) -> None: ...
    base_url: str
    def close(self) -> None: ...
    def drive(self, steps: Steps[T], /) -> T: ...
    executions: Namespace[Executions]
    def flow_steps(self, flow: Flow[T], /) -> Steps[T]: ...
    def health(self, *, detailed: bool = False, **options: Unpack[RequestOptions]) -> Health: ...
    is_closed: bool
    limiter: Limiter | None
    live_cache: LiveCache
    prompt_versions: Versions
    prompts: Namespace[Prompts]
    rate_limit: RateLimit | None
    def remove_hook(self, hook: object, /) -> None: ...
    def repeating(self, call: Call[T], /) -> Callable[[bytes, str], Steps[Answered[T]]]: ...
    def reset_rate_limit(self) -> None: ...
    def run(self, call: Call[T], /) -> T: ...
    def run_flow(self, flow: Flow[T], /) -> T: ...
    def run_raw(self, call: Call[T], /) -> APIResponse[T]: ...
    def settings_for(self, options: RequestOptions) -> Settings: ...
    teams: Namespace[Teams]
    templates: Namespace[Templates]
    traces: Namespace[Traces]
    usage: Namespace[Usage]
    webhooks: Namespace[Webhooks]
    def with_options(self, *, timeout: float | Unset | None = UNSET, deadline: float | Unset | None = UNSET, max_retries: int | Unset = UNSET, max_response_bytes: int | Unset = UNSET, headers: Mapping[str, str] | Unset = UNSET) -> Enprompta: ...
    with_raw_response: RawEnprompta
    workflows: Namespace[Workflows]
from enprompta.errors import EnpromptaError as EnpromptaError
from enprompta.errors import FieldError as FieldError
from enprompta.errors import InsufficientTokensError as InsufficientTokensError
from enprompta.errors import InternalServerError as InternalServerError
from enprompta.errors import NotFoundError as NotFoundError
from enprompta.errors import OutputError as OutputError
from enprompta.pagination import Page as Page
from enprompta.errors import PermissionDeniedError as PermissionDeniedError
from enprompta.errors import RateLimit as RateLimit
from enprompta.errors import RateLimitError as RateLimitError
class RequestOptions(TypedDict):
    deadline: float | None
    headers: Mapping[str, str]
    max_response_bytes: int
    max_retries: int
    timeout: float | None
class Split:
    def __hash__(self) -> int: ...
    def __init__(self, weights: Mapping[str, float], *, unit: str | int | UUID, salt: str | None = None) -> None: ...
    def choose(self, slug: str = '') -> str: ...
    salt: str | None
    unit: str
    weights: Mapping[str, float]
from enprompta.errors import TemplateError as TemplateError
from enprompta.errors import TemplateWarning as TemplateWarning
from enprompta.errors import UnprocessableEntityError as UnprocessableEntityError
class Unset:
    def __bool__(self) -> bool: ...
from enprompta.errors import VersionMismatchError as VersionMismatchError
from enprompta.errors import WebhookError as WebhookError
from enprompta.errors import WebhookPayloadError as WebhookPayloadError
from enprompta.errors import WebhookSignatureError as WebhookSignatureError
from enprompta.errors import WorkflowFailedError as WorkflowFailedError
class WriteOptions(RequestOptions):
    idempotency_key: str
