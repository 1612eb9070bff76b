"""spaCy's patterns, each tried only on texts that hold every token which it asks for.

A token pattern is tried at every token of a text, and most texts hold nothing that most patterns want. Whether a word is one that
a pattern's token wants is looked at once a word, and kept; a text is then matched against the patterns whose words it has.
What is found is what spaCy's own `span_ruler` finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.matcher import Matcher
    from spacy.tokens import Doc

# what a word alone decides, wherever it stands
LEXICAL = {
    *("ORTH", "TEXT", "LOWER", "LENGTH", "SHAPE", "PREFIX", "SUFFIX", "IS_ALPHA", "IS_ASCII", "IS_DIGIT", "IS_LOWER", "IS_UPPER", "IS_TITLE"),
    *("IS_PUNCT", "IS_SPACE", "IS_STOP", "LIKE_NUM", "LIKE_URL", "LIKE_EMAIL"),
}
# words that are kept; then all are forgotten, so that a process that reads for months does not grow
KEPT = 200_000

Match = tuple[str, int, int]


class RuleMatcher:
    """Patterns as spaCy's `span_ruler` takes them: `label`, and `pattern` as a list of tokens or as a phrase."""

    def __init__(self, nlp: Language, patterns: Sequence[Mapping[str, Any]]) -> None:
        from spacy.matcher import Matcher, PhraseMatcher
        from spacy.tokens import Doc

        self._doc_type, self._vocab = Doc, nlp.vocab
        self._wanted: list[Mapping[str, Any]] = []  # tokens that patterns ask for; each has a bit
        self._words = Matcher(nlp.vocab)
        self._bits: dict[int, int] = {}  # of each word the bits of the tokens that it is
        self._rules: list[tuple[int, str, Matcher]] = []
        self._phrases = PhraseMatcher(nlp.vocab)
        for entry in patterns:
            label, pattern = str(entry["label"]), entry["pattern"]
            if isinstance(pattern, str):
                self._phrases.add(label, [nlp.make_doc(pattern)])
                continue
            matcher = Matcher(nlp.vocab)
            matcher.add(label, [pattern])
            self._rules.append((sum(1 << bit for bit in {self._bit(token) for token in pattern if _is_required(token)}), label, matcher))

    def __call__(self, doc: Doc) -> Iterator[Match]:
        """Label, first token and the one after the last of each match."""
        held = self._held(doc)
        for needed, label, matcher in self._rules:
            if needed & held == needed:
                yield from ((label, start, end) for _, start, end in matcher(doc))
        if len(self._phrases):
            yield from ((self._vocab.strings[key], start, end) for key, start, end in self._phrases(doc))

    def _bit(self, token: Mapping[str, Any]) -> int:
        asked = {key: value for key, value in token.items() if key != "OP"}
        if asked not in self._wanted:
            self._wanted.append(asked)
            self._words.add(str(len(self._wanted) - 1), [[asked]])
        return self._wanted.index(asked)

    def _held(self, doc: Doc) -> int:
        """The bits of all words of a text."""
        words = set(doc.to_array("ORTH").tolist()) if self._wanted else set()
        if len(self._bits) > KEPT:
            self._bits.clear()
        if new := [orth for orth in words if orth not in self._bits]:
            self._bits |= dict.fromkeys(new, 0)
            for key, at, _ in self._words(self._doc_type(self._vocab, words=[self._vocab.strings[orth] for orth in new])):
                self._bits[new[at]] |= 1 << int(self._vocab.strings[key])
        held = 0
        for orth in words:
            held |= self._bits[orth]
        return held


def _is_required(token: Mapping[str, Any]) -> bool:
    """Whether every match holds such a token, and a word alone decides what is one."""
    operator = str(token.get("OP", "1"))
    optional = operator in ("?", "*", "!") or operator.startswith(("{0", "{,"))
    asked = {key.upper() for key in token} - {"OP"}
    return bool(asked) and asked <= LEXICAL and not optional
