"""Calls to the service: fetch all prompts, and create, update or delete one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from enprompta.cli.prompts_as_code.document import ALWAYS, OPTIONAL, Document, of_prompt
from enprompta.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from enprompta import Enprompta

_PAGE = 100


def fetch(client: Enprompta, known: Iterable[str]) -> dict[str, Document]:
    """Fetch every prompt that the credentials can see, oldest first, and the known ones that the list lacks."""
    prompts = {prompt.id: prompt for prompt in client.prompts.list(limit=_PAGE)}
    oldest = sorted(prompts.values(), key=lambda one: (one.created_at is None, one.created_at, one.id))
    documents = {prompt.id: of_prompt(prompt) for prompt in oldest}
    for prompt_id in known:
        if prompt_id not in documents:
            try:
                documents[prompt_id] = of_prompt(client.prompts.get(prompt_id))
            except NotFoundError:
                continue
    return documents


def create(client: Enprompta, wanted: Document, push: str, name: str) -> Document:
    """Create a prompt and return it as stored by the service."""
    return of_prompt(client.prompts.create(**_arguments(wanted), idempotency_key=_key(push, name, wanted)))


def update(client: Enprompta, wanted: Document, remote: Document, push: str) -> Document:
    """Send only the fields that differ, because sending a text creates a new version even if it is unchanged."""
    prompt_id = str(remote.id)
    changes = wanted.differs_from(remote)
    key = _key(push, f"{prompt_id} {remote.digest()}", wanted)
    return of_prompt(client.prompts.update(prompt_id, **_arguments(wanted, changes), idempotency_key=key))


def delete(client: Enprompta, prompt_id: str) -> None:
    """Delete a prompt; succeeds if it no longer exists."""
    try:
        client.prompts.delete(prompt_id)
    except NotFoundError:
        return


def _arguments(document: Document, names: Iterable[str] = (*ALWAYS, *OPTIONAL)) -> dict[str, Any]:
    fields = document.fields
    return {"team_id" if name == "teamId" else name: fields[name] for name in names if name in fields}


def _key(push: str, what: str, wanted: Document) -> str:
    """Derive an idempotency key that is the same each time the same step of a push is sent."""
    return hashlib.sha256(f"{push}\0{what}\0{wanted.digest()}".encode()).hexdigest()
