"""Which student reads: the release register in files, and predictors loaded once per process."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import Connection, update

from pipelines.predict import Predictor, make_predictor
from pipelines.student import load_student
from suites.discover import Pack, find_pack
from workers.settings import Settings
from workers.store import insert_new
from workers.tables import now_s, students

# a process keeps this many students in memory: one a pack, and one more during a change
KEPT = 4


@lru_cache(maxsize=KEPT)
def predictor(settings: Settings, pack_name: str, student_id: str, n_threads: int) -> Predictor:
    """The predictor of a student, loaded and checked on first use, then kept."""
    pack = find_pack(pack_name, settings.pack_folders)
    student = load_student(settings.students_folder / pack_name / student_id)
    return make_predictor(pack, student, n_threads=n_threads, precision=settings.inference.precision, trusted=settings.packs.trust_hooks)


def register_student(connection: Connection, pack: Pack, student_id: str) -> None:
    """Makes the released student the one that the store's views show."""
    connection.execute(update(students).where(students.c.pack == pack.name, students.c.id != student_id).values(state="retired"))
    insert_new(connection, students, [{"id": student_id, "pack": pack.name, "state": "primary"}], seen_at=now_s())
    connection.execute(update(students).where(students.c.id == student_id).values(state="primary"))
