"""Snapshots of live prompts on disk, for programs that start while the service is unavailable.

There is one file per prompt, readable only by its owner. It is written to a temporary file, flushed to disk and
renamed, so a crash or power cut leaves either the old file or the new one intact. The first line names the format and
signs the rest with the client's secret: a damaged file, or one written by another account or program, is ignored.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from enprompta._common import log
from enprompta._common.clock import real_time
from enprompta.models.live_prompts import LivePrompt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from enprompta.cache.keys import PromptKey

_FORMAT = b"enprompta live prompt 1"
_MAX_BYTES = 33_554_432  # bytes read from a file; prompts of the service are far smaller


class Snapshot(NamedTuple):
    """The content of a snapshot file."""

    value: LivePrompt
    etag: str | None
    age: float
    """Seconds since the service confirmed that the prompt is live, by this machine's clock."""


class Disk:
    """A folder of snapshots, which several processes and accounts may share.

    Args:
        folder: The folder; created with mode 0700 when the first snapshot is written.
        account: The base URL and the identity of the credentials; each account sees only its own snapshots.
        secret: The key that signs the files.
        clock: Returns Unix seconds.
    """

    def __init__(self, folder: Path, account: str, secret: str, *, clock: Callable[[], float] = real_time) -> None:
        self.folder = folder
        self._account = account
        self._secret = hashlib.sha256(b"enprompta snapshots\0" + secret.encode()).digest()
        self._clock = clock

    def path(self, key: PromptKey) -> Path:
        """Return the file path of a prompt; a digest, because slugs and accounts are not valid file names."""
        text = json.dumps([self._account, *key])
        return self.folder / f"live-{hashlib.sha256(text.encode()).hexdigest()[:40]}.json"

    def load(self, key: PromptKey) -> Snapshot | None:
        """Read a snapshot; None if there is none, or, with a warning in the log, if it is not valid."""
        path = self.path(key)
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_BYTES)
                age = max(0.0, self._clock() - os.fstat(file.fileno()).st_mtime)
        except FileNotFoundError:
            return None
        except OSError as error:
            _warn("unreadable", path, error.strerror)
            return None
        head, _, body = content.partition(b"\n")
        if not hmac.compare_digest(head, self._head(body)):
            _warn("ignored", path, "damaged, in another format, or not signed with these credentials")
            return None
        try:
            cached = json.loads(body)
            if cached["key"] != list(key):
                _warn("ignored", path, "it belongs to another prompt")
                return None
            return Snapshot(LivePrompt.model_validate(cached["prompt"]), cached["etag"], age)
        except (ValueError, TypeError, KeyError, RecursionError, ValidationError):
            _warn("ignored", path, "the content is not a live prompt")
            return None

    def save(self, key: PromptKey, value: LivePrompt, etag: str | None) -> None:
        """Write a snapshot; a failure is logged and does not affect the caller."""
        path = self.path(key)
        temporary = path.with_name(f"{path.name}.{os.urandom(6).hex()}.tmp")
        try:
            prompt = value.model_dump(mode="json", by_alias=True, exclude_unset=True)
            body = json.dumps({"key": list(key), "etag": etag, "prompt": prompt}).encode()
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(self._head(body) + b"\n" + body)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
        except (OSError, ValueError) as error:  # a full disk, or a value that JSON cannot represent
            _warn("not_written", path, str(error))

    def record(self, key: PromptKey, value: LivePrompt, etag: str | None, *, is_new: bool) -> None:
        """Record that a prompt is live: write the snapshot if it is new, else only update its time."""
        now = self._clock()
        if not is_new:
            with suppress(OSError):  # the file was never written, or has been deleted
                os.utime(self.path(key), (now, now))
                return
        self.save(key, value, etag)

    def delete(self, key: PromptKey) -> None:
        """Delete the snapshot of a prompt that no longer exists."""
        path = self.path(key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _warn("not_removed", path, error.strerror)

    def _head(self, body: bytes) -> bytes:
        return _FORMAT + b" " + hmac.digest(self._secret, _FORMAT + b"\n" + body, "sha256").hex().encode()


def _warn(what: str, path: Path, why: str | None) -> None:
    log.event(logging.WARNING, f"live_snapshot_{what}", file=path.name, why=why)
