"""Signals that stop a command which serves."""

from __future__ import annotations

import os
import signal

import pytest

from enprompta.cli.signals import exits_at_once, exits_on_sigterm


def test_sigterm_exits_with_0() -> None:
    """SIGTERM raises `SystemExit(0)`, Ctrl-C still raises `KeyboardInterrupt`, and the handler is put back."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, exits_on_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 0
    with pytest.raises(KeyboardInterrupt), exits_on_sigterm():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_exit_without_cleaning_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the process with 130, SIGTERM with 0."""
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    with exits_at_once():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert statuses == [130, 0]
