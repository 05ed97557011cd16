"""Without the extra, the import of `enprompta.tracing` says what to install."""

from __future__ import annotations

import importlib
import sys

import pytest

import enprompta.tracing


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("opentelemetry", r'pip install "enprompta\[tracing\]"'),
        ("opentelemetry.sdk", r'pip install "enprompta\[tracing\]"'),  # with the extra `otel` only
        ("enprompta.tracing.spans", "halted"),  # an error of another package is not explained away
    ],
)
def test_a_missing_package_names_the_extra(missing: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OpenTelemetry or its SDK, the error names the extra; any other missing package names itself."""
    loaded = enprompta.tracing
    for name in [name for name in sys.modules if f"{name}.".startswith(("enprompta.tracing.", f"{missing}."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=message) as caught:
        importlib.import_module("enprompta.tracing")
    assert str(caught.value.name).startswith(missing)
    assert enprompta.tracing is loaded
