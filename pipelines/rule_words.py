"""Which words a pattern's tokens take: spaCy decides, RE2 runs the expressions, and what is found of a word is kept."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

# what a word alone decides, wherever it stands
LEXICAL = {
    *("ORTH", "TEXT", "LOWER", "LENGTH", "SHAPE", "PREFIX", "SUFFIX", "IS_ALPHA", "IS_ASCII", "IS_DIGIT", "IS_LOWER", "IS_UPPER", "IS_TITLE"),
    *("IS_PUNCT", "IS_SPACE", "IS_STOP", "LIKE_NUM", "LIKE_URL", "LIKE_EMAIL"),
}
# words that are kept; then all are forgotten, so that a process that reads for months does not grow
KEPT = 200_000
# before an expression that spaCy hands on to us; texts hold no NUL
MARK = "\0RE2:"
FUZZY = ("FUZZY9", "FUZZY8", "FUZZY7", "FUZZY6", "FUZZY5", "FUZZY4", "FUZZY3", "FUZZY2", "FUZZY1", "FUZZY")
# what RE2 may use for the automaton of all expressions, in bytes
MEMORY = 32 << 20


class Expressions:
    """Regular expressions, all run over a word in one pass of RE2, in time linear in the word.

    spaCy runs `REGEX` with a backtracking engine, on which `(a+)+$` takes twice the time for each letter more. `FUZZY`, in turn, it
    leaves to a function of the caller's: an expression is given to it as a fuzzy word with a mark, and comes back here.
    """

    def __init__(self) -> None:
        import re2  # type: ignore[import-untyped]
        from spacy.matcher.levenshtein import levenshtein_compare  # type: ignore[import-not-found]

        self._re2, self._levenshtein = re2, levenshtein_compare
        self._options = re2.Options()
        self._options.log_errors = False
        self._options.max_mem = MEMORY
        # the empty expression is found in every word: where it is not, RE2 could not search
        self._known = [""]
        self._set: Any = None
        self.found = lru_cache(1_000)(self._search)  # many tokens ask about one word

    def rewritten(self, asked: Any) -> Any:
        """What a token asks of an attribute, each REGEX in it made one of ours. Raises ValueError where RE2 refuses it."""
        if not isinstance(asked, Mapping):
            return asked
        ours: dict[Any, Any] = {}
        for key, value in asked.items():
            if str(key).upper() == "REGEX":
                ours[next(name for name in FUZZY if name not in asked)] = self._marked(value)
            else:
                ours[key] = self.rewritten(value)
        return ours

    def compare(self, word: str, asked: str, fuzzy: int) -> bool:
        """Whether a word is what FUZZY asks for; `fuzzy` as spaCy gives it. Raises MemoryError where RE2 could not search."""
        if asked.startswith(MARK):
            return asked in self.found(word)
        return bool(self._levenshtein(word, asked, fuzzy))

    def compile(self) -> None:
        """Makes the one automaton of all expressions. Raises ValueError where RE2 has no room for it."""
        self._set = self._re2.Set.SearchSet(self._options)
        for expression in self._known:
            self._set.Add(expression)
        self.found.cache_clear()
        try:
            self._set.Compile()
            self._search("")
        except (MemoryError, self._re2.error):
            raise ValueError(self._no_room()) from None

    def _marked(self, value: Any) -> Any:
        if isinstance(value, Mapping) and value and {str(key).upper() for key in value} <= {"IN", "NOT_IN"}:
            return {key: [self._marked(each) for each in values] for key, values in value.items()}
        if not isinstance(value, str):
            raise ValueError("REGEX takes an expression as a string, or {'IN': [...]} or {'NOT_IN': [...]} of such strings")
        try:
            self._re2.compile(value, self._options)
        except self._re2.error as error:
            reason = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
            raise ValueError(
                f"RE2, which runs the expressions in linear time, refuses {value!r}: {reason}. "
                "It knows neither look-around nor back references: write it without them, or as several tokens; see https://github.com/google/re2/wiki/Syntax"
            ) from None
        if value not in self._known:
            self._known.append(value)
        return MARK + value

    def _search(self, word: str) -> frozenset[str]:
        """The expressions, with their marks, that are found in a word."""
        found = self._set.Match(word)
        if 0 not in found:
            raise MemoryError(self._no_room())
        return frozenset(MARK + self._known[i] for i in found)

    def _no_room(self) -> str:
        return f"RE2 has no room for the {len(self._known) - 1} expressions of these rules together: make the longest shorter"


class Words:
    """Words as integers: one bit for each token that patterns ask for, set where the word is one."""

    def __init__(self, nlp: Language) -> None:
        from spacy.matcher import Matcher
        from spacy.tokens import Doc

        self._doc_type, self._vocab = Doc, nlp.vocab
        self._expressions = Expressions()
        self._asked: list[Mapping[str, Any]] = []
        self._simple: dict[str, int] = {}  # tokens that are one expression and nothing else, most of all: no need to ask spaCy
        self._lexical = Matcher(nlp.vocab, fuzzy_compare=self._expressions.compare)
        self._placed = Matcher(nlp.vocab, fuzzy_compare=self._expressions.compare)
        self._known: dict[int, int] = {}

    def bit(self, token: Mapping[str, Any]) -> int:
        """The bit of a token as spaCy writes it, without OP. Raises ValueError where spaCy or RE2 refuses it."""
        if token in self._asked:
            return self._asked.index(token)
        if "_" in token:
            raise ValueError("it asks for an extension ('_'), which no rule can: a blank pipeline sets none")
        bit = len(self._asked)
        asked = {key: self._expressions.rewritten(value) for key, value in token.items()}
        matcher = self._lexical if is_lexical(token) else self._placed
        matcher.add(str(bit), [[asked]])  # spaCy says what it does not know
        match token:
            case {"TEXT": {"REGEX": str(expression), **others}, **more} if not others and not more:
                matcher.remove(str(bit))
                self._simple[MARK + expression] = 1 << bit
        self._asked.append(token)
        return bit

    def compile(self) -> None:
        """To be called when all tokens have their bits. Raises ValueError where the expressions are too large together."""
        self._expressions.compile()

    def read(self, doc: Doc) -> list[int]:
        """The words of a text, in order."""
        orths = doc.to_array("ORTH").tolist()
        if len(self._known) > KEPT:
            self._known.clear()
        self._learn(list({orth: None for orth in orths if orth not in self._known}))
        words = [self._known[orth] for orth in orths]
        if len(self._placed):
            for bit, at in self._matched(self._placed, doc):
                words[at] |= bit
        return words

    def _learn(self, orths: list[int]) -> None:
        words = [self._vocab.strings[orth] for orth in orths]
        for orth, word in zip(orths, words, strict=True):
            self._known[orth] = sum(self._simple.get(expression, 0) for expression in self._expressions.found(word)) if self._simple else 0
        if words and len(self._lexical):
            for bit, at in self._matched(self._lexical, self._doc_type(self._vocab, words=words)):
                self._known[orths[at]] |= bit

    def _matched(self, matcher: Any, doc: Doc) -> list[tuple[int, int]]:
        return [(1 << int(self._vocab.strings[key]), at) for key, at, _ in matcher(doc)]


def is_lexical(token: Mapping[str, Any]) -> bool:
    """Whether a word alone decides if it is such a token."""
    return {str(key).upper() for key in token} <= LEXICAL
