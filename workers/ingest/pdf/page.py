"""The text of a PDF page in reading order: columns one after the other, paragraphs on one line each, tables as rows `cell | cell`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby, pairwise
from statistics import median

from workers.ingest.pdf.glyphs import HYPHEN, Word
from workers.ingest.pdf.lines import Line, lines_of, runs
from workers.ingest.pdf.tables import PROSE_LINES, Table, is_level, is_prose, tables_of

_BINS = 200  # places at which a page is asked for a gutter
_OFTEN = 0.6  # where more of the lines stand there is none
_BESIDE = 3  # lines of what is no running text beside a column of it
_SPLITS = 8  # of columns within columns
_INK = 0.5  # of a line of a paragraph at least, in a narrow justified column too
# in heights of a line, or in usual distances of two lines
_PARAGRAPH, _INDENT, _OTHER_SIZE = 1.35, 0.8, 1.15
_ITEM = re.compile(r"(?:[•‣▪■◦●○–—*·\uf0b7-]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)])\s")
_HYPHENS = (HYPHEN, "-", "\u2010")
_WORD = re.compile(r"\w+(?:-\w+)+")


def text_of(words: Sequence[Word]) -> str:
    """The text of words that stand the same way up."""
    lines = lines_of(words)
    hyphened = {found[0].lower() for line in lines for found in _WORD.finditer(line.text)}
    texts = ["", *_texts(lines, hyphened, _SPLITS)]
    return "\n".join(text for before, text in pairwise(texts) if before or text).strip("\n").replace(HYPHEN, "")


def _texts(lines: list[Line], hyphened: set[str], splits: int) -> Iterator[str]:
    """Lines of text, an empty one where a paragraph, column or table ends."""
    zone = _columns(lines) if splits and len(lines) >= PROSE_LINES else None
    if zone is None:
        yield from _flow(lines, hyphened)
        return
    first, end, gutter = zone
    left = [part for line in lines[first:end] if (part := line.part(float("-inf"), gutter))]
    right = [part for line in lines[first:end] if (part := line.part(gutter, float("inf")))]
    for band in (lines[:first], left, right, lines[end:]):
        if band:
            yield from _texts(band, hyphened, splits - 1)
            yield ""


# ── columns ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _columns(lines: list[Line]) -> tuple[int, int, float] | None:
    """The tallest zone of lines that a gutter parts into columns of running text: its first line, the line behind it, the gutter."""
    left, right = min(line.left for line in lines), max(line.right for line in lines)
    step = max(right - left, 1.0) / _BINS
    best: tuple[int, int, float] | None = None
    covered = _covered(lines)
    for gutter in _gutters(lines, left, step):
        crosses = [any(start < gutter < end for start, end in ranges) for ranges in covered]
        for first, end in runs(lines, crosses):
            if (best is None or end - first > best[1] - best[0]) and _are_columns(lines[first:end], gutter):
                best = (first, end, gutter)
    return best


def _covered(lines: list[Line]) -> list[list[tuple[float, float]]]:
    """What each line covers of the page's width: its segments, all of it where it is the row of a table."""
    covered: list[list[tuple[float, float]]] = []
    for block in tables_of(lines):
        if isinstance(block, Table):
            covered += [[(block.columns[0][0], block.columns[-1][1])]] * len(block.lines)
        else:
            covered.append([(segment.left, segment.right) for segment in block.segments])
    return covered


def _gutters(lines: list[Line], left: float, step: float) -> Iterator[float]:
    """Places where fewer lines stand than to both sides, and few at all."""
    changes = [0] * (_BINS + 2)
    for line in lines:
        for segment in line.segments:
            changes[max(0, int((segment.left - left) / step))] += 1
            changes[min(_BINS, int((segment.right - left) / step)) + 1] -= 1
    plateaus = [(n, len(list(same))) for n, same in groupby(accumulate(changes[:-1]))]
    at = 0
    for place, (n, width) in enumerate(plateaus):
        is_lowest = 0 < place < len(plateaus) - 1 and plateaus[place - 1][0] > n < plateaus[place + 1][0]
        if is_lowest and n <= _OFTEN * len(lines):
            yield left + (at + width / 2) * step
        at += width


def _are_columns(zone: list[Line], gutter: float) -> bool:
    """Whether both sides are running text, or one is and the other shares few of its baselines."""
    left = [found for line in zone if (found := [segment for segment in line.segments if segment.left < gutter])]
    right = [found for line in zone if (found := [segment for segment in line.segments if segment.left >= gutter])]
    prose = is_prose(left) + is_prose(right)
    n_both = sum(line.left < gutter < line.segments[-1].right and is_level(line) for line in zone)
    return prose == 2 or (prose == 1 and min(len(left), len(right)) >= _BESIDE and 2 * n_both < min(len(left), len(right)))


# ── paragraphs and tables ───────────────────────────────────────────────────────────────────────────────────────────


def _flow(lines: list[Line], hyphened: set[str]) -> Iterator[str]:
    """One column's paragraphs and tables."""
    right = sorted(line.right for line in lines)[-1 - len(lines) // 10] if lines else 0.0  # a page's number may stand further out
    leading = median([a.base - b.base for a, b in pairwise(lines)] or [0.0])
    if sum(line.right > right - 2 * line.height for line in lines) < min(2, len(lines) - 1):
        right = float("inf")  # one long line among short ones, as in an address, is no line of a paragraph
    text, last = "", None
    for block in tables_of(lines):
        if isinstance(block, Table):
            yield from filter(None, (_closed(text),))
            yield from ("", *block.rows(), "")
            text, last = "", None
        elif last is not None and _goes_on(last, block, right, leading):
            text = _joined(text, block.text, hyphened)
            last = block
        else:
            yield from filter(None, (_closed(text),))
            if last is not None and last.base - block.base > _PARAGRAPH * max(leading, block.height):
                yield ""
            text, last = block.text, block
    yield from filter(None, (_closed(text),))


def _goes_on(last: Line, line: Line, right: float, leading: float) -> bool:
    """Whether a line goes on with the paragraph of the line before: that had no room for its first word, and nothing says that it begins anew."""
    height = max(last.height, line.height)
    if last.base - line.base > _PARAGRAPH * max(leading, height) or max(last.height, line.height) > _OTHER_SIZE * min(last.height, line.height):
        return False
    if _is_sparse(last) or _is_sparse(line) or _ITEM.match(line.text) or last.text.endswith(":"):
        return False
    if line.left - last.left > _INDENT * height and not _ITEM.match(last.text):
        return False
    if last.text.endswith(_HYPHENS) and line.text[:1].islower():
        return True
    return last.right + line.segments[0].first_word + 0.2 * height > right - 0.5 * height


def _is_sparse(line: Line) -> bool:
    """Whether a line has more gaps than words: a row, or a name and a date, and no part of a paragraph."""
    return sum(segment.width for segment in line.segments) < _INK * (line.right - line.left)


def _joined(text: str, line: str, hyphened: set[str]) -> str:
    """The two as one line; a word that was broken at the line's end is whole again."""
    if not text.endswith(_HYPHENS) or len(text) < 2 or not line[:1].islower():
        return f"{_closed(text)} {line}"
    head, tail = text[:-1].rpartition(" ")[2], line.partition(" ")[0]
    whole = re.match(r"\w+", tail)
    is_compound = f"{head}-{whole[0] if whole else ''}".lower() in hyphened or not head[-1:].isalpha() or head.isupper()
    return text[:-1] + ("-" if is_compound else "") + line


def _closed(text: str) -> str:
    """The text; a hyphen at its end that joins nothing stays one."""
    return text[:-1] + "-" if text.endswith(HYPHEN) else text
