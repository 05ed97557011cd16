__all__ = ['MAX_BODY_BYTES', 'Exchange', 'ExchangeFilter', 'ExchangeLog', 'TimelineEvent']
MAX_BODY_BYTES = 32 * 1024
class Exchange:
    def __init__(self, id: int, at: float, method: str, path: str, query: str = '', status: int | None = None, ms: float = 0.0, program: str = '', request_id: str | None = None, error_code: str | None = None, error: str | None = None, source: Source = 'emulator', call: str | None = None, attempt: int = 1, request_headers: Headers = (), request_body: bytes = b'', request_size: int = 0, response_headers: Headers = (), response_body: bytes = b'', response_size: int = 0, timeline: tuple[TimelineEvent, ...] = ()) -> None: ...
    at: float
    attempt: int
    call: str | None
    error: str | None
    error_code: str | None
    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Exchange: ...
    id: int
    is_error: bool
    method: str
    ms: float
    path: str
    program: str
    query: str
    request_body: bytes
    request_headers: Headers
    request_id: str | None
    request_size: int
    response_body: bytes
    response_headers: Headers
    response_size: int
    source: Source
    status: int | None
    timeline: tuple[TimelineEvent, ...]
    def to_json(self) -> dict[str, Any]: ...
class ExchangeFilter:
    def __init__(self, status: str = '', path: str = '', request_id: str = '', text: str = '') -> None: ...
    def matches(self, exchange: Exchange) -> bool: ...
    path: str
    request_id: str
    status: str
    text: str
class ExchangeLog:
    def __init__(self, *, max_exchanges: int = MAX_EXCHANGES, max_bytes: int = MAX_BYTES) -> None: ...
    def __len__(self) -> int: ...
    def add(self, exchange: Exchange, *, secrets: Iterable[str] = ()) -> Exchange: ...
    def add_events(self, call: str, attempt: int, events: Iterable[TimelineEvent]) -> None: ...
    def attempts_of(self, exchange: Exchange) -> list[Exchange]: ...
    def changes(self, after: int, *, limit: int = 500) -> tuple[int, list[Exchange]]: ...
    def clear(self) -> None: ...
    def get(self, exchange_id: int) -> Exchange | None: ...
    revision: int
    def search(self, conditions: ExchangeFilter | None = None, *, limit: int | None = None, offset: int = 0) -> list[Exchange]: ...
    size: int
    def subscribe(self, listener: Callable[[Exchange], object]) -> Callable[[], None]: ...
class TimelineEvent:
    def __init__(self, kind: Literal['wait', 'request', 'response', 'retry'], at: float, seconds: float = 0.0, text: str = '') -> None: ...
    at: float
    kind: Literal['wait', 'request', 'response', 'retry']
    seconds: float
    text: str
