"""Predictors: the same findings ahead or in turn, from the cache or anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

from pipelines.ahead import ahead
from pipelines.blas import one_blas_thread
from pipelines.cache import Cache
from pipelines.engine import Engine
from pipelines.engines import usable
from pipelines.predict import CHUNK, CHUNK_CHARS, Predictor, Reading, chunks, make_predictor
from pipelines.student import Student
from suites.discover import Pack
from suites.errors import RunError
from suites.types import Document, Finding
from tests.conftest import toy_sample

TEXTS = [toy_sample(n)["text"] for n in range(3 * CHUNK + 5)]


def documents(texts: Sequence[str]) -> list[Document]:
    return [Document(str(i), text) for i, text in enumerate(texts)]


def engines() -> list[str]:
    return ["int8", "f32"]


@pytest.mark.parametrize("engine", engines())
@pytest.mark.parametrize("n_threads", [1, 2])
def test_reading_ahead_changes_nothing(toy_pack: Pack, toy_student: tuple[Path, Student], engine: str, n_threads: int) -> None:
    """Chunks that are encoded while others are answered give the findings that each document has alone, in order."""
    assert engine in usable(toy_student[1].folder)
    predictor = make_predictor(toy_pack, toy_student[1], n_threads=n_threads, engine=engine)  # type: ignore[arg-type]
    asked = documents([*TEXTS, "half a pair \ud800"])
    together = list(predictor.predict(iter(asked)))
    assert [r.document_id for r in together] == [d.id for d in asked]
    assert together[-1].code == "bad_surrogate"
    for i in (0, CHUNK - 1, CHUNK, 2 * CHUNK + 3, len(TEXTS) - 1):
        assert next(predictor.predict([asked[i]])) == together[i]


def test_int8_answers_as_fp32_does(toy_pack: Pack, toy_student: tuple[Path, Student]) -> None:
    """Answers of nearly all tasks and documents are those of fp32, and scores are near."""
    asked = documents(TEXTS[:CHUNK])
    full, small = (list(make_predictor(toy_pack, toy_student[1], engine=e).predict(asked)) for e in ("f32", "int8"))  # type: ignore[arg-type]
    same = 0
    for a, b in zip(full, small, strict=True):
        theirs = {(f.task, f.label, f.start, f.end): f.score for f in b.findings}
        assert all(abs(f.score - theirs.get((f.task, f.label, f.start, f.end), f.score)) < 0.15 for f in a.findings)
        same += {(f.task, f.label, f.start, f.end) for f in a.findings} == set(theirs)
    assert same > 0.8 * len(asked)


def test_a_failure_while_reading_ahead_reaches_the_caller(toy_pack: Pack, toy_student: tuple[Path, Student], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the encoder raises on its thread is raised where the readings are asked for, after those before it."""
    predictor = make_predictor(toy_pack, toy_student[1], n_threads=2)
    encode, calls = predictor._encode, []

    def fails(*args: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise RunError("broken")
        return encode(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(predictor, "_encode", fails)
    readings = predictor.predict(documents(TEXTS))
    assert [next(readings).document_id for _ in range(CHUNK)] == [str(i) for i in range(CHUNK)]
    with pytest.raises(RunError, match="broken"):
        next(readings)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_an_error_of_the_items_comes_after_what_was_made_before(n: int) -> None:
    """Whether an item cannot be taken or not be worked on: all results before it are given first."""

    def work(item: int) -> int:
        if item == 5:
            raise ValueError("work")
        return item

    def items() -> Iterator[int]:
        yield from range(4)
        raise ValueError("items")

    for taken, failing, wanted in ((items(), "items", [0, 1, 2, 3]), (range(3, 9), "work", [3, 4]), (ahead(work, range(2, 9), 1), "work", [2, 3, 4])):
        made = []
        with pytest.raises(ValueError, match=failing):
            for result in ahead(work, taken, n):
                made.append(result)
        assert made == wanted


def test_readers_that_take_turns_leave_numpy_its_threads() -> None:
    """However readers begin and end, products run on one thread while one of them is inside, and on as many as before afterwards."""
    blas = ThreadpoolController().select(user_api="blas")

    def reader(n: int) -> Iterator[int]:
        with one_blas_thread():
            yield from range(n)

    with blas.limit(limits=2):
        for _ in zip(reader(2), reader(3), strict=False):
            assert {library["num_threads"] for library in blas.info()} == {1}
        assert {library["num_threads"] for library in blas.info()} == {2}


@given(st.lists(st.integers(0, CHUNK_CHARS + 2), max_size=40), st.integers(0, 2 * CHUNK + 2))
def test_chunks_keep_both_bounds(lengths: list[int], n_short: int) -> None:
    """All documents in order; a chunk has no more than so many, nor than so many characters unless one alone has, and the next one would not fit."""
    asked = documents(["x" * n for n in [*lengths, *[1] * n_short]])
    made = list(chunks(iter(asked)))
    assert [d for chunk in made for d in chunk] == asked
    for chunk, following in pairwise(made):
        n_chars = sum(len(d.text) for d in chunk)
        assert len(chunk) == 1 or n_chars <= CHUNK_CHARS
        assert len(chunk) == CHUNK or n_chars + len(following[0].text) > CHUNK_CHARS
    assert all(0 < len(chunk) <= CHUNK for chunk in made)


class Counted:
    """An engine that counts the rows it is given."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.hidden, self.n_rows = engine, engine.hidden, 0

    def states(self, rows: Sequence[object], *rest: object) -> object:
        self.n_rows += len(rows)
        return self._engine.states(rows, *rest)  # type: ignore[arg-type]


def counted(predictor: Predictor) -> Counted:
    made = Counted(predictor._engine)
    predictor._engine = made  # type: ignore[assignment]
    return made


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_text_read_before_is_not_read_again(toy_pack: Pack, toy_student: tuple[Path, Student], n_threads: int) -> None:
    """The same text under another id has the same findings without the encoder, and is counted; without a cache it is read again."""
    predictor = make_predictor(toy_pack, toy_student[1], n_threads=n_threads, cache=10_000)
    engine, first = counted(predictor), list(predictor.predict(documents(TEXTS[:8])))
    again = list(predictor.predict([Document(f"again-{i}", text) for i, text in enumerate([*TEXTS[:8], TEXTS[9]])]))
    assert [r.findings for r in again[:8]] == [r.findings for r in first]
    assert [r.document_id for r in again] == [f"again-{i}" for i in range(9)]
    assert predictor.cache is not None
    assert (predictor.cache.hits, engine.n_rows) == (8, 9)
    without = make_predictor(toy_pack, toy_student[1])
    engine = counted(without)
    assert [list(without.predict(documents(TEXTS[:2]))) for _ in range(2)][1][0].findings == first[0].findings
    assert engine.n_rows == 4


def test_failures_are_not_kept(toy_pack: Pack, toy_student: tuple[Path, Student]) -> None:
    """A document that failed is tried again."""
    predictor = make_predictor(toy_pack, toy_student[1], cache=10)
    failed = Document("1", "a \ud800 b")
    assert [next(predictor.predict([failed])).code for _ in range(2)] == ["bad_surrogate"] * 2
    assert predictor.cache is not None
    assert predictor.cache.hits == 0


def test_the_cache_holds_its_limit() -> None:
    """What was asked for longest ago goes first; texts without findings take room too; what is too large is not kept."""
    finding = Finding("mood", "glad", 0.9, 0, 1)
    cache = Cache(4)
    cache.put("a", (finding, finding))
    cache.put("b", ())
    cache.put("c", (finding,))
    assert cache.get("a") == ((finding, finding), None)
    cache.put("d", (finding,))  # the fifth: b goes
    assert [cache.get(text) is not None for text in "abcd"] == [True, False, True, True]
    cache.put("e", (finding,) * 5)
    assert cache.get("e") is None
    cache.put("a", ())  # there already
    assert cache.get("a") == ((finding, finding), None)
    assert cache.hits == 5
    assert Reading("1", (finding,)).failed is False


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), ImportError("no file left"), MemoryError()])
@pytest.mark.parametrize("stage", ["_rules.read", "_hooks.clean", "_hooks.refine"])
def test_what_the_machine_refuses_is_raised(
    toy_pack: Pack, toy_student: tuple[Path, Student], monkeypatch: pytest.MonkeyPatch, error: Exception, stage: str
) -> None:
    """No memory, no file that can be opened: at no stage is that a failure of the document in hand."""
    predictor = make_predictor(toy_pack, toy_student[1])
    part, _, name = stage.partition(".")

    class Refusing:
        def __getattr__(self, asked: str) -> object:
            if asked == name:
                return self._refuse
            return getattr(kept, asked)

        def _refuse(self, *_: object) -> None:
            raise error

    kept = getattr(predictor, part)
    monkeypatch.setattr(predictor, part, Refusing())
    with pytest.raises(type(error)):
        list(predictor.predict(documents(TEXTS[:3])))
