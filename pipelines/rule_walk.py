"""A pattern as an automaton over words: all ranges of words that it matches, in a bounded number of steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# steps that the rules may take in a document: so many a word, within these bounds. The packs' rules take fewer than one a word in common texts,
# and on the worst texts known fewer than a hundred; 20 million are a few seconds
STEPS_A_WORD, LEAST_STEPS, MOST_STEPS = 100, 1_000_000, 20_000_000
# a match is kept and compared with others: it counts as so many steps, so that the memory is bounded too
STEPS_A_MATCH = 10
# moves that are kept; then all are forgotten
KEPT = 10_000

Range = tuple[int, int]


class RuleBudget(Exception):
    """The rules need more steps on a document than they may take. The message names the rule and never the text."""


class Budget:
    """The steps that are left for a document of `n_words` words."""

    def __init__(self, n_words: int) -> None:
        self._allowed = self._left = min(max(STEPS_A_WORD * n_words, LEAST_STEPS), MOST_STEPS)
        self._n_words = n_words

    def spend(self, n_steps: int, rule: str) -> None:
        """Raises RuleBudget where no steps are left."""
        self._left -= n_steps
        if self._left < 0:
            raise RuleBudget(
                f"rule {rule!r} was stopped: on {self._n_words} words the rules took more than the {self._allowed} steps allowed. "
                "Bound its repeats, {0,5} in place of * and {1,5} in place of +, or split the document"
            )


@dataclass(frozen=True, slots=True)
class Token:
    """A pattern's token: the bit of the words that it takes, or, negated, that it does not; whether it may be left out; whether it may come again."""

    bit: int
    negated: bool = False
    optional: bool = False
    repeated: bool = False


class Walk:
    """The pattern of the rule `name`. A word is an integer: the bits of the tokens that it can be."""

    def __init__(self, name: str, tokens: Sequence[Token]) -> None:
        self.name = name
        self._tokens = tuple(tokens)
        self._end = 1 << len(tokens)
        # states are sets of places in the pattern, as bits: the place i is before token i
        reach = [self._end]
        for i in reversed(range(len(tokens))):
            reach.insert(0, 1 << i | (reach[0] if tokens[i].optional else 0))
        self._start = reach[0]
        self._after = tuple(reach[i if token.repeated else i + 1] for i, token in enumerate(tokens))
        self._asked = sum({1 << token.bit for token in tokens})
        first = [token for i, token in enumerate(tokens) if self._start >> i & 1]
        self._first = -1 if any(token.negated for token in first) else sum({1 << token.bit for token in first})
        self._moves: dict[Range, Range] = {}

    def matches(self, words: Sequence[int], budget: Budget) -> Iterator[Range]:
        """First word and the one after the last of each match, none of them empty. Raises RuleBudget."""
        asked, first, moves = self._asked, self._first, self._moves
        n_words = len(words)
        for start in [i for i, word in enumerate(words) if word & first] if first >= 0 else range(n_words):
            state, at, n_steps = self._start, start, 0
            while state and at < n_words:
                word = words[at] & asked
                move = moves.get((state, word)) or self._move(state, word)
                state, matched = move
                at += 1
                if matched:
                    n_steps += STEPS_A_MATCH
                    yield start, at
            budget.spend(n_steps + at - start, self.name)

    def _move(self, state: int, word: int) -> Range:
        """The places after this word, and whether the pattern's end is one of them."""
        after = 0
        for i, token in enumerate(self._tokens):
            if state >> i & 1 and (word >> token.bit & 1) != token.negated:
                after |= self._after[i]
        if len(self._moves) >= KEPT:
            self._moves.clear()
        move = self._moves[state, word] = (after & ~self._end, after & self._end)
        return move
