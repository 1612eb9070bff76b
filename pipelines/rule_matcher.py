"""spaCy's patterns, matched in bounded time: whether a word is a wanted token is looked at once a word, and an automaton walks the words.

A text is matched only against the patterns whose words it has. What is found is what spaCy's own `span_ruler` finds. Sequences are not
left to spaCy's matcher: of `*` after `*` it keeps every way to read a text, and there are more of those than any machine can hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.rule_regex import RegexRules
from pipelines.rule_walk import Budget, Token, Walk
from pipelines.rule_words import Words, is_lexical

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

# a pattern's tokens with its repeats written out: `{2,7}` are seven
MAX_TOKENS = 200
_REPEATS = {"1": (1, 1), "?": (0, 1), "*": (0, None), "+": (1, None), "!": (1, 1)}
_COUNTS = re.compile(r"\{(\d*)(,?)(\d*)\}")

Match = tuple[str, int, int]


class PatternError(ValueError):
    """A pattern that cannot be used: its position among the patterns, its id, and why in a sentence."""

    def __init__(self, position: int, name: str, reason: str) -> None:
        super().__init__(reason)
        self.position, self.name, self.reason = position, name, reason


class RuleMatcher:
    """Patterns as spaCy's `span_ruler` takes them: `label`, `id`, and `pattern` as a list of tokens or as a phrase; or a `regex` over the text.

    Raises PatternError where one cannot be used.
    """

    def __init__(self, nlp: Language, patterns: Sequence[Mapping[str, Any]]) -> None:
        from spacy.matcher import PhraseMatcher

        self._nlp = nlp
        self._words = Words(nlp)
        self._rules: list[tuple[int, str, Walk]] = []
        self._phrases = PhraseMatcher(nlp.vocab)
        self._regexes = RegexRules()
        for position, entry in enumerate(patterns):
            name = str(entry.get("id", "")) if isinstance(entry, Mapping) else ""
            try:
                self._add(name, entry)
                if position == len(patterns) - 1:
                    self._words.compile()
                    self._regexes.compile()
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise PatternError(position, name, _reason(error)) from None

    def __call__(self, doc: Doc) -> Iterator[Match]:
        """Label, first token and the one after the last of each match of a pattern. Raises RuleBudget where they are too many, or too long to find."""
        return self._of_words(doc, Budget(len(doc)))

    def ranges(self, doc: Doc) -> Iterator[Match]:
        """Label, first character and the one after the last of each match of a pattern or expression. Raises RuleBudget."""
        budget = Budget(len(doc))
        for label, first, end in self._of_words(doc, budget):
            last = doc[end - 1]
            yield label, doc[first].idx, last.idx + len(last)
        if len(self._regexes):
            yield from self._regexes.matches(doc.text, budget)

    def _of_words(self, doc: Doc, budget: Budget) -> Iterator[Match]:
        words = self._words.read(doc)
        held = 0
        for word in words:
            held |= word
        for needed, label, walk in self._rules:
            if needed & held == needed:
                for start, end in walk.matches(words, budget):
                    yield label, start, end
        if len(self._phrases):
            yield from ((self._nlp.vocab.strings[key], start, end) for key, start, end in self._phrases(doc))

    def _add(self, name: str, entry: Mapping[str, Any]) -> None:
        if "regex" in entry:
            self._regexes.add(name, entry)
            return
        label, pattern = str(entry["label"]), entry["pattern"]
        if isinstance(pattern, str) and pattern.strip():
            self._phrases.add(label, [self._nlp.make_doc(pattern)])
            return
        if not isinstance(pattern, list) or not pattern or not all(isinstance(token, Mapping) for token in pattern):
            raise ValueError("a pattern is a list of tokens like [{'LOWER': 'pay'}], or a phrase")
        needed, tokens = 0, list[Token]()
        for token in pattern:
            asked = {key: value for key, value in token.items() if str(key).upper() != "OP"}
            bit = self._words.bit(asked)
            written_out = _written_out(bit, next((value for key, value in token.items() if str(key).upper() == "OP"), "1"))
            if len(tokens) + len(written_out) > MAX_TOKENS:
                raise ValueError(f"with its repeats written out the pattern has more than {MAX_TOKENS} tokens: bound them lower")
            tokens += written_out
            if is_lexical(asked) and any(not token.optional and not token.negated for token in written_out):
                needed |= 1 << bit
        self._rules.append((needed, label, Walk(name, tokens)))


def _written_out(bit: int, operator: object) -> list[Token]:
    """A token as often as its operator says. Raises ValueError where it is no operator, or one of too many tokens."""
    least, most = _counts(str(operator))
    if max(least, most or 0) > MAX_TOKENS:
        raise ValueError(f"OP {operator!r} repeats more than {MAX_TOKENS} times: bound it lower")
    once = Token(bit, negated=operator == "!")
    rest = [Token(bit, optional=True)] * (most - least) if most is not None else [Token(bit, optional=True, repeated=True)]
    return [once] * least + rest


def _counts(operator: str) -> tuple[int, int | None]:
    """How often a token comes at least and at most; None is without end."""
    if operator in _REPEATS:
        return _REPEATS[operator]
    if found := _COUNTS.fullmatch(operator):
        least, comma, most = found.groups()
        counts = int(least or 0), (int(most) if most else None) if comma else int(least or 0)
        if (least or most) and (counts[1] is None or counts[0] <= counts[1]) and counts[1] != 0:
            return counts
    raise ValueError(f"OP {operator!r} is none of 1 ? * + ! {{n}} {{n,m}} {{n,}} {{,m}} with n <= m and m > 0")


def _reason(error: Exception) -> str:
    """One line of why: of spaCy's errors their list of reasons."""
    if isinstance(error, KeyError):
        return f"it lacks {error.args[0]!r}"
    reasons = [line.removeprefix("- ") for line in str(error).splitlines() if line.startswith("- ")]
    return "; ".join(reasons) or str(error).partition("\n")[0] or type(error).__name__
