"""The patch for httpx's transports says when it finds nothing to patch."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import httpx
import httpx2
import pytest

from enprompta import AsyncEnprompta, Enprompta
from enprompta._http.senders.patch_client import patch_client_transport


class Wrapper(httpx.BaseTransport):
    """A transport that wraps two others, such as a cache with a fallback."""

    def __init__(self, *inner: httpx.BaseTransport) -> None:
        self.first, self.second = inner


def logged(transport: Any, caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """Return what patching a transport logs."""
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "enprompta"):
        patch_client_transport(transport)
    return [(record.levelno, record.getMessage()) for record in caplog.records]


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_an_unknown_httpx_is_a_warning(library: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A transport of httpx without the private attributes is a warning; a custom transport is a debug message."""
    for kind in (library.HTTPTransport, library.AsyncHTTPTransport):
        transport = kind()
        assert logged(transport, caplog) == []
        transport._pool = SimpleNamespace()  # as in a version of httpx that renames the attribute of the pool
        expected = f"transport_not_patched transport={kind.__name__}"
        assert logged(transport, caplog) == [(logging.WARNING, expected)]
    custom = library.MockTransport(lambda _: library.Response(200))
    assert logged(custom, caplog) == [(logging.DEBUG, "transport_not_patched transport=MockTransport")]


def test_every_wrapped_transport_is_patched(caplog: pytest.LogCaptureFixture) -> None:
    """A wrapper counts as patched if one transport in it is, and all of them are."""
    inner = httpx.HTTPTransport(), httpx.HTTPTransport()
    before = [one._pool._network_backend for one in inner]  # type: ignore[attr-defined]
    assert logged(Wrapper(*inner), caplog) == []
    after = [one._pool._network_backend for one in inner]  # type: ignore[attr-defined]
    assert all(new is not old for new, old in zip(after, before, strict=True))


@pytest.mark.parametrize(("kind", "http"), [(Enprompta, httpx.Client), (AsyncEnprompta, httpx.AsyncClient)])
def test_clients_patch_without_a_warning(kind: Any, http: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The installed httpx has the attributes that the patch needs; a mount without a transport uses the default one."""
    with caplog.at_level(logging.WARNING, "enprompta"):
        kind(api_key="ep_x", http_client=http(mounts={"all://localhost": None}))
    assert caplog.records == []
