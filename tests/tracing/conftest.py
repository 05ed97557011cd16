"""A receiver, a client of it and a tracer of that client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from enprompta import Enprompta
from enprompta.tracing import Tracing
from tests.tracing.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that accepts everything."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def client(receiver: Receiver) -> Iterator[Enprompta]:
    """A client of the receiver."""
    with Enprompta(api_key="ep_test_123456", base_url=receiver.base_url, limiter=None) as client:
        yield client


@pytest.fixture
def tracing(client: Enprompta) -> Iterator[Tracing]:
    """A tracer that sends when it is flushed."""
    with Tracing(client, service_name="shop", interval=60) as tracing:
        yield tracing
