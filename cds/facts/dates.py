"""FHIR dates as whole local days, partial ones as intervals.

A FHIR date may be a year, a month, a day or an instant. An instant becomes the day in the zone of `now`; a partial date
stays an interval, and an age is given only when every day of it leads to the same decision.
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
    def day(self) -> date | None:
        """The day, when the date says which."""
        return None if self.is_partial else self.first

    @property
    def text(self) -> str:
        """ISO text in the precision that was given."""
        if not self.is_partial:
            return self.first.isoformat()
        return self.first.isoformat()[: 4 if self.first.month == 1 and self.last.month == 12 else 7]

    def order(self, zone: tzinfo) -> datetime:
        """A point for sorting: the instant, or the last day's end."""
        return self.instant or datetime.combine(self.last, time.max, zone)


def order_of(when: Moment | None, zone: tzinfo) -> datetime:
    """A point for sorting; what has no date sorts before all."""
    return when.order(zone) if when else datetime.min.replace(tzinfo=zone)


def moment(value: object, zone: tzinfo) -> Moment | None:
    """The days that ``value`` (date, aware datetime or FHIR text) can mean in ``zone``; None when it is no date."""
    if isinstance(value, datetime):
        try:
            local = value.astimezone(zone) if value.tzinfo else None
        except (OverflowError, ValueError):
            return None
        return Moment(local.date(), local.date(), local) if local else None
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
            year, month = int(match[1]), int(match[2]) if match[2] else None
            if month is None:
                return Moment(date(year, 1, 1), date(year, 12, 31))
            return Moment(date(year, month, 1), _month_end(year, month))
        return moment(datetime.fromisoformat(value) if "T" in value else date.fromisoformat(value), zone)
    except (ValueError, OverflowError):
        return None


def _month_end(year: int, month: int) -> date:
    following = date(year + (month == 12), month % 12 + 1, 1)
    return following - timedelta(days=1)


def age_in_days(when: Moment | None, today: date, limits: Sequence[Decimal]) -> Decimal | None:
    """Days from ``when`` to ``today``; None without a date, or when a partial one leaves open which side of a limit."""
    if when is None:
        return None
    oldest, youngest = Decimal((today - when.first).days), Decimal((today - when.last).days)
    if any(youngest <= limit < oldest for limit in limits):
        return None
    return max(oldest, Decimal(0)) if youngest <= 0 else youngest


def ages_in_days(when: Moment | None, today: date) -> dict[str, Decimal]:
    """``age`` of a day; of a month or a year the least and the most that it may be, as age_low and age_high.

    A month that has begun may not be over: what is recorded in it is at least of today.
    """
    if when is None:
        return {}
    oldest, youngest = Decimal((today - when.first).days), Decimal(max((today - when.last).days, 0))
    return {"age_low": youngest, "age_high": oldest} if when.is_partial else {"age": oldest}


def whole_years(birth: Moment, today: date) -> Decimal | None:
    """Completed years of life; None when a partial birth date leaves it open."""
    at_most, at_least = (
        today.year - day.year - ((today.month, today.day) < (day.month, day.day)) for day in (birth.first, birth.last)
    )
    return Decimal(at_least) if at_most == at_least >= 0 else None
