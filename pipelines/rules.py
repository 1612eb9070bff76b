"""A pack's rules and the sentence splitter: the spaCy side, the same in training and in workers."""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from pipelines.context import Context, Said
from pipelines.heads import Range
from pipelines.rule_matcher import PatternError, RuleMatcher
from pipelines.signals import signals
from pipelines.skeleton import differing
from suites.errors import PackError
from suites.types import Finding, Task

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

Made = TypeVar("Made")
# spaCy's tokenizer is quadratic in a run without spaces: 267 s for 50,000 brackets, 0.03 s in
# pieces of 256 (docs/performance.md)
MAX_RUN = 256
# spaCy keeps every word that it ever met, 620 bytes each: a process that reads for months, or what is made of new words alone, begins anew
MAX_WORDS = 100_000
# tried where a run begins and nowhere inside it, or runs just short of the bound would be tried at each character
_LONG_RUN = re.compile(rf"(?<!\S)\S{{{MAX_RUN + 1},}}")


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


@dataclass(frozen=True, slots=True)
class Ruled:
    """What rules say of a text: its sentences, the rules' findings, and what cues say of what stands around them."""

    sentences: list[Range]
    findings: list[Finding]
    said: list[Said]


class Rules:
    """Sentences, rule findings and cues of texts, by spaCy's sentencizer and matchers; `tasks` say which findings go on to the next."""

    def __init__(self, folder: Path | None = None, language: str = "en", tasks: Sequence[Task] = ()) -> None:
        self._rules = _file(folder, "rules.jsonl")
        self._cues = _file(folder, "context.jsonl")
        names = dict.fromkeys(str(entry["label"]) for entry in (self._rules.entries if self._rules else ()) if isinstance(entry, dict) and "label" in entry)
        self._ranks = {name: rank for rank, name in enumerate(names)}
        self._extended = tuple(t.name for t in tasks if t.extends)
        self._signals = tuple(t for t in tasks if t.answered_by == "signals")
        self._language = language
        self._begin()

    def _begin(self) -> None:
        """Begins with a vocabulary that knows no words but the rules'."""
        with light_spacy():
            import spacy
            from spacy.tokens import Doc
        self._doc_type = Doc
        self._nlp: Language = spacy.blank(self._language)
        self._nlp.max_length = sys.maxsize  # a text's length is bounded by its pack, where it is read
        self._sentencizer = self._nlp.add_pipe("sentencizer")
        self._match = self._rules.made(lambda entries: RuleMatcher(self._nlp, entries)) if self._rules is not None else None
        self._context = self._cues.made(lambda entries: Context(self._nlp, entries)) if self._cues is not None else None

    def read(self, text: str) -> Ruled:
        """The sentences, the rules' findings, longest first where they overlap, and what cues say.

        Rules are matched on the text and, line by line, on what it looks like where that is something else (`skeleton`); findings have
        their places in the text. Raises RuleBudget where the rules take too many steps on this text.
        """
        if len(self._nlp.vocab) > MAX_WORDS:
            self._begin()
        doc = self._sentencizer(self._make_doc(text))
        ranges = [r for start, end in _sentences(text, doc) for r in _lines(text, start, end)]
        found = self._found(text, doc)
        for name in self._extended:
            found = to_next(found, name, len(text))
        said = self._context.said(doc, ranges) if self._context is not None else []
        return Ruled(ranges, found + self._deceptions(text), said)

    def _found(self, text: str, doc: Doc) -> list[Finding]:
        if self._match is None:
            return []
        found = [(start - end, start, self._ranks[name], name) for name, start, end in self._match.ranges(doc)]
        if shown := differing(text):
            for name, first, last in self._match.ranges(self._sentencizer(self._make_doc(shown.text))):
                if "\n" not in shown.text[first:last]:
                    start, end = shown.original(first, last)
                    found.append((start - end, start, self._ranks[name], name))
        return _longest(found, len(text))

    def _deceptions(self, text: str) -> list[Finding]:
        """The signals of a text as findings of the tasks that ask for them."""
        shown = signals(text) if self._signals else None
        if not shown:
            return []
        asked = [(task.name, label) for task in self._signals for label in task.labels]
        return [Finding(name, label, 1.0, start, end, "rule") for name, label in asked for start, end in getattr(shown, label.lower())]

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


@dataclass(frozen=True, slots=True)
class _RulesFile:
    """The rules of a file, each with its line. Read once: a matcher that is made later has the same rules, whatever has become of the file."""

    path: Path
    lines: Sequence[int]
    entries: Sequence[Any]

    @classmethod
    def read(cls, path: Path) -> _RulesFile:
        """Raises PackError naming the line that is no JSON."""
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise PackError(f"{path}: byte {error.start} is not UTF-8. Save the file as UTF-8.") from None
        lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
        entries = []
        for number, line in lines:
            try:
                entries.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise PackError(f"{path}:{number}: not JSON ({type(error).__name__}): one rule as an object is expected on each line.") from None
        return cls(path, [number for number, _ in lines], entries)

    def made(self, make: Callable[[Sequence[Any]], Made]) -> Made:
        """What `make` makes of the entries. Raises PackError naming the line and the rule that cannot be used."""
        try:
            return make(self.entries)
        except PatternError as error:
            place = f"{self.path}:{self.lines[error.position]}"
            raise PackError(f"{place}: rule {error.name!r} cannot be used: {error.reason}. See docs/packs.md, Rules.") from None


def _file(folder: Path | None, name: str) -> _RulesFile | None:
    path = folder / name if folder else None
    return _RulesFile.read(path) if path is not None and path.exists() else None


def to_next(found: Sequence[Finding], task: str, n_chars: int) -> list[Finding]:
    """The findings, each of `task` going on to where the next one of it begins, or to the text's end."""
    own = sorted((f for f in found if f.task == task), key=lambda f: f.start)
    ends = [*(f.start for f in own[1:]), n_chars]  # of none there is none to go on
    return [*(f for f in found if f.task != task), *(replace(f, end=end) for f, end in zip(own, ends, strict=False))]


def _sentences(text: str, doc: Doc) -> Iterator[Range]:
    """The sentences; one that ends with a question mark right before a word goes on: notes write "?stroke" for a doubt."""
    begin = end = 0
    for sentence in doc.sents:
        doubted = text[end - 1 : end] == "?" and sentence.start_char == end and text[end : end + 1].isalnum()
        if end > begin and not doubted:
            yield begin, end
            begin = sentence.start_char
        end = sentence.end_char
    if end > begin:
        yield begin, end


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence's lines without outer space: notes and mails end sentences with a line end, and pages do."""
    for match in re.finditer(r"\S(?:[^\n\f]*\S)?", text[start:end]):
        yield start + match.start(), start + match.end()


def _longest(found: list[tuple[int, int, int, str]], n_chars: int) -> list[Finding]:
    """Of overlapping matches of one task the longest, then the first, then that of the earlier label in the file; in order of tasks and places.

    A match: its length below zero, its start, its label's rank in the file, its name.
    """
    kept = []
    taken: dict[str, bytearray] = defaultdict(lambda: bytearray(n_chars))
    for less, start, _, name in sorted(found):
        task, _, label = name.partition("/")
        places, end = taken[task], start - less
        # what is kept is no shorter, so what it shares with this match is an end of it
        if not places[start] and not places[end - 1]:
            places[start:end] = b"\1" * (end - start)
            kept.append(Finding(task, label, 1.0, start, end, "rule"))
    return sorted(kept, key=lambda f: (f.task, f.start))
