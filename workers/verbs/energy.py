"""Shows what jobs and runs took: kWh, gCO2e, and both of 1,000 documents, with the method that it is known by.

`rapl` is the processor's counter, shared by processor time; `estimate` processor seconds times watts; `+nvml` the accelerators'
counters. docs/operations.md says what is counted, and how to set the country ([energy] country_iso_code) and the watts.

With a job: its processes, and beside it the same job on the student's teacher, as the newest sample found. `--on-teacher` takes
such a sample: documents from all over the job are read again by the student, on the engine that it is read with and in f32,
and by its teacher, portion by portion in turn. That takes the right to read texts, and stands in the audit; no text is shown.

example: python manage.py energy
         python manage.py energy 3
         python manage.py energy 3 --on-teacher
         python manage.py energy 3 --on-teacher --sample 400 --json
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from suites.errors import RunError, UsageError
from workers.arguments import positive
from workers.settings import Settings
from workers.show import n_of, progress_bar, table, words
from workers.verbs import Part

if TYPE_CHECKING:
    from workers.store import Store

SAMPLE = 100
# what people see of a row, in their words and to so many digits
SHOWN = {
    "n_documents": "documents",
    "cpu_seconds": "cpu s",
    "energy_consumed": "kWh",
    "wh_per_1000_documents": "Wh/1,000",
    "gco2e": "gCO2e",
    "gco2e_per_1000_documents": "gCO2e/1,000",
    "country_iso_code": "grid",
}
DIGITS = 4
UNSHOWN = ("duration",)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", nargs="?", help="number or name of a job")
    parser.add_argument("--on-teacher", action="store_true", help="read a sample of the job again, by the student and by its teacher")
    parser.add_argument("--sample", type=positive, metavar="N", help=f"documents of that sample (default {SAMPLE})")
    parser.add_argument("--limit", type=positive, default=50, help="jobs, and runs, at most, the newest (default 50)")


def run(options: Namespace, settings: Settings) -> object:
    from workers.migrate import require_newest
    from workers.store import Store

    if options.sample and not options.on_teacher:
        raise UsageError("--sample goes with --on-teacher.")
    if options.on_teacher and not options.job:
        raise UsageError("--on-teacher needs a job. `python manage.py energy` lists them.")
    store = Store(settings.store_url)
    require_newest(store)
    shown = _job(options, settings, store) if options.job else _all(options, store)
    store.close()
    return shown


def _all(options: Namespace, store: Store) -> object:
    from workers.energy_rows import job_rows, run_rows

    with store.reading() as connection:
        jobs, runs = (rows(connection, limit=options.limit + 1) for rows in (job_rows, run_rows))
    more = max(len(jobs), len(runs)) > options.limit
    jobs, runs = jobs[: options.limit], runs[: options.limit]
    if not options.json:
        table(_for_people(jobs), title="jobs")
        table(_for_people(runs), title="runs")
    if more:
        words(f"(the newest {options.limit} of each; --limit shows more)")
    return Part({"jobs": jobs, "runs": runs}, more)


def _job(options: Namespace, settings: Settings, store: Store) -> object:
    from workers.energy_rows import job_rows, on_teacher, process_rows, sample_rows
    from workers.follow import find_job

    with store.reading() as connection:
        job_id = find_job(connection, options.job)
    if options.on_teacher:
        _take_sample(options, settings, store, job_id)
    with store.reading() as connection:
        found = job_rows(connection, job_id)
        processes = process_rows(connection, job_id)
        sample = sample_rows(connection, job_id)
    job = found[0] if found else None
    would = on_teacher(job, sample) if job else None
    if not options.json:
        _show(options.job, job, processes, sample, would)
    return {"job": job, "processes": processes, "sample": sample, "on_teacher": would}


def _take_sample(options: Namespace, settings: Settings, store: Store, job_id: int) -> None:
    from sqlalchemy import select

    from pipelines.energy import Meter
    from suites.discover import find_pack
    from workers.audit import record_alone
    from workers.energy import rates
    from workers.flips import spread_numbers
    from workers.keys import Keys
    from workers.on_teacher import read_again, record_sample, ways_of
    from workers.store import writing
    from workers.tables import jobs

    with store.reading() as connection:
        job = connection.execute(select(jobs.c.name, jobs.c.pack, jobs.c.student_id).where(jobs.c.id == job_id)).one()
    pack = find_pack(job.pack, settings.pack_folders)
    ways = ways_of(settings, pack, job.student_id)
    numbers = spread_numbers(store, pack, job_id, options.sample or SAMPLE)
    if not numbers:
        raise RunError(f"No document of job {job_id} lies in the store any more: there is nothing to read again.", "no_documents")
    record_alone(store, "energy", f"job {job_id}", {"student": job.student_id, "teacher": ways[-1].student_id, "n_documents": len(numbers)})
    meter = Meter(rates(settings))
    with progress_bar(quiet=options.json) as on_progress:
        n = read_again(store, pack, numbers, ways, meter, keys=Keys.of(settings), on_progress=meter.watched(on_progress))
    with writing(store) as connection:
        record_sample(connection, meter, ways, pack, job_id, job.name)
    words(f"{n_of(n, 'document')} read again in {len(ways)} ways.")


def _show(wanted: str, job: dict[str, Any] | None, processes: list[dict[str, Any]], sample: list[dict[str, Any]], would: dict[str, Any] | None) -> None:
    if job is None:
        words(f"Nothing was counted of job {wanted}: it was not read yet, or by workers of a former version.")
    else:
        table(_for_people([job]), title=f"job {job['job']}")
        table(_for_people(processes), title="its processes")
    if sample:
        table(_for_people(sample), title="the same documents read again")
    else:
        words(f"No sample of it was read on the teacher yet: python manage.py energy {wanted} --on-teacher")
    if job is not None and would is not None:
        told = f"The teacher takes {would['teacher_over_student']:.2f} times the student's energy: on it the job would have taken about "
        words(f"{told}{_digits(would['energy_consumed'])} kWh in place of {_digits(job['energy_consumed'])}, and {_digits(would['gco2e'])} gCO2e.")


def _for_people(rows: list[dict[str, Any]]) -> list[dict[str, object]]:
    return [{SHOWN.get(name, name): _digits(value) for name, value in row.items() if name not in UNSHOWN} for row in rows]


def _digits(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
