"""Checks and normalises what rules found, and says by which words and links a message gives itself away."""

from .identifiers import TASK as IDENTIFIERS
from .identifiers import checked, more_phones
from .reasons import TASK as REASONS
from .reasons import reasons


def refine(text, findings):
    """Identifiers in normal form, those that fail their checksum dropped, and reasons with their evidence."""
    others = [f for f in findings if f.task not in (IDENTIFIERS, REASONS)]
    identifiers = checked(text, [f for f in findings if f.task == IDENTIFIERS])
    return [*others, *identifiers, *more_phones(text, identifiers), *reasons(text, findings, identifiers)]
