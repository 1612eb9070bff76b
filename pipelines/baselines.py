"""TF-IDF with logistic regression on the same splits: what any student has to beat."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline, make_union

from pipelines.evaluate import Scores, score_found
from pipelines.progress import OnProgress, silent
from suites.discover import Pack
from suites.types import Example, Finding, Task

_WORD = re.compile(r"\w+|[^\w\s]")


def tfidf_scores(pack: Pack, train: Sequence[Example], test: Sequence[Example], *, n_resamples: int = 0, on_progress: OnProgress = silent) -> Scores:
    """Scores of one linear model per task, trained on `train` alone, by source of `test`. A task that it cannot be trained for is left out."""
    found, trained = tfidf_findings(pack, train, test, on_progress=on_progress)
    scores = score_found(pack, test, found, n_resamples=n_resamples)
    return {source: kept for source, by_task in scores.items() if (kept := {t: s for t, s in by_task.items() if t in trained})}


def tfidf_findings(
    pack: Pack, train: Sequence[Example], test: Sequence[Example], *, on_progress: OnProgress = silent
) -> tuple[list[list[Finding]], frozenset[str]]:
    """The linear models' findings of each example of `test`, and the tasks that they could be trained for."""
    found: list[list[Finding]] = [[] for _ in test]
    trained: set[str] = set()
    for number, task in enumerate(pack.student_tasks, start=1):
        usable = [e for e in train if task.name in e.tasks]
        asked = [i for i, e in enumerate(test) if task.name in e.tasks]
        if asked and _is_learnable(task, usable):
            trained.add(task.name)
            answer = _spans if task.kind == "spans" else _ranges
            for i, findings in zip(asked, answer(task, usable, [test[i] for i in asked]), strict=True):
                found[i] += findings
        on_progress("TF-IDF + linear", number, len(pack.student_tasks))
    return found, frozenset(trained)


def _is_learnable(task: Task, train: Sequence[Example]) -> bool:
    """Whether there is something to tell apart: two labels of a choice, any label of the others."""
    labels = {f.label for e in train for f in e.gold if f.task == task.name}
    return len(labels) > (task.kind == "choice")


def _model(task: Task) -> object:
    # words and pairs, and character pieces inside words: the usual strong linear baseline
    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, token_pattern=r"\S+", lowercase=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=3, max_features=100_000),
    )
    linear = LogisticRegression(C=10.0, max_iter=400, class_weight=None)
    return make_pipeline(features, OneVsRestClassifier(linear) if task.kind == "tags" else linear)


def _ranges(task: Task, train: Sequence[Example], test: Sequence[Example]) -> list[list[Finding]]:
    """Answers of a choice or tags task at gold's ranges; a span is seen with its sentence around it."""
    rows = [(text, labels) for e in train for _, text, labels in _asked(task, e)]
    wanted: object = (
        np.array([[label in labels for label in task.labels] for _, labels in rows], int) if task.kind == "tags" else [labels[0] for _, labels in rows]
    )
    model = _model(task)
    model.fit([text for text, _ in rows], wanted)  # type: ignore[attr-defined]
    names = task.labels if task.kind == "tags" else model.classes_  # type: ignore[attr-defined]
    answers: list[list[Finding]] = []
    for example in test:
        asked = _asked(task, example)
        given = model.predict_proba([text for _, text, _ in asked]) if asked else []  # type: ignore[attr-defined]
        answers.append([])
        for (place, _, _), scores in zip(asked, given, strict=True):
            # what predict() gives: the tags of more than one half, the likeliest label
            scores = scores[-len(names) :]  # of a single tag the model also gives the score of its absence, first
            chosen = np.flatnonzero(scores > 0.5) if task.kind == "tags" else [int(np.argmax(scores))]
            answers[-1] += [Finding(task.name, str(names[k]), float(scores[k]), *place) for k in chosen]
    return answers


def _asked(task: Task, example: Example) -> list[tuple[tuple[int, int], str, list[str]]]:
    """(range, text to look at, gold labels) of every place where the task is asked."""
    text = example.document.text
    places: dict[tuple[int, int], list[str]] = {}
    for f in example.gold:
        if f.task == task.name:
            places.setdefault((f.start, f.end), []).append(f.label)
    if task.kind == "tags" and not places:
        places[(0, len(text))] = []
    if task.scope != "span":
        return [(p, text[p[0] : p[1]], labels) for p, labels in places.items()]
    # the words before and after are told apart by a mark: "no" before a problem is not "no" after it
    return [
        (p, " ".join([*_marked("l_", text[: p[0]], -8), *_marked("in_", text[p[0] : p[1]], 0), *_marked("r_", text[p[1] :], 8)]), labels)
        for p, labels in places.items()
    ]


def _marked(mark: str, text: str, n: int) -> list[str]:
    words = _WORD.findall(text.lower())
    near = words[n:] if n < 0 else words[:n] if n > 0 else words
    return [mark + word for word in near]


def _spans(task: Task, train: Sequence[Example], test: Sequence[Example]) -> list[list[Finding]]:
    """BIO tags word by word from the word, its shape and endings, and its two neighbours each side."""
    rows = [(_features(words, i), tag) for e in train for words, tags in [_tagged(task, e)] for i, tag in enumerate(tags)]
    model = make_pipeline(
        TfidfVectorizer(token_pattern=r"\S+", lowercase=False, min_df=2, norm=None, use_idf=True, binary=True),
        LogisticRegression(C=1.0, max_iter=200, solver="lbfgs", tol=1e-3),
    )
    model.fit([features for features, _ in rows], [tag for _, tag in rows])
    answers = []
    for example in test:
        words = list(_WORD.finditer(example.document.text))
        scores = model.predict_proba([_features([w.group() for w in words], i) for i in range(len(words))]) if words else np.zeros((0, 1))
        answers.append(_joined(task, words, model.classes_[scores.argmax(axis=1)], scores.max(axis=1)))
    return answers


def _tagged(task: Task, example: Example) -> tuple[list[str], list[str]]:
    words = list(_WORD.finditer(example.document.text))
    tags = ["O"] * len(words)
    for f in example.gold:
        if f.task == task.name:
            inside = [i for i, w in enumerate(words) if w.start() < f.end and w.end() > f.start]
            for i in inside:
                tags[i] = ("B-" if i == inside[0] else "I-") + f.label
    return [w.group() for w in words], tags


def _features(words: Sequence[str], i: int) -> str:
    word = words[i]
    shape = re.sub(r"[a-z]+", "x", re.sub(r"[A-Z]+", "X", re.sub(r"\d+", "9", word)))
    near = [f"{d:+d}={words[i + d].lower()}" for d in (-2, -1, 1, 2) if 0 <= i + d < len(words)]
    return " ".join([f"w={word.lower()}", f"s={shape}", *(f"e={word[-n:].lower()}" for n in (2, 3, 4)), f"b={word[:3].lower()}", *near])


def _joined(task: Task, words: Sequence[re.Match[str]], tags: Sequence[str], scores: Sequence[float]) -> list[Finding]:
    """Runs of tags as spans; a span's score is the geometric mean of its words' scores, as the student's is."""
    runs: list[list[int]] = []
    for i, tag in enumerate(tags):
        inside = tag.startswith("I-") and runs and runs[-1][-1] == i - 1 and tags[i - 1][2:] == tag[2:]
        if inside:
            runs[-1].append(i)
        elif tag != "O":
            runs.append([i])
    return [
        Finding(task.name, str(tags[run[0]][2:]), float(np.exp(np.mean(np.log([scores[i] for i in run])))), words[run[0]].start(), words[run[-1]].end())
        for run in runs
    ]
