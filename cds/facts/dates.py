"""FHIR dates as whole local days, partial ones as intervals.

A FHIR date may be a year, a month, a day or an instant. An instant becomes the day in the zone of `now`; a partial
date stays an interval, and an age is given only when every day of it leads to the same decision.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal

_PARTIAL = re.compile(r"(\d{4})(?:-(\d{2}))?")
_LEAP_SECOND = re.compile(r"(.*T\d{2}:\d{2}:)60(.*)")


@dataclass(frozen=True)
class Moment:
    """First and last day that a FHIR date can mean, and the instant when one is given (for ordering)."""

    first: date
    last: date
    instant: datetime | None = None

    @property
    def is_partial(self) -> bool:
        return self.first != self.last

    @property
    def text(self) -> str:
        """ISO text in the precision that was given."""
        if not self.is_partial:
            return self.first.isoformat()
        return self.first.isoformat()[: 4 if self.first.month == 1 and self.last.month == 12 else 7]

    def order(self, zone: tzinfo) -> datetime:
        """A point for sorting: the instant, or the last day's end."""
        return self.instant or datetime.combine(self.last, time.max, zone)


def moment(value: object, zone: tzinfo) -> Moment | None:
    """The days that ``value`` (date, aware datetime or FHIR text) can mean in ``zone``; None when it is no date."""
    if isinstance(value, datetime):
        try:
            local = value.astimezone(zone)
        except (OverflowError, ValueError):
            return None
        return Moment(local.date(), local.date(), local)
    if isinstance(value, date):
        return Moment(value, value)
    if not isinstance(value, str):
        return None
    leap = _LEAP_SECOND.fullmatch(value)
    if leap:
        return moment(leap[1] + "59" + leap[2], zone)
    match = _PARTIAL.fullmatch(value)
    try:
        if match:
            year, month = int(match[1]), int(match[2] or 0)
            first = date(year, month or 1, 1)
            last = date(year, 12, 31) if not month else _month_end(year, month)
            return Moment(first, last)
        if "T" in value:
            parsed = datetime.fromisoformat(value)
            return moment(parsed, zone) if parsed.tzinfo else None
        return moment(date.fromisoformat(value), zone)
    except (ValueError, OverflowError):
        return None


def _month_end(year: int, month: int) -> date:
    following = date(year + (month == 12), month % 12 + 1, 1)
    return following - timedelta(days=1)


def age_in_days(when: Moment, today: date, limits: Sequence[Decimal]) -> Decimal | None:
    """Days from ``when`` to ``today``; None when a partial date leaves open on which side of a limit it falls."""
    oldest, youngest = Decimal((today - when.first).days), Decimal((today - when.last).days)
    if any(youngest <= limit < oldest for limit in limits):
        return None
    return max(oldest, Decimal(0)) if youngest <= 0 else youngest


def whole_years(birth: Moment, today: date) -> Decimal | None:
    """Completed years of life; None when a partial birth date leaves it open."""
    ages = {today.year - d.year - ((today.month, today.day) < (d.month, d.day)) for d in (birth.first, birth.last)}
    return Decimal(ages.pop()) if len(ages) == 1 and min(ages, default=0) >= 0 else None
