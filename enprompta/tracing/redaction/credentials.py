"""Find credentials: API keys by their prefixes, tokens, private keys, passwords, values with a credential's name."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from enprompta.tracing.redaction.matches import Match
from enprompta.tracing.redaction.prefilters import SHORTEST_CREDENTIAL, long_words

if TYPE_CHECKING:
    from collections.abc import Iterator

_W = r"[A-Za-z0-9_\-]"


def _prefixed(prefix: str, rest: str, needs: str = "") -> tuple[str, re.Pattern[str], re.Pattern[str]]:
    """Describe a credential by its prefix and what follows it.

    `needs` must occur in the match. It is searched afterwards: a lookahead before each prefix takes quadratic time.
    """
    whole = re.compile(rf"(?<![A-Za-z0-9]){re.escape(prefix)}{rest}", re.ASCII | re.IGNORECASE)
    return prefix.lower(), whole, re.compile(needs, re.ASCII | re.IGNORECASE)


def _each(prefixes: str, rest: str) -> list[tuple[str, re.Pattern[str], re.Pattern[str]]]:
    return [_prefixed(one, rest) for one in prefixes.split()]


# A prefix, and what follows it. Each is searched only in texts that contain the prefix.
_PREFIXED = (
    _prefixed("ep_", rf"(?:(?:live|test)_{_W}{{6,}}|{_W}{{12,}})", r"^ep_(?:live|test)_|\d"),  # this API
    _prefixed("whsec_", r"[A-Za-z0-9_+/=\-]{6,}"),
    _prefixed("sk-", rf"{_W}{{16,}}", r"\d"),  # OpenAI, Anthropic and many others
    *_each("sk_live_ sk_test_ pk_live_ pk_test_ rk_live_ rk_test_", rf"{_W}{{10,}}"),
    *_each("xoxa- xoxb- xoxp- xoxr- xoxs- xapp- xoxe- xoxe.", rf"{_W}{{10,}}"),
    *_each("ghp_ gho_ ghu_ ghs_ ghr_ npm_ hf_ r8_ gsk_", r"[A-Za-z0-9]{16,}"),
    *_each("github_pat_ glpat- gldt- pypi- dop_v1_ shpat_ shpss_ hvs. dckr_pat_ lin_api_ ntn_ glsa_", rf"{_W}{{16,}}"),
    *_each("xai- nvapi- pplx- lsv2_ tgp_v1_ GOCSPX- sq0atp- sq0csp- PMAK- sbp_ sntrys_ NRAK-", rf"{_W}{{16,}}"),
    *_each("dp.pt. figd_ pcsk_ AGE-SECRET-KEY-1", rf"{_W}{{16,}}"),
    *_each("AKIA ASIA AROA ABIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    *_each("dapi SK", r"[0-9a-f]{32}(?![A-Za-z0-9])"),  # Databricks, Twilio
    _prefixed("AIza", rf"{_W}{{30,}}"),
    _prefixed("ya29.", r"[A-Za-z0-9_.\-]{16,}"),
    _prefixed("1//0", rf"{_W}{{20,}}"),
    _prefixed("SG.", rf"{_W}{{10,}}\.{_W}{{10,}}"),
    _prefixed("key-", r"[0-9a-z]{32}(?![0-9a-z])", r"\d"),
    _prefixed("eyJ", rf"{_W}{{6,}}(?:\.{_W}{{4,}}){{0,4}}\.?{_W}*", rf"\.{_W}{{4}}"),  # a JSON web token
    _prefixed("hooks.slack.com/", r"[A-Za-z0-9/_\-]{8,}"),
    _prefixed("discord.com/api/webhooks/", r"\d{10,}/[A-Za-z0-9_\-]{20,}"),
)
_PREFIXES = tuple((prefix.encode(), pattern, needs) for prefix, pattern, needs in _PREFIXED)
_ANY_PREFIX = re.compile(
    rb"(?<![a-z0-9])(?:" + b"|".join(sorted({re.escape(prefix) for prefix, _, _ in _PREFIXES})) + rb")"
)
_TELEGRAM = re.compile(rf"(?<!\d)\d{{8,10}}:AA{_W}{{30,}}", re.ASCII)
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END )[\s\S])*(?:-----END [A-Z0-9 ]{0,60}-----)?"
)
_BEARER = re.compile(
    r"\b(?:bearer|token)[ \t]{1,4}(?=[A-Za-z0-9._~+/\-]*\d)([A-Za-z0-9._~+/\-]{8,}=*)", re.ASCII | re.IGNORECASE
)
_BEARER_LETTERS = re.compile(r"\bbearer[ \t]{1,4}([A-Za-z0-9._~+/\-]{16,}=*)", re.ASCII | re.IGNORECASE)
_BASIC = re.compile(r"\bbasic[ \t]{1,4}([A-Za-z0-9+/_\-]{4,}={0,2})", re.ASCII | re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^\s/@:?#\"'<>]{0,200}:[^\s/@\"'<>]{1,200}(?=@)")
_COOKIE = re.compile(r"\b(?:set-)?cookie[\"']?:[ \t]{0,4}[\"']?([^\r\n\"']{3,})", re.IGNORECASE)
_QUERY = re.compile(
    r"[?&;](?:sig|signature|code|key|auth|x-amz-signature|x-goog-signature|access_token|token)=([^\s&#\"'<>]{4,})",
    re.IGNORECASE,
)

_NAME = (
    r"(?:pass(?:word|wd|phrase|code|wort)|(?<![a-z])pwd|secret(?:[ _\-]?(?:access)?[ _\-]?key)?|(?<![a-z])token|"
    r"(?:api|access|auth|private|account|encryption|signing|master|shared)[ _\-]?(?:key|token|secret)|"
    r"authorization|credentials?)"
)
_NAMES = ("pass", "pwd", "secret", "token", "key", "authorization", "credential")
# A value in quotes or behind an equals sign may be anything; behind a colon or "is", it must not look like a word.
_ASSIGNED = re.compile(
    _NAME
    + r"""(?:["'\\\]]{0,4}[ \t]{0,3}(?:=>|:=|==?)[ \t]{0,3}["'\\]{0,4}(?![\s"'\\])([^\s"'\\,;&<>{}()\[\]]{3,})
    |["'\\\]]{0,4}[ \t]{0,3}(?:=>|:=|==?|:)[ \t]{0,3}\\{0,3}
     (?:"([^"\\\r\n]{3,})\\{0,3}"|'([^'\\\r\n]{3,})\\{0,3}')
    |>([^<>\r\n]{3,200})</
    |["'\\\]]{0,4}[ \t]{0,3}:[ \t\r\n]{0,3}(?=[^\s"',;<>]{0,64}[\d!@$%^*+=])([^\s"',;<>{}()\[\]]{6,})
    |[ \t]{1,3}(?:is|was)[ \t:]{1,3}["'`]?(?=[^\s"',;<>]{0,64}\d)([^\s"'`,;<>{}()\[\]]{6,}))""",
    re.IGNORECASE | re.VERBOSE,
)
# On a command line, and numbers that are secret: `--password x`, `-u name:x`, `cvv 123`, `my PIN is 1234`.
_FLAG = re.compile(
    r"--[a-z\-]{0,20}(?:password|passwd|token|secret|api-key|access-key)[ =][\"']?([^\s\"'\-][^\s\"']{2,})",
    re.IGNORECASE,
)
_USER_FLAG = re.compile(r"(?:\s-u|--user)[ =]?[\"']?([^\s:\"'/]{1,100}:(?!\d{1,6}\b)[^\s\"'/]{3,})")
_PIN = re.compile(
    r"\b(?:(?:cvv2?|cvc2?)(?:[ \-](?:code|number))?|(?:pin|otp)(?:[ \-](?:code|number))?(?: is| was|:|=))"
    r"\W{0,3}(?:is\W{1,2})?(\d{3,8})(?!\d)",
    re.ASCII | re.IGNORECASE,
)
_NAMED = re.compile(
    r"(?:^|[._\-\s/:\[\]])(?:pass(?:word|wd|phrase|code)|pwd|(?:client|shared|consumer|app|webhook)?[_\-]?secret|"
    r"(?:x[_\-])?(?:\w{1,20}[_\-])?(?:api|access|private|secret|signing|encryption|master|account|session)[_\-]?key|apikey|"
    r"(?:access|refresh|auth|id|bearer|session|api|csrf|xsrf)[_\-]?token|(?:proxy[_\-])?authorization|(?:set[_\-])?cookies?|"
    r"credentials?|cvv2?|cvc2?|pin|otp)[\]\d.]*$",
    re.IGNORECASE | re.ASCII,
)
# What a text must contain for the pattern to be tried, and the group with the credential.
_HINTED = (
    (":aa", _TELEGRAM, 0),
    ("://", _USER_INFO, 0),
    ("bearer", _BEARER, 1),
    ("token", _BEARER, 1),
    ("bearer", _BEARER_LETTERS, 1),
    ("cookie", _COOKIE, 1),
    ("=", _QUERY, 1),
    ("--", _FLAG, 1),
    ("-u", _USER_FLAG, 1),
    ("cvv", _PIN, 1),
    ("cvc", _PIN, 1),
    ("pin", _PIN, 1),
    ("otp", _PIN, 1),
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def find_credentials(text: str) -> Iterator[Match]:
    """Find credentials by their shapes and by the names in front of them."""
    lowered = text.lower()
    yield from find_prefixed(text, lowered)
    for hint, pattern, group in _HINTED:
        if hint in lowered:
            for found in pattern.finditer(text):
                yield _match(found, group)
    if "basic" in lowered:
        for found in _BASIC.finditer(text):
            if _is_user_and_password(found[1]):
                yield _match(found, 1)
    yield from find_assigned(text, lowered)


def find_prefixed(text: str, lowered: str) -> Iterator[Match]:
    """Find credentials by their prefixes alone."""
    words = long_words(text, SHORTEST_CREDENTIAL).lower()
    if words and _ANY_PREFIX.search(words):
        for prefix, pattern, needs in _PREFIXES:
            if prefix in words:
                for found in pattern.finditer(text):
                    if needs.search(found[0]):
                        yield _match(found)
    if "-----begin " in lowered:
        for found in _PEM.finditer(text):
            yield _match(found)


def find_assigned(text: str, lowered: str) -> Iterator[Match]:
    """Find values after a credential's name: `password=…`, `"api_key": "…"`, `the token is …`."""
    if any(name in lowered for name in _NAMES):
        for found in _ASSIGNED.finditer(text):
            group = found.lastindex or 0
            yield _match(found, group)


def is_credential_name(name: str) -> bool:
    """True if a value with this name is a credential, whatever it looks like."""
    return _NAMED.search(_CAMEL.sub("_", name)) is not None


def _match(found: re.Match[str], group: int = 0) -> Match:
    return Match(*found.span(group), "key", found[group])


def _is_user_and_password(text: str) -> bool:
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        decoded = base64.b64decode(plain + "=" * (-len(plain) % 4))
    except (ValueError, binascii.Error):
        return False
    return b":" in decoded and decoded.isascii()
