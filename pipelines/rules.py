"""A pack's rules and the sentence splitter: the spaCy side, the same in training and in workers."""

from __future__ import annotations

import json
import re
import sys
from bisect import bisect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipelines.rule_matcher import RuleMatcher
from suites.errors import PackError
from suites.types import Finding

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

# spaCy's tokenizer is quadratic in a run without spaces: 267 s for 50,000 brackets, 0.03 s in
# pieces of 256 (docs/performance.md)
MAX_RUN = 256
_LONG_RUN = re.compile(rf"\S{{{MAX_RUN + 1},}}")


@contextmanager
def light_spacy() -> Iterator[None]:
    """Where spaCy is imported first: without what no reader needs.

    thinc imports torch wherever it is installed: seconds, and 300 MB a worker. spaCy's own command line, with clients
    for the web, takes 0.4 s.
    """
    hidden: dict[str, Any] = {} if "torch" in sys.modules else {"torch": None}
    if "spacy" not in sys.modules:
        hidden |= {name: ModuleType(name) for name in ("spacy.cli", "spacy.cli.info")}
        hidden["spacy.cli.info"].info = None
    sys.modules.update(hidden)
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


class Rules:
    """Sentences and rule findings of texts, by spaCy's sentencizer and matchers."""

    def __init__(self, folder: Path | None = None, language: str = "en") -> None:
        with light_spacy():
            import spacy
            from spacy.tokens import Doc
        self._doc_type = Doc
        self._nlp: Language = spacy.blank(language)
        self._nlp.max_length = sys.maxsize  # a text's length is bounded by its pack, where it is read
        self._sentencizer = self._nlp.add_pipe("sentencizer")
        self._match: RuleMatcher | None = None
        path = folder / "rules.jsonl" if folder else None
        if path is not None and path.exists():
            try:
                self._match = RuleMatcher(self._nlp, _patterns(path))
            except (ValueError, TypeError, KeyError, re.error) as error:  # so spaCy refuses a pattern, or re its expression
                raise PackError(f"{path}: a pattern cannot be used ({type(error).__name__}). See spaCy's rule patterns, or docs/packs.md.") from None

    def read(self, text: str) -> tuple[list[tuple[int, int]], list[Finding]]:
        """Character ranges of the sentences, and the rules' findings, longest first where they overlap."""
        doc = self._sentencizer(self._make_doc(text))
        ranges = [r for sentence in doc.sents for r in _lines(text, sentence.start_char, sentence.end_char)]
        if self._match is None:
            return ranges, []
        found = []
        for name, first, end in self._match(doc):
            task, _, label = name.partition("/")
            found.append(Finding(task, label, 1.0, doc[first].idx, doc[end - 1].idx + len(doc[end - 1]), "rule"))
        return ranges, _longest(found)

    def _make_doc(self, text: str) -> Doc:
        long_runs = list(_LONG_RUN.finditer(text))
        if not long_runs:
            return self._nlp.make_doc(text)
        # tokenise between the long runs as always, and inside them in pieces of MAX_RUN characters
        words: list[str] = []
        spaces: list[bool] = []
        at = 0
        for run in [*long_runs, None]:
            before = text[at : run.start() if run else len(text)]
            if words and before.startswith(" "):  # the space after a run belongs to its last token
                spaces[-1], before = True, before[1:]
            pieces = [before, *re.findall(rf"\S{{1,{MAX_RUN}}}", run.group())] if run else [before]
            for piece in pieces:
                for token in self._nlp.make_doc(piece):
                    words.append(token.text)
                    spaces.append(bool(token.whitespace_))
            at = run.end() if run else at
        return self._doc_type(self._nlp.vocab, words=words, spaces=spaces)


def _patterns(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except ValueError as error:
        raise PackError(f"{path}: not JSON lines: {error}") from None


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence's lines without outer space: notes and mails end sentences with a line end."""
    for match in re.finditer(r"\S(?:[^\n]*\S)?", text[start:end]):
        yield start + match.start(), start + match.end()


def _longest(found: list[Finding]) -> list[Finding]:
    """Of overlapping findings of one task the longest, then the first."""
    kept: dict[str, list[tuple[int, int, Finding]]] = {}
    for finding in sorted(found, key=lambda f: (f.start - f.end, f.start, f.label)):
        ours = kept.setdefault(finding.task, [])
        # what is kept never overlaps, so only the neighbours in order can touch the new one
        place = bisect(ours, finding.start, key=lambda k: k[0])
        touches_left = place > 0 and ours[place - 1][1] > finding.start
        touches_right = place < len(ours) and ours[place][0] < finding.end
        if not touches_left and not touches_right:
            ours.insert(place, (finding.start, finding.end, finding))
    return [finding for task in sorted(kept) for _, _, finding in kept[task]]
