"""Protection against hostile web pages, by the host and the origin of each request.

The emulator's keys are public, so a web page must not be able to use it through the browser of a developer. Two
attacks are refused here. With DNS rebinding, a page makes its own name resolve to this machine: the request names a
foreign host. With cross-origin requests, the browser reports the page's origin (`Origin`, `Sec-Fetch-Site`).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from enprompta.emulator.errors import FOREIGN_HOST, FOREIGN_ORIGIN, ApiError
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.types import Scope

_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5})?)?")
_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 (compared with, not bound)
_DEFAULT_PORTS = {"http": 80, "https": 443}
PAGES = frozenset({"/", "/workbench"})
"""Pages for people: they lead to the Workbench."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A host in canonical form and a port; None for the default port of the scheme."""

    host: str
    port: int | None


class TrustedHosts:
    """The hosts that an emulator answers for.

    Args:
        host: Address or name that the emulator listens on. `0.0.0.0` and `::` allow every IP address.
        allowed: More names or addresses, such as the name of a container.

    Raises:
        ConfigurationError: One of them is neither a host name nor an IP address.
    """

    def __init__(self, host: str, allowed: Iterable[str] = ()) -> None:
        self._any_address = host in _ANY_ADDRESS
        self._names = {"localhost"}
        for name in (host, *allowed):
            bare = name.partition("%")[0]  # clients do not send an IPv6 zone
            authority = parse_authority(f"[{bare}]" if ":" in bare else bare)
            if authority is None:
                raise ConfigurationError(f"{name!r} is not a host name or an IP address without a port")
            self._names.add(authority.host)

    def check(self, scope: Scope, headers: Mapping[str, str]) -> None:
        """Raise an error if a request is for another host or from a web page of another origin.

        A host in the request target is checked like the `Host` header.

        Raises:
            ApiError: 421 for another host, 403 for another origin.
        """
        named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        target, _ = split_target(scope["raw_path"])
        if target is not None:
            named.append(target)
        authorities = [parse_authority(name) for name in named]
        if not authorities or not all(it is not None and self._answers_for(it.host) for it in authorities):
            shown = ", ".join(map(repr, named)) or "no host"
            message = (
                f"This emulator does not answer for {shown}: use 127.0.0.1 or localhost, "
                "or start it with --allow-host NAME (in Python, allowed_hosts)"
            )
            raise ApiError(FOREIGN_HOST, message, headers={"Connection": "close"})
        self._check_origin(scope, headers, {it for it in authorities if it is not None})

    def _answers_for(self, host: str) -> bool:
        if host in self._names:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return self._any_address or address.is_loopback

    def _check_origin(self, scope: Scope, headers: Mapping[str, str], own: set[Authority]) -> None:
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        if origins:
            foreign = [origin for origin in origins if not _is_same(origin, own)]
        else:
            site = headers.get("sec-fetch-site", "none")
            foreign = [] if site in {"none", "same-origin"} or _opens_page(scope, headers) else [site]
        if foreign:
            message = (
                f"This emulator does not answer web pages of another origin ({foreign[0]}); "
                "send the request from a program, without an Origin header"
            )
            raise ApiError(FOREIGN_ORIGIN, message, headers={"Connection": "close"})


def split_target(target: bytes) -> tuple[str | None, bytes]:
    """Split a request target into the authority and the path.

    Only the absolute form, `GET http://host/path`, has an authority; it is None for other forms.
    """
    scheme, separator, rest = target.partition(b"://")
    if target.startswith(b"/") or not separator or scheme.lower() not in {b"http", b"https"}:
        return None, target
    authority, slash, path = rest.partition(b"/")
    return authority.decode("latin-1"), slash + path or b"/"


@lru_cache(maxsize=256)
def parse_authority(text: str) -> Authority | None:
    """Parse a host with an optional port, as in a `Host` header; None if it is invalid."""
    found = _AUTHORITY.fullmatch(text.strip(" \t"))
    if found is None:
        return None
    host = canonical_host(found["host"])
    if found["host"].startswith("[") and not _is_ipv6(found["host"][1:-1]):
        return None
    port = int(found["port"]) if found["port"] else None
    return None if not host or (port or 0) > 65_535 else Authority(host, port)  # noqa: PLR2004 (the highest port)


def canonical_host(host: str) -> str:
    """Return a host in canonical form: lower case, no trailing dot, an IPv4-mapped IPv6 address as IPv4."""
    host = host.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else str(address)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_same(origin: str, own: set[Authority]) -> bool:
    """Return True if an origin is one of the authorities that the request was sent to."""
    scheme, separator, rest = origin.partition("://")
    default = _DEFAULT_PORTS.get(scheme)
    authority = parse_authority(rest) if separator and default else None
    if authority is None:
        return False

    def port(it: Authority) -> int | None:
        return default if it.port is None else it.port

    return any((it.host, port(it)) == (authority.host, port(authority)) for it in own)


def _opens_page(scope: Scope, headers: Mapping[str, str]) -> bool:
    """Return True if a person follows a link to a page of the emulator, which cannot be framed."""
    return (
        scope["method"] == "GET"
        and scope["path"] in PAGES
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
