__all__ = ['CallEndRecord', 'CallRecord', 'Hooks', 'RecordHeaders', 'RequestRecord', 'ResponseRecord', 'RetryRecord', 'WaitRecord']
class CallEndRecord:
    def __init__(self, call: CallRecord, duration: float, attempts: tuple[Attempt, ...], error: str | None, error_type: str | None) -> None: ...
    attempts: tuple[Attempt, ...]
    call: CallRecord
    duration: float
    error: str | None
    error_type: str | None
class CallRecord:
    def __init__(self, call_id: int, method: str, path: str, url: str, body: bytes) -> None: ...
    body: bytes
    call_id: int
    method: str
    path: str
    url: str
class Hooks:
    def on_call_end(self, record: CallEndRecord, /) -> None: ...
    def on_call_start(self, record: CallRecord, /) -> None: ...
    def on_exposure(self, record: Exposure, /) -> None: ...
    def on_request(self, record: RequestRecord, /) -> Mapping[str, str] | None: ...
    def on_response(self, record: ResponseRecord, /) -> None: ...
    def on_retry(self, record: RetryRecord, /) -> None: ...
    def on_wait(self, record: WaitRecord, /) -> None: ...
class RecordHeaders(Mapping[str, str]):
    def __getitem__(self, name: str) -> str: ...
    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
class RequestRecord:
    def __init__(self, call_id: int, attempt: int, method: str, path: str, url: str, headers: Mapping[str, str], body: bytes) -> None: ...
    attempt: int
    body: bytes
    call_id: int
    headers: Mapping[str, str]
    method: str
    path: str
    url: str
class ResponseRecord:
    def __init__(self, request: RequestRecord, duration: float, status_code: int | None, error: str | None, error_type: str | None, request_id: str | None, headers: Mapping[str, str], body: bytes) -> None: ...
    body: bytes
    duration: float
    error: str | None
    error_type: str | None
    headers: Mapping[str, str]
    request: RequestRecord
    request_id: str | None
    status_code: int | None
class RetryRecord:
    def __init__(self, request: RequestRecord, wait: float, status_code: int | None, error: str) -> None: ...
    error: str
    request: RequestRecord
    status_code: int | None
    wait: float
class WaitRecord:
    def __init__(self, call_id: int, method: str, path: str, waited: float) -> None: ...
    call_id: int
    method: str
    path: str
    waited: float
