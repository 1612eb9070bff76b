"""A text with its findings marked: ranges of code points that may overlap in any way become nested elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from suites.types import Finding
from workers.console.shown import chips, told

# underlines of marks that lie in one another stand so many deep; further ones share the last place
DEPTHS = 5
# a sentence's share is shaded in so many steps
SHADES = 20


@dataclass(frozen=True, slots=True)
class Mark:
    """A range [start, end) of a text. `name` is that of its finding, `classes` say how it looks, `tip` what is said of it."""

    name: str
    start: int
    end: int
    classes: str
    tip: str
    is_second: bool = False


def marks_of(name: str, found: Finding, *, hue: int, is_evidence: bool = False, classes: str = "") -> list[Mark]:
    """A finding's place, of a pair both. Evidence is shaded by its share; others are underlined in the colour `hue`, dashed where a human should look."""
    tip = f"{found.label} {found.score:.0%}" if is_evidence else f"{found.label} {found.score:.2f}"
    looks = f"evidence s{round(found.score * SHADES)}" if is_evidence else "found"
    said = f"t{hue} {looks}{' unsure' if found.unsure else ''}{classes}"
    marks = [Mark(name, found.start, found.end, said, tip)]
    return [*marks, Mark(name, found.other_start, found.other_end, said, tip, is_second=True)] if found.other_end else marks


def marked(text: str, begin: int, marks: Sequence[Mark], *, focusable: bool = True) -> Markup:
    """A part of a text, which begins at code point `begin`, as HTML.

    The text is cut wherever a mark begins or ends; each piece stands in the marks that cover it, the longest outermost. The
    first piece of each mark bears its name as id.
    """
    end = begin + len(text)
    inside = [mark for mark in marks if mark.start < end and mark.end > begin and mark.start < mark.end]
    ordered = sorted(inside, key=lambda m: (m.start - m.end, m.start, m.name))
    cuts = sorted({begin, end, *(max(m.start, begin) for m in inside), *(min(m.end, end) for m in inside)})
    starts = sorted(ordered, key=lambda m: m.start)
    named: set[tuple[str, bool]] = set()
    active: list[Mark] = []
    parts: list[str] = []
    for left, right in pairwise(cuts):
        active = [mark for mark in active if mark.end > left]
        while starts and starts[0].start <= left:
            active.append(starts.pop(0))
        active.sort(key=lambda m: (m.start - m.end, m.start, m.name))
        parts += [_opening(mark, len(active) - 1 - i, named, focusable) for i, mark in enumerate(active)]
        parts += [chips(text[left - begin : right - begin]), "</mark>" * len(active)]
    return Markup("".join(parts))


def _opening(mark: Mark, depth: int, named: set[tuple[str, bool]], focusable: bool) -> str:
    is_first = (mark.name, mark.is_second) not in named
    named.add((mark.name, mark.is_second))
    own = f' id="{escape(mark.name)}{"b" if mark.is_second else ""}"' if is_first else ""
    focus = ' tabindex="0"' if is_first and focusable else ""
    return f'<mark{own}{focus} class="{escape(mark.classes)} d{min(depth, DEPTHS - 1)}" data-mark="{escape(mark.name)}" data-tip="{escape(told(mark.tip))}">'
