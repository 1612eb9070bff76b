"""A sample of a job read again, by its student and by its teacher, so that what the student saves is a figure of the same documents.

All ways of reading are asked portion by portion in one process, one after the other, so that a busy machine slows all alike; none has a cache.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from pipelines.energy import Meter, Spent
from pipelines.predict import Predictor, make_predictor
from pipelines.progress import OnProgress, silent
from pipelines.release import student_ids
from pipelines.student import Student, load_student
from suites.discover import Pack
from suites.errors import RunError, StudentError
from suites.types import Document
from workers.drain import PART_DOCUMENTS
from workers.energy import now, record
from workers.flips import opened_documents
from workers.keys import Keys, Unopened
from workers.owner import owner_name
from workers.settings import Settings
from workers.store import Store
from workers.students import engine_of, usable_student

# how often each way has its turn at least. A turn takes as many documents as a worker's part where there are so many: fewer cost more each
TURNS = 2
# the first of them are read once before it counts: caches of the processor and of libraries are then warm for all
WARM_UP = 2


@dataclass(slots=True)
class Way:
    """One way of reading: a student on an engine, and what it took so far."""

    student_id: str
    engine: str
    predictor: Predictor = field(repr=False)
    spent: Spent = field(default_factory=Spent)
    n_documents: int = 0

    def read(self, portion: Sequence[Document], meter: Meter) -> None:
        before = meter.total()
        self.n_documents += sum(1 for _ in self.predictor.predict(portion))
        self.spent += meter.total() - before


def ways_of(settings: Settings, pack: Pack, student_id: str) -> list[Way]:
    """The student and its first teacher, each on the engine that it is read with here and in f32. Raises StudentError where one of them is missing."""
    student = usable_student(settings, pack.name, student_id)
    made = []
    for reader in (student, _teacher(settings, pack, student)):
        for engine in dict.fromkeys((engine_of(settings, reader), "f32")):
            made.append(Way(reader.id, engine, make_predictor(pack, reader, engine=engine, trusted=settings.packs.trust_hooks)))
    return made


def _teacher(settings: Settings, pack: Pack, student: Student) -> Student:
    if not student.birth.teachers:
        remedy = f"One is made with: python manage.py finetune {pack.name} --teacher"
        raise StudentError(f"{student.id} was made without a teacher, so there is none to compare it with. {remedy}", "no_teacher")
    teacher = student.birth.teachers[0]
    if teacher not in student_ids(settings.students_folder, pack.name):
        folder = settings.students_folder / pack.name / teacher
        raise StudentError(f"{folder}: the teacher of {student.id} is not there. Restore its folder to compare the two.", "no_teacher")
    return load_student(settings.students_folder / pack.name / teacher)


def read_again(store: Store, pack: Pack, numbers: Sequence[int], ways: Sequence[Way], meter: Meter, *, keys: Keys, on_progress: OnProgress = silent) -> int:
    """Reads these documents by all ways; gives how many were read, those that no key opens left out.

    Raises RunError where there is none, and SettingsError where texts are sealed and the master key is missing or another.
    """
    n_read, total = 0, len(numbers) * len(ways)
    size = min(PART_DOCUMENTS, math.ceil(len(numbers) / TURNS))
    for number, at in enumerate(range(0, len(numbers), size)):
        portion = _portion(store, numbers[at : at + size], keys)
        if portion and not n_read:
            for way in ways:
                list(way.predictor.predict(portion[:WARM_UP]))
        for turn in range(len(ways)):  # another one begins each time
            ways[(number + turn) % len(ways)].read(portion, meter)
            on_progress("read again", n_read * len(ways) + (turn + 1) * len(portion), total)
        n_read += len(portion)
    if not n_read:
        raise RunError("No key opens the texts of this job any more, or none is left: there is nothing to read again.", "no_documents")
    return n_read


def _portion(store: Store, numbers: Sequence[int], keys: Keys) -> list[Document]:
    """Those of these documents that open. A transaction of its own: none stays open while students read."""
    with store.reading() as connection:
        stored = opened_documents(connection, numbers, keys)
    return [Document(str(number), text) for number, _, text in stored if not isinstance(text, Unopened)]


def record_sample(connection: Connection, meter: Meter, ways: Sequence[Way], pack: Pack, job_id: int, job: str) -> None:
    """Stores what each way took, as one sample: all rows have the same start, and each a name of its own for whose process it was."""
    began = now(connection) - sum(way.spent.duration for way in ways)
    for way in ways:
        record(
            connection,
            meter,
            way.spent,
            kind="sample",
            name=job,
            pack=pack.name,
            job_id=job_id,
            student_id=way.student_id,
            engine=way.engine,
            n_documents=way.n_documents,
            owner=f"{owner_name()}:{secrets.token_hex(4)}",
            began=began,
        )
