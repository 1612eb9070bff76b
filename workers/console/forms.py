"""What a page sends by POST: a form of a few fields, no file."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, Request

from suites.errors import UsageError
from workers.console.asked import plain

TYPE = "application/x-www-form-urlencoded"
FIELDS = 20


async def _form(request: Request) -> dict[str, str]:
    """The fields, of one that is given twice the last. Raises UsageError."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != TYPE:
        raise UsageError(f"Expected a form, {TYPE}.", "no_form")
    body = (await request.body()).decode("utf-8", "replace")
    try:
        return {name: plain(values[-1]) for name, values in parse_qs(body, max_num_fields=FIELDS).items()}
    except ValueError:
        raise UsageError(f"Expected a form of {FIELDS} fields at most.", "no_form") from None


Form = Annotated[dict[str, str], Depends(_form)]
