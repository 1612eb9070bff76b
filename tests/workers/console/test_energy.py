"""Energy in the console: what the verb says, and each day's sum."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert
from starlette.testclient import TestClient

from workers.console.shown import amount
from workers.energy_rows import job_rows, on_teacher, sample_rows
from workers.settings import Settings
from workers.store import Store
from workers.tables import energy, jobs

from .conftest import bearer

Served = Callable[[Settings], TestClient]
AT = 1_790_000_000.0
DAY_S = 86_400.0


def row(
    kind: str, *, job: int | None, n: int, kwh: float, days: float = 0.0, student: str = "toy-a", engine: str = "int8", owner: str = "host:1"
) -> dict[str, object]:
    values: dict[str, object] = dict.fromkeys(("duration", "cpu_seconds", "cpu_energy", "gpu_energy", "ram_energy", "cpu_power"), 1.0)
    values |= {"kind": kind, "job_id": job, "name": f"{kind} of {job}", "pack": "toy", "student_id": student, "engine": engine, "owner": owner}
    values |= {"started_at": AT + days * DAY_S, "n_documents": n, "energy_consumed": kwh, "emissions": kwh * 0.48}
    return values | {"country_iso_code": "WOR", "tracking_mode": "process", "method": "estimate", "cpu_model": "a processor"}


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", html))


def test_jobs_runs_and_days(settings: Settings, served: Served) -> None:
    """A row a job with its sums, beside its teacher where a sample is; a row a run; each day's watt-hours."""
    store = Store(settings.store_url)
    with store.begin() as connection:
        for number in (1, 2):
            connection.execute(insert(jobs).values(id=number, name=f"j{number}", pack="toy", student_id="toy-a", state="COMPLETED", submitted_at=AT))
        rows = [
            row("job", job=1, n=600, kwh=0.006),
            row("job", job=1, n=400, kwh=0.004, owner="host:2", days=0.1),
            row("job", job=2, n=1000, kwh=0.030, days=-3),
            row("run", job=None, n=0, kwh=1.5),
            row("sample", job=1, n=100, kwh=0.001, owner="host:9:a"),
            row("sample", job=1, n=100, kwh=0.004, owner="host:9:b", student="toy-teacher"),
        ]
        for one in rows:
            connection.execute(insert(energy).values(**one))
    with store.reading() as connection:
        found = {one["job"]: one for one in job_rows(connection)}
        would = on_teacher(found[1], sample_rows(connection, 1))
    store.close()
    html = served(settings).get("/energy", headers=bearer()).text
    said = words(html)
    assert "40.0 Wh and 19.2 gCO₂e for 2,000 documents read; 1,500 Wh for training and evaluation" in said
    assert would is not None and would["teacher_over_student"] == pytest.approx(4.0)
    assert "4.00 times" in said and f"about {amount(1000 * would['energy_consumed'])} Wh: {amount(1000 * would['saved_energy'])} Wh were saved" in said
    assert found[1]["wh_per_1000_documents"] == pytest.approx(10.0) and "10.0" in said and "30.0" in said and "2 processes" in said
    bars = re.findall(r"<title>(\d{4}-\d\d-\d\d): ([\d.,]+) Wh</title>", html)
    day, before = (datetime.fromtimestamp(AT - ago * DAY_S, UTC).date().isoformat() for ago in (0, 3))
    assert bars == [(before, "30.0"), (day, "10.0"), (before, "30.0"), (day, "10.0")]
    weeks = served(settings).get("/energy?days=365", headers=bearer()).text
    assert "by week" in weeks and sum(float(wh) for _, wh in re.findall(r"<title>(\S+): ([\d.]+) Wh</title>", weeks)[:2]) > 0


def test_without_energy_the_page_says_so(on_sqlite: Settings, served: Served) -> None:
    """A store in which nothing was read."""
    answer = served(on_sqlite).get("/energy", headers=bearer())
    assert answer.status_code == 200 and "Nothing was counted yet" in answer.text
    assert served(on_sqlite).get("/energy?days=8", headers=bearer()).status_code == 400


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (12345, "12,345"), (0.0, "0"), (0.012345, "0.0123"), (1.234, "1.23"), (123.4, "123"), (1234.5, "1,234"), (None, "–"), (float("nan"), "–")],
)
def test_amounts_have_three_digits(value: float | None, said: str) -> None:
    """However small they are."""
    assert amount(value) == said
