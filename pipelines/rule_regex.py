"""Rules that are regular expressions over the text: RE2 finds them in linear time, and only those that occur are looked for one by one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pipelines.rule_walk import STEPS_A_MATCH, Budget, RuleBudget

# what RE2 may use for the automaton of all expressions together, and of each alone, in bytes
MEMORY = 32 << 20
# so many expressions share one automaton: its states multiply with them, and beyond what fits into the memory it is built anew again and again
# (160 expressions in one: 1.4 ms a message of 60 words, eight by eight: 0.1 ms)
TOGETHER = 8
# an expression may look this far beyond what it finds, again and again: a longer text is matched in pieces
PIECE_CHARS = 20_000
# a match is not longer than this where a piece ends
OVERLAP = 1_000
# and all together may take so long on a text, of the processor's time: fifty times what the slowest pack takes, and never so long that a worker seems to hang
SECONDS_A_CHAR, LEAST_SECONDS, MOST_SECONDS = 2e-4, 3.0, 20.0
REMEDY = "An expression that reads on far beyond what it finds takes ever longer: let it end sooner, or split the document"

Match = tuple[str, int, int]


class RegexRules:
    """Rules with `label`, `id` and `regex`. What the first group that took part matched is found, without a group the whole match.

    Raises ValueError where RE2 refuses an expression.
    """

    def __init__(self) -> None:
        import re2  # type: ignore[import-untyped]

        self._re2 = re2
        self._options = re2.Options()
        self._options.log_errors = False
        self._options.max_mem = MEMORY
        self._rules: list[tuple[str, str, Any]] = []
        self._sets: list[tuple[Any, list[tuple[str, str, Any]]]] = []

    def __len__(self) -> int:
        return len(self._rules)

    def add(self, name: str, entry: Mapping[str, Any]) -> None:
        """One rule more. Raises ValueError with the reason."""
        expression = entry["regex"]
        if not isinstance(expression, str) or not expression:
            raise ValueError("regex takes an expression as a string")
        try:
            compiled = self._re2.compile(expression, self._options)
        except self._re2.error as error:
            reason = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
            raise ValueError(
                f"RE2, which runs the expressions in linear time, refuses it: {reason}. It knows neither look-around nor back references: "
                "put what is to be found into a group; see https://github.com/google/re2/wiki/Syntax"
            ) from None
        if compiled.search(b""):
            raise ValueError("it matches the empty text: let it ask for one character at least")
        self._rules.append((name, str(entry["label"]), compiled))

    def compile(self) -> None:
        """To be called when all rules are there: makes the automata that tell which of them occur."""
        for first in range(0, len(self._rules), TOGETHER):
            rules = self._rules[first : first + TOGETHER]
            chosen = self._re2.Set.SearchSet(self._options)
            chosen.Add("")  # found in every text: where it is not, RE2 had no room to search
            for _, _, compiled in rules:
                chosen.Add(compiled.pattern)
            try:
                chosen.Compile()
                self._sets.append((chosen, rules))
            except self._re2.error:  # too large together: each is looked for by itself
                self._sets.append((None, rules))

    def matches(self, text: str, budget: Budget) -> Iterator[Match]:
        """Label, first character and the one after the last of each match. Raises RuleBudget."""
        ends = time.thread_time() + min(max(LEAST_SECONDS, SECONDS_A_CHAR * len(text)), MOST_SECONDS)
        for start, end in pieces(text):
            # a character before it and many after: expressions see where a line or a word begins, and what is cut is found whole.
            # A match is that piece's in which it begins
            from_, to = max(0, start - 1), min(len(text), end + OVERLAP)
            piece = text[from_:to].encode("utf-8", "surrogatepass")
            places = _characters(piece) if len(piece) != to - from_ else None
            for label, begin, first, last in self._found(piece, budget, ends):
                if start <= from_ + (begin if places is None else int(places[begin])) < end:
                    yield (label, from_ + first, from_ + last) if places is None else (label, from_ + int(places[first]), from_ + int(places[last]))

    def _occurring(self, piece: bytes) -> Iterator[tuple[str, str, Any]]:
        """The rules that occur in a piece, and all of those that RE2 had no room to search together."""
        for together, rules in self._sets:
            found = together.Match(piece) if together is not None else ()
            yield from (rules[i - 1] for i in found if i) if 0 in found else rules

    def _found(self, piece: bytes, budget: Budget, ends: float) -> Iterator[tuple[str, int, int, int]]:
        """Label, where the match begins, first and last of what is found, in bytes; `ends`: when this thread's processor time is up."""
        for name, label, compiled in self._occurring(piece):
            for match in compiled.finditer(piece):
                budget.spend(STEPS_A_MATCH, name)
                # one match reads a piece at most; a look at the clock takes a fifth of a microsecond
                if time.thread_time() > ends:
                    raise RuleBudget(f"rule {name!r} was stopped: the expressions took too long on this text. {REMEDY}")
                group = next((g for g in range(1, compiled.groups + 1) if match.start(g) >= 0), 0)
                if match.start(group) < match.end(group):
                    yield label, match.start(), match.start(group), match.end(group)


def pieces(text: str) -> Iterator[tuple[int, int]]:
    """Ranges of a text, each of PIECE_CHARS at most, that end with a line where one ends, else after white space."""
    start = 0
    while len(text) - start > PIECE_CHARS:
        limit = start + PIECE_CHARS
        end = text.rfind("\n", start + 1, limit) + 1
        if not end:
            spaces = re.search(r"\s\S*\Z", text[start + 1 : limit])
            end = start + 2 + spaces.start() if spaces else limit
        yield start, end
        start = end
    yield start, len(text)


def _characters(piece: bytes) -> np.ndarray:
    """The number of the character that each byte begins or belongs to, and of the end. Shape: (len(piece) + 1,)."""
    begins = (np.frombuffer(piece, np.uint8) & 0xC0) != 0x80
    return np.concatenate([np.cumsum(begins) - 1, [begins.sum()]])
