"""What teachers say of a student's training examples: soft targets for every task, hidden states, and guesses where gold is silent.

A teacher is a fine-tuned student folder of the same pack, usually of all the layers. It reads
through its exported graph, cut into the student's word pieces, so that each token has its answer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from pipelines.encode import Floats, Inputs, Ints, TextEncoder, stitch
from pipelines.engine import Engine
from pipelines.heads import Head, pooled, sigmoid, softmax
from pipelines.net import SOFTENING
from pipelines.openvino_engine import OpenVinoEngine
from pipelines.predict import make_predictor
from pipelines.progress import OnProgress
from pipelines.student import Student
from pipelines.targets import Encoded, Halves, Target
from suites.discover import Pack
from suites.errors import StudentError
from suites.types import Document, Example, Finding, Task

CHUNK = 256  # examples whose windows are read together


def guesses(
    pack: Pack, teacher: Student, examples: Sequence[Example], tasks: Sequence[Task], on_progress: OnProgress, trusted: Sequence[str] = ()
) -> list[tuple[Finding, ...]]:
    """The teacher's findings of the examples that lack gold of one of these tasks: where unlabelled documents get their ranges from."""
    predictor = make_predictor(pack, teacher, n_threads=os.cpu_count() or 1, engine="bf16", trusted=trusted)
    silent = [i for i, e in enumerate(examples) if any(t.name not in e.tasks for t in tasks)]
    found: list[tuple[Finding, ...]] = [() for _ in examples]
    documents = [Document(str(i), examples[i].document.text, examples[i].document.meta) for i in silent]
    for done, reading in enumerate(predictor.predict(documents), start=1):
        found[int(reading.document_id)] = tuple(f for f in reading.findings if f.source == "student")
        on_progress("the teacher guesses", done, len(silent))
    return found


class Teachers:
    """Fine-tuned students that teach another one. `states` asks for the first one's hidden states too."""

    def __init__(self, teachers: Sequence[Student], encoder: TextEncoder, *, states: bool) -> None:
        self._heads = [{h.task.name: h for h in t.heads} for t in teachers]
        self._engines: list[Engine] = [
            OpenVinoEngine(t.folder / "encoder.xml", pad_id=TextEncoder(t.folder).pad_id, n_threads=os.cpu_count() or 1, precision="bf16") for t in teachers
        ]
        self._numbers = [_numbers(encoder, TextEncoder(t.folder), t.id) for t in teachers]
        self._states = states

    def teach(self, examples: Sequence[Encoded], on_progress: OnProgress) -> list[Encoded]:
        """The examples with soft targets, the mean of all teachers' answers, and the first teacher's states."""
        taught: list[Encoded] = []
        for at in range(0, len(examples), CHUNK):
            taught += self._taught(examples[at : at + CHUNK])
            on_progress("the teacher answers", len(taught), len(examples))
        return taught

    def _taught(self, examples: Sequence[Encoded]) -> list[Encoded]:
        soft: list[dict[str, list[Floats]]] = [{name: [] for name in e.targets} for e in examples]
        states: list[tuple[Halves, ...]] = [() for _ in examples]
        for number, (heads, engine, numbers) in enumerate(zip(self._heads, self._engines, self._numbers, strict=True)):
            for i, windows in enumerate(_windows(engine, numbers, [e.inputs for e in examples])):
                hidden = stitch(windows, examples[i].inputs.plan)
                for name, target in examples[i].targets.items():
                    soft[i][name].append(softened(heads[name], hidden, target))
                if number == 0 and self._states:
                    states[i] = tuple(w.astype(np.float16) for w in windows)
        return [
            replace(e, states=states[i], targets={name: replace(target, soft=np.mean(soft[i][name], axis=0)) for name, target in e.targets.items()})
            for i, e in enumerate(examples)
        ]


def softened(head: Head, hidden: Floats, target: Target) -> Floats:
    """A teacher's softened probabilities at a target's places. Shape: (n_ranges, n_outputs), for spans (n_tokens, n_outputs)."""
    logits = hidden @ head.weight.T
    if head.task.kind != "spans":
        logits = pooled(logits, target.ranges)
    answers = (logits + head.bias) / SOFTENING
    return sigmoid(answers) if head.task.kind == "tags" else softmax(answers)


def _windows(engine: Engine, numbers: Ints, texts: Sequence[Inputs]) -> Iterator[list[Floats]]:
    states = iter(engine.states([numbers[row] for text in texts for row in text.rows]))
    for text in texts:
        yield [next(states) for _ in text.rows]


def _numbers(student: TextEncoder, teacher: TextEncoder, teacher_id: str) -> Ints:
    """The teacher's id of each of the student's word pieces. Shape: (n_pieces,)."""
    theirs, ours = teacher.pieces, student.pieces
    if strange := [piece for piece in ours if piece not in theirs]:
        raise StudentError(
            f"Teacher {teacher_id}: {len(strange)} of the student's {len(ours)} word pieces are not among its own. "
            "Teacher and student must come from one vocabulary.",
            "bad_teacher",
        )
    numbers = np.zeros(max(ours.values()) + 1, np.int32)
    for piece, number in ours.items():
        numbers[number] = theirs[piece]
    return numbers
