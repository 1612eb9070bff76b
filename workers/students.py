"""Which student reads: the release register in files, and predictors loaded once per process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from sqlalchemy import Connection, select, update

from pipelines.engines import RECORD, Name, chosen
from pipelines.predict import Predictor, make_predictor
from pipelines.release import read_register, student_folder, way_back
from pipelines.student import Student, load_student
from suites.discover import Pack, find_pack
from suites.errors import StudentError
from workers.settings import Settings
from workers.store import insert_new
from workers.tables import jobs, now_s, students

# a process keeps this many students in memory: one a pack, and one more during a change
KEPT = 4


@lru_cache(maxsize=KEPT)
def predictor(settings: Settings, pack_name: str, student_id: str, n_threads: int) -> Predictor:
    """The predictor of a student, loaded and checked on first use, then kept."""
    pack = find_pack(pack_name, settings.pack_folders)
    return predictor_of(settings, pack, usable_student(settings, pack_name, student_id), n_threads)


def predictor_of(settings: Settings, pack: Pack, student: Student, n_threads: int) -> Predictor:
    """A loaded student's predictor, on the engine that it is read with here."""
    engine, trusted = engine_of(settings, student), settings.packs.trust_hooks
    return make_predictor(pack, student, n_threads=n_threads, engine=engine, trusted=trusted, cache=settings.inference.cache)


def engine_of(settings: Settings, student: Student) -> Name:
    """The engine that a student is read with on this host."""
    return chosen(student.folder, settings.inference.engine, settings.runtime_folder / RECORD)


def engine_words(settings: Settings, student: Student, speeds: Mapping[str, float]) -> str:
    """What a student is read with here, and how fast each engine is."""
    told = ", ".join(f"{name} {speed:,.0f}" for name, speed in speeds.items())
    return f"{student.id} is read in {engine_of(settings, student)}; tokens/s on one core here: {told}"


def usable_student(settings: Settings, pack_name: str, student_id: str) -> Student:
    """The student, loaded and checked. Where one that was released cannot be, the error also says how another reads in its place."""
    try:
        return load_student(student_folder(settings.students_folder, pack_name, student_id))
    except StudentError as error:
        if student_id not in read_register(settings.students_folder, pack_name).states:
            raise
        raise StudentError(f"{error.message} {way_back(settings.students_folder, pack_name, student_id)}", error.code) from None


def register_student(connection: Connection, pack: Pack, student_id: str) -> None:
    """Makes the released student the one that the store's views show."""
    connection.execute(update(students).where(students.c.pack == pack.name, students.c.id != student_id).values(state="retired"))
    insert_new(connection, students, [{"id": student_id, "pack": pack.name, "state": "primary"}], seen_at=now_s())
    connection.execute(update(students).where(students.c.id == student_id).values(state="primary"))


def shown_again(connection: Connection, pack: Pack, student_id: str) -> bool:
    """Makes a student that this store has met the one that its views show; False where it has not met it."""
    met = connection.execute(select(students.c.id).where(students.c.id == student_id)).first() is not None
    if met:
        register_student(connection, pack, student_id)
    return met


def jobs_waiting_for(connection: Connection, student_id: str) -> Sequence[int]:
    """The jobs that have not ended and were made for this student: it goes on reading them."""
    waiting = select(jobs.c.id).where(jobs.c.student_id == student_id, jobs.c.state.in_(("OPEN", "RUNNING")))
    return connection.execute(waiting.order_by(jobs.c.id)).scalars().all()
