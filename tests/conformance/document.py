"""The API's document as a judge: what is wrong with a request, what is wrong with an answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from jsonschema import Draft202012Validator, FormatChecker

from tests.openapi_file import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

DOCUMENT = document()
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
JSON = "application/json"


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    id: str
    method: str
    path: str
    raw: dict[str, Any]

    @property
    def pattern(self) -> re.Pattern[str]:
        """A pattern for its paths, still quoted; parameters are groups."""
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path))


OPERATIONS = {
    operation["operationId"]: Operation(operation["operationId"], method.upper(), path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    """Follow `$ref` until there is none."""
    while "$ref" in node:
        target: Any = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def find(method: str, path: str) -> Operation:
    """Return the operation of a request; if two match, the one without parameters."""
    found = [it for it in OPERATIONS.values() if it.method == method and it.pattern.fullmatch(path)]
    assert found, f"{method} {path} is not in the document"
    return min(found, key=lambda it: it.path.count("{"))


def of(request: httpx.Request) -> Operation:
    """Return the operation of a request."""
    return find(request.method, request.url.raw_path.decode("ascii").partition("?")[0])


def problems_of_request(request: httpx.Request) -> list[str]:
    """List what the document has against a request, field names that it does not know included."""
    operation = of(request)
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    matched = operation.pattern.fullmatch(path)
    values: dict[str, dict[str, str]] = {
        "path": {name: unquote(value) for name, value in (matched.groupdict() if matched else {}).items()},
        "query": dict(parse_qsl(query, keep_blank_values=True)),
        "header": {
            name: request.headers[name] for name in ("Idempotency-Key", "If-None-Match") if name in request.headers
        },
    }
    found: list[str] = []
    for parameter in map(resolve, operation.raw.get("parameters", [])):
        given = values[parameter["in"]].pop(parameter["name"], None)
        if given is not None:
            found += errors(parameter["schema"], _typed(given, parameter["schema"]), parameter["name"])
        elif parameter.get("required"):
            found.append(f"{parameter['name']}: missing")
    found += [f"{name}: no such {place} parameter" for place, names in values.items() for name in names]
    if request.headers.get("Content-Type") != JSON:
        found.append("Content-Type: the reference requires it with every request")
    return [f"{operation.id}: {problem}" for problem in [*found, *_of_body(operation, request.content)]]


def problems_of_response(response: httpx.Response) -> list[str]:
    """List what the document has against an answer."""
    operation = of(response.request)
    known = operation.raw["responses"].get(str(response.status_code))
    if known is None:
        return [f"{operation.id}: it is not documented to answer {response.status_code}"]
    known, found = resolve(known), []
    for name, header in known.get("headers", {}).items():
        header = resolve(header)  # noqa: PLW2901 (the same thing, looked up)
        given = response.headers.get(name)
        if given is not None:
            found += errors(header["schema"], _typed(given, header["schema"]), name)
        elif header.get("required"):
            found.append(f"{name}: missing")
    if "content" not in known:
        found += ["it has a body"] if response.content else []
    elif response.headers.get("Content-Type") != JSON:
        found.append(f"Content-Type: it is {response.headers.get('Content-Type')}")
    else:
        found += errors(known["content"][JSON]["schema"], response.json(), "body")
    return [f"{operation.id}, {response.status_code}: {problem}" for problem in found]


def beyond(response: httpx.Response) -> list[str]:
    """List the fields of an answer that the document does not know: it lets them be, the emulator has none."""
    known = resolve(of(response.request).raw["responses"][str(response.status_code)])
    schema = known.get("content", {}).get(JSON, {}).get("schema")
    return [] if schema is None else list(unknown_fields(schema, response.json()))


def errors(schema: dict[str, Any], value: Any, where: str) -> list[str]:
    """List what a schema has against a value."""
    return [f"{where}{error.json_path[1:]}: {error.message}" for error in _validator(_key(schema)).iter_errors(value)]


def unknown_fields(schema: dict[str, Any], value: Any, where: str = "") -> Iterator[str]:
    """List the fields of a value that its schema does not name, where it names any."""
    if isinstance(value, list):
        items = {"allOf": [part["items"] for part in _parts(schema) if "items" in part]}
        for index, item in enumerate(value):
            yield from unknown_fields(items, item, f"{where}[{index}]")
    elif isinstance(value, dict) and (known := properties(schema)):
        for name, field in value.items():
            if name in known:
                yield from unknown_fields(known[name], field, f"{where}.{name}")
            else:
                yield f"{where}.{name}"


def properties(schema: dict[str, Any]) -> dict[str, Any]:
    """Gather the fields that a schema and its parts name, each with all that is said of it."""
    found: dict[str, Any] = {}
    for part in _parts(schema):
        for name, field in part.get("properties", {}).items():
            found[name] = {"allOf": [*found[name]["allOf"], field]} if name in found else {"allOf": [field]}
    return found


def _parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    schema = resolve(schema)
    yield schema
    for word in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(word, []):
            yield from _parts(part)


def _of_body(operation: Operation, content: bytes) -> list[str]:
    expected = operation.raw.get("requestBody")
    if not content:
        return ["body: missing"] if expected and expected["required"] else []
    if expected is None:
        return ["body: none is documented"]
    schema, value = expected["content"][JSON]["schema"], json.loads(content)
    return [*errors(schema, value, "body"), *(f"body{name}: no such field" for name in unknown_fields(schema, value))]


def _typed(text: str, schema: dict[str, Any]) -> Any:
    """Read a parameter or a header as the type that its schema asks for."""
    wanted = resolve(schema).get("type")
    if wanted == "boolean" and text in {"true", "false"}:
        return text == "true"
    return int(text) if wanted == "integer" and re.fullmatch(r"-?\d+", text) else text


def _key(schema: dict[str, Any]) -> str:
    return json.dumps(schema)


@cache
def _validator(key: str) -> Draft202012Validator:
    return Draft202012Validator(
        {**json.loads(key), "components": DOCUMENT["components"]}, format_checker=FormatChecker()
    )
