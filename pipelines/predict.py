"""A document's findings: clean, windows, one encoder pass, heads, rules, refine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pipelines.cache import Cache
from pipelines.encode import Floats, TextEncoder, Tokens
from pipelines.engine import Engine, nothing, stitched
from pipelines.engines import Name, make_engine
from pipelines.heads import Head, answer_ranges, answer_spans
from pipelines.rules import Rules
from pipelines.student import Student, check_fits
from suites.discover import Pack, is_legal
from suites.hooks import Hooks, load_hooks
from suites.types import Document, Finding, TextLimits

CHUNK = 64  # documents whose windows are batched together


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of one document: its findings, or the stage and code of its failure."""

    document_id: str
    findings: tuple[Finding, ...] = ()
    stage: str = ""
    code: str = ""
    reason: str = ""

    @property
    def failed(self) -> bool:
        return bool(self.code)


@dataclass(frozen=True, slots=True)
class Given:
    """Gold ranges to answer in place of found ones, for evaluation: sentences, and spans by task."""

    sentences: Sequence[tuple[int, int]] | None = None
    spans: Mapping[str, Sequence[Finding]] | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """One document on its way: cleaned, its tokens, and all heads' logits of them, shape (n_tokens, n_outputs)."""

    document: Document
    text: str
    tokens: Tokens
    logits: Floats


class Predictor:
    """A student ready to read. The same object serves the command line, the workers and evaluation.

    With `ahead` the encoder reads the next documents, on threads of its own, while this one answers those before. `cache`
    answers a text that was read before.
    """

    def __init__(
        self,
        pack: Pack,
        heads: Sequence[Head],
        encoder: TextEncoder,
        engine: Engine,
        rules: Rules,
        hooks: Hooks,
        limits: TextLimits,
        *,
        ahead: bool = False,
        cache: Cache | None = None,
    ) -> None:
        self.pack = pack
        self.cache = cache
        self._ahead = ahead
        self._heads = tuple(heads)
        self._encoder = encoder
        self._engine = engine
        self._rules = rules
        self._hooks = hooks
        self._limits = limits
        # all heads as one product; the bias is added once per range, not per token
        self._weights = np.concatenate([h.weight for h in self._heads]).T.copy()
        offsets = np.cumsum([0, *(len(h.bias) for h in self._heads)])
        self._columns = {h.task.name: slice(int(a), int(b)) for h, a, b in zip(self._heads, offsets[:-1], offsets[1:], strict=True)}

    def predict(self, documents: Iterable[Document], given: Mapping[str, Given] | None = None, on_batch: Callable[[], None] = nothing) -> Iterator[Reading]:
        """One reading a document, in order. A document that fails does not touch its neighbours.

        `on_batch` is called after each batch of the encoder, also within one long document, and after each document.
        """
        asked, rest = given or {}, iter(documents)
        chunks = iter(lambda: list(islice(rest, CHUNK)), [])
        # a caller that is to be told of progress is told by this thread
        encoded = self._encoded_ahead(chunks, asked) if self._ahead and on_batch is nothing else (self._encode(c, asked, on_batch) for c in chunks)
        for chunk in encoded:
            for part in chunk:
                if isinstance(part, Reading):
                    yield part
                    continue
                on_batch()  # rules and heads of a long document take seconds: they begin with a fresh lease
                yield self._remembered(part, self._answer(part, asked.get(part.document.id, Given())))
                on_batch()

    def _encoded_ahead(self, chunks: Iterator[list[Document]], given: Mapping[str, Given]) -> Iterator[list[Encoded | Reading]]:
        """Each chunk encoded while the one before is answered."""
        with ThreadPoolExecutor(1) as thread:
            coming: Future[list[Encoded | Reading]] | None = None
            for chunk in chunks:
                following = thread.submit(self._encode, chunk, given, nothing)
                if coming is not None:
                    yield coming.result()
                coming = following
            if coming is not None:
                yield coming.result()

    def _encode(self, chunk: Sequence[Document], given: Mapping[str, Given], on_batch: Callable[[], None]) -> list[Encoded | Reading]:
        """The documents as the heads want them; those that need no reading, because they failed or were read before, as readings."""
        cleaned = [self._known(d, given) or self._clean(d) for d in chunk]
        tokens = self._encoder.tokens([c for c in cleaned if isinstance(c, str)])
        logits = stitched(self._engine, [self._encoder.inputs(t, self._limits) for t in tokens], self._logits, on_batch)
        read = zip(tokens, logits, strict=True)
        return [c if isinstance(c, Reading) else Encoded(d, c, *next(read)) for d, c in zip(chunk, cleaned, strict=True)]

    def _known(self, document: Document, given: Mapping[str, Given]) -> Reading | None:
        findings = self.cache.get(document.text) if self.cache is not None and document.id not in given else None
        return None if findings is None else Reading(document.id, findings)

    def _remembered(self, part: Encoded, reading: Reading) -> Reading:
        if self.cache is not None and not reading.failed:
            self.cache.put(part.document.text, reading.findings)
        return reading

    def _clean(self, document: Document) -> str | Reading:
        if len(document.text) > self._limits.max_chars:
            reason = f"{len(document.text)} characters, the pack reads at most {self._limits.max_chars}: raise [text] max_chars or split the document"
            return Reading(document.id, stage="clean", code="too_long", reason=reason)
        try:
            document.text.encode()
        except UnicodeEncodeError as error:
            return Reading(document.id, stage="clean", code="bad_surrogate", reason=f"half a surrogate pair at character {error.start}: not valid Unicode")
        try:
            text = self._hooks.clean(document.text)
            changed = len(text) != len(document.text)
        except Exception as error:  # a pack's code: whatever it raises is this document's failure alone
            return Reading(document.id, stage="clean", code="hook_failed", reason=f"clean() raised {type(error).__name__}")
        if changed:
            return Reading(document.id, stage="clean", code="hook_failed", reason=f"clean() changed the length {len(document.text)} to {len(text)}")
        return text

    def _logits(self, states: Floats) -> Floats:
        return np.asarray(states @ self._weights)

    def _answer(self, part: Encoded, given: Given) -> Reading:
        document, text = part.document, part.text
        try:
            sentences, ruled = self._rules.read(text)
        except Exception as error:
            return Reading(document.id, stage="rules", code="rules_failed", reason=f"rules raised {type(error).__name__}")
        found = [*ruled, *self._answer_heads(text, part.tokens, part.logits, sentences, given)]
        try:
            refined = list(self._hooks.refine(text, found))
            legal = all(is_legal(f, self.pack, len(text)) for f in refined)
        except Exception as error:
            return Reading(document.id, stage="refine", code="hook_failed", reason=f"refine() raised {type(error).__name__}")
        if not legal:
            reason = "refine() gave a finding with a foreign task or label, outside the text, or with a value that cannot be stored"
            return Reading(document.id, stage="refine", code="hook_failed", reason=reason)
        return Reading(document.id, _once(refined))

    def _answer_heads(self, text: str, tokens: Tokens, logits: Floats, sentences: list[tuple[int, int]], given: Given) -> list[Finding]:
        found: list[Finding] = []
        for head in self._heads:
            columns = logits[:, self._columns[head.task.name]]
            if head.task.kind == "spans":
                found += answer_spans(head, columns, tokens)
            elif head.task.scope == "document":
                found += answer_ranges(head, columns, tokens, [(0, len(text))])
            elif head.task.scope == "sentence":
                found += answer_ranges(head, columns, tokens, list(given.sentences if given.sentences is not None else sentences))
        for head in self._heads:  # last: they ask about spans that were found above
            if head.task.scope == "span":
                parents = (given.spans or {}).get(head.task.name)
                if parents is None:
                    parents = [f for f in found if f.task == head.task.of and (not head.task.of_labels or f.label in head.task.of_labels)]
                found += answer_ranges(head, logits[:, self._columns[head.task.name]], tokens, [(f.start, f.end) for f in parents])
        return found


def _once(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings in order; of a rule and the student saying the same of one range the surer is kept."""
    best: dict[tuple[str, int, int, str], Finding] = {}
    for finding in findings:
        key = (finding.task, finding.start, finding.end, finding.label)
        if key not in best or finding.score > best[key].score:
            best[key] = finding
    return tuple(best[key] for key in sorted(best))


def make_predictor(pack: Pack, student: Student, *, n_threads: int = 1, engine: Name = "f32", trusted: Sequence[str] = (), cache: int = 0) -> Predictor:
    """A predictor over a student's encoder on this engine (`engines.chosen`), after checking that it fits the pack.

    `cache` is how many findings of texts read before are kept. With more threads than one the encoder reads ahead.
    """
    check_fits(student, pack)
    encoder = TextEncoder(student.folder)
    rules = Rules(pack.folder, pack.manifest.language)
    # windows are the student's, how long a document may be is the pack's to say, today
    limits = student.birth.text.model_copy(update={"max_chars": pack.manifest.text.max_chars})
    reader = make_engine(student.folder, engine, pad_id=encoder.pad_id, n_threads=n_threads)
    hooks = load_hooks(pack, trusted)
    return Predictor(pack, student.heads, encoder, reader, rules, hooks, limits, ahead=n_threads > 1, cache=Cache(cache) if cache else None)
