"""Made-up personal data and credentials, and the ways to disguise them."""

from __future__ import annotations

import base64
import gzip
import html
import json
import urllib.parse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Split so that no scanner of repositories takes them for real ones.
CANARIES = {
    "email": "jane.doe@example.com",
    "email plus": "j+tag@mail.example.co.uk",
    "email unicode": "jürgen@müller.example",
    "email short": "a@b.co",
    "card visa": "4111 1111 1111 1111",
    "card amex": "378282246310005",
    "card mastercard": "5555-5555-5555-4444",
    "card 2-series": "2223003122003222",
    "phone international": "+49 30 1234567",
    "phone american": "(415) 555-2671",
    "phone dashes": "415-555-2671",
    "phone british": "020 7946 0958",
    "phone french": "06 12 34 56 78",
    "iban german": "DE89 3704 0044 0532 0130 00",
    "iban compact": "GB29NWBK60161331926819",
    "ip": "192.168.17.45",
    "ip6": "2001:db8::ff00:42:8329",
    "mac": "00:1b:63:84:45:e6",
    "ssn": "536-22-1234",
    "key openai": "sk-" + "proj-Abc123def456Ghi789jkl012",
    "key aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "key github": "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "key slack": "xoxb-" + "123456789012-abcdefghijkl",
    "key google": "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "key enprompta": "ep_live_" + "0123456789abcdef",
    "key stripe": "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "key vault": "hvs." + "CAESIJ1234567890abcdefghij",
    "key docker": "dckr_pat_" + "abcdefghijklmnop1234567890A",
    "key twilio": "SK" + "0123456789abcdef0123456789abcdef",
    "key databricks": "dapi" + "0123456789abcdef0123456789abcdef",
    "key mailgun": "key-" + "3ax6xnjp29jd6fds4gc373sgvjxteol0",
    "webhook discord": "discord.com/api/webhooks/" + "123456789012345678/AbCdEfGhIjKlMnOpQrStUvWx",
    "token jwt": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
}


_HOMOGLYPHS = str.maketrans(
    "aceopxyisjABCEHKMOPTX",
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0455\u0458\u0410\u0412\u0421\u0415\u041d\u041a\u041c\u041e\u0420\u0422\u0425",
)


def _percent(text: str) -> str:
    return "".join(f"%{one:02X}" for one in text.encode())


def _fullwidth(text: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text)


def _digits(zero: int) -> Callable[[str], str]:
    return lambda text: "".join(chr(zero + int(one)) if one in "0123456789" else one for one in text)


def _every(between: str) -> Callable[[str], str]:
    return between.join


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "url": urllib.parse.quote_plus,
    "url path": urllib.parse.quote,
    "url all": _percent,
    "url twice": lambda text: urllib.parse.quote(urllib.parse.quote(text)),
    "json escapes": lambda text: "".join(f"\\u{ord(one):04x}" for one in text),
    "json escapes twice": lambda text: "".join(f"\\\\u{ord(one):04X}" for one in text),
    "python escapes": lambda text: "".join(f"\\x{one:02x}" for one in text.encode()),
    "octal escapes": lambda text: "".join(f"\\{one:03o}" if one < 128 else chr(one) for one in text.encode("latin-1")),
    "braced escapes": lambda text: "".join(f"\\u{{{ord(one):x}}}" for one in text),
    "html decimal": lambda text: "".join(f"&#{ord(one)};" for one in text),
    "html hexadecimal": lambda text: "".join(f"&#x{ord(one):x};" for one in text),
    "html twice": lambda text: html.escape("".join(f"&#{ord(one)};" for one in text)),
    "quoted-printable": lambda text: "".join(f"={one:02X}" for one in text.encode()),
    "base64": _base64,
    "base64 url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 twice": lambda text: _base64(_base64(text)),
    "base64 in a sentence": lambda text: _base64(f"my data: {text}, ok?"),
    "base64 utf-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "base64 utf-16 with a mark": lambda text: base64.b64encode(text.encode("utf-16")).decode(),
    "base64 gzip": lambda text: base64.b64encode(gzip.compress(text.encode())).decode(),
    "base64 folded": lambda text: base64.encodebytes((f"{text} " * 9).encode()).decode(),
    "base64 in a url": lambda text: urllib.parse.quote(_base64(text)),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal prefixed": lambda text: f"0x{text.encode().hex()}",
    "base32 lower case": lambda text: base64.b32encode(text.encode()).decode().lower(),
    "hexadecimal spaced": lambda text: text.encode().hex(" "),
    "full width": _fullwidth,
    "letters of other scripts": lambda text: text.translate(_HOMOGLYPHS),
    "arabic digits": _digits(0x660),
    "bold digits": _digits(0x1D7CE),
    "zero width": _every("\u200b"),
    "soft hyphens": _every("\u00ad"),
    "joiners": _every("\u2060"),
    "variation selectors": _every("\ufe0f"),
    "no-break spaces": lambda text: text.replace(" ", "\u00a0").replace("-", "\u2011"),
    "json": lambda text: json.dumps({"a": [{"b": text}]}),
    "json in json": lambda text: json.dumps({"a": json.dumps({"b": json.dumps([text])})}),
    "upper case in json escapes": lambda text: json.dumps({"a": text}).replace("@", "\\u0040").replace("-", "\\u002d"),
}


def traces_of(text: str) -> list[str]:
    """Return the parts of a canary that must not be found: itself, and its digits if it is a number."""
    digits = "".join(one for one in text if one.isdigit())
    return [text, digits] if len(digits) >= 9 else [text]
