"""The prompts that the server offers, by their MCP names."""

from __future__ import annotations

import logging
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import anyio
import mcp_types as types

from enprompta import UNSET
from enprompta.mcp.arguments import arguments_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from enprompta import AsyncEnprompta
    from enprompta.mcp.options import ServerOptions
    from enprompta.models import Prompt

log: logging.Logger = logging.getLogger("enprompta.mcp")

PAGE_SIZE = 100  # prompts a request, the API's maximum, and prompts a page of `prompts/list`
MIN_AGE = 5.0  # seconds for which the list is not fetched again, however many clients list prompts
MISS_AGE = 30.0  # the same, for clients that name a prompt the list does not have
_LONGEST_NAME = 80
_EARLIEST = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One prompt under its MCP name."""

    name: str
    prompt: Prompt
    slug: str
    """The name to fetch its live version by."""

    def described(self) -> types.Prompt:
        """Describe the prompt for `prompts/list`."""
        prompt = self.prompt
        description = prompt.description or prompt.title  # some clients require one
        return types.Prompt(name=self.name, title=prompt.title, description=description, arguments=arguments_of(prompt))


class PromptCatalog:
    """Keeps the list of prompts, and counts its changes in `revision`."""

    def __init__(self, client: AsyncEnprompta, options: ServerOptions) -> None:
        self._client = client
        self._options = options
        self._entries: dict[str, CatalogEntry] = {}
        self._described: list[types.Prompt] | None = None
        self._fetched_at = 0.0
        self._lock = anyio.Lock()
        self._became_stale = anyio.Event()
        self.revision: int = 0
        """Grows whenever a refresh finds a list that differs from the one before."""

    @property
    def is_loaded(self) -> bool:
        """True once the list was fetched."""
        return self._described is not None

    async def refresh(self, max_age: float = MIN_AGE) -> None:
        """Fetch the list again unless it is at most `max_age` seconds old.

        Raises:
            APIError: The list cannot be fetched; the old one stays.
        """
        async with self._lock:
            if self.is_loaded and anyio.current_time() - self._fetched_at < max_age:
                return
            entries = named(await self._fetch())
            described = [entries[name].described() for name in sorted(entries)]
            if self._described is not None and described != self._described:
                self.revision += 1
            self._entries, self._described, self._fetched_at = entries, described, anyio.current_time()

    def mark_stale(self) -> None:
        """Fetch the list again when it is next needed, because this server has changed a prompt."""
        self._fetched_at = float("-inf")
        self._became_stale.set()

    async def wait_until_stale(self, seconds: float) -> None:
        """Wait for some seconds, or until `mark_stale` is called."""
        with anyio.move_on_after(seconds):
            await self._became_stale.wait()
        self._became_stale = anyio.Event()

    async def page(self, cursor: str | None) -> tuple[list[types.Prompt], str | None]:
        """Return a page of descriptions, sorted by name, and the cursor of the next page.

        The cursor is the last name of a page, so that changes of the list between two pages skip no other prompt.

        Raises:
            APIError: The list cannot be fetched.
        """
        if cursor is None or not self.is_loaded:
            await self.refresh()
        rest = [one for one in self._described or [] if cursor is None or one.name > cursor]
        return rest[:PAGE_SIZE], rest[PAGE_SIZE - 1].name if len(rest) > PAGE_SIZE else None

    async def find(self, reference: str) -> CatalogEntry | None:
        """Find a prompt by its MCP name, its id or its title; None when the list has no such prompt, or two.

        Raises:
            APIError: The list cannot be fetched.
        """
        for max_age in (float("inf"), MISS_AGE):  # a new prompt may have this name
            await self.refresh(max_age)
            if (entry := self._entries.get(reference)) is not None:
                return entry
            entries = self._entries.values()
            found = [entry for entry in entries if reference in {entry.prompt.id, entry.prompt.title}]
            if len(found) == 1:
                return found[0]
        return None

    async def id_of(self, reference: str) -> str:
        """Return the id of the prompt with this name, or the reference as it is: an id that the list does not have.

        Raises:
            APIError: The list cannot be fetched.
        """
        entry = await self.find(reference)
        return reference if entry is None else entry.prompt.id

    def name_of(self, prompt_id: str) -> str | None:
        """Return the MCP name of a prompt; None when it is not in the list, or the list is not loaded."""
        return next((entry.name for entry in self._entries.values() if entry.prompt.id == prompt_id), None)

    async def _fetch(self) -> list[Prompt]:
        options = self._options
        prompts: list[Prompt] = []
        pager = self._client.prompts.list(
            limit=PAGE_SIZE, category=options.category or UNSET, team_id=options.team_id or UNSET
        )
        async for prompt in pager:
            if len(prompts) == options.max_prompts:
                log.warning("The account has more than %d prompts; the rest is not offered", options.max_prompts)
                break
            prompts.append(prompt)
        return prompts


def named(prompts: Iterable[Prompt]) -> dict[str, CatalogEntry]:
    """Name every prompt by its slug, else by a slug of its title, with the end of its id where the name is taken."""
    entries: dict[str, CatalogEntry] = {}
    for prompt in sorted(prompts, key=_precedence):
        own = _own_slug(prompt)
        slug = own or slug_of(prompt.title)
        plain_id = re.sub(r"[^A-Za-z0-9]+", "", prompt.id)
        candidates = (slug or f"prompt-{plain_id[-6:]}", f"{slug or 'prompt'}-{plain_id[-6:]}", prompt.id)
        name = next((one for one in candidates if one not in entries), prompt.id)
        is_plain = bool(slug) and name == candidates[0]
        entries[name] = CatalogEntry(name, prompt, own or (name if is_plain else prompt.id))
    return entries


def slug_of(title: str) -> str:
    """Write a title in lower-case ASCII letters, digits, `-` and `_`; empty when nothing remains."""
    ascii_title = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", ascii_title).strip("-")[:_LONGEST_NAME].strip("-")


def _own_slug(prompt: Prompt) -> str | None:
    slug: object = getattr(prompt, "slug", None)  # not every service sends it
    return slug if isinstance(slug, str) and slug else None


def _precedence(prompt: Prompt) -> tuple[bool, datetime, str]:
    """Order prompts so that real slugs get their names first, then older prompts before newer ones."""
    created = prompt.created_at or _EARLIEST
    return _own_slug(prompt) is None, created if created.tzinfo else created.replace(tzinfo=timezone.utc), prompt.id
