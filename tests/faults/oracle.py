"""What must hold after every run: nothing lost, nothing doubled, no ghosts, nobody innocent given up, and every finding as without faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from workers.store import Store
from workers.verify import chain_law, file_laws, laws

# append-only records of what was written and what became work, by triggers: an upsert would hide a double
_TRIGGERS = {
    "sqlite": (
        "CREATE TABLE effects (document_id INTEGER, student_id TEXT, epoch INTEGER, at REAL)",
        "CREATE TRIGGER effects_of_readings AFTER INSERT ON readings BEGIN "
        "INSERT INTO effects VALUES (new.document_id, new.student_id, new.epoch, unixepoch('subsec')); END",
        "CREATE TABLE submitted (document_id INTEGER, key TEXT, job_id INTEGER)",
        "CREATE TRIGGER submitted_as_work AFTER INSERT ON work BEGIN "
        "INSERT INTO submitted SELECT new.document_id, d.key, new.job_id FROM documents d WHERE d.id = new.document_id; END",
    ),
    "postgresql": (
        "CREATE TABLE effects (document_id bigint, student_id text, epoch integer, at double precision)",
        "CREATE FUNCTION note_effect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO effects "
        "VALUES (new.document_id, new.student_id, new.epoch, extract(epoch from clock_timestamp())); RETURN NULL; END $$",
        "CREATE TRIGGER effects_of_readings AFTER INSERT ON readings FOR EACH ROW EXECUTE FUNCTION note_effect()",
        "CREATE TABLE submitted (document_id bigint, key text, job_id bigint)",
        "CREATE FUNCTION note_work() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO submitted "
        "SELECT new.document_id, d.key, new.job_id FROM documents d WHERE d.id = new.document_id; RETURN NULL; END $$",
        "CREATE TRIGGER submitted_as_work AFTER INSERT ON work FOR EACH ROW EXECUTE FUNCTION note_work()",
    ),
}


@dataclass
class Expected:
    """What the driver did: the poison of each document that has one, jobs that were cancelled and when, documents that were erased and when."""

    keys: set[str] = field(default_factory=set)
    poisons: dict[str, str] = field(default_factory=dict)
    cancelled: dict[int, float] = field(default_factory=dict)
    paused: list[tuple[int, float, float]] = field(default_factory=list)
    erased: dict[str, float] = field(default_factory=dict)


@dataclass
class Verdict:
    """Counts; all but `zombies_refused` and `read` must be 0."""

    read: int = 0
    lost: int = 0
    left: int = 0
    doubled: int = 0
    ghosts: int = 0
    innocents_dead: int = 0
    innocents: dict[str, int] = field(default_factory=dict)
    poisons_alive: int = 0
    wrong: int = 0
    broken_laws: tuple[str, ...] = ()
    zombies_refused: int = 0

    @property
    def faults(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in ("lost", "left", "doubled", "ghosts", "innocents", "poisons_alive", "wrong", "broken_laws")}
        return {name: value for name, value in found.items() if value}


def record_effects(store: Store) -> None:
    """Begins the record."""
    with store.begin() as connection:
        for sql in _TRIGGERS[store.engine.dialect.name]:
            connection.execute(text(sql))


def judge(store: Store, expected: Expected, findings: Mapping[str, Any] | None = None) -> Verdict:
    """Compares the store with what was submitted. `findings` are those of each document as read without faults."""
    verdict = Verdict()
    with store.reading() as connection:

        def rows(sql: str, **values: object) -> list[Any]:
            return list(connection.execute(text(sql), values).all())

        read = {key for (key,) in rows("SELECT d.key FROM readings r JOIN documents d ON d.id = r.document_id")}
        failed = dict(rows("SELECT d.key, f.code FROM failures f JOIN documents d ON d.id = f.document_id"))
        gone = {key for key, job in rows("SELECT c.key, c.job_id FROM submitted c") if job in expected.cancelled} | set(expected.erased)
        verdict.read = len(read)
        waiting = {key for (key,) in rows("SELECT d.key FROM work w JOIN documents d ON d.id = w.document_id")}
        verdict.lost = len(expected.keys - read - failed.keys() - gone - waiting)
        verdict.left = len(waiting)
        doubled = "SELECT count(*) FROM (SELECT 1 FROM effects GROUP BY document_id, student_id HAVING count(*) > 1) t"
        verdict.doubled = rows(doubled)[0][0] + len(read & failed.keys())
        verdict.innocents = dict(Counter(code for key, code in failed.items() if key not in expected.poisons))
        verdict.innocents_dead = sum(verdict.innocents.values())
        verdict.poisons_alive = len((expected.poisons.keys() & read) - gone)
        verdict.zombies_refused = rows("SELECT coalesce(sum(n_refused), 0) FROM jobs")[0][0]
        late = "SELECT count(*) FROM effects e JOIN submitted c ON c.document_id = e.document_id WHERE c.job_id = :job AND e.at > :after AND e.at < :before"
        for job, at in expected.cancelled.items():
            verdict.ghosts += rows(late, job=job, after=at, before=1e12)[0][0]
        for job, at, until in expected.paused:
            verdict.ghosts += rows(late, job=job, after=at, before=until)[0][0]
        verdict.ghosts += len(read & expected.erased.keys())
        verdict.broken_laws = tuple(law.name for law in [*laws(connection), *file_laws(connection), chain_law(connection)] if not law.holds)
        if findings is not None:
            verdict.wrong = sum(found != findings[key] for key, found in _found(rows).items() if key in findings)
    return verdict


def _found(rows: Any) -> dict[str, Any]:
    found: dict[str, list[tuple[Any, ...]]] = {key: [] for (key,) in rows("SELECT d.key FROM readings r JOIN documents d ON d.id = r.document_id")}
    for key, *rest in rows('SELECT d.key, f.task, f.label, f.start, f."end", f.source FROM findings f JOIN documents d ON d.id = f.document_id'):
        found[key].append(tuple(rest))
    return {key: sorted(values) for key, values in found.items()}
