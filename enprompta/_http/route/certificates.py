"""Load the certificates that https connections trust: those of the HTTP library, or those set in the environment.

httpx and aiohttp trust the certificates of certifi, httpx2 those of the operating system.

SSL_CERT_FILE     a file of PEM certificates
SSL_CERT_DIR      one or more folders prepared by `openssl rehash`; used if SSL_CERT_FILE is not set
SSLKEYLOGFILE     a file to which Python writes TLS session keys, for debugging
"""

from __future__ import annotations

import os
import re
import ssl
import stat
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from weakref import WeakSet

from enprompta._common.forks import run_before_fork
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

_HASHED = r"[0-9a-f]{8}\.\d+"  # file names that OpenSSL looks up in a folder
VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


_SMALL = 16_384  # bytes of a file with at most ten certificates, which are loaded in a millisecond
_loading: WeakSet[Thread] = WeakSet()


class TrustedCertificates:
    """A TLS context that is loaded on first use, or before that in a thread.

    Args:
        load: Loads the context; raises ConfigurationError.
    """

    def __init__(self, load: Callable[[], ssl.SSLContext]) -> None:
        self._load = load
        self._thread: Thread | None = None
        self._context: ssl.SSLContext | None = None

    def begin(self) -> None:
        """Load in a thread: OpenSSL takes 20 to 90 ms and needs no Python, while a first call imports modules."""
        if self._thread is None:
            # Not a daemon: a program that ends must not unload OpenSSL while the thread uses it.
            thread = Thread(target=self._try, name="enprompta-certificates", daemon=False)
            with suppress(RuntimeError):  # no further thread can be started: `context` loads them
                thread.start()
                _loading.add(thread)
                self._thread = thread

    def _try(self) -> None:
        with suppress(ConfigurationError):  # `context` raises it
            self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """Return the context; wait until it is loaded.

        Raises:
            ConfigurationError: The certificates cannot be used.
        """
        if self._context is None and self._thread is not None:
            self._thread.join()
        if self._context is None:
            self._context = self._load()
        return self._context


def _finish_loading() -> None:
    """Wait until no thread is in OpenSSL, because a child process would inherit the locks that it holds."""
    for thread in list(_loading):
        thread.join()


run_before_fork(_finish_loading)


def trusted_certificates(library: str = "httpx") -> TrustedCertificates:
    """Return the trusted certificates, cached for each combination of the environment variables.

    Large files are loaded in a thread, and checked completely with the first call.

    Args:
        library: `httpx` or `httpx2`, whose certificates are trusted if no variable is set.

    Raises:
        ConfigurationError: A variable points to unusable certificates.
    """
    cert_file, cert_dir, key_log = (os.environ.get(name, "") for name in VARIABLES)
    if (mode := _mode(cert_file)) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        # Reading a pipe can wait forever, and a device may have no end.
        raise _unusable("SSL_CERT_FILE", cert_file, "is a pipe or a device")
    _check_key_log(key_log)
    found = _trusted(cert_file, cert_dir, key_log, library)
    if _is_bundle(cert_file) if cert_file else not cert_dir:
        found.begin()
    else:
        found.context()
    return found


def _is_bundle(path: str) -> bool:
    """True if a file holds so many certificates in PEM form that loading them takes long."""
    with suppress(OSError):
        content = Path(path).read_bytes()
        return len(content) > _SMALL and b"-----BEGIN CERTIFICATE-----" in content
    return False


@lru_cache(maxsize=4)
def _trusted(cert_file: str, cert_dir: str, key_log: str, library: str) -> TrustedCertificates:
    return TrustedCertificates(lambda: _load(cert_file, cert_dir, key_log, library))


@lru_cache(maxsize=1)
def no_certificates() -> TrustedCertificates:
    """Return a context without certificates, for http:// addresses."""
    return TrustedCertificates(lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def _load(cert_file: str, cert_dir: str, key_log: str, library: str) -> ssl.SSLContext:
    try:
        if cert_file:
            context = ssl.create_default_context(cafile=cert_file)
        elif cert_dir:
            context = ssl.create_default_context(capath=cert_dir)
        else:
            return _default_context(library)
    except OSError as error:  # an SSLError is one
        _check_key_log(key_log)
        if not (cert_file or cert_dir):
            raise ConfigurationError(
                f"the certificates that {library} trusts cannot be loaded ({_text(error)}): install certifi again, or "
                "set SSL_CERT_FILE"
            ) from None
        variable, value = ("SSL_CERT_FILE", cert_file) if cert_file else ("SSL_CERT_DIR", cert_dir)
        reason = _problem_of_file(cert_file, error) if cert_file else _text(error)
        raise _unusable(variable, value, reason) from None
    if cert_file and not context.cert_store_stats()["x509"]:
        raise _unusable("SSL_CERT_FILE", cert_file, "holds no certificate")
    if not cert_file:
        _check_folders(cert_dir)
    return context


def _default_context(library: str) -> ssl.SSLContext:
    if library == "httpx":
        import certifi  # noqa: PLC0415 (httpcore imports it with the first request, or this thread before that)

        return ssl.create_default_context(cafile=certifi.where())  # as httpx does, without importing it
    context: ssl.SSLContext = import_module(library).create_ssl_context(trust_env=False)
    return context


def _mode(path: str) -> int:
    """Return the kind of a file, as `stat` encodes it; 0 if there is none."""
    with suppress(OSError):
        return Path(path).stat().st_mode
    return 0


def _problem_of_file(path: str, error: OSError) -> str:
    if stat.S_ISDIR(_mode(path)):
        return "is a folder: name a file, or set SSL_CERT_DIR to a folder that `openssl rehash` has prepared"
    try:
        start = Path(path).read_bytes()[:1]
    except OSError as unreadable:
        return _text(unreadable)
    if not start:
        return "is empty"
    if start == b"\x30":  # the first byte of every DER certificate
        return "is in DER form: convert it to PEM with `openssl x509 -inform der`"
    return f"holds no certificate in PEM form ({_text(error)})"


def _check_folders(paths: str) -> None:
    """Reject folders without usable certificates, because OpenSSL reads them only during a handshake."""
    files: list[Path] = []
    is_any = False
    for folder in paths.split(os.pathsep):
        with suppress(OSError):
            files += Path(folder).iterdir()
            is_any = True
    if not is_any:
        raise _unusable("SSL_CERT_DIR", paths, "names no folder")
    if not any(re.fullmatch(_HASHED, file.name) and file.is_file() for file in files):
        raise _unusable("SSL_CERT_DIR", paths, "holds no certificate named by its hash: run `openssl rehash`")


def _check_key_log(path: str) -> None:
    """Reject a key log file that cannot be written; `ssl` raises the same errors for it as for certificates."""
    if path:
        if stat.S_ISFIFO(_mode(path)):  # OpenSSL would wait for a program that reads it
            raise _not_writable(path, "is a pipe")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).keylog_filename = path
        except OSError as error:
            raise _not_writable(path, f"cannot be written ({_text(error)})") from None


def _not_writable(path: str, problem: str) -> ConfigurationError:
    return ConfigurationError(f"SSLKEYLOGFILE={path} {problem}: name another file, or unset it")


def _text(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _unusable(variable: str, value: str, problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"{variable}={value} {problem}. Name certificates that exist, or unset {variable} to trust the usual ones"
    )
