"""Find numbers that identify a person, an account or a machine: cards, bank accounts, phones, addresses."""

from __future__ import annotations

import ipaddress
import re
from itertools import accumulate
from typing import TYPE_CHECKING

from enprompta.tracing.redaction.matches import Match
from enprompta.tracing.redaction.prefilters import has_digits

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEPARATORS = r"[ \t\r\n_/+\-]{0,2}"  # no period: a fraction has as many digits as a card

# Numbers of 13 to 19 digits in groups. Long runs of groups are searched in windows.
_DIGIT_GROUPS = re.compile(
    rf"(?<![\d.])\d{{4}}(?:\.\d{{4}}){{3}}(?![\d.])|(?<!\d)(?<!\d\.)\d(?:{_SEPARATORS}\d){{12,}}", re.ASCII
)
_GROUP = re.compile(r"\d+", re.ASCII)
_CARD_LENGTHS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"3(?:0[0-5]|095|[689])"), (14, 16)),
    (re.compile(r"35"), (16, 17, 18, 19)),
    (re.compile(r"6(?:011|4[4-9]|5|0|2|8)|81"), (16, 17, 18, 19)),
    (re.compile(r"5[0678]|6[37]|220[0-4]|9792"), (13, 14, 15, 16, 17, 18, 19)),
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

_IBAN = re.compile(r"(?<![A-Z0-9])([A-Z]{2})\d{2}(?:[ .\-]?[A-Z0-9]){11,60}", re.IGNORECASE | re.ASCII)
# The SWIFT registry: country and number of characters.
_IBANS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 "
    "EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 "
    "KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 "
    "PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 "
    "UA29 VA22 VG24 XK20 YE30"
)
_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBANS.split()}

_SSN = re.compile(r"(?<![\d\-])(?!000|666|9)\d{3}([ \-.])(?!00)\d{2}\1(?!0000)\d{4}(?![\d\-])", re.ASCII)
_NAMED_SSN = re.compile(
    r"(?:\bssn|social[ _\-]security(?:[ _\-](?:number|no\.?))?)\W{0,6}(?:is\W{1,3})?(\d(?:[ \-.]?\d){8})(?!\d)",
    re.ASCII | re.IGNORECASE,
)

_S = r"[ .\-/\u00b7]"  # between the groups of a phone number
_PHONE = re.compile(
    rf"""(?:(?<![\d+])\+{_S}?[1-9](?:[ .\-/()]{{0,3}}\d){{6,14}}             # international
    |(?<![\d+])\((?:0\d{{1,5}}\){_S}?\d(?:{_S}?\d){{4,9}}|[2-9]\d\d\){_S}?[2-9]\d\d{_S}?\d{{4}})
    |(?<![\w+\-/])(?<!\d\.)(?:
      (?:00|011){_S}[1-9](?:[ .\-/()]{{0,2}}\d){{7,13}}                     # the same, dialed from Europe or the USA
    | 00[1-9]\d{{1,3}}{_S}\d(?:[ .\-/()]{{0,2}}\d){{5,11}}
    | (?<!=)00[1-9]\d{{9,12}}
    | (?:1{_S}?)?\([2-9]\d\d\){_S}?[2-9]\d\d{_S}?\d{{4}}                    # North America
    | (?:1{_S}?)?[2-9]\d\d{_S}[2-9]?\d\d{_S}\d{{4}}
    | (?<!=)1?[2-9]\d\d[2-9]\d{{6}}
    | \(0\d{{1,5}}\){_S}?\d(?:{_S}?\d){{4,9}}                               # national, with the trunk prefix
    | 0[1-9]\d{{0,4}}(?:{_S}{{1,2}}\d{{2,8}}){{1,5}}
    | (?<!=)0[1-9]\d{{8,9}}
    | \(\d{{2,3}}\){_S}?\d{{4,5}}[ \-]\d{{4}}                               # Latin America
    | 1[3-9]\d{_S}?\d{{4}}{_S}?\d{{4}}                                      # China
    | [6-9]\d{{4}}[ \-]\d{{5}}                                              # India
    ))(?:{_S}?(?:x|ext\.?|extension){_S}{{0,2}}\d{{1,6}})?(?![\w])(?![.\-,:/]\d)""",
    re.ASCII | re.VERBOSE | re.IGNORECASE,
)
_NAMED_PHONE = re.compile(
    r"(?:\b(?:phone|telephone|tel|mobile|cell|fax|whatsapp|msisdn|sms|call(?: me)?|dial)\b)"
    r"(?:[ _\-]?(?:number|no\.?|at|on|is))?[\"'\s:=.#]{1,4}(?:is\s)?(\+?\(?\d(?:[ .\-/()]{0,2}\d){5,14})(?!\d)",
    re.ASCII | re.IGNORECASE,
)
_LOCAL_DIGITS = 7  # a number without its area is found only after a word for it
_COMPUTER_NUMBERS = frozenset({"2147483647", "2147483648", "4294967295", "4294967296"})  # bounds of 32 bits

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"(?<!\w)(?<!\d\.)(?:{_OCTET}\.){{3}}{_OCTET}(?![\w])(?!\.\d)", re.ASCII)
_IPV4_NAME = re.compile(rf"(?<![a-z\d])ip(?:-{_OCTET}){{4}}(?!\d)", re.ASCII | re.IGNORECASE)
_IPV6 = re.compile(
    r"(?<![\w:])(?<!\d\.)(?=[0-9a-f]{0,4}:)(?:[0-9a-f:]{2,30}:(?:\d{1,3}\.){3}\d{1,3}|[0-9a-f:]{2,39})(?![\w:])",
    re.ASCII | re.IGNORECASE,
)
_MIN_COLONS = 6  # of an address without `::`, whose last 32 bits may be an IPv4 address
_MAC = re.compile(
    r"(?<![\w:\-])(?:[0-9a-f]{2}([:\-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4})(?![\w:\-])",
    re.ASCII | re.IGNORECASE,
)


# What an address contains; patterns that begin with a fixed character take a fraction of the time.
_IPV4_PART = re.compile(r"\.\d{1,3}\.\d", re.ASCII)
_MAC_PARTS = tuple(re.compile(pattern) for pattern in (r":[0-9a-fA-F]{2}:", r"-[0-9a-fA-F]{2}-", r"\.[0-9a-fA-F]{4}\."))
_SIX_DIGITS = re.compile(r"\d(?:\D{0,6}\d){5}", re.ASCII)


def has_number(text: str) -> bool:
    """True if a text has enough digits near each other for a card, an account or a phone."""
    return has_digits(text, 6) and _SIX_DIGITS.search(text) is not None


def digits_of(text: str) -> str:
    """Return the digits of a text."""
    return "".join(one for one in text if one.isdigit())


def find_cards(text: str) -> Iterator[Match]:
    """Find payment card numbers: an issuer's prefix and length, and the Luhn checksum."""
    for run in _DIGIT_GROUPS.finditer(text):
        yield from _cards_in(run)


def _cards_in(run: re.Match[str]) -> Iterator[Match]:
    """Try every sequence of whole groups of a run; prefix sums check each in constant time."""
    groups = [one.span() for one in _GROUP.finditer(run[0])]
    digits = digits_of(run[0])
    numbers = [int(one) for one in digits]
    sums = tuple(
        list(accumulate((_DOUBLED[one] if at % 2 == parity else one for at, one in enumerate(numbers)), initial=0))
        for parity in (0, 1)
    )
    bounds = list(accumulate((end - start for start, end in groups), initial=0))
    ends = {bound: at for at, bound in enumerate(bounds)}
    done = 0  # groups
    for first, start in enumerate(bounds[:-1]):
        if first < done:
            continue
        for length in _lengths_for(digits[start : start + 6]):
            last = ends.get(start + length)
            if last is None:
                continue
            # The digits at odd distances from the last one are doubled.
            total = sums[(start + length) % 2]
            if (total[start + length] - total[start]) % 10 == 0 and len(set(digits[start : start + length])) > 1:
                offset = run.start()
                yield Match(
                    offset + groups[first][0], offset + groups[last - 1][1], "card", digits[start : start + length]
                )
                done = last
                break


def _lengths_for(prefix: str) -> tuple[int, ...]:
    lengths = {length for pattern, allowed in _CARD_LENGTHS if pattern.match(prefix) for length in allowed}
    return tuple(sorted(lengths, reverse=True))


def find_ibans(text: str) -> Iterator[Match]:
    """Find bank account numbers: a country, its length, and the checksum modulo 97."""
    at = 0
    while (found := _IBAN.search(text, at)) is not None:
        at = found.start() + 2
        length = _IBAN_LENGTHS.get(found[1].upper())
        if length is None:
            continue
        end, characters = found.start(), ""
        while len(characters) < length and end < found.end():
            characters += text[end] if text[end].isalnum() else ""
            end += 1
        characters = characters.upper()
        if (
            len(characters) == length
            and int("".join(str(int(one, 36)) for one in characters[4:] + characters[:4])) % 97 == 1
        ):
            yield Match(found.start(), end, "iban", characters)
            at = end


def find_ssns(text: str) -> Iterator[Match]:
    """Find US social security numbers: with separators, or after their name."""
    for found in _SSN.finditer(text):
        yield Match(*found.span(), "ssn", digits_of(found[0]))
    for found in _NAMED_SSN.finditer(text):
        yield Match(*found.span(1), "ssn", digits_of(found[1]))


def find_phones(text: str) -> Iterator[Match]:
    """Find phone numbers: international, in the formats of many countries, or after a word for them."""
    for found in _PHONE.finditer(text):
        digits = digits_of(found[0])
        if len(digits) > _LOCAL_DIGITS and digits not in _COMPUTER_NUMBERS:
            yield Match(*found.span(), "phone", digits)
    for found in _NAMED_PHONE.finditer(text):
        yield Match(*found.span(1), "phone", digits_of(found[1]))


def find_ips(text: str) -> Iterator[Match]:
    """Find IPv4, IPv6 and MAC addresses."""
    if _IPV4_PART.search(text):
        for found in _IPV4.finditer(text):
            yield Match(*found.span(), "ip", found[0])
    if "-" in text and has_digits(text, 4):
        for found in _IPV4_NAME.finditer(text):
            yield Match(*found.span(), "ip", found[0][3:].replace("-", "."))
    if "::" in text or text.count(":") >= _MIN_COLONS:
        for found in _IPV6.finditer(text):
            address = _ipv6(found[0])
            if address is not None:
                yield Match(*found.span(), "ip", address)
    if any(part.search(text) for part in _MAC_PARTS):
        for found in _MAC.finditer(text):
            yield Match(*found.span(), "mac", re.sub(r"[:.\-]", "", found[0]).lower())


def _ipv6(text: str) -> str | None:
    """Return the address in its normal form; None for words with colons, such as `a::b` of a program."""
    if "::" not in text and text.count(":") < _MIN_COLONS:
        return None
    if not any(one.isdigit() for one in text) or text.rstrip(":").isalnum():  # such as `1955::`
        return None
    try:
        return str(ipaddress.IPv6Address(text.rstrip(":") if not text.endswith("::") else text))
    except ValueError:
        return None
