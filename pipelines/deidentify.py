"""Texts without what tells who they are about: identifiers masked, named by their label, made pseudonyms, dates shifted.

Which ranges are identifiers is the pack's to find (`[deidentify] task`). It misses some: what was measured stands in the pack's card, and
masking is not anonymisation.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from pipelines.placeholders import digits, placeholder
from pipelines.predict import Predictor, Reading
from suites.types import Deidentify, DeidentifyMode, Document, Finding

# of a longer one its beginning is what it is called by: to sort marks without end takes quadratic time
MOST_CHARS = 500
# dates move back by a day to a year, never into the future
MOST_DAYS = 365
# how dates are written that keep their form when they are shifted; others become ISO dates
FORMATS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y", "%d.%m.%Y", "%m/%d/%y", "%d/%m/%y", "%m-%d-%y", "%d-%m-%y"),
    *("%d.%m.%y", "%B %d, %Y", "%b %d, %Y", "%B %d %Y", "%b %d %Y", "%d %B %Y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%A, %B %d, %Y", "%a %d %b %Y"),
)
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# what a page's id has beside its document's
_PAGE = re.compile(r"#page=\d+\Z")
# metadata that tell whom a text is about and are worth following: they become pseudonyms
FOLLOWED = ("patient", "encounter")
# the day that a document is of
DATE = "date"
# what readers of files note of them, all numbers
COUNTED = ("truncated", "nul_replaced", "n_pages", "n_pages_without_text", "n_attachments", "n_attachments_unread")


@dataclass(frozen=True, slots=True)
class Deidentifying:
    """How texts lose their identifiers. `key` makes pseudonyms and the days that dates are shifted by: with the same key they are the same.

    Of the metadata the names in `kept` stay as they are and those FOLLOWED become pseudonyms; the rest is left out, but for a date that
    is shifted and for what readers of files COUNTED.
    """

    plan: Deidentify
    mode: DeidentifyMode
    key: bytes = field(repr=False)
    kept: frozenset[str] = frozenset()

    def text(self, text: str, findings: Sequence[Finding], patient: str) -> str:
        """The text with other words in place of its identifiers. `mask` alone keeps every character's place."""
        made, at = [], 0
        for finding in sorted((f for f in findings if f.task == self.plan.task), key=lambda f: f.start):
            start = max(at, finding.start)  # where they overlap, each character is replaced once
            if start < finding.end:
                made += [text[at:start], self._in_place_of(text[start : finding.end], finding, patient)]
                at = finding.end
        return "".join([*made, text[at:]])

    def meta(self, meta: Mapping[str, object], patient: str) -> dict[str, object]:
        """The metadata that may stay. Where dates are shifted, so is the document's own, and it stays."""
        # as they are written: "12-3" and "1-23" are two patients
        known = {name: str(meta[name]).strip() for name in FOLLOWED if meta.get(name) is not None}
        made: dict[str, object] = {name: f"{name}-{digits(self._keyed(name, value))}" for name, value in known.items() if value}
        left_out = {*FOLLOWED}
        if self.mode == "shift" and DATE in meta:
            day = str(meta[DATE])[: len("2024-01-31")]
            moved = _shifted(day, day, self.days(patient))
            left_out.add(DATE)
            made |= {} if moved is None else {DATE: moved}
        kept = {name: value for name, value in meta.items() if name in self.kept and name not in left_out}
        return kept | {name: value for name, value in meta.items() if name in COUNTED and isinstance(value, int)} | made

    def pseudonym(self, label: str, written: str) -> str:
        """The same for the same letters and digits, however they are set."""
        plain = "".join(c for c in unicodedata.normalize("NFKC", written[:MOST_CHARS]).casefold() if unicodedata.category(c)[0] in "LMNS")
        return f"{label}-{digits(self._keyed(label, plain))}"

    def days(self, patient: str) -> int:
        """How many days the dates of a patient are moved back."""
        return 1 + int(self._keyed("days", patient), 16) % MOST_DAYS

    def _in_place_of(self, written: str, finding: Finding, patient: str) -> str:
        if self.mode == "mask":
            return re.sub(r"\S", "*", written)
        if finding.label in self.plan.ages:
            return "90+"
        if finding.label in self.plan.dates:
            shifted = _shifted(written, finding.value, self.days(patient)) if self.mode == "shift" else None
            return shifted or placeholder(finding.label)
        return placeholder(self.pseudonym(finding.label, written) if self.mode == "hash" else finding.label)

    def _keyed(self, what: str, value: str) -> str:
        return hmac.new(self.key, f"{what}\0{value}".encode(), hashlib.sha256).hexdigest()


def _shifted(written: str, value: str | None, days: int) -> str | None:
    """A date moved back, written as it was where its form is known; None where the day is not told."""
    if value is None or not _ISO_DATE.fullmatch(value):
        return None
    try:
        moved = date.fromisoformat(value) - timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    for form in FORMATS:
        if _read(written, form) == value and moved.year >= 1000:
            padded = date.fromisoformat(value).strftime(form).casefold() == written.casefold()
            # only day and month are written without a zero
            return moved.strftime(form if padded else form.replace("%d", str(moved.day)).replace("%m", str(moved.month)))
    return moved.isoformat()


def _read(written: str, form: str) -> str | None:
    try:
        return datetime.strptime(written, form).date().isoformat()
    except ValueError:
        return None


def deidentified(how: Deidentifying, predictor: Predictor, documents: Iterable[Document]) -> Iterator[Document | Reading]:
    """Each document without its identifiers, in order; the failed reading of one that could not be read, which must not be kept."""
    waiting: deque[Document] = deque()

    def passing() -> Iterator[Document]:
        for document in documents:
            waiting.append(document)
            yield document

    for reading in predictor.predict(passing()):
        document = waiting.popleft()
        known = document.meta.get("patient")
        patient = ("" if known is None else str(known).strip()) or _PAGE.sub("", document.id)
        yield reading if reading.failed else Document(document.id, how.text(document.text, reading.findings, patient), how.meta(document.meta, patient))
