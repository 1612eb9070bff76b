"""Lists, shows, compares and retires students.

A student's state: `primary` reads for its pack; `experimental` was released without the full gate and
reads only where there is no primary, or when asked for by its id; `retired` was replaced or retired by
hand and is kept, so that its findings can be explained and it can come back; the others were not
released. `release` and `rollback` change which student reads.

example: python manage.py students list finance
         python manage.py students show finance-3fa9c2d81b07
         python manage.py students diff finance-3fa9c2d81b07 finance-77b1e0c4a952 --limit 500
         python manage.py students retire finance finance-77b1e0c4a952
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from suites.discover import Pack, find_pack
from suites.errors import RunError, UsageError, unknown
from suites.types import Task
from workers.arguments import add_common, positive
from workers.settings import Settings
from workers.show import line, n_of, progress_bar, table, words
from workers.verbs import Part

if TYPE_CHECKING:
    from pipelines.predict import Predictor
    from workers.flips import Comparison, Place

# lines about documents that could not be read; --json has all
SHOWN_UNREAD = 20

LIST = """Lists the students of a pack, or of all packs, newest first.

`reads`: new jobs of its pack are read by it. `teachers`: how many students it was distilled from.
`scores`: of each source in metrics.json the mean over tasks; `students show` has them task by task.

example: python manage.py students list
         python manage.py students list finance --json
"""
SHOW = """Shows one student: state and history, what it was made from, whether its files are whole, scores, gate.

example: python manage.py students show finance-3fa9c2d81b07
"""
DIFF = """Lists where students A and B answer otherwise about stored documents: the label flips.

Both read the documents anew, in f32, and nothing is stored. A line on stdout is one flip: document,
task, range, A's label and score, B's label and score, between tabs; `-` where one finds nothing there.
Places are matched by their exact range, tags one by one. Then, a row a task: places compared = equal +
flips; and how often which label stood against which. No document text is shown.

example: python manage.py students diff finance-3fa9c2d81b07 finance-77b1e0c4a952
         python manage.py students diff A B --job 3 --task verdict
         python manage.py students diff A B --limit 500 --json
"""
RETIRE = """Retires an experimental student: from now on it reads only when asked for by its id.

The primary cannot be retired by hand: release another student, or roll back.

example: python manage.py students retire finance finance-77b1e0c4a952
"""


def add_arguments(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="what", metavar="list | show | diff | retire", required=True)

    def verb(name: str, teaches: str) -> ArgumentParser:
        made = verbs.add_parser(name, description=teaches, help=teaches.partition("\n")[0], formatter_class=RawDescriptionHelpFormatter)
        add_common(made, again=True)
        return made

    listing = verb("list", LIST)
    listing.add_argument("pack", nargs="?", help="default: all packs")
    verb("show", SHOW).add_argument("student", metavar="ID")
    diff = verb("diff", DIFF)
    diff.add_argument("a", metavar="A", help="id of a student")
    diff.add_argument("b", metavar="B", help="id of another student of the same pack")
    diff.add_argument("--pack", help="default: the pack that the ids begin with")
    diff.add_argument("--job", help="number or name of a job: its documents alone (default: all documents of the pack)")
    diff.add_argument("--limit", type=positive, metavar="N", help="the newest N documents alone")
    diff.add_argument("--task", help="this task alone")
    retiring = verb("retire", RETIRE)
    retiring.add_argument("pack")
    retiring.add_argument("student", metavar="ID")


def run(options: Namespace, settings: Settings) -> object:
    return {"list": _list, "show": _show, "diff": _diff, "retire": _retire}[options.what](options, settings)


def _list(options: Namespace, settings: Settings) -> object:
    from workers.roster import packs_with_students, student_rows

    folder = settings.students_folder
    rows = student_rows(folder, [find_pack(options.pack, settings.pack_folders).name] if options.pack else packs_with_students(folder))
    if not options.json:
        table([row | {"reads": "yes" if row["reads"] else None, "teachers": len(row["teachers"]), "scores": _means(row["scores"])} for row in rows])
    return rows


def _means(scores: dict[str, dict[str, float]]) -> str:
    return ", ".join(f"{source} {sum(by_task.values()) / len(by_task):.3f}" for source, by_task in scores.items() if by_task)


def _show(options: Namespace, settings: Settings) -> object:
    from workers.roster import student_record

    record = student_record(settings.students_folder, options.student)
    if not options.json:
        for name, value in _told(record).items():
            line(f"{name:<12} {value}")
        if record["history"]:
            table(record["history"], title="history")
        if record["scores"]:
            table([{"source": source, "task": task, "score": s} for source, by_task in record["scores"].items() for task, s in by_task.items()])
        else:
            words(f"No scores yet: python manage.py evaluate {record['pack']} --student {record['student']}")
    return record


def _told(record: dict[str, Any]) -> dict[str, object]:
    """The lines of `show`: what has a value, and of birth and gate what people ask for."""
    birth, gate = record["birth"] or {}, record["gate"]
    told = {name: value for name, value in record.items() if not isinstance(value, dict | list)} | {"reads": "yes" if record["reads"] else None}
    told |= {name: birth.get(name) for name in ("source", "pack_version", "seed")} | {"data": ", ".join(birth.get("data", ())) or None}
    told["teachers"] = ", ".join(record["teachers"]) or None
    if gate is not None:
        told["gate"] = f"{'passed' if gate['passed'] else 'refused'} as {gate['state']}{'' if gate['passed'] else ': '}{'; '.join(gate['problems'])}"
    return {name: value for name, value in told.items() if value is not None}


def _retire(options: Namespace, settings: Settings) -> object:
    from pipelines.release import retire
    from workers.audit import note

    pack = find_pack(options.pack, settings.pack_folders)
    register = retire(pack, settings.students_folder, options.student)
    note(settings.store_url, "retire", f"student {options.student}", {"pack": pack.name})
    words(f"{options.student} is retired. {f'{register.reader} reads' if register.reader else 'No student reads'} for {pack.name}.")
    return {"pack": pack.name, "student": options.student, "state": register.states[options.student], "reads": register.reader}


def _diff(options: Namespace, settings: Settings) -> object:
    from workers.audit import record_alone
    from workers.flips import Comparison, count_documents, flips
    from workers.follow import find_job
    from workers.keys import Keys
    from workers.migrate import require_newest
    from workers.store import Store

    pack = _common_pack(options, settings)
    tasks = _asked(pack, options.task)
    store = Store(settings.store_url)
    require_newest(store)
    with store.reading() as connection:
        job_id = find_job(connection, options.job) if options.job else None
    stored = count_documents(store, pack, job_id)
    if not stored:
        where = f"job {options.job}" if options.job else "the store"
        raise RunError(f"No document of pack {pack.name!r} in {where}. Store some first: python manage.py submit {pack.name} PATH", "no_documents")
    pair = (_predictor(pack, options.a, settings), _predictor(pack, options.b, settings))
    comparison, found = Comparison(options.a, options.b), []
    limit = min(stored, options.limit or stored)
    record_alone(store, "diff", f"pack {pack.name}", {"a": options.a, "b": options.b, "n_documents": limit})
    with progress_bar(quiet=options.json) as on_progress:
        for place in flips(store, pair, comparison, tasks=tasks, limit=limit, job_id=job_id, on_progress=on_progress, keys=Keys.of(settings)):
            found.append(asdict(place)) if options.json else _print(place)
    store.close()
    _tell(comparison, stored, quiet=options.json)
    counted = {"n_documents": comparison.n_documents, "summary": comparison.summary(), "unread": [asdict(u) for u in comparison.unread]}
    return Part({"pack": pack.name, "a": options.a, "b": options.b, "flips": found} | counted, limit < stored)


def _common_pack(options: Namespace, settings: Settings) -> Pack:
    """The pack of both students. Raises UsageError unless they are two students of one pack."""
    from workers.roster import pack_of

    packs = {student: pack_of(settings.students_folder, student) for student in (options.a, options.b)}
    if len(packs) < 2:
        raise UsageError(f"A and B are the same student: {options.a}. Give two students of one pack: python manage.py students list")
    wanted = options.pack or packs[options.a]
    if strange := [f"{student} is of pack {pack!r}" for student, pack in packs.items() if pack != wanted]:
        reason = f"{'; '.join(strange)}, not of {wanted!r}: only students of one pack answer the same tasks"
        raise UsageError(f"{reason}. See: python manage.py students list {wanted}")
    return find_pack(wanted, settings.pack_folders)


def _asked(pack: Pack, task: str | None) -> list[Task]:
    if task is not None and task not in pack.tasks:
        raise UsageError(f"Pack {pack.name!r}: {unknown('task', task, pack.tasks)}")
    return [t for t in pack.manifest.task if task in (None, t.name)]


def _predictor(pack: Pack, student_id: str, settings: Settings) -> Predictor:
    from pipelines.predict import make_predictor
    from pipelines.release import student_folder
    from pipelines.student import load_student

    student = load_student(student_folder(settings.students_folder, pack.name, student_id))
    return make_predictor(pack, student, n_threads=settings.n_processes, trusted=settings.packs.trust_hooks)


def _print(place: Place) -> None:
    cells = [cell for answer in (place.a, place.b) for cell in (("-", "-") if answer is None else (answer.label, f"{answer.score:.3f}"))]
    line(place.document, place.task, f"{place.start}-{place.end}", *cells)


def _tell(comparison: Comparison, stored: int, *, quiet: bool) -> None:
    """The summary on stdout unless `quiet`, and what was left out on stderr."""
    summary = comparison.summary()
    if not quiet:
        table([{name: value for name, value in row.items() if name != "labels"} for row in summary], title=f"A = {comparison.a}, B = {comparison.b}")
        for row in summary:
            if row["flips"]:
                table([{"task": row["task"]} | {side: pair[side] or "-" for side in ("a", "b")} | {"n": pair["n"]} for pair in row["labels"]])
    for unread in comparison.unread[:SHOWN_UNREAD]:
        words(f"not compared: {unread.document}: {unread.student} could not read it: {unread.stage}: {unread.code}")
    n_unread = len({unread.document_id for unread in comparison.unread})
    words(f"{n_of(comparison.n_documents - n_unread, 'document')} compared" + (f"; {n_unread} could not be read." if n_unread else "."))
    if comparison.n_documents < stored:
        words(f"(the newest {comparison.n_documents} of {stored} documents; --limit shows more)")
