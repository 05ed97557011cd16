"""Choose the trusted certificates and the proxy for a base URL."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from enprompta._http.route.certificates import no_certificates, trusted_certificates

if TYPE_CHECKING:
    import ssl

    from enprompta._http.route.certificates import TrustedCertificates
    from enprompta._http.route.proxies import Proxy

_TLS_WITHIN_TLS = sys.version_info >= (3, 11)  # asyncio, which aiohttp uses, supports it from 3.11 on
_LONGEST_SOCKS_FIELD = 255  # bytes of a user name or password (RFC 1929, 2)


class Route:
    """The trusted certificates and the proxy for connections to one base URL."""

    def __init__(self, certificates: TrustedCertificates, proxy: Proxy | None) -> None:
        self.certificates, self.proxy = certificates, proxy

    @property
    def tls(self) -> ssl.SSLContext:
        """The TLS context; waits until its certificates are loaded.

        Raises:
            ConfigurationError: The certificates cannot be used.
        """
        return self.certificates.context()


def route_to(base_url: str, http_client: object = None) -> Route:
    """Read the route from the environment.

    Args:
        base_url: The checked base URL of a client.
        http_client: Name of the HTTP library; None for httpx.

    Raises:
        ConfigurationError: The environment configures a proxy or certificates that cannot be used.
    """
    if base_url.startswith("http://"):  # this machine: no proxy and no certificates
        return Route(no_certificates(), None)
    proxy = None
    if _names_proxies():
        from enprompta._http.route.proxies import proxy_for  # noqa: PLC0415 (most programs have no proxy)

        proxy = proxy_for(base_url)
    if proxy is not None:
        _check_library(proxy, http_client)
        import_module("httpx")  # requests through a proxy are those of httpx
    return Route(trusted_certificates("httpx2" if http_client == "httpx2" else "httpx"), proxy)


def _names_proxies() -> bool:
    """True if the environment may name a proxy; importing the rules takes longer than all the rest of a client."""
    has_system_settings = sys.platform in {"darwin", "win32"}
    return has_system_settings or any(name.lower().endswith("_proxy") for name in os.environ)


def _check_library(proxy: Proxy, http_client: object) -> None:
    """Reject a proxy that the HTTP library does not support."""
    if http_client == "aiohttp":
        if proxy.is_socks:
            problem = f"names a SOCKS proxy ({proxy.url}), which aiohttp does not support"
            raise proxy.unusable(f'{problem}: leave out http_client="aiohttp", or use an HTTP proxy')
        if proxy.scheme == "https" and not _TLS_WITHIN_TLS:
            problem = f"names a proxy with https:// ({proxy.url}), which aiohttp supports from Python 3.11 on"
            raise proxy.unusable(f'{problem}: leave out http_client="aiohttp", or use http://')
    if not proxy.is_socks:
        return
    if find_spec("socksio") is None:
        raise proxy.unusable(
            f"names a SOCKS proxy ({proxy.url}), which needs the package socksio: "
            'pip install "enprompta[socks]", or use an HTTP proxy'
        )
    if any(len(text.encode()) > _LONGEST_SOCKS_FIELD for text in proxy.auth or ()):
        raise proxy.unusable("holds a user name or password of more than 255 bytes, which SOCKS cannot send")
