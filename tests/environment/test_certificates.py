"""Certificates from the environment are used, or refused with the variable and the cure."""

from __future__ import annotations

import os
import ssl
import threading
from pathlib import Path
from typing import Any

import certifi
import httpx2
import pytest

from enprompta import AsyncEnprompta, ConfigurationError, Enprompta
from enprompta._http.route import certificates
from tests.faults.flavours import Caller, run
from tests.faults.server import FaultServer, certificate

API = "https://api.test/v1"
CLIENTS: Any = pytest.mark.parametrize(
    "make",
    [
        Enprompta,
        AsyncEnprompta,
        lambda **options: AsyncEnprompta(http_client="aiohttp", **options),
        lambda **options: Enprompta(http_client="httpx2", **options),
    ],
    ids=["sync", "async", "aiohttp", "httpx2"],
)


def hashed(folder: Path) -> Path:
    """Create a folder as `openssl rehash` does."""
    folder.mkdir()
    pem = certificate("trusted").read_text()
    (folder / "trusted.pem").write_text(pem)
    (folder / f"{subject_hash()}.0").write_text(pem)
    return folder


def subject_hash() -> str:
    """Return the name under which OpenSSL looks for the trusted certificate."""
    import subprocess

    command = ["openssl", "x509", "-hash", "-noout", "-in", str(certificate("trusted"))]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("library", [None, "aiohttp", "httpx2"])
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_of_the_environment(
    flavour: str, library: str | None, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A private certificate authority is trusted by every kind of client."""
    if library == "aiohttp" and flavour != "asyncio":
        pytest.skip("aiohttp runs on asyncio alone")
    value = certificate("trusted") if variable == "SSL_CERT_FILE" else hashed(tmp_path / "certificates")
    monkeypatch.setenv(variable, f"{value}{os.pathsep}{tmp_path}" if variable == "SSL_CERT_DIR" else str(value))

    async def scenario() -> None:
        options = {"http_client": library} if library else {}
        async with Caller(flavour, base_url=server.base_url, **options) as caller:
            assert (await caller.call("GET")).status_code == 200

    with FaultServer(tls="trusted") as server:
        run(flavour, scenario)


def _bad(kind: str, tmp_path: Path) -> tuple[str, Path]:
    """Create an unusable certificate; return the variable and its value."""
    path = tmp_path / kind
    pem = certificate("trusted").read_text()
    pem = pem[pem.index("-----BEGIN CERTIFICATE") :]
    contents = {
        "empty": b"",
        "garbage": b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n",
        "text": "żółw".encode(),
        "der": ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END CERTIFICATE-----") + 26]),
        "key": b"-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n",
    }
    if kind in contents:
        path.write_bytes(contents[kind])
    elif kind in {"folder", "bare folder"}:
        path.mkdir()
        (path / "trusted.pem").write_text(pem)
    elif kind == "file":
        path.write_text(pem)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "long name":
        path = tmp_path / ("x" * 300)
    elif kind == "hashed pipe":
        path.mkdir()
        os.mkfifo(path / f"{subject_hash()}.0")
    in_folder = kind in {"bare folder", "file", "no folder", "hashed pipe"}
    return ("SSL_CERT_DIR" if in_folder else "SSL_CERT_FILE"), path


@CLIENTS
@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("missing", "no such file"),
        ("folder", "is a folder: .*SSL_CERT_DIR"),
        ("empty", "is empty"),
        ("garbage", "holds no certificate in PEM form"),
        ("text", "holds no certificate in PEM form"),
        ("key", "holds no certificate in PEM form"),
        ("der", "is in DER form: .*openssl x509"),
        ("loop", "too many levels of symbolic links"),
        ("pipe", "is a pipe or a device"),
        ("device", "is a pipe or a device"),
        ("long name", "file name too long"),
        ("no folder", "names no folder"),
        ("file", "names no folder"),
        ("bare folder", "openssl rehash"),
        ("hashed pipe", "openssl rehash"),
    ],
)
def test_what_cannot_work(make: Any, kind: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The constructor refuses unusable certificates; clients of plain-http addresses need none."""
    variable, path = _bad(kind, tmp_path)
    monkeypatch.setenv(variable, str(path))
    with pytest.raises(ConfigurationError, match=problem) as caught:
        make(api_key="ep_x", base_url=API)
    assert str(caught.value).startswith(f"{variable}={path} ")
    assert f"unset {variable}" in str(caught.value)
    assert make(api_key="ep_x", base_url="http://127.0.0.1:9")


def test_a_file_that_holds_no_certificate_but_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file from which OpenSSL loads something else, such as revocations, is refused."""
    path = tmp_path / "revoked.pem"
    path.write_text("")
    monkeypatch.setattr(certificates.ssl, "create_default_context", lambda **_: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigurationError, match="holds no certificate"):
        Enprompta(api_key="ep_x", base_url=API)


@pytest.mark.parametrize("others", [{}, {"SSL_CERT_FILE": str(certificate("trusted"))}], ids=["alone", "beside"])
def test_a_key_log_that_cannot_be_written(
    others: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names `SSLKEYLOGFILE`, which Python reads itself."""
    for name, value in {**others, "SSLKEYLOGFILE": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=r"^SSLKEYLOGFILE=.* cannot be written \(is a directory\)"):
        Enprompta(api_key="ep_x", base_url=API)
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    assert Enprompta(api_key="ep_x", base_url=API)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@CLIENTS
@pytest.mark.parametrize("certificates_of", ["httpx", "a file", "a folder"])
def test_a_key_log_that_is_a_pipe(
    certificates_of: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL would wait until a program reads it."""
    if certificates_of == "a file":
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate("trusted")))
    elif certificates_of == "a folder":
        monkeypatch.setenv("SSL_CERT_DIR", str(hashed(tmp_path / "certificates")))
    path = tmp_path / "pipe"
    os.mkfifo(path)
    monkeypatch.setenv("SSLKEYLOGFILE", str(path))
    with pytest.raises(ConfigurationError, match=r"^SSLKEYLOGFILE=.* is a pipe: name another file, or unset it$"):
        make(api_key="ep_x", base_url=API)


def test_the_environment_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set or corrected after a first client applies to the next one."""
    first = certificates.trusted_certificates()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError):
        certificates.trusted_certificates()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate("trusted")))
    assert certificates.trusted_certificates() is certificates.trusted_certificates() is not first
    monkeypatch.delenv("SSL_CERT_FILE")
    assert certificates.trusted_certificates() is first


def bundle(tmp_path: Path, end: str = "") -> Path:
    """Write as many certificates as a system has, and the trusted one."""
    path = tmp_path / "bundle.pem"
    path.write_text(Path(certifi.where()).read_text() + certificate("trusted").read_text() + end)
    return path


@pytest.mark.parametrize("library", [None, "aiohttp"])
def test_a_large_file_is_loaded_in_a_thread(
    flavour: str, library: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The constructor does not wait for a bundle of certificates; the first call does."""
    if library and flavour != "asyncio":
        pytest.skip("aiohttp runs on asyncio alone")
    if library:
        pytest.importorskip(library)  # now, because aiohttp makes contexts while it is imported
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(tmp_path)))
    loaded: list[str] = []
    load = ssl.create_default_context

    def slowly(**options: Any) -> ssl.SSLContext:
        began.wait(5)
        loaded.append(threading.current_thread().name)
        return load(**options)

    began = threading.Event()
    monkeypatch.setattr(certificates.ssl, "create_default_context", slowly)

    async def scenario() -> None:
        options = {"http_client": library} if library else {}
        async with Caller(flavour, base_url=server.base_url, **options) as caller:
            assert not loaded
            began.set()
            assert (await caller.call("GET")).status_code == 200
            assert loaded == ["enprompta-certificates"]

    with FaultServer(tls="trusted") as server:
        run(flavour, scenario)


def test_a_large_file_that_is_damaged(flavour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damage that only loading the bundle shows is a ConfigurationError of each call until the file is repaired."""
    path = bundle(tmp_path, "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url) as caller:
            for _ in range(2):
                with pytest.raises(ConfigurationError, match=r"^SSL_CERT_FILE=.* holds no certificate in PEM form"):
                    await caller.call("GET")
            bundle(tmp_path)
            assert (await caller.call("GET")).status_code == 200

    with FaultServer(tls="trusted") as server:
        run(flavour, scenario)


def test_certificates_without_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, the first call loads the certificates."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(tmp_path)))
    assert certificates.trusted_certificates().context().cert_store_stats()["x509"] > 100


def test_certificates_of_certifi_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If certifi has lost its file, the error says so."""
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "missing.pem"))
    lost = certificates.TrustedCertificates(lambda: certificates._load("", "", "", "httpx"))
    lost.begin()
    with pytest.raises(ConfigurationError, match=r"that httpx trusts cannot be loaded .*install certifi again"):
        lost.context()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_fork_waits_until_certificates_are_loaded() -> None:
    """A child process never inherits the locks of a thread that is loading certificates."""
    done = threading.Event()

    def load() -> ssl.SSLContext:
        done.wait(5)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    loading = certificates.TrustedCertificates(load)
    loading.begin()
    timer = threading.Timer(0.05, done.set)
    timer.start()
    child = os.fork()
    if child == 0:
        os._exit(0 if loading._context is not None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    timer.join()


@pytest.mark.parametrize("make", [Enprompta, AsyncEnprompta])
def test_each_library_trusts_its_certificates(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a variable, httpx and aiohttp trust the certificates of certifi, httpx2 those of the system."""
    for name in certificates.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    contexts = {
        library: make(api_key="ep_x", base_url=API, http_client=library)._transport._route.tls
        for library in (None, "httpx2")
    }
    system = httpx2.create_ssl_context(trust_env=False)
    assert contexts["httpx2"].cert_store_stats() == system.cert_store_stats()
    certifi_count = Path(certifi.where()).read_text().count("BEGIN CERTIFICATE")
    assert contexts[None].cert_store_stats()["x509"] == certifi_count
