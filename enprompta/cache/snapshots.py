"""Snapshots of live prompts on disk: what a program that starts while the service is away can do with.

One file a prompt, readable by its owner alone. It is written beside its place, flushed to the disk and renamed, so
that a crash or a power cut leaves the old file or the new one, whole. Its first line names the format and signs the
rest with the client's secret, so what is damaged, of another account or written by somebody else is not believed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from enprompta._common import log
from enprompta._common.clock import real_time
from enprompta.models.prompts import LivePrompt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from enprompta.cache.keys import PromptKey

_FORMAT = b"enprompta live prompt 1"
_MOST = 33_554_432  # bytes that are read of a file; the service's prompts are far smaller


class Snapshot(NamedTuple):
    """What a file held."""

    value: LivePrompt
    etag: str | None
    age: float
    """Seconds since the service last said that this is what is live, by this machine's clock."""


class Disk:
    """A folder of snapshots, which any number of processes and accounts may share.

    Args:
        folder: Where; made, for its owner alone, when the first snapshot is written.
        account: The base URL and the credentials' identity: snapshots of others are not found.
        secret: What files are signed with.
        clock: Tells the time in Unix seconds.
    """

    def __init__(self, folder: Path, account: str, secret: str, *, clock: Callable[[], float] = real_time) -> None:
        self.folder = folder
        self._account = account
        self._secret = hashlib.sha256(b"enprompta snapshots\0" + secret.encode()).digest()
        self._clock = clock

    def path(self, key: PromptKey) -> Path:
        """Name the file of a prompt: a digest, for neither slugs nor accounts are file names."""
        text = json.dumps([self._account, *key])
        return self.folder / f"live-{hashlib.sha256(text.encode()).hexdigest()[:40]}.json"

    def load(self, key: PromptKey) -> Snapshot | None:
        """Read a snapshot; None when there is none, and, with a warning in the log, when it cannot be believed."""
        path = self.path(key)
        try:
            with path.open("rb") as file:
                content = file.read(_MOST)
                age = max(0.0, self._clock() - os.fstat(file.fileno()).st_mtime)
        except FileNotFoundError:
            return None
        except OSError as error:
            _warn("unreadable", path, error.strerror)
            return None
        head, _, body = content.partition(b"\n")
        if not hmac.compare_digest(head, self._head(body)):
            _warn("ignored", path, "damaged, of another format, or not signed with these credentials")
            return None
        try:
            held: Any = json.loads(body)
            if held["key"] != list(key):
                _warn("ignored", path, "it is of another prompt")
                return None
            return Snapshot(LivePrompt.model_validate(held["prompt"]), held["etag"], age)
        except (ValueError, TypeError, KeyError, RecursionError, ValidationError):
            _warn("ignored", path, "its content is not a live prompt")
            return None

    def save(self, key: PromptKey, value: LivePrompt, etag: str | None) -> None:
        """Write a snapshot; when that fails the log says so, and the prompt is given all the same."""
        path = self.path(key)
        beside = path.with_name(f"{path.name}.{os.urandom(6).hex()}.tmp")
        try:
            prompt = value.model_dump(mode="json", by_alias=True, exclude_unset=True)
            body = json.dumps({"key": list(key), "etag": etag, "prompt": prompt}).encode()
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(self._head(body) + b"\n" + body)
                    file.flush()
                    os.fsync(file.fileno())
                beside.replace(path)
            except BaseException:
                with suppress(OSError):
                    beside.unlink()
                raise
        except (OSError, ValueError) as error:  # a full disk, or a value that JSON cannot hold
            _warn("not_written", path, str(error))

    def keep(self, key: PromptKey, value: LivePrompt, etag: str | None, *, is_new: bool) -> None:
        """Note that this is what is live: write it when it is new, else only that it still is."""
        now = self._clock()
        if not is_new:
            with suppress(OSError):  # it was not written then, or was taken away since
                os.utime(self.path(key), (now, now))
                return
        self.save(key, value, etag)

    def forget(self, key: PromptKey) -> None:
        """Remove a snapshot of what is no more."""
        path = self.path(key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _warn("not_removed", path, error.strerror)

    def _head(self, body: bytes) -> bytes:
        return _FORMAT + b" " + hmac.digest(self._secret, _FORMAT + b"\n" + body, "sha256").hex().encode()


def _warn(what: str, path: Path, why: str | None) -> None:
    log.event(logging.WARNING, f"live_snapshot_{what}", file=path.name, why=why)
