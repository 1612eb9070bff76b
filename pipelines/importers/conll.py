"""CoNLL columns: one token a line, its tag last; rebuilt to running text with offsets.

Tags are IOB1, IOB2 (BIO), BIOES or BILOU (Ramshaw & Marcus 1995, Third Workshop on Very Large Corpora; Ratinov & Roth 2009,
CoNLL): read in one way, for in all of them B, S and U begin a span, and I, E and L go one on or, where none of their label is
open, begin one. A blank line ends a sentence; `-DOCSTART-` or a line `# newdoc` begins a document. Where a file has neither,
each sentence is a document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.importers.labelled import MAX_CHARS, Columns, Fault, Item, Labelled, Note, Span, bad_text, shown
from pipelines.importers.lines import text_lines

GROUP = "entities"
_TAG = re.compile(r"O|[BIESLU]-\S+")
# written without a space before them, and after them, in English and in most languages of Latin script
_CLOSING = frozenset([*".,;:!?)]}%", "...", "'s", "n't", "'re", "'ve", "'ll", "'d", "'m"])
_OPENING = frozenset("([{")


@dataclass(slots=True)
class _Document:
    """A document as it is rebuilt: its text so far, its spans, and the first fault of its lines."""

    place: str
    id: str | None = None
    pieces: list[str] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    n_chars: int = 0
    before: str = ""
    open: tuple[str, int] | None = None
    fault: Fault | None = None

    def add(self, token: str, tag: str) -> None:
        """Puts one token behind the others, and begins, continues or ends a span."""
        gap = _gap(self.before, token)
        start = self.n_chars + len(gap)
        if self.n_chars + len(gap) + len(token) > MAX_CHARS:
            self.fault = self.fault or Fault(self.place, f"The document has more than {MAX_CHARS} characters.", "Split it with -DOCSTART- lines.")
            return
        kind, _, label = tag.partition("-")
        if kind in "BSU" or kind == "O" or (self.open and self.open[0] != label):
            self.close()
        if kind != "O" and not self.open:
            self.open = (label, start)
        self.pieces += [gap, token]
        self.n_chars, self.before = start + len(token), token
        if kind in "SUEL":
            self.close()

    def close(self) -> None:
        """Ends the open span where the text ends so far."""
        if self.open:
            self.spans.append(Span(self.open[0], self.open[1], self.n_chars))
        self.open = None

    def end_sentence(self) -> None:
        """Ends the sentence: the next one stands on a line of its own."""
        self.close()
        self.before = "\n" if self.pieces else ""

    def ended(self) -> Labelled | Fault | None:
        """The document, its fault, or nothing where it has no token."""
        self.close()
        if self.fault or not self.pieces:
            return self.fault
        text = "".join(self.pieces)
        return bad_text(self.place, text) or Labelled(self.place, text, self.id, {}, {GROUP: tuple(self.spans)})


def _gap(before: str, token: str) -> str:
    """What stands between two tokens: nothing, a space, or the line break after a sentence."""
    if before == "\n":
        return "\n"
    return "" if not before or before in _OPENING or token in _CLOSING else " "


def read_conll(path: Path, label: str, columns: Columns) -> Iterator[Item]:
    """The documents of a file of CoNLL columns."""
    has_documents = _has_documents(path, label, columns)
    document = _Document(f"{label}:1")
    yield Note("its text was rebuilt from tokens, so spaces may differ from the original's")
    for number, line in text_lines(path, label, columns.encoding):
        place = f"{label}:{number}"
        if isinstance(line, Fault):
            document.fault = document.fault or line
            continue
        begins, id_ = _begins(line)
        if begins or (not line.strip() and not has_documents):
            if (done := document.ended()) is not None:
                yield done
            document = _Document(f"{label}:{number + 1}", id_)
        elif not line.strip():
            document.end_sentence()
        elif not _is_comment(line):
            _token(document, line, place)
    if (done := document.ended()) is not None:
        yield done


def _token(document: _Document, line: str, place: str) -> None:
    parts = _columns(line)
    tag = parts[-1]
    if not 2 <= len(parts) <= 4:
        document.fault = document.fault or Fault(place, f"The line has {len(parts)} columns, expected 2 to 4: the token first, its tag last.", _REMEDY)
    elif not _TAG.fullmatch(tag):
        document.fault = document.fault or Fault(place, f"The tag is {shown(tag)}, expected O, B-LABEL or I-LABEL.", _REMEDY)
    elif not parts[0].strip():
        document.fault = document.fault or Fault(place, "The token is empty.", _REMEDY)
    else:
        document.add(parts[0].strip(), tag)


_REMEDY = "Correct the line; its document was left out."


def _columns(line: str) -> list[str]:
    return line.rstrip("\r\n").split("\t") if "\t" in line else line.split()


def _begins(line: str) -> tuple[bool, str | None]:
    """Whether a document begins here, and the id that the line gives it."""
    if line.startswith("-DOCSTART-"):
        return True, None
    if line.startswith("# newdoc"):
        name = line.partition("=")[2].strip()
        return True, name or None
    return False, None


def _is_comment(line: str) -> bool:
    """Whether the line is a remark: a token `#` has a tag behind it."""
    return line.startswith("#") and not _TAG.fullmatch(_columns(line)[-1])


def _has_documents(path: Path, label: str, columns: Columns) -> bool:
    return any(isinstance(line, str) and _begins(line)[0] for _, line in text_lines(path, label, columns.encoding))
