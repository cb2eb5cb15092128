"""The tables of the store. Free text is in `feedback.comment` and nowhere else; nothing here names a patient."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import JSON, BigInteger, Column, DateTime, Dialect, Integer, MetaData, String, Table, Text
from sqlalchemy.types import TypeDecorator

METADATA: Final = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, kept in UTC; SQLite has no zone, so it is put back when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


FEEDBACK: Final = Table(
    "feedback",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    # SHA-256 of what the item says and who said it: the same item sent again is the same row.
    Column("content_key", String(64), nullable=False, unique=True),
    Column("received_at", UtcDateTime, nullable=False),
    Column("service", Text, nullable=False),
    # Our name for the client, from the trust file; null where clients are not verified.
    Column("client", Text),
    # No foreign key: feedback for a card that this store never saw is legal.
    Column("card", Text, nullable=False, index=True),
    Column("outcome", String(16), nullable=False),
    Column("outcome_timestamp", UtcDateTime, nullable=False),
    Column("accepted_suggestions", JSON, nullable=False),
    Column("reason_system", Text),
    Column("reason_code", Text),
    Column("comment", Text),
)
