"""What clinicians did with the cards: where it is kept."""

from __future__ import annotations

from cds.feedback.store import Store, StoreUnavailable, sqlite_url

__all__ = ["Store", "StoreUnavailable", "sqlite_url"]
