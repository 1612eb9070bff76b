"""Rows made for the console's tests: a few with strings that try to do harm, and many for pages that must stay fast."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, text

from suites.discover import Pack
from workers.rows import fill_sql, rows_table
from workers.tables import documents, energy, failures, findings, jobs, readings, rejects, sources, students, tallies, texts

# a student whose findings are made of rows
STUDENT, OTHER = "toy-seeded000000", "toy-seeded000001"
AT = 1_790_000_000.0
DAY = "2026-09-21"

HOSTILE = (
    "<script>window.hurt=1;alert(1)</script>",
    "\"><img src=x onerror=alert(2)><a href='javascript:alert(3)'>x</a>",
    '\'; DROP TABLE documents; -- " onmouseover="alert(4)',
    "{{ 7*7 }}{% raw %} ${7*7} <%= 7*7 %>",
    "a\u202egnp.exe\u202c b\u2066c\u2069 \u200b\u200d\ufeff zero",
    "\x1b[31mred\x1b[0m \x07bell \x85next",
    '=HYPERLINK("http://evil.example","x")',
    "</title></style></script><style>*{display:none}</style><base href=//evil.example>",
    "https://evil.example/?x=1&y=2#<svg/onload=alert(5)>",
    "é" + "\u0301" * 40 + " 𝔘𝔫𝔦 👩‍👩‍👧 עברית العربية",
    "../../../etc/passwd%00 %0d%0aSet-Cookie: x=1",
    "w" * 190,
)


def seed(connection: Connection, pack: Pack, strings: Sequence[str] = HOSTILE) -> list[int]:
    """A store in which every string that may come from outside is one of these; gives the documents' numbers."""
    # PostgreSQL takes no NUL
    given = itertools.cycle(strings if connection.dialect.name == "postgresql" else [*strings, "nul\x00inside"])

    def one(n: int = 200) -> str:
        return next(given)[:n]

    for student, state in ((STUDENT, "primary"), (OTHER, "retired")):
        connection.execute(insert(students).values(id=student, pack="toy", state=state, seen_at=AT))
    job = _one(connection, jobs, name=one(), pack="toy", student_id=STUDENT, state="COMPLETED_WITH_ERRORS", submitted_at=AT, finished_at=AT + 90, message=one())
    running = _one(connection, jobs, name=one(), pack="toy", student_id=one(80), state="RUNNING", submitted_at=AT, message=one())
    n = len(strings)
    source = _one(
        connection, sources, job_id=job, label=one(), path_sha256="0" * 64, size=9, n_seen=n + 3, n_accepted=n + 1, n_duplicate=1, n_rejected=1, finished_at=AT
    )
    connection.execute(insert(rejects).values(source_id=source, place=one(), code=one(40), reason=one(), remedy=one()))
    numbers = [_document(connection, job, string, one) for string in strings]
    failed = _one(connection, documents, pack="toy", key=one(), content_sha256="f" * 64, n_chars=9, meta={}, received_at=AT, job_id=job)
    connection.execute(
        insert(failures).values(job_id=job, document_id=failed, student_id=STUDENT, stage=one(20), code=one(40), reason=one(), attempts=1, failed_at=AT)
    )
    connection.execute(insert(energy).values(**_energy(job, one)))
    for measure, bucket in (
        ("documents", ""),
        ("label:topic", one(60)),
        ("label:topic", one(60)),
        ("score:topic", "19"),
        ("length", "9"),
        ("label:things", one(60)),
    ):
        connection.execute(insert(tallies).values(student_id=STUDENT, day=DAY, measure=measure, bucket=bucket, slot=0, n=7))
    assert running
    derive(connection, pack)
    return [*numbers, failed]


def derive(connection: Connection, pack: Pack) -> None:
    """The table of rows, made of what was inserted."""
    names = ", ".join(f'"{column.name}"' for column in rows_table(pack).columns)
    connection.exec_driver_sql(f"INSERT INTO {pack.name}_rows ({names}) {fill_sql(pack, connection.dialect.name)}")


def _document(connection: Connection, job: int, string: str, one: Any) -> int:
    """A document whose text is the string, with findings that lie over one another and hold others of the strings."""
    body = f"{string} and {string}\n{string}"
    digest = hashlib.sha256(string.encode("utf-8", "surrogatepass")).hexdigest()
    number = _one(
        connection,
        documents,
        pack="toy",
        key=string[:200],
        content_sha256=digest,
        n_chars=len(body),
        meta={one(): one(), "list": [one()]},
        received_at=AT,
        job_id=job,
    )
    connection.execute(insert(texts).values(document_id=number, text=body))
    whole = len(body)
    places = [("topic", "animals", 0, whole), ("mood", one(60), 0, whole // 2), ("things", "A", 1, 9), ("things", one(60), 3, 7), ("codes", "CODE", 5, 12)]
    places += [("topic_sentences", "animals", 0, whole // 3), ("flags", one(60), 0, whole), ("disguises", "INVISIBLE", 2, whole - 1)]
    for student in (STUDENT, OTHER):
        connection.execute(insert(readings).values(document_id=number, student_id=student, job_id=job, epoch=1, n_findings=len(places), read_at=AT))
        for i, (task, label, start, end) in enumerate(places):
            row = {"document_id": number, "student_id": student, "task": task, "label": label, "start": start, "end": end, "read_at": AT}
            row |= {"score": 0.3 + 0.05 * i, "source": "rule" if task == "codes" else "student", "unsure": i % 3 == 0}
            connection.execute(insert(findings).values(**row, value=one() if i % 2 else None, number=7.5 if task == "codes" else None, unit=one(40)))
    return number


def _energy(job: int, one: Any) -> dict[str, Any]:
    amounts = dict.fromkeys(("duration", "cpu_seconds", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed", "emissions", "cpu_power"), 0.5)
    names = {"name": one(), "pack": "toy", "student_id": STUDENT, "engine": one(10), "owner": one(80), "country_iso_code": "WOR", "method": one(20)}
    return {"kind": "job", "job_id": job, "started_at": AT, "n_documents": 12, "tracking_mode": "process", "cpu_model": one(120)} | amounts | names


def _one(connection: Connection, table: Any, **values: Any) -> int:
    """Inserts a row; gives its number."""
    return int(connection.execute(insert(table).values(**values).returning(table.c.id)).scalar_one())


def seed_many(connection: Connection, pack: Pack, n: int) -> None:
    """A job of `n` documents with four findings each."""
    rows = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :n)"
    key = "'doc-' || CAST(n AS VARCHAR(20))"
    connection.execute(insert(students).values(id=STUDENT, pack="toy", state="primary", seen_at=AT))
    job = _one(connection, jobs, name="many", pack="toy", student_id=STUDENT, state="COMPLETED", submitted_at=AT, finished_at=AT + 600)
    connection.execute(
        insert(sources).values(
            job_id=job, label="many.jsonl", path_sha256="0" * 64, size=9, n_seen=n, n_accepted=n, n_duplicate=0, n_rejected=0, finished_at=AT
        )
    )
    filling = (
        "INSERT INTO documents (pack, key, content_sha256, n_chars, meta, received_at, job_id) "
        f"{rows} SELECT 'toy', {key}, {key}, 50, '{{}}', :at, :job FROM numbers",
        "INSERT INTO readings (document_id, student_id, job_id, epoch, n_findings, read_at) SELECT id, :student, :job, 1, 4, :at + id FROM documents",
    )
    for sql in filling:
        connection.execute(text(sql), {"n": n, "at": AT, "job": job, "student": STUDENT})
    answers = (
        ("topic", "CASE WHEN d.id % 3 = 0 THEN 'weather' ELSE 'animals' END", 0, 50),
        ("flags", "CASE WHEN d.id % 7 = 0 THEN 'urgent' ELSE 'private' END", 0, 50),
        ("things", "'A'", 4, 9),
        ("things", "'B'", 14, 19),
    )
    for task, label, start, end in answers:
        score = "0.5 + (d.id % 50) / 100.0"
        sql = (
            'INSERT INTO findings (document_id, student_id, task, label, score, start, "end", source, unsure, read_at) '
            f"SELECT d.id, :student, '{task}', {label}, {score}, {start}, {end}, 'student', d.id % 50 < 2, :at + d.id FROM documents d"
        )
        connection.execute(text(sql), {"student": STUDENT, "at": AT})
    # without it the databases look for a document's findings among all of the student's
    connection.execute(text("ANALYZE"))
    derive(connection, pack)
    connection.execute(text("ANALYZE"))
