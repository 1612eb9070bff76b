"""The documents of the speed bench: one mix of lengths, the same for every system, cut into the same windows.

Of every 10 documents 6 are short messages (10 to 60 tokens), 3 abstracts (about 250) and 1 a note (600 to 1,000, in
windows of 512 tokens with a stride of 64). The first notes are of the middle length and their neighbours lie on either
side of it, so that a slow system, which comes to the first tens alone, reads the mix that a fast one reads. A token is
a word piece of the embedded encoder's vocabulary (BERT's, uncased) for all systems, also for those that cut words otherwise.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Literal

import numpy as np

from pipelines.encode import TextEncoder, windows
from suites.discover import SUITES
from tests.bench.unit import STRIDE, WINDOW_TOKENS, Unit

Kind = Literal["short", "abstract", "note"]
MIX: dict[Kind, int] = {"short": 6, "abstract": 3, "note": 1}  # of ten
TEN = sum(MIX.values())
SHORT, ABSTRACT, NOTE = (10, 60), (150, 350), (600, 1000)  # tokens
MESSAGE_TOKENS = 60
SEED = 20
# where the texts of a kind come from: the packs that ship, or the real sets below a data root, of which the dev split is read
SHIPPED: dict[Kind, tuple[str, ...]] = {"short": ("finance",), "abstract": ("environment", "clinical"), "note": ("clinical",)}
REAL: dict[Kind, tuple[str, ...]] = {
    "short": ("finance/sms_smishing",),
    "abstract": ("clinical/medical_abstracts",),
    "note": ("clinical/mtsamples_specialty", "clinical/mtsamples_multilabel"),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """One window of a document as text; `n_tokens` are those that no window before it held."""

    text: str
    n_tokens: int


@dataclass(frozen=True, slots=True)
class BenchDocument:
    """A document, how many tokens it has, and the windows that systems without windows of their own are given."""

    id: str
    kind: Kind
    text: str
    n_tokens: int
    pieces: tuple[Piece, ...]


def bench_documents(encoder: TextEncoder, n: int, data_root: Path | None = None) -> list[BenchDocument]:
    """So many documents in the stated mix, whole tens. The same arguments give the same documents."""
    texts = {kind: cycle(_shuffled(kind, data_root)) for kind in MIX}
    rng = random.Random(SEED)
    found: list[BenchDocument] = []
    for note in _notes(-(-n // TEN)):
        wanted = _lengths(note)
        rng.shuffle(wanted)
        found += [_document(encoder, f"{kind}-{len(found) + i}", kind, _text(encoder, texts[kind], length)) for i, (kind, length) in enumerate(wanted)]
    return found


def messages(encoder: TextEncoder, n: int, data_root: Path | None = None) -> list[str]:
    """So many short messages of about 60 tokens, for latencies."""
    texts = cycle(_shuffled("short", data_root))
    return [_text(encoder, texts, MESSAGE_TOKENS) for _ in range(n)]


def _notes(n: int) -> list[int]:
    """The lengths of so many notes, evenly spread, from the middle outwards, a shorter and a longer one in turn."""
    middle, half = sum(NOTE) / 2, (NOTE[1] - NOTE[0]) / 2
    steps = [(-1) ** i * ((i + 1) // 2) / max(1, n // 2) for i in range(n)]
    return [round(middle + half * step) for step in steps]


def _lengths(note: int) -> list[tuple[Kind, int]]:
    """The lengths of ten documents: evenly spread in each kind, and the note's."""
    wanted: list[tuple[Kind, int]] = [("short", round(float(x))) for x in np.linspace(*SHORT, MIX["short"])]
    return [*wanted, *(("abstract", round(float(x))) for x in np.linspace(*ABSTRACT, MIX["abstract"])), ("note", note)]


def _text(encoder: TextEncoder, texts: Iterator[str], n_tokens: int) -> str:
    """The next texts, joined and cut to so many tokens: where the last word would be cut, a few less."""
    joined = next(texts)
    while len(tokens := encoder.tokens([joined])[0]) < n_tokens:
        joined = f"{joined}\n{next(texts)}"
    last = n_tokens
    while last > 1 and last < len(tokens) and tokens.words[last] == tokens.words[last - 1]:
        last -= 1
    return joined[: int(tokens.ends[last - 1])]


def _document(encoder: TextEncoder, name: str, kind: Kind, text: str) -> BenchDocument:
    (tokens,) = encoder.tokens([text])
    pieces, read = [], 0
    for window in windows(len(tokens), WINDOW_TOKENS, STRIDE):
        pieces.append(Piece(text[int(tokens.starts[window.start]) : int(tokens.ends[window.end - 1])], window.end - read))
        read = window.end
    return BenchDocument(name, kind, text, len(tokens), tuple(pieces))


def _shuffled(kind: Kind, data_root: Path | None) -> list[str]:
    texts = list(_shipped(SHIPPED[kind])) if data_root is None else [text for path in REAL[kind] for text in _dev(data_root / path)]
    random.Random(SEED).shuffle(texts)
    return texts


def _shipped(packs: Sequence[str]) -> Iterator[str]:
    for name in packs:
        for line in (SUITES / name / "samples.jsonl").read_text(encoding="utf-8").split("\n"):
            if line.strip():
                yield json.loads(line)["text"]


def _dev(folder: Path) -> Iterator[str]:
    with gzip.open(folder / "dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def whole_units(documents: Sequence[BenchDocument], size: int) -> list[Unit]:
    """So many whole documents at once: for a system that makes windows itself."""
    parts = [documents[at : at + size] for at in range(0, len(documents), size)]
    return [Unit(tuple(d.text for d in part), sum(d.n_tokens for d in part)) for part in parts]


def window_units(documents: Sequence[BenchDocument], size: int | None) -> list[Unit]:
    """So many windows at once, or those of ten documents: for a system that reads what it is given."""
    if size is None:
        tens = [documents[at : at + TEN] for at in range(0, len(documents), TEN)]
        return [_unit([p for d in part for p in d.pieces]) for part in tens]
    pieces = [p for d in documents for p in d.pieces]
    return [_unit(pieces[at : at + size]) for at in range(0, len(pieces) - size + 1, size)]


def _unit(pieces: Sequence[Piece]) -> Unit:
    return Unit(tuple(p.text for p in pieces), sum(p.n_tokens for p in pieces))
