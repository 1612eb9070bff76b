"""The systems of the speed bench, each used as its own documentation uses it: how it is loaded, and how it reads.

A loader is given the model's folder and a number of threads, and gives a function from a batch size to a reader of
texts. It runs in a process of its own (`tests.bench.process`), where it alone imports its library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.bench.unit import WINDOW_TOKENS

Read = Callable[[Sequence[str]], object]
# None: the system's own
Batch = int | None
Loaded = Callable[[Batch], Read]

NAIVE = 1
USUAL = 32


@dataclass(frozen=True, slots=True)
class Peer:
    """A system beside ours: what it is called, the model that it reads with, the modules it needs and the command that brings them."""

    name: str
    title: str
    model: str
    load: Callable[[Path, int], Loaded]
    needs: tuple[str, ...]
    pip: str
    batches: tuple[Batch, ...] = (NAIVE, USUAL)
    weights: str = "random"
    by_default: bool = True


def _pipeline(folder: Path, n_threads: int) -> Loaded:
    """`transformers.pipeline` for text classification. The head is random where the model has none: it costs the same."""
    import torch

    torch.set_num_threads(n_threads)
    from transformers import pipeline

    classify: Any = pipeline("text-classification", model=str(folder), device="cpu")
    return lambda batch: lambda texts: classify(list(texts), batch_size=batch, truncation=True)


def _sentence_transformers(backend: str) -> Callable[[Path, int], Loaded]:
    def load(folder: Path, n_threads: int) -> Loaded:
        import torch

        torch.set_num_threads(n_threads)
        from sentence_transformers import SentenceTransformer

        make: Any = SentenceTransformer
        model = make(str(folder), device="cpu", backend=backend, local_files_only=True)
        model.max_seq_length = WINDOW_TOKENS  # the published one of 256 would drop half of a note's window
        return lambda batch: lambda texts: model.encode(list(texts), batch_size=batch)

    return load


def _onnxruntime(folder: Path, n_threads: int) -> Loaded:
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(WINDOW_TOKENS)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"))

    def of(batch: Batch) -> Read:
        def read(texts: Sequence[str]) -> object:
            size = batch or len(texts)
            found = []
            for at in range(0, len(texts), size):
                encoded = tokenizer.encode_batch(list(texts[at : at + size]))
                ids, mask = (np.array([getattr(e, name) for e in encoded], np.int64) for name in ("ids", "attention_mask"))
                found += list(session.run(None, {"input_ids": ids, "attention_mask": mask})[0])
            return found

        return read

    return of


def _openvino(folder: Path, n_threads: int) -> Loaded:
    """OpenVINO as its guide to throughput has it: a stream a thread, requests in flight, rows of like length together; a linear head on the mean."""
    import numpy as np

    from pipelines.encode import Floats, TextEncoder
    from pipelines.engines import NATIVE_BF16
    from pipelines.openvino_engine import OpenVinoEngine
    from pipelines.processor import flags
    from tests.bench.ours import limits

    encoder = TextEncoder(folder)
    precision = "f32" if NATIVE_BF16.isdisjoint(flags()) else "bf16"  # of what is not int8
    engine = OpenVinoEngine(folder / "encoder.xml", pad_id=encoder.pad_id, n_threads=n_threads, precision=precision)
    head = np.zeros((engine.hidden, 1), np.float32)

    def label(states: Floats) -> Floats:
        return np.asarray(states.mean(axis=0, keepdims=True) @ head)

    def read(texts: Sequence[str]) -> object:
        return engine.states([row for tokens in encoder.tokens(texts) for row in encoder.inputs(tokens, limits()).rows], label)

    return lambda batch: read


def _spacy(folder: Path, n_threads: int) -> Loaded:
    """`nlp.pipe` with its own batch size. Torch is hidden from it: where it is installed, importing it would be timed."""
    from pipelines.rules import light_spacy

    with light_spacy():
        import spacy
    nlp = spacy.load(folder)
    return lambda batch: lambda texts: list(nlp.pipe(texts))


TRANSFORMERS = ("torch", "transformers")
OWN = "make setup"
BENCH = "make setup-bench"

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("bert-base", "pipeline, BERT-base", "bert-base", _pipeline, TRANSFORMERS, OWN),
        Peer("distilbert", "pipeline, DistilBERT-base", "distilbert-base", _pipeline, TRANSFORMERS, OWN),
        Peer("minilm", "pipeline, MiniLM-L6", "minilm", _pipeline, TRANSFORMERS, OWN, weights="published"),
        Peer("same-student", "pipeline, same student", "student", _pipeline, TRANSFORMERS, OWN, weights="the student's"),
        Peer(
            "sentence-transformers",
            "sentence-transformers, MiniLM-L6",
            "minilm",
            _sentence_transformers("torch"),
            ("sentence_transformers",),
            BENCH,
            (USUAL,),
            "published",
        ),
        Peer(
            "onnxruntime",
            "ONNX Runtime, same student",
            "onnx",
            _onnxruntime,
            ("onnxruntime", "onnx", "onnxscript"),
            BENCH,
            weights="the student's",
        ),
        Peer(
            "onnxruntime-int8",
            "ONNX Runtime int8, same student",
            "onnx-int8",
            _onnxruntime,
            ("onnxruntime", "onnx", "onnxscript"),
            BENCH,
            weights="the student's",
        ),
        Peer("openvino-int8", "OpenVINO int8, same student", "openvino-int8", _openvino, ("nncf",), BENCH, (None,), "the student's"),
        Peer("spacy-textcat", "spaCy textcat", "textcat", _spacy, ("spacy",), OWN, (None,)),
        Peer("spacy-ner", "spaCy ner", "ner", _spacy, ("spacy",), OWN, (None,)),
        # optimum's backends: not asked by default, since no release of theirs can be imported beside transformers 5.23 (requirements-bench.lock)
        Peer(
            "sentence-transformers-onnx",
            "sentence-transformers ONNX, MiniLM-L6",
            "minilm",
            _sentence_transformers("onnx"),
            ("sentence_transformers", "optimum", "optimum.onnxruntime"),
            "pip install sentence-transformers[onnx], in an environment of its own: it asks for transformers below 4.58",
            (USUAL,),
            "published",
            by_default=False,
        ),
        Peer(
            "sentence-transformers-openvino",
            "sentence-transformers OpenVINO, MiniLM-L6",
            "minilm",
            _sentence_transformers("openvino"),
            ("sentence_transformers", "optimum", "optimum.intel"),
            "pip install sentence-transformers[openvino], in an environment of its own: it asks for transformers below 5.6",
            (USUAL,),
            "published",
            by_default=False,
        ),
    )
}


def missing(peer: Peer) -> list[str]:
    """The modules of a peer that are not installed. Nothing is imported but their parents."""
    return [name for name in peer.needs if not _is_there(name)]


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def versions() -> dict[str, str]:
    """The versions of all libraries that are timed, where they are installed."""
    names = ("torch", "transformers", "openvino", "tokenizers", "numpy", "spacy", "sentence-transformers", "onnxruntime", "nncf")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
