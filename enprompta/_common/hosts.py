"""Host names and addresses."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress

_HOST = re.compile(r"(?:[\w-]{1,63}\.)*(?!\d+$)[\w-]{1,63}", re.ASCII)
_LONGEST_HOST = 253  # characters


def is_host(text: str) -> bool:
    """True if a text can be the name of a host, or is an IP address without brackets.

    A text that ends in a number can only be an address: libraries disagree about forms such as `127.1`.
    """
    with suppress(ValueError):
        return bool(ipaddress.ip_address(text.partition("%")[0]))
    name = text.removesuffix(".")
    return len(name) <= _LONGEST_HOST and _HOST.fullmatch(name) is not None


def is_loopback(host: str) -> bool:
    """True if a host name or IP address always refers to this machine."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def in_url(host: str) -> str:
    """Return a host as URLs contain it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
