"""Host names and addresses."""

from __future__ import annotations

import ipaddress
import re
import socket

from enprompta._common.handler_errors import ignoring

_HOST = re.compile(r"(?:[\w-]{1,63}\.)*(?!\d+$)[\w-]{1,63}", re.ASCII)
_LIKE_ADDRESS = re.compile(r"[\d.]+|[\da-f:.]+(?:%.*)?", re.ASCII | re.IGNORECASE)
_LONGEST_HOST = 253  # characters


def is_host(text: str) -> bool:
    """True if a text can be the name of a host, or is an IP address without brackets.

    A text that ends in a number can only be an address: libraries disagree about forms such as `127.1`.
    """
    if parsed_address(text):
        return True
    name = text.removesuffix(".")
    return len(name) <= _LONGEST_HOST and _HOST.fullmatch(name) is not None


def is_loopback(host: str) -> bool:
    """True if a host name or IP address always refers to this machine."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    address = parsed_address(host)
    return address is not None and address.is_loopback


def parsed_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an IP address, without the zone of an IPv6 address; None if a text is none.

    While `ipaddress` parses a text, it would catch an exception of a signal handler.
    """
    if _LIKE_ADDRESS.fullmatch(text):
        with ignoring(OSError):
            if ":" in text:
                return ipaddress.IPv6Address(socket.inet_pton(socket.AF_INET6, text.partition("%")[0]))
            return ipaddress.IPv4Address(socket.inet_pton(socket.AF_INET, text))
    return None


def in_url(host: str) -> str:
    """Return a host as URLs contain it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
