"""Words on one baseline are a line; wide gaps part it into segments, which may be cells of a table or lines of columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from workers.ingest.pdf.glyphs import Word

# in heights of a line
_ONE_LINE = 0.3  # baselines differ by less
_SPACE = 0.13  # fonts' spaces are 0.22 and more; letters of a word stand closer
GAP = 3.0  # from a line to the next; what is wider parts a page
WIDE = 0.9  # as narrow as the gutter of two columns gets; spaces of justified lines are seldom as wide


@dataclass(slots=True)
class Segment:
    """Words that stand together on a line."""

    text: str
    left: float
    right: float
    first_word: float  # its width
    base: float  # of that word

    @property
    def width(self) -> float:
        return self.right - self.left


@dataclass(slots=True)
class Line:
    """A line of the page, its segments from left to right."""

    base: float
    height: float
    segments: list[Segment]

    @property
    def left(self) -> float:
        return self.segments[0].left

    @property
    def right(self) -> float:
        return max(segment.right for segment in self.segments)

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)

    def part(self, left: float, right: float) -> Line | None:
        """What of the line lies between two places, by the segments' middles; None where nothing does."""
        inside = [segment for segment in self.segments if left <= (segment.left + segment.right) / 2 < right]
        return Line(self.base, self.height, inside) if inside else None


def lines_of(words: Sequence[Word]) -> list[Line]:
    """The lines from top to bottom. Words of one line may stand anywhere in the file."""
    rows: list[list[Word]] = []
    for word in sorted(words, key=lambda word: -word.base):
        first = rows[-1][0] if rows else None
        if first is None or first.base - word.base > _ONE_LINE * max(first.height, word.height):
            rows.append([])
        rows[-1].append(word)
    return [_line(row) for row in rows]


def _line(row: list[Word]) -> Line:
    height = max(word.height for word in row)
    segments: list[Segment] = []
    for word in sorted(row, key=attrgetter("left")):
        last = segments[-1] if segments else None
        gap = word.left - last.right if last else 0.0
        if last is None or gap > WIDE * word.height:
            segments.append(Segment(word.text, word.left, word.right, word.right - word.left, word.base))
        else:
            last.text += word.text if gap < _SPACE * word.height else f" {word.text}"
            last.right = max(last.right, word.right)
    base, _ = max((word.base, word.height) for word in row if word.height == height)
    return Line(base, height, segments)


def runs(lines: Sequence[Line], crosses: Sequence[bool]) -> list[tuple[int, int]]:
    """The longest stretches of lines that do not cross and stand below each other without a wide gap: first line, line behind the last."""
    found: list[tuple[int, int]] = []
    start = 0
    for at in range(len(lines) + 1):
        is_end = at == len(lines) or crosses[at]
        if is_end or (at > start and lines[at - 1].base - lines[at].base > GAP * lines[at].height):
            if at > start:
                found.append((start, at))
            start = at + is_end
    return found
