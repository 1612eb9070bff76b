"""The pictures show the figures they are made of, and no words lie on one another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from pipelines.calibration_error import calibration_error, error_by_chance, reliability
from pipelines.evaluate import Calibration, Evaluation
from pipelines.metrics import TaskScore
from pipelines.plots import AREA, frontier, reliability_diagram

TESTS = [("samples", "verdict"), ("sms_smishing", "verdict"), ("mtsamples_specialty", "environmental_aspects"), ("finer_ord_ner", "entities")]
SPEED = {"teacher": 8000.0, "student": 17000.0, "compressed": 25000.0}
SIZE = {"teacher": 22_700_000, "student": 10_300_000, "compressed": 10_300_000}


def calibration(n: int, seed: int) -> Calibration:
    rng = np.random.default_rng(seed)
    scores = rng.beta(4, 1.5, n)
    bins = reliability(scores, rng.random(n) < scores)
    return Calibration(before=0.123, after=calibration_error(bins) or 0.0, expected_by_chance=error_by_chance(scores), n=n, bins=tuple(bins))


def evaluation(n_tests: int = 4, scores: dict[str, float] | None = None, speed: dict[str, float] = SPEED) -> Evaluation:
    def of(score: float) -> dict[str, dict[str, TaskScore]]:
        return {s: {t: TaskScore(measure="macro_f1", score=score, majority=0.3, accuracy=score, n=100, labels={})} for s, t in TESTS[:n_tests]}

    given = scores or {"tfidf": 0.85, "teacher": 0.93, "plain": 0.905, "student": 0.92, "compressed": 0.919}
    return Evaluation(
        student="finance-1",
        split="test",
        systems={system: of(score) for system, score in given.items()},
        members={"teacher": ["finance-0"], "student": ["finance-1"]},
        calibration={s: {t: calibration(60 * 4**i, i)} for i, (s, t) in enumerate(TESTS[:n_tests])},
        size=SIZE,
        speed=speed,
        machine="AMD EPYC, 2 threads",
    )


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def saved(figure: Figure, path: Path) -> None:
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(Figure, "savefig", saved)
    return figures


def words(figure: Figure) -> Iterator[Text]:
    """All texts but the ticks' numbers, which the library spaces."""
    there = [t for axes in figure.axes for t in (*axes.get_children(), axes.xaxis.label, axes.yaxis.label)]
    there += [t for legend in figure.legends for t in legend.get_texts()]
    yield from (t for t in there if isinstance(t, Text) and t.get_text())


def assert_legible(figure: Figure) -> None:
    """No text lies on another or leaves the figure."""
    boxes = [(t.get_text(), t.get_window_extent()) for t in words(figure)]
    for (one, a), (other, b) in combinations(boxes, 2):
        assert not a.padded(-1).overlaps(b.padded(-1)), (one, other)
    for text, box in boxes:
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1, text


@pytest.mark.parametrize("n_tests", [1, 2, 4])
def test_the_reliability_diagram(n_tests: int, drawn: list[Figure], tmp_path: Path) -> None:
    """A panel a test: its bars are the bins' shares right, its caption the errors and the number of answers."""
    made = evaluation(n_tests)
    reliability_diagram(tmp_path / "r.png", made)
    (figure,) = drawn
    panels = figure.axes[::2]
    assert len(panels) == n_tests
    for panel, (source, task) in zip(panels, TESTS, strict=False):
        shown = made.calibration[source][task]
        assert [bar.get_height() for bar in panel.patches[::2]] == pytest.approx([b.right for b in shown.bins])
        assert [bar.get_height() for bar in panel.patches[1::2]] == pytest.approx([abs(b.right - b.score) for b in shown.bins])
        caption = panel.get_title(loc="left")
        for figure_shown in (task, source, f"{shown.n:,}", f"{shown.after:.3f}", "0.123", f"{shown.expected_by_chance:.3f}"):
            assert figure_shown in caption
    assert_legible(figure)


@pytest.mark.parametrize(
    ("scores", "speed"),
    [
        (None, SPEED),
        ({"tfidf": 0.906, "teacher": 0.91, "plain": 0.905, "student": 0.9, "compressed": 0.9}, SPEED),
        ({"teacher": 0.9, "student": 0.9, "compressed": 0.9}, SPEED),
        (None, SPEED | {"compressed": 17100.0}),
    ],
    ids=["usual", "close scores", "equal scores", "equal speeds"],
)
def test_the_frontier(scores: dict[str, float] | None, speed: dict[str, float], drawn: list[Figure], tmp_path: Path) -> None:
    """A marker a system at its speed and mean score, its area the size; systems without a speed are lines."""
    made = evaluation(scores=scores, speed=speed)
    frontier(tmp_path / "f.png", made, ["verdict", "environmental_aspects", "entities"])
    (figure,) = drawn
    (axes,) = figure.axes
    markers = [c for c in axes.collections if isinstance(c, PathCollection)]
    assert [tuple(np.asarray(c.get_offsets())[0]) for c in markers] == [
        (speed[s], pytest.approx(made.systems[s]["samples"]["verdict"].score)) for s in ("teacher", "student", "compressed")
    ]
    assert [c.get_sizes()[0] for c in markers] == pytest.approx([AREA * SIZE[s] / 1e6 for s in ("teacher", "student", "compressed")])
    assert len(axes.lines) == sum(s in made.systems for s in ("tfidf", "plain"))
    named = [(tick.get_loc(), tick.label1.get_text()) for tick in axes.yaxis.get_major_ticks() if tick.label1.get_text()]
    assert [float(name) for _, name in named] == pytest.approx([place for place, _ in named], abs=1e-6)
    assert_legible(figure)


def test_a_student_that_is_its_own_teacher_is_one_point(drawn: list[Figure], tmp_path: Path) -> None:
    """Where nothing was distilled, student and compressed alone are shown."""
    frontier(tmp_path / "f.png", evaluation().model_copy(update={"members": {"teacher": ["finance-1"], "student": ["finance-1"]}}), ["verdict"])
    assert len([c for c in drawn[0].axes[0].collections if isinstance(c, PathCollection)]) == 2


@pytest.mark.parametrize("draw", [reliability_diagram, lambda path, made: frontier(path, made, ["verdict"])], ids=["reliability", "frontier"])
def test_a_picture_is_a_png_of_a_cards_width(draw: Callable[[Path, Evaluation], None], tmp_path: Path) -> None:
    """A PNG 960 dots wide is written; the same figures give the same bytes."""
    for name in ("1.png", "2.png"):
        draw(tmp_path / name, evaluation())
    content = (tmp_path / "1.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(content[16:20], "big") == 960
    assert content == (tmp_path / "2.png").read_bytes()


def test_no_window_is_asked_for() -> None:
    """Drawing imports no pyplot: nothing global, no display needed."""
    code = "import sys, pipelines.plots; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=True)
