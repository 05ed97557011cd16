"""Send trace data with the credentials and settings of a client, on separate connections."""

from __future__ import annotations

import encodings.idna
from concurrent import futures
from typing import TYPE_CHECKING

from enprompta._client.async_client import AsyncEnprompta
from enprompta._client.base_client import BaseClient
from enprompta._client.checks import library_for
from enprompta._common import json_reading
from enprompta._core import body
from enprompta._core.call import Call
from enprompta._http.drivers import SyncDriver
from enprompta._http.exchange import Exchange
from enprompta._http.senders import connection_pool, deadline_streams
from enprompta.limiters.interface import NoLimiter

# Loaded here and not by the export thread: a fork while that thread imports would leave their locks held in the child.
_USED_BY_THE_FIRST_REQUEST = (body, connection_pool, deadline_streams, encodings.idna, futures, json_reading)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta._core.steps import HttpReply, Steps


class IngestClient(BaseClient):
    """Posts bytes without the rate limit, without hooks and without retries, from any thread.

    It keeps working after the client it was made from is closed. A blocking client's `http_client` is used for this
    too; that of an async client cannot be used in a thread, so connections with the client's other settings are opened.

    Args:
        client: A client of either kind.
    """

    def __init__(self, client: BaseClient) -> None:
        self.__dict__.update(client.__dict__)
        self._http_client = None if isinstance(client, AsyncEnprompta) else self._http_client
        self._library = library_for(self._http_client, "Client")
        self._hooks = []
        self._account = NoLimiter()
        self._use(self._settings.override({"max_retries": 0}))
        self._transport = SyncDriver(self._http_client, self._auth, self.base_url)

    def post(self, path: str, content: bytes, headers: Mapping[str, str], *, seconds: float) -> HttpReply:
        """Send a POST request once; a rejected OAuth2 token is renewed.

        Args:
            path: The path, relative to the API root if it begins with `/api/`.
            content: The body.
            headers: Headers to add, such as the type of the body.
            seconds: Deadline for the request, with its token and its response.

        Raises:
            APIError: The response is not 2xx, or did not arrive in time.
        """
        return self._transport.run(self._post(path, content, headers, seconds))

    def _post(self, path: str, content: bytes, headers: Mapping[str, str], seconds: float) -> Steps[HttpReply]:
        settings = self._settings.override({"deadline": seconds})
        url = self._url(Call("POST", path, type(None)))
        request = self._request("POST", url, content, settings)
        request.headers.update(headers)
        return Exchange(request, f"POST {path}", self._plan_for(settings)).steps()

    def close(self) -> None:
        """Close the connections, unless they belong to the caller's `http_client`."""
        self._transport.close()
