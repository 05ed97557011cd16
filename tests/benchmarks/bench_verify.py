"""How much `verify_signature` costs beside the two calls that it cannot do without.

Run it as a program: `python tests/benchmarks/bench_verify.py`. Rounds of both are interleaved, so that a busy machine
slows both; the ratio is the median over the rounds.
"""

from __future__ import annotations

import hmac
import statistics
import sys
import timeit
from typing import TYPE_CHECKING

from enprompta.webhooks import sign, verify_signature

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "whsec_0123456789abcdef0123456789abcdef"
KEY = SECRET.encode()
ROUNDS = 41
CALLS = 2_000


def by_hand(body: bytes, signature: str) -> bool:
    """Verify with nothing but the standard library, and no checks at all."""
    return hmac.compare_digest("sha256=" + hmac.digest(KEY, body, "sha256").hex(), signature)


def compare(reference: Callable[[], bool], measured: Callable[[], bool]) -> tuple[float, float, float]:
    """Time two calls in turns: microseconds of either, and the median ratio."""
    pairs = [(timeit.timeit(reference, number=CALLS), timeit.timeit(measured, number=CALLS)) for _ in range(ROUNDS)]
    scale = 1e6 / CALLS
    base, ours = (statistics.median(times) * scale for times in zip(*pairs, strict=True))
    return base, ours, statistics.median(b / a for a, b in pairs)


def main() -> None:
    """Print a line for each size of body and kind of signature."""
    for size in (200, 1_000, 10_000, 100_000):
        body = b'{"data":"' + b"x" * (size - 11) + b'"}'
        good = sign(body, SECRET)
        headers = {"host": "example.com", "content-type": "application/json", "x-enprompta-signature": good}
        cases: dict[str, Callable[[], bool]] = {
            "right": lambda body=body, good=good: verify_signature(body, good, SECRET),
            "in headers": lambda body=body, headers=headers: verify_signature(body, headers, SECRET),
            "10 MB": lambda body=body, huge="0" * 10_000_000: verify_signature(body, huge, SECRET),
            "wrong": lambda body=body, bad=good[:-1] + "g": verify_signature(body, bad, SECRET),
        }
        for name, case in cases.items():
            base, ours, ratio = compare(lambda body=body, good=good: by_hand(body, good), case)
            line = f"{size:>7} B  {name:<10}  by hand {base:7.2f} us  here {ours:7.2f} us  ratio {ratio:.2f}\n"
            sys.stdout.write(line)


if __name__ == "__main__":
    main()
