"""What exports take from a document's metadata: whose it is, and of which day."""

from __future__ import annotations

from datetime import date, datetime

from suites.export import ExportPlan
from workers.export.parts import said
from workers.export.stored import Stored


def patient_of(stored: Stored, plan: ExportPlan) -> str | None:
    """The patient as the metadata name them; None where they name nobody."""
    given = stored.meta.get(plan.patient)
    if isinstance(given, bool) or not isinstance(given, str | int):
        return None
    return said(given)


def day_of(stored: Stored, plan: ExportPlan) -> tuple[date | None, datetime | None]:
    """The document's day, and its time where one is given, by the metadata; None where they say nothing in ISO 8601."""
    given = stored.meta.get(plan.date)
    if not isinstance(given, str):
        return None, None
    try:
        when = datetime.fromisoformat(given.strip())
    except ValueError:
        return None, None
    return when.date(), when if _has_time(given) else None


def _has_time(given: str) -> bool:
    return "T" in given.upper() or ":" in given
