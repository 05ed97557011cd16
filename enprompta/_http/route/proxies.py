"""Find the proxy that the environment configures for a URL, with the same rules for every HTTP library.

    HTTPS_PROXY, https_proxy     the proxy for https URLs; the lower-case name wins
    ALL_PROXY, all_proxy         the proxy if HTTPS_PROXY is not set
    NO_PROXY, no_proxy           hosts to connect to directly; see `is_exempt`

An http:// base URL is always on this machine and never uses a proxy, which would see the API key.
"""

from __future__ import annotations

import ipaddress
import os
import re
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from unicodedata import normalize
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

import httpx

from enprompta._common.handler_errors import ignoring
from enprompta._common.hosts import is_host, parsed_address
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCHEMES = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""Supported proxy schemes and their default ports."""
_LAST_PORT = 65_535
_SYSTEM = "the proxy settings of this system"
_EXAMPLE = "http://proxy.example:3128"
_URL = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*)://(?P<rest>.*)", re.ASCII | re.DOTALL)
_PORT = re.compile(r"(?P<host>.*?):(?P<port>\d{1,9})", re.ASCII | re.DOTALL)  # `int` refuses thousands of digits
_BRACKETS = re.compile(r"\[(?P<address>[^\]]*)\](?P<length>/\d+)?(?::(?P<port>\d{1,9}))?", re.ASCII)
_MAPPED_BITS = 96  # bits before the IPv4 address in an IPv6 address such as ::ffff:10.0.0.1


@dataclass(frozen=True, slots=True)
class Proxy:
    """A validated proxy."""

    scheme: str
    """`http`, `https`, `socks5` or `socks5h`."""
    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)
    variable: str = ""
    """Environment variable that configures it, for messages."""

    @property
    def url(self) -> str:
        """The URL without user name and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_socks(self) -> bool:
        """True for a SOCKS proxy, False for an HTTP proxy."""
        return self.scheme.startswith("socks")

    @property
    def auth(self) -> tuple[str, str] | None:
        """User name and password; None if the proxy URL has none."""
        return None if self.username is None else (self.username, self.password)

    @property
    def basic(self) -> str:
        """User name and password in the form of HTTP Basic authentication."""
        return b64encode(f"{self.username}:{self.password}".encode()).decode()

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets to redact: the password, plain and as it is sent."""
        return (self.password, self.basic) if self.password else ()

    def unusable(self, problem: str) -> ConfigurationError:
        """Return the error for a proxy that the HTTP library cannot use."""
        return unusable(self.variable, problem)

    def __str__(self) -> str:
        return f"{self.url} ({self.variable})"


def proxy_for(url: str) -> Proxy | None:
    """Find the proxy for a client's base URL; None for a direct connection.

    Raises:
        ConfigurationError: The proxy cannot be used. The message names the variable and never shows credentials.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    found = {name: value for name, value in getproxies().items() if value.strip()}
    value = found.get("https") or found.get("all")
    if parts.scheme != "https" or value is None:
        return None
    scheme = "https" if found.get("https") else "all"
    if getproxies_environment():
        if is_exempt(host, port, found.get("no", "")):
            return None
    elif proxy_bypass(host):  # macOS and Windows have such a list in their settings
        return None
    return _parsed(value.strip(), _variable(os.environ, f"{scheme}_proxy", value))


def _variable(environ: Mapping[str, str], name: str, value: str) -> str:
    """Find the variable that holds a value; its name may be in any case."""
    return next((key for key, held in environ.items() if key.lower() == name and held == value), _SYSTEM)


def _parsed(text: str, variable: str) -> Proxy:
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # bytes that are not UTF-8
        raise unusable(variable, "is not UTF-8: percent-encode such characters, as in %FF")
    match = _URL.fullmatch(text)
    scheme, rest = (match["scheme"].lower(), match["rest"]) if match else ("http", text)
    if scheme not in _SCHEMES:
        raise unusable(
            variable, f"names a proxy of the unknown kind {scheme}://: use http://, https://, socks5:// or socks5h://"
        )
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in rest and "@" not in authority:
        raise unusable(
            variable, "holds a user name or password with one of the characters / ? #: write them as %2F, %3F and %23"
        )
    userinfo, at, address = authority.rpartition("@")
    host, port = _host_and_port(address, scheme, variable)
    username, _, password = userinfo.partition(":")
    if host in _SCHEMES:  # "http:/proxy" and "http//proxy"
        raise unusable(variable, f"lacks a part of its scheme: write it as {_EXAMPLE}")
    return Proxy(scheme, host, port, unquote(username) if at else None, unquote(password), variable)


def _host_and_port(address: str, scheme: str, variable: str) -> tuple[str, int]:
    match = _PORT.fullmatch(address)
    host, port = (match["host"], int(match["port"])) if match else (address.removesuffix(":"), _SCHEMES[scheme])
    if not 0 < port <= _LAST_PORT:
        raise unusable(variable, f"names a port that does not exist: write it as {_EXAMPLE}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if _address(host) is None:
            raise unusable(variable, f"holds brackets round what is not an IPv6 address: write it as {_EXAMPLE}")
    elif ":" in host or not is_host(host):
        problem = "names no host" if not host else "does not name a host and a port number"
        raise unusable(variable, f"{problem}: write it as {_EXAMPLE}")
    return host, port


def unusable(variable: str, problem: str) -> ConfigurationError:
    """Return the error for a proxy that cannot be used."""
    return ConfigurationError(f"{variable} {problem} (to connect without it, add the host of base_url to NO_PROXY)")


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """True if `NO_PROXY` exempts a host.

    Entries are separated by commas or spaces. Each is a domain, which covers its subdomains (`example.com`,
    `.example.com` and `*.example.com` mean the same), an IP address, a network (`10.0.0.0/8`, `fe80::/10`), or `*` for
    every host. Each may have a scheme and a port (`https://example.com`, `example.com:8443`, `[::1]:8443`). Other
    entries match nothing.
    """
    host = host.lower().rstrip(".")
    return any(_matches(entry, host, port) for entry in re.split(r"[\s,]+", no_proxy.lower()) if entry)


def _matches(entry: str, host: str, port: int) -> bool:
    scheme, found, rest = entry.rpartition("://")
    if found and scheme not in {"https", "all"}:
        return False
    entry = rest.rstrip("/")
    name, asked_port = _without_port(entry)
    if asked_port not in {None, port}:
        return False
    address = _address(host)
    network = _network(name)
    if network is not None or address is not None:
        is_inside = network is not None and address is not None and address in network
        return is_inside or ("*" in name and fnmatchcase(host, name))
    name = _encoded(name.removeprefix("*.").strip("."))
    if "*" in name:
        return fnmatchcase(host, name)
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _encoded(name: str) -> str:
    """Return an internationalized name in the form that URLs have, `xn--…`; names that have none stay unchanged."""
    if name.isascii():
        return name
    with suppress(httpx.InvalidURL):
        return httpx.URL(f"https://{normalize('NFC', name)}").raw_host.decode()
    return name


def _without_port(entry: str) -> tuple[str, int | None]:
    """Split an entry into host and port; a bare IPv6 address has no port."""
    entry = entry if entry.endswith("::") else entry.removesuffix(":")
    if match := _BRACKETS.fullmatch(entry):
        return match["address"] + (match["length"] or ""), int(match["port"]) if match["port"] else None
    match = _PORT.fullmatch(entry)
    return (match["host"], int(match["port"])) if match and ":" not in match["host"] else (entry, None)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    address = parsed_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    written, slash, length = text.partition("/")
    address = parsed_address(written)
    if address is None:
        return None
    kind = ipaddress.IPv6Network if isinstance(address, ipaddress.IPv6Address) else ipaddress.IPv4Network
    with ignoring(ValueError):
        return _unmapped(kind(f"{address}/{length}" if slash else address.packed, strict=False))
    return None


def _unmapped(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Return the IPv4 network of a network of IPv4-mapped addresses; others unchanged."""
    mapped = _address(str(network.network_address))
    is_mapped = isinstance(network, ipaddress.IPv6Network) and isinstance(mapped, ipaddress.IPv4Address)
    if is_mapped and network.prefixlen >= _MAPPED_BITS:
        return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network
