"""Checks and normalises what rules found, and says by which words and links a message gives itself away."""

from .identifiers import TASK as IDENTIFIERS
from .identifiers import checked, more_phones
from .parties import TASK as PARTIES
from .parties import parties
from .reasons import TASK as REASONS
from .reasons import reasons


def refine(text, findings):
    """Identifiers in normal form, those that fail their checksum dropped, parties that are some, and reasons with their evidence."""
    others = [f for f in findings if f.task not in (IDENTIFIERS, REASONS, PARTIES)]
    identifiers = checked(text, _of(findings, IDENTIFIERS))
    named = list(parties(text, findings, identifiers))
    return [*others, *named, *identifiers, *more_phones(text, identifiers), *reasons(text, [*others, *named, *_of(findings, REASONS)], identifiers)]


def _of(findings, task):
    return [f for f in findings if f.task == task]
