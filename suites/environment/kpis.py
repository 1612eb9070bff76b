"""The key figures of a document, from its tables and its sentences."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from . import flat, prose, rows, targets
from .numerals import NUMERAL, Convention
from .rows import Figure
from .says import SAYS
from .sentences import Sentence, sentences_of
from .tables import Cell, Line, Row, Table
from .years import find_years

# no figure without one of these words near; most sentences have none and are not looked at
_WORTH = (
    *(
        "scope",
        "emission",
        "emitted",
        "energy",
        "renewable",
        "water",
        "withdr",
        "abstracted",
        "waste",
        "recycl",
        "landfill",
        "base year",
        "baseline",
        "base-year",
    ),
    *("net zero", "net-zero", "neutral", "scenario", "pathway", "warming", "°", "rcp", "ssp", "target year", "compares", "consumed", "returned", "discharged"),
    *("intensity", "carbon", "ghg", "co2", "greenhouse", "footprint", "climate", "paris", "degree", "environment", "decarboni", "coal", "lignite", "fossil"),
    *("re100", "target", "reference year", "electricity", "methane", "zero", "green power", "science", "sustainab"),
)
# sentences above that may say what a sentence is about
ABOVE = 3
# words after the number may say that it is of a part, or net
_GOES_ON = re.compile(r"[ ,(]*(?:net|excl\w*|of|from|at|by|in|across|per|for|after|less|without|only|each)\b(?! (?:FY ?)?(?:19|20)\d\d)")
_ENTRY = re.compile(r"^\W{0,3}([A-Z][^:|]{2,80}): ?(?=[\d~<])")


def figures_of(text: str, pages: Sequence[tuple[list[Line], list[Table]]], convention: Convention) -> Iterator[Figure]:
    """The key figures of all pages, none overlapping another."""
    for lines, tables in pages:
        taken: list[tuple[int, int]] = []
        for figure in _page(text, lines, tables, convention):
            if not any(a < figure.end and figure.start < b for a, b in taken[-8:]):
                taken.append((figure.start, figure.end))
                yield figure


def _page(text: str, lines: list[Line], tables: list[Table], convention: Convention) -> Iterator[Figure]:
    for table in tables:
        yield from targets.of_table(table, convention)
        yield from rows.figures_of(table, convention)
    for table in flat.tables_of(lines):
        yield from rows.figures_of(table, convention)
    last: Figure | None = None
    told: list[Figure] = []
    above: tuple[Sentence, ...] = ()
    worth: tuple[bool, ...] = ()
    titles = [line for line in lines if not _ENTRY.match(line.text)]
    for sentence in sentences_of(text, lines, convention):
        says = SAYS.search(sentence.words) is not None
        if sentence.before is None and last is not None and not says:
            last = None
        over, above, worth = above, (*above[1 - ABOVE :], sentence), (*worth[1 - ABOVE :], _is_worth(sentence))
        if not says or not any(worth):
            continue
        found = [*targets.targets_of(sentence, told, over), *prose.figures_of(sentence, last)]
        told = [*told[-4:], *(f for f in found if f.metric == "TARGET_YEAR")]
        last = next((f for f in reversed(found) if f.quantity.parsed is not None), last)
        yield from found or _entries(sentence, titles, convention)


def _entries(sentence: Sentence, titles: list[Line], convention: Convention) -> Iterator[Figure]:
    """The figure of a line `Label (unit): number`, which is a row without a table; `titles` are the page's lines that are none."""
    match = _ENTRY.match(sentence.words)
    if match is None:
        return
    number = sentence.words[match.end() :]
    start = sentence.start + match.end()
    figure = next((f for f in sentence.quantities if f.start == start), None)
    found = NUMERAL.match(number) if figure is None else None
    end = figure.end if figure else start + found.end() if found else start
    if end == start or any(f.start < start for f in sentence.quantities) or find_years(match[1]):
        return
    if _GOES_ON.match(sentence.text, end, sentence.end):
        return
    nearest = bisect_left(titles, sentence.start, key=lambda line: line.end) - 1
    caption = (titles[nearest].text.strip(),) if nearest >= 0 and titles[nearest].is_caption else ()
    label = Cell(sentence.start + match.start(1), sentence.start + match.end(1), match[1].strip())
    row = Row((label, Cell(start, end, sentence.text[start:end])))
    yield from rows.figures_of(Table(caption, (), [row]), convention)


def _is_worth(sentence: Sentence) -> bool:
    words = sentence.words.lower()
    return any(word in words for word in _WORTH)
