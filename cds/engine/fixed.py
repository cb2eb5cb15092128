"""Exact fixed point: numbers reach durable-rules only as integers of one millionth.

Its reader has no exponent without a dot, compares doubles and integers by different paths and saturates
beyond 2^63. Integers of at most 10^15 have none of these faults and order exactly.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation

MAX_DECIMALS = 6
MAX_FIXED = 10**15

_MILLIONTH = Decimal("0.000001")
# Inexact is trapped: a number that would have to be rounded is refused instead.
_EXACT = Context(prec=40, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation])


def fixed_point(number: Decimal) -> int:
    """`number` in millionths, exactly. Raises ValueError (without the number) when that is impossible."""
    if not number.is_finite():
        raise ValueError("is not a finite number")
    try:
        fixed = int(_EXACT.scaleb(_EXACT.quantize(number, _MILLIONTH), MAX_DECIMALS))
    except (Inexact, InvalidOperation):
        fixed = None
    if fixed is None and number.copy_abs() <= 10**9:
        raise ValueError(f"has more than {MAX_DECIMALS} decimals")
    if fixed is None or not -MAX_FIXED <= fixed <= MAX_FIXED:
        raise ValueError("is beyond 10^9")
    return fixed
