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
from suites.discover import Pack
from suites.types import Example, Finding, Task

_WORD = re.compile(r"\w+|[^\w\s]")


def tfidf_scores(pack: Pack, train: Sequence[Example], test: Sequence[Example]) -> Scores:
    """Scores of one linear model per task, trained on `train` alone, by source of `test`."""
    found: list[list[Finding]] = [[] for _ in test]
    for task in pack.student_tasks:
        usable = [e for e in train if task.name in e.tasks]
        asked = [i for i, e in enumerate(test) if task.name in e.tasks]
        if not usable or not asked:
            continue
        answer = _spans if task.kind == "spans" else _ranges
        for i, findings in zip(asked, answer(task, usable, [test[i] for i in asked]), strict=True):
            found[i] += findings
    return score_found(pack, test, found)


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
    answers: list[list[Finding]] = []
    for example in test:
        asked = _asked(task, example)
        given = model.predict([text for _, text, _ in asked]) if asked else []  # type: ignore[attr-defined]
        answers.append([])
        for (place, _, _), answer in zip(asked, given, strict=True):
            labels = [task.labels[k] for k in np.flatnonzero(answer)] if task.kind == "tags" else [str(answer)]
            answers[-1] += [Finding(task.name, label, 1.0, *place) for label in labels]
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
        given = model.predict([_features([w.group() for w in words], i) for i in range(len(words))]) if words else []
        answers.append(_joined(task, words, given))
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


def _joined(task: Task, words: Sequence[re.Match[str]], tags: Sequence[str]) -> list[Finding]:
    found: list[Finding] = []
    start = end = 0
    label = ""
    for word, tag in [*zip(words, tags, strict=True), (None, "O")]:
        inside = tag.startswith("I-") and tag[2:] == label
        if label and not inside:
            found.append(Finding(task.name, label, 1.0, start, end))
            label = ""
        if word is not None and tag != "O":
            if not inside:
                label, start = tag[2:], word.start()
            end = word.end()
    return found
