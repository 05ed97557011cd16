"""Redaction: planted personal data and credentials reach nothing that is sent, whatever their disguise."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import re
import zlib
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags, TraceState

from enprompta import ConfigurationError
from enprompta.tracing.redaction import DROPPED, Redaction, documents
from tests.tracing.canaries import CANARIES, ENCODINGS, traces_of

if TYPE_CHECKING:
    from collections.abc import Callable

ACTIONS: list[dict[str, Any]] = [{"action": "mask"}, {"action": "hash", "hash_key": b"key"}, {"action": "drop"}]
CONTEXT = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1), trace_state=TraceState())


def span(**parts: Any) -> ReadableSpan:
    """Make a finished span."""
    given = {"name": "chat", "context": CONTEXT, "resource": Resource({}), "start_time": 1, "end_time": 2, **parts}
    return ReadableSpan(**given)


def sent(redaction: Redaction, **parts: Any) -> str:
    """Return the text of the span that is sent."""
    return str(encode_spans([redaction.redact_span(span(**parts))]))


@pytest.mark.parametrize("settings", ACTIONS, ids=lambda settings: settings["action"])
@pytest.mark.parametrize("kind", CANARIES)
def test_no_disguise_hides_a_canary(kind: str, settings: dict[str, Any]) -> None:
    """A value in any encoding, alone or in a sentence, is redacted; nothing of it is left."""
    redaction = Redaction(**settings)
    missed: list[str] = []
    for name, encode in ENCODINGS.items():
        try:
            planted = encode(CANARIES[kind])
        except UnicodeEncodeError:  # octal escapes have no such letters
            continue
        for text in (planted, f"Well, see {planted} for more"):
            if name in {"json", "json in json"} and text != planted:
                continue
            clean = redaction.redact_text(text)
            if planted in clean or any(one in clean for one in traces_of(CANARIES[kind])):
                missed.append(f"{name}: {text!r} -> {clean!r}")
    assert missed == []


def test_there_are_a_hundred() -> None:
    """Kinds and encodings make many more canaries than a hundred."""
    assert len(CANARIES) * len(ENCODINGS) > 900


PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "name": lambda text: {"name": text},
    "attribute": lambda text: {"attributes": {"input.value": text}},
    "attribute name": lambda text: {"attributes": {f"user.{text}": 1}},
    "attribute list": lambda text: {"attributes": {"list": ("a", text)}},
    "attribute json": lambda text: {"attributes": {"m": json.dumps([{"content": [{"text": text}], text: 1}])}},
    "event name": lambda text: {"events": [Event(text)]},
    "event attribute": lambda text: {"events": [Event("exception", {"exception.message": text})]},
    "stack trace": lambda text: {
        "events": [Event("exception", {"exception.stacktrace": f'Traceback:\n  File "x"\nValueError: {text}\n'})]
    },
    "link attribute": lambda text: {"links": [Link(CONTEXT, {"a": text})]},
    "status": lambda text: {"status": Status(StatusCode.ERROR, f"failed for {text}")},
    "resource": lambda text: {
        "resource": Resource({"host.name": text, "process.command_args": ["x", text]}, "https://a")
    },
    "scope": lambda text: {
        "instrumentation_scope": InstrumentationScope(text, text, "https://a", {"a": text}),
    },
}


@pytest.mark.parametrize("settings", ACTIONS, ids=lambda settings: settings["action"])
@pytest.mark.parametrize("place", PLACES)
def test_every_part_of_a_span_is_redacted(place: str, settings: dict[str, Any]) -> None:
    """Name, attributes, events, links, status, resource and scope are searched, and the original is unchanged."""
    redaction = Redaction(**settings)
    for canary in CANARIES.values():
        parts = PLACES[place](canary)
        assert all(one not in sent(redaction, **parts) for one in traces_of(canary)), canary


def test_trace_state_is_redacted() -> None:
    """The trace state of the span, its parent and its links is searched too."""
    context = SpanContext(
        1, 2, is_remote=True, trace_state=TraceState([("vendor", "jane.doe@example.com"), ("ok", "1")])
    )
    clean = Redaction().redact_span(span(context=context, parent=context, links=[Link(context)]))
    for one in (clean.context, clean.parent, clean.links[0].context):
        assert one is not None
        assert "jane" not in str(one.trace_state.to_header())
        assert one.trace_state.get("ok") == "1"


def halves(text: str, at: int) -> tuple[str, str]:
    """Cut a text in two."""
    return text[:at], text[at:]


SPLITS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "list": lambda parts: {"attributes": {"list": tuple(parts)}},
    "numbered attributes": lambda parts: {"attributes": {f"chunk.{at}": one for at, one in enumerate(parts)}},
    "unrelated attributes": lambda parts: {"attributes": dict(zip(("first", "then", "last"), parts, strict=False))},
    "messages": lambda parts: {
        "attributes": {f"llm.output_messages.{at}.message.content": one for at, one in enumerate(parts)}
    },
    "events": lambda parts: {"events": [Event("delta", {"index": 0, "content": one}) for one in parts]},
    "json deltas": lambda parts: {"attributes": {"d": json.dumps([{"delta": {"text": one}} for one in parts])}},
    "json strings in events": lambda parts: {
        "events": [Event("delta", {"body": json.dumps({"delta": {"content": one}})}) for one in parts]
    },
}
STRONG = [
    name for name in CANARIES if name.startswith(("email", "card", "iban", "key", "token", "phone international"))
]


@pytest.mark.parametrize("settings", ACTIONS, ids=lambda settings: settings["action"])
@pytest.mark.parametrize("how", SPLITS)
def test_split_values_are_found(how: str, settings: dict[str, Any]) -> None:
    """A value that is cut anywhere, in two or three, is redacted in each part."""
    redaction = Redaction(**settings)
    leaked: list[str] = []
    for name in STRONG if how == "unrelated attributes" else CANARIES:
        canary = CANARIES[name]
        for at in range(1, len(canary)):
            parts = list(halves(canary, at))
            kept = redaction.redact_span(span(**SPLITS[how](["Contact: " + parts[0], parts[1]])))
            texts = _texts(kept)
            rest = [part for part in parts if len(part) >= 8 and part.strip() == part and part in texts]
            # Between unrelated values, the rest of a key or address whose beginning was found may stay.
            if canary in texts or (rest and (how != "unrelated attributes" or "<" not in texts)):
                leaked.append(f"{name} at {at}: {texts}")
        third = len(canary) // 3
        if canary in _texts(
            redaction.redact_span(span(**SPLITS[how]([canary[:third], canary[third : 2 * third], canary[2 * third :]])))
        ):
            leaked.append(f"{name} in three")
    assert leaked == []


def _texts(clean: ReadableSpan) -> str:
    return json.dumps([dict(clean.attributes or {}), [dict(one.attributes or {}) for one in clean.events]], default=str)


def test_a_stream_beside_a_single_text() -> None:
    """A value that is split over one of several streams is found, if another stream has one part only."""
    parts = {"s.0.1": "4111 1111 ", "s.1.2": "tea", "s.2.1": "1111 1111"}
    clean = Redaction().redact_span(span(attributes=parts))
    assert clean.attributes == {"s.0.1": "<card>", "s.1.2": "tea", "s.2.1": "<card>"}


def test_interleaved_streams_are_joined_by_their_index() -> None:
    """Parts of two answers that alternate are joined each with its own, too."""
    events = [
        Event("delta", {"index": at % 2, "content": one})
        for at, one in enumerate(["jane@ex", "What", "ample.com", "?"])
    ]
    clean = Redaction().redact_span(span(events=events))
    assert [one.attributes["content"] for one in clean.events if one.attributes][::2] == ["<email>"] * 2


NAMED = {
    "password": "correct horse",
    "db.password": "x",
    "headers.Authorization": "Basic abc",
    "apiKey": "0",
    "x-api-key": "k",
    "user.clientSecret": "s",
    "access_token": "t",
    "set-cookie": "a=b",
    "cvv": 123,
    "user.phone": 5551234,
    "ssn": 536221234,
    "phoneNumber": "555 1234",
    "card": 4111111111111111,
    "amount": 4111111111111111.0,
}


def test_values_are_redacted_by_their_names() -> None:
    """A value with the name of a credential or a number is redacted whatever it looks like, in attributes and JSON."""
    clean = Redaction().redact_span(span(attributes={**NAMED, "j": json.dumps(NAMED)}))
    assert clean.attributes is not None
    assert all(str(clean.attributes[name]).startswith("<") for name in NAMED)
    assert all(str(one).startswith("<") for one in json.loads(str(clean.attributes["j"])).values())


TEXTS = {
    "password=hunter2": "password=<key>",
    "the password is hunter2!": "the password is <key>",
    '{"api_key": "anything at all"} trailing': '{"api_key": "<key>"} trailing',
    "Authorization: Bearer abcdefghijklmnop": "Authorization: Bearer <key>",
    "Authorization: Basic dXNlcjpwYXNz": "Authorization: Basic <key>",
    "postgres://app:s3cret@db/x": "postgres://<key>@db/x",
    "https://x/?sig=abcd1234&a=b": "https://x/?sig=<key>&a=b",
    "Cookie: session=1; user=2\nnext": "Cookie: <key>\nnext",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----.": "<key>.",
    "bot 123456789:AA" + "x" * 33: "bot <key>",
    "jane [at] example [dot] com": "<email>",
    "jane (at) example.com": "<email>",
    "jane at example dot com": "<email>",
    '"jane doe"@example.com': "<email>",
    "jane@[10.0.0.1]": "<email>",
    "my SSN is 536221234": "my SSN is <ssn>",
    "host ip-10-0-0-12.internal": "host <ip>.internal",
    "call me at 555 1234 now": "call me at <phone> now",
    "tel:5551234": "tel:<phone>",
    "::ffff:192.168.0.1 and fe80::1": "<ip> and <ip>",
    "2024 4111111111111111": "2024 <card>",
    "4111.1111.1111.1111": "<card>",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1": "<card>",
    "a de89370400440532013000 b": "a <iban> b",
    "\ufeffjane@exa\x00mple.com": "\ufeff<email>",
    "sk&#45;proj-Abc123def456Ghi789": "<key>",
    "jane\\N{COMMERCIAL AT}example.com \\N{NO SUCH} &nosuch; \\U00000041 \\u{110000}": (
        "<email> \\N{NO SUCH} &nosuch; \\U00000041 \\u{110000}"
    ),
    "jane@\\ud835\\udc1axample.com": "<email>",
    "jane=\r\n@example.com": "<email>",
    "<password>hunter2</password>": "<password><key></password>",
    "curl -u admin:hunter2pass https://x": "curl -u <key> https://x",
    "mysql --password Tr0ub4dor x": "mysql --password <key> x",
    "docker run -u 1000:1000 x": "docker run -u 1000:1000 x",
    "cvv: 123, my PIN is 4821": "cvv: <key>, my PIN is <key>",
    "Passwort: geheim123": "Passwort: <key>",
    "p\u0430ssword=hunter2": "p\u0430ssword=<key>",
    "\u043f\u0440\u0438\u0432\u0435\u0442": "\u043f\u0440\u0438\u0432\u0435\u0442",
    "jane @ example . com": "<email>",
    "user=0171 1234567 ok, ?id=2125551234": "user=<phone> ok, ?id=2125551234",
    "caf%C3%A9%FF%FE ok": "caf%C3%A9%FF%FE ok",
}


@pytest.mark.parametrize("text", TEXTS)
def test_texts(text: str) -> None:
    """Exactly the personal part of a text is replaced."""
    assert Redaction().redact_text(text) == TEXTS[text]


INNOCENT = [
    "",
    "Hello, world.",
    "std::vector<int> a::b::c",
    "10:15:30 on 2024-01-17T10:15:00Z",
    "v1.2.3.4 lodash@4.17.21",
    "0.4111111111111111",
    "1700000000000",
    "max_tokens=100",
    "token_count: 12",
    "The password must have 12 characters.",
    "12, 15, 16, 18, 20, 22, 24, 26",
    "123e4567-e89b-12d3-a456-426614174000",
    "international understanding",
    "5b8efff798038103d269b633813fc60c",
    "@types/node and @property",
    "pages 100-200, 1999-2024",
    "$1,234,567.89",
    "DE12 3456",
    "1111 1111 1111 1111",
    "user@localhost",
    "50% of 100%25",
    "C:\\new\\table",
    "a & b &amp; c",
    "x" * 5000,
    '{"token": "the", "logprob": -0.3}',
    "Basic understanding",
    "ISBN 978-3-16-148410-0",
    "3.14159265358979",
    "Dot at the end. At noon.",
    "written in 1955:: so",
    "2147483647",
    "[1, 2",
    '"',
    "::",
    "1::2::x",
    "2024-01-17 10:15",
    "bearer of bad news",
    "CVC in 2009, a pin in 1234 places",
    "meet @ noon. see you",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
]


@pytest.mark.parametrize("text", INNOCENT)
def test_innocent_texts_are_unchanged(text: str) -> None:
    """Versions, times, ids, prices, identifiers and prose are left alone, also in a span."""
    redaction = Redaction()
    assert redaction.redact_text(text) == text
    given = span(
        attributes={"a": text, "b": (1, 2), "c": True, "d": 1.5, "e": ("x", text)}, status=Status(StatusCode.OK)
    )
    assert redaction.redact_span(given).to_json() == given.to_json()


def test_what_is_switched_off_is_not_redacted() -> None:
    """Each kind has its switch."""
    nothing = Redaction(emails=False, phones=False, cards=False, ibans=False, ips=False, keys=False, ssns=False)
    for kind, canary in CANARIES.items():
        assert nothing.redact_text(canary) == canary
        assert nothing.redact_span(span(attributes={"password": canary, "a": (canary[:5], canary[5:])})).attributes == {
            "password": canary,
            "a": (canary[:5], canary[5:]),
        }, kind


def test_hashes_are_keyed_and_equal_for_equal_values() -> None:
    """One value in two disguises has one hash; another key makes another hash; none is of the value alone."""
    one, other = Redaction(action="hash", hash_key="a"), Redaction(action="hash", hash_key=b"b")
    hashes = {one.redact_text(text) for text in ("Jane@Example.com", "jane%40example.com", "jane\\u0040example.com")}
    assert len(hashes) == 1
    assert re.fullmatch(r"<email:[0-9a-f]{16}>", hashes.pop())
    assert one.redact_text("a@b.co") != other.redact_text("a@b.co")
    assert one.redact_text("4111 1111 1111 1111") == one.redact_text("4111-1111-1111-1111")
    assert "a'" not in repr(one)


def test_drop_drops_the_whole_value_and_no_other() -> None:
    """The text with a match is dropped, its neighbors stay, and no value becomes empty."""
    redaction = Redaction(action="drop")
    assert redaction.redact_text("mail jane@example.com") == DROPPED
    assert json.loads(redaction.redact_text('{"a": "jane@example.com", "b": "ok"}')) == {"a": DROPPED, "b": "ok"}


def test_rules() -> None:
    """A pattern's matches are redacted in every disguise; a function returns the redacted text."""
    redaction = Redaction(rules=[re.compile("Project X+"), re.compile("x?"), lambda text: text.replace("Jane", "J.")])
    assert redaction.redact_text("Jane of Project XX, Project%20X") == "J. of <redacted>, <redacted>"
    dropping = Redaction(action="drop", rules=[lambda text: text.replace("Jane", "J.")])
    assert [dropping.redact_text(text) for text in ("Jane", "John")] == [DROPPED, "John"]


def broken(_: str) -> str:
    """Fail, as a caller's rule may."""
    raise ValueError("rule")


class BrokenPattern:
    """Fails, as a pattern of another library may."""

    def finditer(self, _: str) -> Any:
        """Fail."""
        raise RuntimeError("pattern")


@pytest.mark.parametrize("rule", [broken, lambda _: None, BrokenPattern()])
def test_a_rule_that_fails_drops_the_value(rule: Any) -> None:
    """Nothing that a failed rule should have seen is sent, and it is counted."""
    redaction = Redaction(rules=[rule])
    assert redaction.redact_text("anything") == DROPPED
    assert redaction.failures == 1
    clean = redaction.redact_span(span(name="secret name", attributes={"a": "secret"}, events=[Event("secret event")]))
    assert "secret" not in str(encode_spans([clean]))
    assert redaction.failures > 1


def test_a_span_that_cannot_be_searched_is_sent_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails, the span keeps its ids and times and has no contents."""
    from enprompta.tracing import redaction as module

    redaction = Redaction()
    monkeypatch.setattr(module, "Forest", None)
    clean = redaction.redact_span(span(attributes={"a": "b"}, parent=CONTEXT))
    assert (clean.name, dict(clean.attributes or {}), clean.start_time) == (DROPPED, {}, 1)
    assert clean.context == CONTEXT
    assert redaction.redact_text("text") == DROPPED
    assert redaction.failures == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"action": "erase"}, "use 'mask', 'hash' or 'drop'"),
        ({"action": "hash"}, "needs hash_key="),
        ({"rules": ["text"]}, "a rule is a compiled pattern"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    """A setting that cannot work is a ConfigurationError that says what can."""
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        Redaction(**settings)


def test_copies_and_pickles() -> None:
    """A copy and an unpickled object redact in the same way; repr shows what is searched and no key."""
    redaction = Redaction(action="hash", hash_key="hidden", ips=False)
    for one in (copy.deepcopy(redaction), pickle.loads(pickle.dumps(redaction))):
        assert one.redact_text("a@b.co 10.0.0.1") == redaction.redact_text("a@b.co 10.0.0.1")
        assert repr(one) == "<Redaction hash emails phones cards ibans keys ssns>"


def test_the_depth_of_encodings_is_bounded() -> None:
    """Base64 is decoded five times, and nested escapes six times; what lies deeper is left alone."""
    redaction = Redaction()
    text = "jane@example.com"
    for depth in range(1, 7):
        text = base64.b64encode(text.encode()).decode()
        assert (redaction.redact_text(text) == "<email>") is (depth <= 5)
    escaped = "jane%40example.com"
    for depth in range(2, 8):
        first, code = ("%", "&#37;") if depth % 2 == 0 else ("&", "%26")
        escaped = escaped.replace(first, code, 1)
        assert (redaction.redact_text(escaped) == "<email>") is (depth <= 6)


def test_a_list_of_numbers_becomes_texts() -> None:
    """The elements of an attribute have one type, so the others are written as text beside a placeholder."""
    clean = Redaction().redact_span(span(attributes={"n": (4111111111111111, 5)}))
    assert clean.attributes == {"n": ("<card>", "5")}


def test_resources_are_redacted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spans of one provider share a redacted resource and scope; the memory for them is bounded."""
    monkeypatch.setattr("enprompta.tracing.redaction.MAX_SHARED", 2)
    redaction = Redaction()
    resource, scope = Resource({"host.name": "jane@example.com"}), InstrumentationScope("a")
    first, second = (redaction.redact_span(span(resource=resource, instrumentation_scope=scope)) for _ in range(2))
    assert first.resource is second.resource
    assert first.instrumentation_scope is scope
    for _ in range(5):
        redaction.redact_span(span(resource=Resource({"a": "b"}), instrumentation_scope=scope))
    assert len(redaction._known) <= 2


def test_long_names_and_values_are_not_cached() -> None:
    """Names of fields may be texts of any length; they are searched, and not kept, and neither are long values."""
    before = documents._read_known_name.cache_info().currsize
    long = "x" * 500
    redaction = Redaction()
    assert redaction.redact_text(json.dumps({f"{long} jane@example.com": 1})) == json.dumps({f"{long} <email>": 1})
    assert redaction.redact_text(json.dumps({f"{long}.password": "a"})) == json.dumps({f"{long}.password": "<key>"})
    assert redaction.redact_text("long " * 10) == "long " * 10
    assert documents._read_known_name.cache_info().currsize == before
    assert redaction._clean == {"a"}


def test_only_texts_without_a_match_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short texts recur; those in which nothing is found are remembered, up to a bound, and no others."""
    monkeypatch.setattr(documents, "MAX_CLEAN", 3)
    redaction = Redaction()
    for text in ("user", "j@example.com", "user", "assistant", "system"):
        assert redaction.redact_text(text) == ("<email>" if "@" in text else text)
    assert redaction._clean == {"user", "assistant", "system"}
    assert redaction.redact_text("tool") == "tool"
    assert redaction._clean == {"tool"}
    assert copy.copy(redaction)._clean == set()


def test_json_of_any_shape() -> None:
    """Repeated names, deep nesting, bytes, odd numbers and empty values are searched or kept."""
    redaction = Redaction()
    repeated = '{"a": "jane@example.com", "a": "x"}'
    assert "jane" not in redaction.redact_text(repeated)
    deep = "[" * 200 + '"jane@example.com"' + "]" * 200
    assert "jane" not in redaction.redact_text(deep)
    assert "jane" not in redaction.redact_text("[" * 100_000 + '"jane@example.com"')
    assert redaction.redact_text('""') == '""'
    assert (
        redaction.redact_text('{"n": 123456789012, "f": 1e300, "x": null}')
        == '{"n": 123456789012, "f": 1e300, "x": null}'
    )
    clean = redaction.redact_span(span(attributes={"b": b"jane@example.com", "c": (4111, 1111, 1111, 1111)}))
    assert "jane" not in str(clean.attributes)
    assert clean.attributes is not None
    huge = base64.b64encode(zlib.compress(b"\0" * 5_000_000)).decode()
    assert redaction.redact_text(f"data {huge}") == "<unreadable>"
    assert redaction.redact_text("[null, true, " + '"jane@example.com"]') == '[null, true, "<email>"]'
    assert "jane" not in str(redaction.redact_span(span(attributes={"o": {"jane@example.com"}})).attributes)  # a set
    numbered = {f"chunk.{at}": one for at, one in ((1, "ample.com"), (0, "jane@ex"))}
    assert "ample" not in str(redaction.redact_span(span(attributes=numbered)).attributes)
    assert redaction.redact_text("ABCDEFGHIJKLMNOP234567ABC") == "ABCDEFGHIJKLMNOP234567ABC"
    assert redaction.redact_text(base64.b64encode(b"\x1f\x8bnot gzip").decode()) == "H4tub3QgZ3ppcA=="
