"""A document's findings: clean, windows, one encoder pass, heads, rules, refine."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipelines.ahead import ahead
from pipelines.blas import one_blas_thread
from pipelines.cache import Cache
from pipelines.encode import Floats, TextEncoder, Tokens
from pipelines.engine import Engine, nothing, stitched
from pipelines.engines import Name, make_engine
from pipelines.following import following, paged
from pipelines.heads import Head
from pipelines.joined import joined
from pipelines.panel import NOTHING, Answered, Asked, Given, Panel
from pipelines.placeholders import without_placeholders
from pipelines.reference import Reference
from pipelines.rule_walk import RuleBudget
from pipelines.rules import Ruled, Rules
from pipelines.student import Student, check_fits
from pipelines.tally import Seen
from suites.discover import Pack, is_legal
from suites.hooks import Hooks, load_hooks
from suites.types import Document, Finding, TextLimits

# documents that go from step to step together: many enough that numpy's calls and the encoder's last batch cost little, few enough for the memory
CHUNK = 128
CHUNK_CHARS = 200_000
# no memory, no file that can be opened, no disk
_MACHINE_ERRNOS = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EIO)


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of one document: its findings and what the encoder saw of it, or the stage and code of its failure."""

    document_id: str
    findings: tuple[Finding, ...] = ()
    stage: str = ""
    code: str = ""
    reason: str = ""
    seen: Seen | None = None

    @property
    def failed(self) -> bool:
        return bool(self.code)


@dataclass(frozen=True, slots=True)
class Tokenised:
    """One document on its way: cleaned, and its tokens."""

    document: Document
    text: str
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Encoded:
    """Some documents on their way: those to be answered, and all heads' logits of their tokens, shape (n_tokens, n_outputs).

    Those that failed, or were read before, are readings already.
    """

    parts: Sequence[Tokenised | Reading]
    logits: Floats


class Predictor:
    """A student ready to read. The same object serves the command line, the workers and evaluation.

    With `ahead` the encoder reads the next documents, on threads of its own, while this one answers those before and another
    tokenises those after. `cache` answers a text that was read before. `engine_name` is the arithmetic of the encoder, where that is told.
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
        reference: Reference | None = None,
        engine_name: str = "",
    ) -> None:
        self.pack = pack
        self.engine_name = engine_name
        self.cache = cache
        self._ahead = ahead
        self._encoder = encoder
        self._engine = engine
        self._rules = rules
        self._hooks = hooks
        self._limits = limits
        self._panel = Panel(pack, heads, reference)

    def predict(self, documents: Iterable[Document], given: Mapping[str, Given] | None = None, on_batch: Callable[[], None] = nothing) -> Iterator[Reading]:
        """One reading a document, in order. A document that fails does not touch its neighbours. Raises what is the machine's (`is_machines`).

        `on_batch` is called after each batch of the encoder, also within one long document, and after each document.
        """
        with one_blas_thread():
            yield from self._read(documents, given or {}, on_batch)

    def _read(self, documents: Iterable[Document], given: Mapping[str, Given], on_batch: Callable[[], None]) -> Iterator[Reading]:
        # a caller that is to be told of progress is told by this thread
        n_ahead = 1 if self._ahead and on_batch is nothing else 0
        tokenised = ahead(lambda chunk: self._tokenise(chunk, given), chunks(documents), n_ahead)
        # two at once: where the last batches of one leave a core idle, the int8 engine begins with the next
        for encoded in ahead(lambda parts: self._encode(parts, on_batch), tokenised, 2 * n_ahead):
            answers = self._answers(encoded, given, on_batch)
            yield from (part if isinstance(part, Reading) else next(answers) for part in encoded.parts)

    def _tokenise(self, chunk: Sequence[Document], given: Mapping[str, Given]) -> list[Tokenised | Reading]:
        cleaned = [self._known(d, given) or self._clean(d) for d in chunk]
        tokens = iter(self._encoder.tokens([c for c in cleaned if isinstance(c, str)]))
        return [c if isinstance(c, Reading) else Tokenised(d, c, next(tokens)) for d, c in zip(chunk, cleaned, strict=True)]

    def _encode(self, parts: Sequence[Tokenised | Reading], on_batch: Callable[[], None]) -> Encoded:
        inputs = [self._encoder.inputs(part.tokens, self._limits) for part in parts if isinstance(part, Tokenised)]
        none = np.zeros((0, self._panel.n_outputs), np.float32)
        return Encoded(parts, np.concatenate([none, *stitched(self._engine, inputs, self._panel.logits, on_batch)]))

    def _known(self, document: Document, given: Mapping[str, Given]) -> Reading | None:
        kept = self.cache.get(document.text) if self.cache is not None and document.id not in given else None
        return None if kept is None else Reading(document.id, kept[0], seen=kept[1])

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
            _raise_machines(error)
            return Reading(document.id, stage="clean", code="hook_failed", reason=f"clean() raised {type(error).__name__}")
        if not _is_text(text):
            return Reading(document.id, stage="clean", code="hook_failed", reason="clean() gave no string, or one with half a surrogate pair")
        if changed:
            return Reading(document.id, stage="clean", code="hook_failed", reason=f"clean() changed the length {len(document.text)} to {len(text)}")
        return text

    def _answers(self, encoded: Encoded, given: Mapping[str, Given], on_batch: Callable[[], None]) -> Iterator[Reading]:
        """The readings of the documents that have none yet, in order."""
        parts = [part for part in encoded.parts if isinstance(part, Tokenised)]
        ruled = []
        for part in parts:
            on_batch()  # rules of a long document take seconds: they begin with a fresh lease
            ruled.append(self._ruled(part))
        on_batch()
        asked = [
            Asked(part.text, part.tokens, NOTHING if isinstance(rules, Reading) else rules, given.get(part.document.id, Given()))
            for part, rules in zip(parts, ruled, strict=True)
        ]
        answers = self._panel.answers(asked, encoded.logits)
        distances = self._panel.distances([part.tokens for part in parts], encoded.logits)
        for part, rules, answered, distance in zip(parts, ruled, answers, distances, strict=True):
            reading = rules if isinstance(rules, Reading) else self._refined(part, rules, answered)
            if not reading.failed:
                n_unknown = int(np.count_nonzero(part.tokens.ids == self._encoder.unknown_id))
                reading = replace(reading, seen=Seen(len(part.tokens), n_unknown, distance))
                if self.cache is not None:
                    self.cache.put(part.document.text, reading.findings, reading.seen)
            yield reading
            on_batch()

    def _ruled(self, part: Tokenised) -> Ruled | Reading:
        try:
            return self._rules.read(part.text)
        except RuleBudget as error:  # never as if the rules had found nothing
            return Reading(part.document.id, stage="rules", code="rule_budget", reason=str(error))
        except Exception as error:
            _raise_machines(error)
            return Reading(part.document.id, stage="rules", code="rules_failed", reason=f"rules raised {type(error).__name__}")

    def _refined(self, part: Tokenised, ruled: Ruled, answered: Answered) -> Reading:
        document, text = part.document, part.text
        try:
            # first refined, then joined: what a rule found and `refine` drops may have hidden what the student found there
            refined = list(self._hooks.refine(text, [*ruled.findings, *answered.findings]))
            if not all(is_legal(f, self.pack, len(text)) for f in refined):
                reason = "refine() gave a finding with a foreign task or label, outside the text, or with a value that cannot be stored"
                return Reading(document.id, stage="refine", code="hook_failed", reason=reason)
            found = joined(text, refined, self.pack.tasks)
            if (plan := self.pack.manifest.deidentify) is not None:
                found = without_placeholders(text, found, plan.task, self.pack.tasks[plan.task].labels)
            return Reading(document.id, paged(text, _once(following(self.pack, found, ruled.sentences, answered.chances, len(text)))))
        except Exception as error:
            _raise_machines(error)
            return Reading(document.id, stage="refine", code="hook_failed", reason=f"refine() raised {type(error).__name__}")


def is_machines(error: BaseException) -> bool:
    """Whether an error is the machine's doing and no document's: nothing is left to hold it with, or not even a module can be loaded."""
    return isinstance(error, MemoryError | ImportError) or (isinstance(error, OSError) and error.errno in _MACHINE_ERRNOS)


def _raise_machines(error: Exception) -> None:
    if is_machines(error):
        raise error


def chunks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """The documents in order, as many together as both bounds allow; at least one."""
    chunk: list[Document] = []
    n_chars = 0
    for document in documents:
        n_chars += len(document.text)
        if chunk and (len(chunk) == CHUNK or n_chars > CHUNK_CHARS):
            yield chunk
            chunk, n_chars = [], len(document.text)
        chunk.append(document)
    if chunk:
        yield chunk


def _is_text(text: object) -> bool:
    """Whether a hook gave valid Unicode."""
    try:
        return isinstance(text, str) and text.encode() is not None
    except UnicodeEncodeError:
        return False


def _once(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings in order; of several that say the same of one range the surest is kept."""
    best: dict[tuple[str, int, int, str, int, int], Finding] = {}
    for finding in findings:
        key = (finding.task, finding.start, finding.end, finding.label, finding.other_start, finding.other_end)
        if key not in best or finding.score > best[key].score:
            best[key] = finding
    return tuple(best[key] for key in sorted(best))


def make_predictor(pack: Pack, student: Student, *, n_threads: int = 1, engine: Name = "f32", trusted: Sequence[str] = (), cache: int = 0) -> Predictor:
    """A predictor over a student's encoder on this engine (`engines.chosen`), after checking that it fits the pack.

    `cache` is how many findings of texts read before are kept. With more threads than one the encoder reads ahead.
    """
    check_fits(student, pack)
    encoder = TextEncoder(student.folder)
    rules = Rules(pack.folder, pack.manifest.language, pack.manifest.task)
    # windows are the student's, how long a document may be is the pack's to say, today
    limits = student.birth.text.model_copy(update={"max_chars": pack.manifest.text.max_chars})
    reader = make_engine(student.folder, engine, pad_id=encoder.pad_id, n_threads=n_threads)
    hooks = load_hooks(pack, trusted)
    kept = Cache(cache) if cache else None
    beside = n_threads > 1
    return Predictor(pack, student.heads, encoder, reader, rules, hooks, limits, ahead=beside, cache=kept, engine_name=engine, reference=student.reference)
