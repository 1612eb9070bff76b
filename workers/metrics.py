"""What operators watch, in Prometheus' text format, asked of the store when somebody looks: nothing is counted beside the work.

Labels are packs, states, students, stages and codes; a job is its number. No id and no text of a document is in them. All is asked by what
analysts may read, so a login of theirs will do.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select, text

from suites.errors import StillhouseError
from workers import pulse
from workers.migrate import newest
from workers.query import reading
from workers.queue import TERMINAL
from workers.tables import energy, failures, jobs, work

# a scrape that takes longer is given up: Prometheus waits 10 s
LIMIT_S = 8.0
# jobs that have not ended, the newest: a line each
MAX_JOBS = 100
WINDOW_S = 60
JOULES_PER_KWH = 3.6e6

Values = Iterable[tuple[tuple[str, ...], float]]


def exposition(url: str) -> bytes:
    """All metrics. Where the store cannot be asked `stillhouse_store_up` is 0 and the others are missing."""
    registry = CollectorRegistry()
    registry.register(_Scrape(url))
    return generate_latest(registry)


class _Scrape(Collector):
    """One scrape: the store is asked when it is collected."""

    def __init__(self, url: str) -> None:
        self._url = url

    def describe(self) -> Iterable[Metric]:
        return []  # else registering would ask

    def collect(self) -> Iterator[Metric]:
        started = time.perf_counter()
        found: list[Metric] = []
        try:
            with reading(self._url, limit_s=LIMIT_S) as connection:
                found = list(_metrics(connection, self._url))
            is_up = 1.0
        except StillhouseError:
            is_up = 0.0
        yield _single("stillhouse_store_up", "Whether the store could be asked", is_up)
        yield from found
        yield _single("stillhouse_scrape_seconds", "How long the store was asked for this", time.perf_counter() - started)


def _metrics(connection: Connection, url: str) -> Iterator[Metric]:
    schema = (pulse.revision(connection) or "none", newest())
    yield _gauge("stillhouse_schema_info", "Schema of the store, and the one that this code wants", ("version", "wanted"), [(schema, 1)])
    yield _single("stillhouse_store_bytes", "Size of the store", pulse.store_bytes(connection, url))
    packs = pulse.packs_of_jobs(connection)
    yield from _of_jobs(connection)
    yield from _of_failures(connection, packs)
    yield from _of_queue(connection, packs)
    yield from _of_readings(connection)
    yield from _of_energy(connection)


def _of_jobs(connection: Connection) -> Iterator[Metric]:
    states = Counter[tuple[str, ...]]()
    aside = jobs.c.paused_at.is_not(None).label("aside")
    for row in connection.execute(select(jobs.c.pack, jobs.c.state, aside, func.count().label("n")).group_by(jobs.c.pack, jobs.c.state, text("aside"))):
        states[row.pack, "PAUSED" if row.aside and row.state not in TERMINAL else row.state] += row.n
    yield _gauge("stillhouse_jobs", "Jobs by state", ("pack", "state"), states.items())
    sums = [func.sum(jobs.c[name]).label(name) for name in ("n_cancelled", "n_erased", "n_refused")]
    found = connection.execute(select(jobs.c.pack, *sums).group_by(jobs.c.pack)).all()
    yield _counter("stillhouse_documents_cancelled", "Documents given up by cancel", ("pack",), [((row.pack,), row.n_cancelled) for row in found])
    yield _counter("stillhouse_documents_erased", "Documents erased by purge", ("pack",), [((row.pack,), row.n_erased) for row in found])
    yield _counter("stillhouse_writes_refused", "Writes of lapsed claims that the fence refused", ("pack",), [((row.pack,), row.n_refused) for row in found])


def _of_failures(connection: Connection, packs: dict[int, str]) -> Iterator[Metric]:
    failed = Counter[tuple[str, ...]]()
    c = failures.c
    for row in connection.execute(select(c.job_id, c.stage, c.code, func.count().label("n")).group_by(c.job_id, c.stage, c.code)):
        failed[packs.get(row.job_id, ""), row.stage, row.code] += row.n
    yield _gauge("stillhouse_documents_failed", "Documents that could not be read", ("pack", "stage", "code"), failed.items())


def _of_queue(connection: Connection, packs: dict[int, str]) -> Iterator[Metric]:
    pending, of_job = Counter[tuple[str, ...]](), Counter[int]()
    for row in connection.execute(select(work.c.job_id, work.c.state, func.count().label("n")).group_by(work.c.job_id, work.c.state)):
        pending[packs.get(row.job_id, ""), row.state] += row.n
        of_job[row.job_id] += row.n
    yield _gauge("stillhouse_documents_pending", "Documents that wait (ready), are held (leased) or set aside (paused)", ("pack", "state"), pending.items())
    unended = connection.execute(select(jobs.c.id, jobs.c.pack).where(jobs.c.state.not_in(TERMINAL)).order_by(jobs.c.id.desc()).limit(MAX_JOBS))
    values = [((str(row.id), row.pack), of_job[row.id]) for row in unended]
    yield _gauge("stillhouse_job_pending", "Documents of a job that has not ended", ("job", "pack"), values)
    waited = pulse.oldest_waiting_s(connection)
    yield _single("stillhouse_oldest_waiting_seconds", "For how long the oldest document has waited that nobody holds", waited or 0.0)
    held = pulse.leases(connection)
    yield _gauge("stillhouse_leases", "Documents that are held, and those whose claim has lapsed", ("state",), [((k,), v) for k, v in held._asdict().items()])


def _of_readings(connection: Connection) -> Iterator[Metric]:
    read = pulse.read_by_student(connection).items()
    yield _gauge("stillhouse_documents_read", "Documents in the store that were read", ("pack", "student"), read)
    lately = pulse.read_since(connection, WINDOW_S).items()
    yield _gauge("stillhouse_documents_read_last_minute", "Documents read in the last 60 s", ("pack",), [((pack,), n) for pack, n in lately])
    last = pulse.last_read(connection).items()
    yield _gauge("stillhouse_last_read_timestamp_seconds", "When a document was read last", ("pack",), [((pack,), at) for pack, at in last])


def _of_energy(connection: Connection) -> Iterator[Metric]:
    c = energy.c
    sums = func.sum(c.energy_consumed).label("kwh"), func.sum(c.emissions).label("kg")
    found = connection.execute(select(c.pack, c.kind, *sums).group_by(c.pack, c.kind)).all()
    of = ("pack", "kind")
    yield _counter("stillhouse_energy_joules", "Energy of jobs and runs", of, [((row.pack, row.kind), row.kwh * JOULES_PER_KWH) for row in found])
    yield _counter("stillhouse_emissions_grams", "CO2 equivalents of that energy", of, [((row.pack, row.kind), row.kg * 1000) for row in found])


def _single(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _gauge(name: str, words: str, labels: tuple[str, ...], values: Values) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for told, value in sorted(values):
        family.add_metric(told, float(value))
    return family


def _counter(name: str, words: str, labels: tuple[str, ...], values: Values) -> Metric:
    """What only rises; its lines end in _total."""
    family = CounterMetricFamily(name, words, labels=labels)
    for told, value in sorted(values):
        family.add_metric(told, float(value))
    return family
