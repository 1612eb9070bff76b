"""What stands in a de-identified text in place of an identifier: its label, or a pseudonym, in square brackets."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from suites.types import Finding

# of a million names two share a pseudonym with a chance of one in fourteen
PSEUDONYM_DIGITS = 11
_PSEUDONYM = f"[a-f][0-9a-f]{{{PSEUDONYM_DIGITS - 1}}}"


def digits(keyed: str) -> str:
    """The hex digits of a pseudonym, of a longer string of them. It begins with a letter: `[PHONE-2025550143]` may be somebody's own writing."""
    return "abcdef"[int(keyed[:8], 16) % 6] + keyed[8 : 7 + PSEUDONYM_DIGITS]


def placeholder(what: str) -> str:
    """A label or a pseudonym as it stands in a text."""
    return f"[{what}]"


def without_placeholders(text: str, findings: Sequence[Finding], task: str, labels: Collection[str]) -> list[Finding]:
    """The findings without those of this task inside placeholders: what is hidden already identifies nobody."""
    if "[" not in text:
        return list(findings)
    told = "|".join(sorted(map(re.escape, labels)))
    hidden = bytearray(len(text))
    for found in re.finditer(rf"\[(?:{told})(?:-{_PSEUDONYM})?\]", text):
        hidden[found.start() : found.end()] = b"\1" * len(found.group())
    # one may reach over several, or take a bracket less
    return [f for f in findings if f.task != task or any(text[i].isalnum() and not hidden[i] for i in range(f.start, f.end))]
