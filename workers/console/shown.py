"""How values are written on a page: escaped, with control characters made visible, numbers and times as people read them."""

from __future__ import annotations

import json
import math
import unicodedata
from datetime import UTC, datetime

from markupsafe import Markup, escape

# a cell of a table shows so many characters, and says how many more there are
CELL_CHARS = 300
# line ends and tabs of a text are laid out, not named
LAID_OUT = frozenset("\n\t")
# controls, and what is not seen or turns the direction of what follows (bidi)
UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"})
PICTURES = {code: chr(0x2400 + code) for code in range(32)} | {0x7F: "\u2421"}


def visible(value: object, *, laid_out: frozenset[str] = frozenset()) -> Markup:
    """A value as HTML: what cannot be seen is named, as a chip. A direction that it sets ends with it (bdi)."""
    return Markup(f"<bdi>{chips(str(value), laid_out)}</bdi>")


def chips(text: str, laid_out: frozenset[str] = LAID_OUT) -> Markup:
    """A text as HTML, without a frame of its own."""
    if text.isprintable():
        return escape(text)
    parts: list[str] = []
    begin = 0
    for place, char in enumerate(text):
        if char not in laid_out and unicodedata.category(char) in UNSEEN:
            parts += [escape(text[begin:place]), _chip(char)]
            begin = place + 1
    return Markup("".join([*parts, escape(text[begin:])]))


def told(value: object) -> str:
    """A value as plain words, for where no element can stand: titles, labels, the choices of a list."""
    text = str(value)
    return text if text.isprintable() else "".join(f"‹U+{ord(char):04X}›" if unicodedata.category(char) in UNSEEN else char for char in text)


def _chip(char: str) -> str:
    code = ord(char)
    name = escape(unicodedata.name(char, "control character").lower())
    return f'<span class="unseen" title="U+{code:04X} {name}">{PICTURES.get(code, f"U+{code:04X}")}</span>'


def cell(value: object) -> Markup:
    """A value in a table; of a long one the beginning."""
    if value is None:
        return Markup('<span class="none">–</span>')
    if isinstance(value, bool):
        return Markup("yes" if value else "no")
    if isinstance(value, int):
        return Markup(number(value)) if value else Markup('<span class="zero">0</span>')
    if isinstance(value, float):
        return Markup(f"{value:.6g}")
    text = str(value)
    rest = len(text) - CELL_CHARS
    return visible(text) if rest <= 0 else visible(text[:CELL_CHARS]) + Markup(f'<span class="quiet">… {rest:,} more characters</span>')


def plain(value: object) -> Markup:
    """A value of an answer as it is: who asks in SQL rounds in SQL."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Markup(f"{value:.12g}" if isinstance(value, float) else value)
    return cell(json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value)


def number(value: float | None, digits: int = 0) -> str:
    """`12,345`; an en dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def amount(value: float | None) -> str:
    """`12,345` of whole numbers, else three digits that count: `0.0123`, `1.23`, `123`."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or isinstance(value, int):
        return f"{value:,.0f}"
    return f"{value:,.{min(max(0, 2 - math.floor(math.log10(abs(value)))), 12)}f}"


def percent(share: float | None, digits: int = 0) -> str:
    """`93 %` of 0.93; what is more than nothing is never shown as nothing, nor what is not all as all."""
    if share is None or not math.isfinite(share):
        return "–"
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    least = 10.0**-digits
    shown = 100 * share
    if shown < least / 2:
        return f"<{least:g} %"
    if 100 - shown < least / 2:
        return f">{100 - least:g} %"
    return f"{shown:.{digits}f} %"


def utc(seconds: float | None) -> Markup:
    """A time of the store, in UTC."""
    if seconds is None:
        return Markup('<span class="none">–</span>')
    at = datetime.fromtimestamp(seconds, UTC)
    return Markup(f'<time datetime="{at:%Y-%m-%dT%H:%M:%SZ}">{at:%Y-%m-%d %H:%M}</time>')


def duration(seconds: float | None) -> str:
    """`42 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`: two units at most."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    left = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        n, left = divmod(left, size)
        if n or parts or unit == "s":
            parts.append(f"{n} {unit}")
    return " ".join(part for part in parts[:2] if not (part.startswith("0 ") and len(parts) > 1))


def bounded(n: int, bound: int) -> str:
    """`812`, or `10,000+` where counting ended at the bound."""
    return f"{bound:,}+" if n > bound else f"{n:,}"


FILTERS = {
    "visible": visible,
    "told": told,
    "cell": cell,
    "plain": plain,
    "number": number,
    "amount": amount,
    "percent": percent,
    "utc": utc,
    "duration": duration,
}
