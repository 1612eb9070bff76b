"""Energy in every row: jobs by the parts that processes finish, runs, and samples read again by student and teacher; on both stores."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from sqlalchemy import Connection, insert, select, text

from pipelines.energy import Meter, Rates, Spent
from pipelines.engines import usable
from pipelines.predict import Reading
from pipelines.student import Student, load_student
from suites.discover import Pack
from suites.errors import RunError, UsageError
from tests.conftest import toy_sample
from workers import energy as energy_module
from workers.audit import acts
from workers.cli import main
from workers.derived import Derived
from workers.drain import drain
from workers.energy import ADDED, JobMeter, add_job_lap, measured
from workers.energy_rows import job_rows, on_teacher, process_rows, sample_rows
from workers.migrate import migrate
from workers.on_teacher import Way, record_sample
from workers.queue import Claims, counts, finish, settle
from workers.settings import Settings, load_settings
from workers.store import Store
from workers.submit import submit
from workers.tables import energy, jobs

from .conftest import TOY, manage_json, write_documents
from .test_poll import working
from .test_queue import STUDENT, lapse, swept, take
from .test_roles import PASSWORD, forget, url_of

LAP = Spent(1.5, 2.5, 3e-6, 0.0, 5e-7)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("STILLHOUSE_SETTINGS", str(tmp_path / "settings.toml"))
    (tmp_path / "settings.toml").write_text("[energy]\nwatts_per_core = 6.0\ncountry_iso_code = 'FRA'\n")
    return load_settings()


@pytest.fixture
def job(store: Store, toy_pack: Pack, tmp_path: Path) -> int:
    """A job of 10 documents."""
    return sent(store, toy_pack, STUDENT, write_documents(tmp_path / "ten.jsonl", 10))


def sent(store: Store, pack: Pack, student: str, path: Path, name: str | None = None) -> int:
    return submit(store, pack, student, [path], name=name, chunk=50, ring=lambda job_id: None).job_id


def rows(store: Store, kind: str = "job") -> list[dict[str, Any]]:
    with store.reading() as connection:
        return [dict(row) for row in connection.execute(select(energy).where(energy.c.kind == kind).order_by(energy.c.id)).mappings()]


def taken(store: Store, n: int = 100) -> Claims:
    claims = take(store, n)
    assert claims is not None
    return claims


def readings(claims: Claims) -> list[Any]:
    return [(held, Reading(str(held.document_id))) for held in claims.held]


def busy(seconds: float = 0.03) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(1000))


def counting(settings: Settings, owner: str = "host:1") -> JobMeter:
    meter = JobMeter(settings, owner)
    meter.begin()
    return meter


# --- jobs


def test_laps_of_a_process_add_up_in_one_row(store: Store, job: int) -> None:
    """Each lap adds to the row of its process and engine, made with the first; another process, or engine, has a row of its own."""
    claims, meter = taken(store), Meter(Rates("FRA", 6.0))
    for engine, owner in (("int8", "a"), ("int8", "a"), ("f32", "a"), ("int8", "b"), ("int8", "a")):
        with store.begin() as connection:
            add_job_lap(connection, meter, LAP, claims, engine=engine, owner=owner, n_documents=4)
    found = {(row["engine"], row["owner"]): row for row in rows(store)}
    assert {key: row["n_documents"] for key, row in found.items()} == {("int8", "a"): 12, ("f32", "a"): 4, ("int8", "b"): 4}
    row, told = found["int8", "a"], meter.told(LAP)
    assert {name: row[name] for name in ADDED[1:]} == pytest.approx({name: 3 * told[name] for name in ADDED[1:]})
    assert (row["job_id"], row["pack"], row["student_id"], row["kind"]) == (job, "toy", STUDENT, "job")
    with store.reading() as connection:
        assert row["name"] == connection.execute(select(jobs.c.name)).scalar_one()
    assert (row["country_iso_code"], row["tracking_mode"], row["method"], row["cpu_power"]) == ("FRA", "process", "estimate", 6.0)
    assert 0 < time.time() - row["started_at"] < 60


def test_a_part_is_counted_with_its_findings_or_not_at_all(store: Store, settings: Settings, job: int) -> None:
    """A part whose transaction is lost is counted from its beginning when it is finished again; one whose commit's answer was lost is not counted twice."""
    claims, meter = taken(store), counting(settings)
    busy()
    with pytest.raises(KeyError), store.begin() as connection:
        finish(connection, claims, readings(claims), Derived(TOY, meter))
        raise KeyError
    assert rows(store) == []
    busy()
    for _ in range(2):  # the second time our own readings are found written
        with store.begin() as connection:
            assert finish(connection, claims, readings(claims), Derived(TOY, meter)) == 0
    (row,) = rows(store)
    assert row["n_documents"] == 10 and 0.06 <= row["cpu_seconds"] < 0.5
    assert row["cpu_energy"] == pytest.approx(6.0 * row["cpu_seconds"] / 3.6e6)


def test_waiting_between_claims_is_nobodys(store: Store, settings: Settings, job: int) -> None:
    """From a claim's beginning to its last part's end all is counted once; what a process does or waits between claims is not."""
    meter, worked = counting(settings), 0.0
    for n in (4, 3, 3):
        begun = time.monotonic()
        meter.begin()
        claims = taken(store, n)
        busy(0.04)
        with store.begin() as connection:
            finish(connection, claims, readings(claims), Derived(TOY, meter))
        worked += time.monotonic() - begun
        busy(0.3)
        time.sleep(0.2)
    (row,) = rows(store)
    assert row["n_documents"] == 10
    assert 0.12 <= row["cpu_seconds"] < 0.3 and row["duration"] <= worked


def test_work_that_the_fence_refuses_has_taken_energy_too(store: Store, settings: Settings, job: int) -> None:
    """A part that came too late is counted with no document."""
    claims, meter = taken(store), counting(settings)
    lapse(store)
    swept(store)
    busy()
    with store.begin() as connection:
        assert finish(connection, claims, readings(claims), Derived(TOY, meter)) == 10
    (row,) = rows(store)
    assert row["n_documents"] == 0 and row["cpu_seconds"] >= 0.03


def test_without_the_table_documents_are_read_all_the_same(
    store: Store, home: Settings, toy_pack: Pack, toy_student: tuple[Path, Student], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the store refuses the figures, no document waits or fails for it; the log says so once a drain."""
    sent(store, toy_pack, toy_student[1].id, write_documents(tmp_path / "a.jsonl", 250))
    with store.begin() as connection:
        connection.execute(text("DROP TABLE energy"))
    caplog.set_level("WARNING")
    assert drain(store, home, budget_s=60).n_read == 250
    with store.begin() as connection:
        settle(connection)
        assert connection.execute(select(jobs.c.state)).scalar_one() == "COMPLETED"
    assert [r.message for r in caplog.records].count("energy is not counted any more") == 1


def test_a_broken_meter_costs_no_document(
    store: Store, home: Settings, toy_pack: Pack, toy_student: tuple[Path, Student], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a counter or a table raises, at the beginning or in the middle, documents are read without it."""
    job = sent(store, toy_pack, toy_student[1].id, write_documents(tmp_path / "a.jsonl", 30))

    def broken(*_: object) -> Spent:
        raise OSError("Input/output error")

    monkeypatch.setattr("workers.energy.Meter.total", broken)
    assert drain(store, home, budget_s=0.0).n_read == 0
    assert drain(store, home, budget_s=60).n_read == 30
    monkeypatch.setattr("workers.energy.Meter.__init__", broken)
    sent(store, toy_pack, toy_student[1].id, write_documents(tmp_path / "b.jsonl", 40), "more")
    assert drain(store, home, budget_s=60).n_read == 10
    assert rows(store) == []
    with store.reading() as connection:
        assert connection.execute(select(jobs.c.message).where(jobs.c.id == job)).scalar_one() is None


@pytest.mark.parametrize("where", ["workers.energy.add_job_lap", "workers.energy.JobMeter._store"])
def test_a_session_killed_while_energy_is_stored_is_as_any_other(
    postgres_url: str, home: Settings, toy_pack: Pack, toy_student: tuple[Path, Student], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The part is finished again on a new session, nothing is read twice, and its energy is counted once."""
    store = Store(postgres_url)
    migrate(store, [toy_pack])
    job = sent(store, toy_pack, toy_student[1].id, write_documents(tmp_path / "a.jsonl", 200))
    owner: Any = JobMeter if where.endswith("_store") else energy_module
    name = where.rpartition(".")[2]
    inner, killed = getattr(owner, name), []

    def kills_once(*given: Any, **named: Any) -> None:
        connection = next(one for one in given if isinstance(one, Connection))
        if not killed:
            killed.append(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
            with Store(postgres_url).begin() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": killed[0]})
        inner(*given, **named)

    monkeypatch.setattr(owner, name, kills_once)
    assert drain(store, home, budget_s=60).n_read == 200 and killed
    (row,) = rows(store)
    assert row["n_documents"] == 200
    with store.reading() as connection:
        count = counts(connection, job)
    assert (count.done, count.refused, count.pending) == (200, 0, 0)
    store.close()


def test_a_drained_job_has_its_energy(store: Store, home: Settings, toy_pack: Pack, toy_student: tuple[Path, Student], tmp_path: Path) -> None:
    """All documents, the engine, and about what this process took for the job; a second job adds nothing to the first one's row."""
    first = sent(store, toy_pack, toy_student[1].id, write_documents(tmp_path / "a.jsonl", 300))
    before = time.process_time()
    assert drain(store, home, budget_s=60).n_read == 300
    took = time.process_time() - before
    (row,) = rows(store)
    assert (row["n_documents"], row["engine"], row["job_id"], row["student_id"]) == (300, "f32", first, toy_student[1].id)
    assert 0.6 * took < row["cpu_seconds"] <= took
    second = sent(store, toy_pack, toy_student[1].id, write_documents(tmp_path / "b.jsonl", 340), "more")
    assert drain(store, home, budget_s=60).n_read == 40
    assert rows(store)[0] == row and rows(store)[1]["job_id"] == second
    with store.reading() as connection:
        listed = job_rows(connection)
        assert [r["job"] for r in listed] == [second, first] and [r["job"] for r in job_rows(connection, limit=1)] == [second]
    assert listed[1]["wh_per_1000_documents"] == pytest.approx(row["energy_consumed"] * 1e6 / 300)
    assert listed[1]["gco2e_per_1000_documents"] == pytest.approx(listed[1]["wh_per_1000_documents"] * 0.475)


@contextmanager
def children_of(settings: Settings, n: int) -> Iterator[list[psutil.Process]]:
    """The processes of one worker that asks the store by itself."""
    with working(settings) as worker:
        parent, deadline = psutil.Process(worker.pid), time.monotonic() + 60
        while len(found := [child for child in parent.children() if "resource_tracker" not in " ".join(child.cmdline())]) < n:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield found


def cpu_of(processes: list[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


@pytest.mark.slow
def test_two_processes_have_together_what_they_took(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that two worker processes read has a row of each, and their processor seconds are those of the processes while they read it."""
    monkeypatch.setenv("STILLHOUSE_BROKER__URL", "none")
    monkeypatch.setenv("STILLHOUSE_WORKER__POLL_S", "0.3")
    monkeypatch.setenv("STILLHOUSE_INFERENCE__CACHE", "0")
    settings = load_settings()
    store = Store(settings.store_url)
    migrate(store, [])
    with children_of(settings, 2) as children:
        manage_json("submit", "toy", str(write_documents(tmp_path / "a.jsonl", 300)), "--job", "warm", "--wait", home=settings)
        before = cpu_of(children)
        data = manage_json("submit", "toy", str(write_documents(tmp_path / "b.jsonl", 3000)), "--job", "large", "--wait", home=settings)
        took = cpu_of(children) - before
    assert data["counts"]["done"] == 2700
    of_job = [row for row in rows(store) if row["name"] == "large"]
    assert len({row["owner"] for row in of_job}) == len(of_job) == 2 and sum(row["n_documents"] for row in of_job) == 2700
    assert min(row["n_documents"] for row in of_job) > 300
    assert 0.75 * took < sum(row["cpu_seconds"] for row in of_job) <= 1.02 * took
    with store.reading() as connection:
        (job,) = job_rows(connection, data["job_id"])
        assert (job["processes"], job["n_documents"]) == (2, 2700)
        assert job["energy_consumed"] == pytest.approx(sum(row["energy_consumed"] for row in of_job))
        assert [p["n_documents"] for p in process_rows(connection, data["job_id"])] == [row["n_documents"] for row in of_job]
    store.close()


# --- runs


def test_a_run_is_stored_however_it_ends(store: Store, settings: Settings) -> None:
    """Done, failed or interrupted, it has taken energy; wrong usage has done nothing."""
    url = store.engine.url.render_as_string(hide_password=False)
    here = settings.model_copy(update={"store": settings.store.model_copy(update={"url": url})})
    with measured(here, "distill", "toy") as run:
        busy(0.05)
        run.student_id = "toy-encoder-1"
    for error in (RunError("no"), KeyboardInterrupt(), UsageError("wrong")):
        with pytest.raises(type(error)), measured(here, "evaluate", "toy", STUDENT):
            raise error
    found = rows(store, "run")
    assert [(row["name"], row["student_id"]) for row in found] == [("distill", "toy-encoder-1"), ("evaluate", STUDENT), ("evaluate", STUDENT)]
    assert found[0]["cpu_seconds"] >= 0.05 and (found[0]["job_id"], found[0]["engine"], found[0]["n_documents"]) == (None, None, 0)


def test_without_a_store_a_run_goes_on(tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no store none is made; one that refuses costs a line, not the run."""
    with measured(settings, "finetune", "toy"):
        pass
    assert list(tmp_path.rglob("*.db")) == [] and capsys.readouterr().err == ""
    unreachable = settings.model_copy(update={"store": settings.store.model_copy(update={"url": "postgresql://nobody@127.0.0.1:1/none"})})
    with measured(unreachable, "finetune", "toy"):
        pass
    assert "Not in the table energy: The database cannot be reached" in capsys.readouterr().err


@pytest.mark.slow
def test_the_verbs_store_their_runs(home: Settings, toy_pack: Pack, capfd: pytest.CaptureFixture[str]) -> None:
    """finetune, evaluate and release have a row each, of the student; that of finetune is at least what training.json holds; `energy` lists them."""
    store = Store(home.store_url)
    migrate(store, [toy_pack])
    assert main(["finetune", "toy", "--epochs", "1", "--limit", "8", "--seed", "5", "--json"]) == 0
    student = json.loads(capfd.readouterr().out)["data"]
    assert main(["evaluate", "toy", "--student", student["student"], "--no-baseline", "--no-speed", "--json"]) == 0
    main(["release", "toy", "--student", student["student"], "--experimental", "--json"])  # whether the gate takes it is not asked here
    capfd.readouterr()
    found = rows(store, "run")
    assert [(row["name"], row["student_id"]) for row in found] == [(verb, student["student"]) for verb in ("finetune", "evaluate", "release")]
    own = student["training"]["energy"]
    assert 0 < own["cpu_seconds"] <= found[0]["cpu_seconds"] and 0 < own["energy_consumed"] <= found[0]["energy_consumed"]
    assert main(["energy", "--json"]) == 0
    listed = json.loads(capfd.readouterr().out)["data"]
    assert [run["run"] for run in listed["runs"]] == ["release", "evaluate", "finetune"] and listed["jobs"] == []
    assert listed["runs"][2]["gco2e"] == pytest.approx(found[0]["emissions"] * 1000) and listed["runs"][2]["wh_per_1000_documents"] is None
    store.close()


# --- a job beside itself on the teacher


@pytest.fixture(scope="session")
def taught(toy_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Student, Student]:
    """A folder with a student that a teacher taught, both of the toy pack; the gate let the student be read in int8."""
    from pipelines.finetune import FinetuneOptions, finetune

    students = tmp_path_factory.mktemp("taught")
    student = finetune(toy_pack, students, FinetuneOptions(epochs=1, limit=8, teachers=1))
    (student.folder / "gate.json").write_text(json.dumps({"compressed": {"engine": "int8", "holds": True}}), encoding="utf-8")
    return students, student, load_student(students / "toy" / student.birth.teachers[0])


@pytest.fixture
def taught_home(home: Settings, taught: tuple[Path, Student, Student]) -> tuple[Settings, Student, Student]:
    """The home with the taught student released, and its teacher beside it."""
    _, student, teacher = taught
    folder = home.students_folder / "toy"
    for one in (student, teacher):
        shutil.copytree(one.folder, folder / one.id)
    register = {"events": [{"student": student.id, "state": "primary", "at": 0.0}]}
    (folder / "released.json").write_text(json.dumps(register), encoding="utf-8")
    return home, student, teacher


def notices(path: Path, n: int) -> Path:
    made = [toy_sample(1000 + i) for i in range(n)]
    path.write_text("".join(json.dumps({"id": row["id"], "text": row["text"]}) + "\n" for row in made), encoding="utf-8")
    return path


def asked(capfd: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capfd.readouterr()
    assert main([*arguments, "--json"]) == 0, capfd.readouterr().err
    return json.loads(capfd.readouterr().out)["data"]


@pytest.mark.slow
def test_a_job_is_shown_beside_itself_on_the_teacher(
    taught_home: tuple[Settings, Student, Student], toy_pack: Pack, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The journey: a job is read, listed, and a sample of it read again in every way; figures follow from rows, the audit has the act, no text is shown."""
    home, student, teacher = taught_home
    store = Store(home.store_url)
    migrate(store, [toy_pack])
    job = sent(store, toy_pack, student.id, notices(tmp_path / "a.jsonl", 90), "notices")
    assert drain(store, home, budget_s=60).n_read == 90
    (listed,) = asked(capfd, "energy")["jobs"]
    engine = usable(student.folder)[0] if "int8" in usable(student.folder) else "f32"
    assert (listed["job"], listed["student"], listed["engine"], listed["n_documents"], listed["processes"]) == (job, student.id, engine, 90, 1)
    before = asked(capfd, "energy", "notices")
    assert before["job"] == listed and before["sample"] == [] and before["on_teacher"] is None

    found = asked(capfd, "energy", str(job), "--on-teacher", "--sample", "50")
    ways = [(way["reads"], way["student"], way["engine"]) for way in found["sample"]]
    wanted = [("student", student.id, name) for name in dict.fromkeys((engine, "f32"))] + [("teacher", teacher.id, "f32")]
    assert ways == wanted and {way["n_documents"] for way in found["sample"]} == {50}
    per_1000 = {(way["reads"], way["engine"]): way["wh_per_1000_documents"] for way in found["sample"]}
    ratio = per_1000["teacher", "f32"] / per_1000["student", engine]
    assert found["on_teacher"]["teacher_over_student"] == pytest.approx(ratio) and min(per_1000.values()) > 0
    would = found["on_teacher"]["energy_consumed"]
    assert would == pytest.approx(on_teacher(found["job"], found["sample"])["energy_consumed"])  # type: ignore[index]
    assert would - listed["energy_consumed"] == pytest.approx(found["on_teacher"]["saved_energy"])

    sample = rows(store, "sample")
    assert {(row["job_id"], row["name"], row["pack"]) for row in sample} == {(job, "notices", "toy")} and len({row["started_at"] for row in sample}) == 1
    assert len(rows(store)) == 1 and rows(store)[0]["n_documents"] == 90, "a sample is no part of the job"
    with store.reading() as connection:
        (act,) = acts(connection, action="energy", limit=5)
    assert act["subject"] == f"job {job}" and json.loads(str(act["detail"])) == {"n_documents": 50, "student": student.id, "teacher": teacher.id}

    again = asked(capfd, "energy", str(job), "--on-teacher", "--sample", "200")["sample"]  # as many as there are
    assert {way["n_documents"] for way in again} == {90} and len(rows(store, "sample")) == 2 * len(sample)
    assert asked(capfd, "energy", str(job))["sample"] == again, "the newest is shown"
    assert main(["energy", str(job), "--on-teacher", "--sample", "20"]) == 0
    plain = capfd.readouterr()
    assert "times the student's energy" in plain.err and "20 documents read again" in plain.err and "read again: " in plain.err
    for word in ("near", "lovely", "horse", "This notice", "QRX", "ZUV", "zoo", "sky"):
        assert word not in plain.out + plain.err + json.dumps([found, again])
    store.close()


def test_a_sample_is_read_and_not_remembered(
    taught_home: tuple[Settings, Student, Student], toy_pack: Pack, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way encodes every document of the sample, also texts that are all the same."""
    home, student, _ = taught_home
    store = Store(home.store_url)
    migrate(store, [toy_pack])
    same = tmp_path / "same.jsonl"
    same.write_text("".join(json.dumps({"id": f"d{i}", "text": "The storm near the zoo was awful."}) + "\n" for i in range(30)), encoding="utf-8")
    job = sent(store, toy_pack, student.id, same)
    from pipelines.predict import Predictor

    encoded: list[int] = []
    encode = Predictor._encode
    monkeypatch.setattr(Predictor, "_encode", lambda self, parts, on_batch: encoded.append(len(parts)) or encode(self, parts, on_batch))
    ways = asked(capfd, "energy", str(job), "--on-teacher")["sample"]
    assert sum(encoded) == len(ways) * (30 + 2)  # two warm up
    store.close()


def test_what_cannot_be_compared_is_told(
    taught_home: tuple[Settings, Student, Student],
    toy_pack: Pack,
    toy_student: tuple[Path, Student],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """No such job, no teacher, a teacher that is gone, no documents, flags that do not go together: one line each, and nothing is recorded."""
    home, student, teacher = taught_home
    store = Store(home.store_url)
    migrate(store, [toy_pack])
    untaught = sent(store, toy_pack, toy_student[1].id, write_documents(tmp_path / "a.jsonl", 3), "untaught")
    job = sent(store, toy_pack, student.id, write_documents(tmp_path / "b.jsonl", 6), "taught")
    with store.begin() as connection:
        empty = connection.execute(insert(jobs).values(name="empty", pack="toy", student_id=student.id, state="RUNNING", submitted_at=0.0).returning(jobs.c.id))
        empty_id = empty.scalar_one()

    def refused(*arguments: str) -> tuple[int, str]:
        capfd.readouterr()
        code = main(["energy", *arguments])
        return code, capfd.readouterr().err

    for arguments, code, says in (
        (["none"], 2, "No job 'none'"),
        (["--on-teacher"], 2, "--on-teacher needs a job"),
        ([str(job), "--sample", "5"], 2, "--sample goes with --on-teacher"),
        ([str(untaught), "--on-teacher"], 1, "was made without a teacher"),
        ([str(empty_id), "--on-teacher"], 1, "lies in the store any more"),
    ):
        done, error = refused(*arguments)
        assert (done, says in error, "Traceback" in error) == (code, True, False), error
    assert main(["energy", str(job)]) == 0
    assert f"Nothing was counted of job {job}" in capfd.readouterr().err
    shutil.rmtree(home.students_folder / "toy" / teacher.id)
    done, error = refused(str(job), "--on-teacher")
    assert done == 1 and f"{teacher.id}: the teacher of {student.id} is not there" in error
    with store.reading() as connection:
        assert acts(connection, action="energy", limit=5) == [] and rows(store, "sample") == []
    store.close()


def test_what_a_job_would_have_taken_is_told_carefully() -> None:
    """Times the ratio, or with the difference for each document: the smaller. Each is compared on the engine that it is read on; without both there is none."""

    def way(reads: str, engine: str, wh: float) -> dict[str, Any]:
        return {"reads": reads, "engine": engine, "wh_per_1000_documents": wh}

    sample = [way("student", "int8", 2.0), way("student", "f32", 5.0), way("teacher", "f32", 8.0)]
    busy_job = {"energy_consumed": 0.010, "n_documents": 1000, "gco2e": 4.75}  # claims and writes took most of it
    told = on_teacher(busy_job, sample)
    assert told is not None and told["teacher_over_student"] == 4.0
    assert told["energy_consumed"] == pytest.approx(0.016) and told["gco2e"] == pytest.approx(7.6) and told["saved_energy"] == pytest.approx(0.006)
    remembered = {"energy_consumed": 0.001, "n_documents": 1000, "gco2e": 0.475}  # half its texts were read before
    told = on_teacher(remembered, sample)
    assert told is not None and told["energy_consumed"] == pytest.approx(0.004)
    assert on_teacher(busy_job, sample[:2]) is None and on_teacher(busy_job, []) is None


def test_roles_count_and_compare(
    postgres_url: str,
    taught_home: tuple[Settings, Student, Student],
    toy_pack: Pack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With roles: workers count, ingest stores runs, reviewers take samples, analysts see both; who may not read texts takes no sample."""
    from workers.roles import ROLES, apply, make_login

    home, student, _ = taught_home
    owner = Store(postgres_url)
    migrate(owner, [toy_pack])
    with owner.begin() as connection:
        apply(connection)
        for name in ROLES:
            make_login(connection, f"a_{name}", name, PASSWORD)
    try:
        ingest, worker = Store(url_of(postgres_url, "a_ingest")), Store(url_of(postgres_url, "a_worker"))
        job = sent(ingest, toy_pack, student.id, notices(tmp_path / "a.jsonl", 30))
        assert drain(worker, home, budget_s=60).n_read == 30
        ingest.close()
        worker.close()
        as_ingest = home.model_copy(update={"store": home.store.model_copy(update={"url": url_of(postgres_url, "a_ingest")})})
        with measured(as_ingest, "finetune", "toy"):
            pass
        assert capfd.readouterr().err == ""
        monkeypatch.setenv("STILLHOUSE_STORE__URL", url_of(postgres_url, "a_reviewer"))
        assert asked(capfd, "energy", str(job), "--on-teacher", "--sample", "20")["on_teacher"]["teacher_over_student"] > 0
        monkeypatch.setenv("STILLHOUSE_STORE__URL", url_of(postgres_url, "a_analyst"))
        seen = asked(capfd, "energy")
        assert [row["n_documents"] for row in seen["jobs"]] == [30] and [row["run"] for row in seen["runs"]] == ["finetune"]
        assert asked(capfd, "energy", str(job))["on_teacher"] is not None
        for name in ("analyst", "ingest"):
            monkeypatch.setenv("STILLHOUSE_STORE__URL", url_of(postgres_url, f"a_{name}"))
            assert main(["energy", str(job), "--on-teacher"]) == 1
            assert "42501" in capfd.readouterr().err
        assert {row["n_documents"] for row in rows(owner, "sample")} == {20}
    finally:
        forget(owner)
        owner.close()


def test_samples_of_one_process_never_meet(store: Store, toy_pack: Pack, job: int) -> None:
    """Student and teacher on the same engine, and a second sample by the same process, are rows of their own; the newest sample is shown."""
    meter = Meter()
    for n in (20, 30):
        ways = [Way(student, "f32", cast(Any, None), LAP, n) for student in (STUDENT, "toy-teacher")]
        with store.begin() as connection:
            record_sample(connection, meter, ways, toy_pack, job, "ten")
        time.sleep(0.01)
    assert [row["n_documents"] for row in rows(store, "sample")] == [20, 20, 30, 30]
    with store.reading() as connection:
        shown = sample_rows(connection, job)
    assert [(way["reads"], way["n_documents"]) for way in shown] == [("student", 30), ("teacher", 30)]
