"""OTLP ingest of the emulator: malformed, huge and odd requests are refused or read, and never a 500."""

from __future__ import annotations

import gzip
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from enprompta.emulator import Emulator
from enprompta.emulator.api.routes import ingest
from enprompta.emulator.ingest import otlp_protobuf
from tests.emulator.otlp import BODY, FULL, JSON, PATH, PROTOBUF, TRACE, any_value, as_protobuf, request, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def traces(client: httpx.Client) -> list[dict[str, Any]]:
    """All traces that are shown."""
    found: list[dict[str, Any]] = client.get("/traces").json()["data"]["traces"]
    return found


WRONG = [
    {"traceId": "00" * 16}, {"traceId": "ab"}, {"spanId": "00" * 8}, {"spanId": ""}, {"parentSpanId": "ab"},
    {"name": ""},
    {"startTimeUnixNano": "0"}, {"startTimeUnixNano": str(2**64 - 1)}, {"endTimeUnixNano": str(2**63)},
]  # fmt: skip


@pytest.mark.parametrize("encoding", [JSON, PROTOBUF])
def test_what_cannot_be_stored_is_counted(
    raw: Callable[..., httpx.Response], client: httpx.Client, encoding: str
) -> None:
    """Spans with wrong ids, names or times are rejected by number and reason; the others are stored."""
    document = request(span(FULL), *(span(FULL, **wrong) for wrong in WRONG))
    body = json.dumps(document).encode() if encoding == JSON else as_protobuf(document)
    response = raw(body, encoding)
    assert response.status_code == 200
    if encoding == JSON:
        partial = response.json()["partialSuccess"]
        rejected, message = int(partial["rejectedSpans"]), partial["errorMessage"]
    else:
        answer = ExportTraceServiceResponse.FromString(response.content)
        rejected, message = answer.partial_success.rejected_spans, answer.partial_success.error_message
    assert rejected == len(WRONG)
    assert "its trace id is not 16 bytes" in message
    assert len(traces(client)) == 1


MALFORMED = [
    b"{", b"[]", b"5", b"\xff", b'{"resourceSpans": 5}', b'{"resourceSpans": [5]}', b"[" * 100_000,
    b'{"resourceSpans": [{"resource": []}]}', b'{"a": "\\ud800"}', b"1" * 5000,
    *(
        json.dumps(request(span(**wrong))).encode()
        for wrong in (
            {"name": 5}, {"traceId": "xyz"}, {"startTimeUnixNano": "1.5"}, {"startTimeUnixNano": True},
            {"startTimeUnixNano": 10**30}, {"status": 5}, {"status": {"code": -1}}, {"events": {}},
            {"attributes": [{"key": "a", "value": 5}]},
            *(
                {"attributes": [{"key": "a", "value": value}]}
                for value in (
                    {"stringValue": 5}, {"boolValue": "true"}, {"intValue": "x"}, {"doubleValue": "x"},
                    {"doubleValue": 10**400}, {"bytesValue": "!"}, {"arrayValue": 5}, {"kvlistValue": {"values": [5]}},
                )
            ),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_json_is_a_400_in_json(raw: Callable[..., httpx.Response], body: bytes) -> None:
    """Whatever is wrong, the answer is a `google.rpc.Status` that says where."""
    response = raw(body, JSON)
    assert response.status_code == 400, response.text
    assert response.json()["code"] == 3
    assert response.json()["message"].startswith("Invalid OTLP request: ")


def nested(depth: int) -> dict[str, Any]:
    """Nest lists in an attribute."""
    value: dict[str, Any] = {"stringValue": "x"}
    for level in range(depth):
        name = "arrayValue" if level % 2 else "kvlistValue"
        value = {name: {"values": [value if level % 2 else {"key": "k", "value": value}]}}
    return request(span(FULL, attributes=[{"key": "a", "value": value}]))


def test_deeply_nested_and_malformed_values(raw: Callable[..., httpx.Response], client: httpx.Client) -> None:
    """Nesting up to the bound, bytes, odd numbers, unknown and empty values are stored; deeper nesting is a 400."""
    odd = [
        {"bytesValue": "AP8="}, {"doubleValue": "NaN"}, {"doubleValue": 1e400}, {"intValue": 5}, {"intValue": 5.0}, {},
        {"newValue": 1}, None, {"stringValue": None, "intValue": "7"}, {"boolValue": True},
    ]  # fmt: skip
    attributes = [{"key": f"k{at}", "value": value} for at, value in enumerate(odd)]
    attributes += [{"key": name, "value": any_value(value)} for name, value in FULL.items()]
    assert raw(json.dumps(nested(90)).encode(), JSON).status_code == 200
    assert raw(json.dumps(nested(150)).encode(), JSON).status_code == 400
    assert raw(as_protobuf(nested(20))).status_code == 200
    response = raw(json.dumps(request(span(attributes=attributes))).encode(), JSON)
    assert response.status_code == 200
    [found] = client.get(f"/traces/{TRACE}/spans").json()["data"]["spans"]
    kept = [found["metadata"][f"k{at}"] for at in range(len(odd))]
    assert kept == ["\0\ufffd", "NaN", "inf", 5, 5, None, None, None, 7, True]


def test_malformed_values_in_protobuf(raw: Callable[..., httpx.Response], client: httpx.Client) -> None:
    """Bytes, lists, odd numbers and empty values are stored as in JSON."""
    odd = [
        {"bytesValue": "AP8="}, {"doubleValue": "NaN"}, {"doubleValue": 1.5}, {},
        {"arrayValue": {"values": [{"intValue": 1}]}}, {"kvlistValue": {"values": [{"key": "a", "value": {}}]}},
    ]  # fmt: skip
    attributes = [{"key": f"k{at}", "value": value} for at, value in enumerate(odd)]
    attributes += [{"key": name, "value": any_value(value)} for name, value in FULL.items()]
    assert raw(as_protobuf(request(span(attributes=attributes)))).status_code == 200
    [found] = client.get(f"/traces/{TRACE}/spans").json()["data"]["spans"]
    assert [found["metadata"][f"k{at}"] for at in range(len(odd))] == ["\0\ufffd", "nan", 1.5, None, [1], {"a": None}]


def test_invalid_numbers_are_not_totals(send: Callable[..., dict[str, Any]], client: httpx.Client) -> None:
    """Negative, huge and boolean counts are ignored; totals without parts count."""
    odd = {"gen_ai.usage.input_tokens": -5, "gen_ai.usage.output_tokens": 2**62, "llm.cost.total": -1.0}
    send(span({**FULL, **odd, "gen_ai.request.temperature": True}))
    send(span({**FULL, "llm.token_count.total": 9}, traceId="ab" * 16))
    first, second = traces(client)[::-1]
    assert (first["totalTokens"], first["cost"], first["temperature"]) == (0, 0, None)
    assert second["totalTokens"] == 9


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        ((b"x" * (5 * 2**20), PROTOBUF, {}), 413, "larger than"),
        ((gzip.compress(b"\0" * (17 * 2**20)), PROTOBUF, {"Content_Encoding": "gzip"}), 413, "decompressed"),
        ((b"no gzip", PROTOBUF, {"Content_Encoding": "gzip"}), 400, "not valid gzip"),
        ((gzip.compress(BODY)[:-9], PROTOBUF, {"Content_Encoding": "gzip"}), 400, "not complete gzip"),
        ((BODY, PROTOBUF, {"Content_Encoding": "br"}), 415, "must be gzip"),
        ((BODY, "text/plain", {}), 415, "not text/plain"),
        ((BODY, "", {}), 415, "not absent"),
        ((BODY, PROTOBUF, {"Authorization": "Bearer wrong"}), 401, "Invalid API key"),
        ((b"{}", JSON, {"Authorization": "Bearer ep_test_free"}), 403, ""),
        ((b"\xff" * 50, PROTOBUF, {}), 400, "DecodeError"),
    ],
)  # fmt: skip
def test_refusals_are_in_the_encoding_of_the_request(
    raw: Callable[..., httpx.Response], sent: tuple[bytes, str, dict[str, str]], status: int, message: str
) -> None:
    """Each refusal is a `google.rpc.Status`, in protobuf for protobuf, else in JSON."""
    body, content_type, headers = sent
    response = raw(body, content_type, **headers)
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == (PROTOBUF if content_type == PROTOBUF else JSON)
    assert message.encode() in response.content
    if content_type == PROTOBUF:
        assert response.content[:1] == b"\x08"
    else:
        assert set(response.json()) == {"code", "message"}


def test_long_messages_are_valid_protobuf() -> None:
    """The length of a status's message takes as many bytes as it needs."""
    status = otlp_protobuf.status(3, "x" * 300)
    assert status == b"\x08\x03\x12\xac\x02" + b"x" * 300


def test_without_opentelemetry_proto_json_still_works(
    raw: Callable[..., httpx.Response], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protobuf is a 415 that names the package to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.trace.v1", None)
    response = raw(BODY)
    assert (response.status_code, b"pip install opentelemetry-proto" in response.content) == (415, True)
    assert raw(b"{}", JSON).status_code == 200


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[tuple[str, httpx.Client]]:
    """One emulator for all fuzzed requests."""
    with (
        Emulator() as emulator,
        httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {emulator.keys.pro}"}) as client,
    ):
        yield emulator.url.removesuffix("/api/v1") + PATH, client


NAMES = (
    "resourceSpans scopeSpans spans attributes key value arrayValue kvlistValue values stringValue intValue traceId "
    "name status code events resource"
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES.split()), inner),
    max_leaves=20,
)


@settings(
    max_examples=400 if os.environ.get("ENPROMPTA_LONG_TESTS") else 30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(body=st.binary(max_size=200), cut=st.integers(0, len(BODY)), at=st.integers(0, len(BODY) - 1), document=values)
def test_no_request_is_a_500(fuzzed: tuple[str, httpx.Client], body: bytes, cut: int, at: int, document: Any) -> None:
    """Random bytes, cut and spliced protobuf, and JSON of wrong shapes are 200 or 400."""
    address, client = fuzzed
    for content in (body, BODY[:cut], BODY[:at] + body + BODY[at + 1 :]):
        assert client.post(address, content=content, headers={"Content-Type": PROTOBUF}).status_code in {200, 400}
    content = json.dumps(document).encode()
    assert client.post(address, content=content, headers={"Content-Type": JSON}).status_code in {200, 400}


def test_statuses_have_codes() -> None:
    """Each status that ingest can have has its code of gRPC, by which clients decide to retry."""
    assert {ingest._RPC_CODES[status] for status in (429, 503)} == {8, 14}
