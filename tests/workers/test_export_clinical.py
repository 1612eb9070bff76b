"""Clinical exports: who may have texts and patients, what is sealed, what is left out, and that a file is whole or not there."""

from __future__ import annotations

import base64
import gc
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update

from pipelines.progress import OnProgress, silent
from suites.discover import Pack
from suites.errors import RunError, SettingsError, StillhouseError, StoreError
from suites.export import ExportPlan
from workers.cli import main
from workers.export.asked import Asked
from workers.export.clinical import Written, export_fhir, export_omop
from workers.keys import Keys, Master
from workers.purge import Scope, purge
from workers.roles import apply, make_login
from workers.store import Store
from workers.tables import audit, data_keys, documents, findings, readings, students, texts

from .test_roles import PASSWORD, forget
from .test_roles import url_of as login_url
from .ward import CANARY, N_FINDINGS, N_TERMS, PACK_TOML, SECTION, STUDENT, fill, note, url_of, ward_pack, ward_plan

MASTER = Master(bytes(range(32)))
Export = Callable[..., Written]


def fhir(url: str, pack: Pack, place: Path, asked: Asked, keys: Keys, on_progress: OnProgress = silent) -> Written:
    return export_fhir(url, pack, ward_plan(pack), place, asked, keys, on_progress)


def omop(url: str, pack: Pack, place: Path, asked: Asked, keys: Keys, on_progress: OnProgress = silent) -> Written:
    return export_omop(url, pack, ward_plan(pack), place, asked, keys, on_progress)


both = pytest.mark.parametrize("export", [fhir, omop])


def keys_of(master: Master | None = None, *, encrypts: bool = False) -> Keys:
    return Keys(encrypts=encrypts, read_master=lambda: master)


def told(place: Path) -> str:
    """All that an export holds."""
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    return "".join(file.read_text(encoding="utf-8") for file in files)


def decoded(place: Path) -> str:
    """The same, with the text of attachments as they were before base64."""
    words = told(place)
    return words + "".join(base64.b64decode(part.split('"')[0]).decode() for part in words.split('"data":"')[1:])


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return ward_pack(tmp_path)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store(store_url)
    yield opened
    opened.close()


# --- who may


@pytest.fixture
def roles(postgres_url: str, pack: Pack, tmp_path: Path) -> Iterator[str]:
    """A PostgreSQL store of three notes with the logins an_analyst and a_reviewer; gives the superuser's URL."""
    store = Store(postgres_url)
    fill(store, pack, tmp_path, 3)
    with store.begin() as connection:
        apply(connection)
        for role in ("analyst", "reviewer"):
            make_login(connection, f"a_{role}", role, PASSWORD)
    yield postgres_url
    forget(store)
    store.close()


@both
def test_an_analyst_exports_findings_and_no_text(roles: str, pack: Pack, tmp_path: Path, export: Export) -> None:
    """Without metadata, which analysts may not read, nobody's patient is known; texts and patients are refused, and nothing is there."""
    analyst = login_url(roles, "a_analyst")
    written = export(analyst, pack, tmp_path / "out", Asked(), keys_of())
    assert (written.n_documents, written.n_findings, written.n_without_patient) == (3, 3 * N_FINDINGS, 3)
    assert CANARY not in told(tmp_path / "out") and "P0" not in told(tmp_path / "out")
    for asked in (Asked(text=True), Asked(patient=True)):
        with pytest.raises(StoreError, match=r"may not read .*texts.*reviewer") as caught:
            export(analyst, pack, tmp_path / "refused", asked, keys_of())
        assert caught.value.code == "no_right"
    assert not [path for path in tmp_path.iterdir() if "refused" in path.name]


@both
def test_a_reviewer_exports_texts(roles: str, pack: Pack, tmp_path: Path, export: Export) -> None:
    """Who may read texts and findings has the same file as the owner."""
    export(login_url(roles, "a_reviewer"), pack, tmp_path / "a", Asked(text=True), keys_of())
    export(roles, pack, tmp_path / "b", Asked(text=True), keys_of())
    assert told(tmp_path / "a") == told(tmp_path / "b") and note(2).text in decoded(tmp_path / "a")


# --- what is sealed


@pytest.fixture
def sealed(store: Store, pack: Pack, tmp_path: Path) -> str:
    """A store of each kind whose three notes are sealed; gives its URL."""
    fill(store, pack, tmp_path, 3, keys=keys_of(MASTER, encrypts=True))
    return url_of(store)


@both
def test_sealed_documents_need_the_master_key_for_texts_alone(sealed: str, pack: Pack, tmp_path: Path, export: Export) -> None:
    """Findings are exported without it; texts and sealed patients are refused, with what to do, and nothing is there."""
    written = export(sealed, pack, tmp_path / "out", Asked(), keys_of())
    assert (written.n_findings, written.n_without_patient) == (3 * N_FINDINGS, 3)
    for master, code in ((None, "no_master_key"), (Master(bytes(32)), "wrong_master_key")):
        for asked in (Asked(text=True), Asked(patient=True)):
            with pytest.raises(SettingsError) as caught:
                export(sealed, pack, tmp_path / "refused", asked, keys_of(master))
            assert caught.value.code == code and CANARY not in caught.value.message
    assert not [path for path in tmp_path.iterdir() if "refused" in path.name]


@both
def test_sealed_documents_are_exported_as_others_are(sealed: str, pack: Pack, tmp_path: Path, export: Export) -> None:
    """With the key the texts come, and the patients that lie under one seal with them; --with-patient gives these alone."""
    written = export(sealed, pack, tmp_path / "texts", Asked(text=True), keys_of(MASTER))
    assert written.n_without_patient == 1 and not written.unopened
    assert all(note(i).text in decoded(tmp_path / "texts") for i in range(3) if export is fhir) and "P0" in told(tmp_path / "texts")
    written = export(sealed, pack, tmp_path / "patients", Asked(patient=True), keys_of(MASTER))
    assert written.n_without_patient == 1 and "P0" in told(tmp_path / "patients") and CANARY not in decoded(tmp_path / "patients")


@both
def test_what_does_not_open_costs_no_finding(sealed: str, store: Store, pack: Pack, tmp_path: Path, export: Export) -> None:
    """A changed seal, a text that is gone and a destroyed key: the findings come all the same, and the texts are counted by reason."""
    with store.begin() as connection:
        first, second = connection.execute(select(documents.c.id).order_by(documents.c.id).limit(2)).scalars()
        connection.execute(update(texts).where(texts.c.document_id == first).values(text="AAAA"))
        connection.execute(delete(texts).where(texts.c.document_id == second))
    written = export(sealed, pack, tmp_path / "a", Asked(text=True), keys_of(MASTER))
    assert (written.n_findings, dict(written.unopened)) == (3 * N_FINDINGS, {"seal_broken": 1, "no_text": 1})
    with store.begin() as connection:
        connection.execute(update(data_keys).where(data_keys.c.id != 0).values(wrapped=None))
    written = export(sealed, pack, tmp_path / "b", Asked(text=True), keys_of(MASTER))
    assert (written.n_findings, dict(written.unopened)) == (3 * N_FINDINGS, {"key_destroyed": 2, "no_text": 1})
    assert CANARY not in decoded(tmp_path / "b")
    assert any("2 key_destroyed" in line for line in written.told("fhir", tmp_path))


# --- what is there


@both
def test_what_is_retired_or_erased_is_not_exported(store: Store, pack: Pack, tmp_path: Path, export: Export) -> None:
    """The primary student's readings are exported, of documents that are there; without a student there are none."""
    fill(store, pack, tmp_path, 4)
    purge(store, keys_of(), Scope(pack="ward", key="note-1"), vacuum=False)
    assert export(url_of(store), pack, tmp_path / "a", Asked(), keys_of()).n_documents == 3
    assert "note-1" not in told(tmp_path / "a")
    with store.begin() as connection:
        connection.execute(update(students).values(state="retired"))
    written = export(url_of(store), pack, tmp_path / "b", Asked(text=True), keys_of())
    assert (written.n_documents, written.n_findings) == (0, 0)
    assert told(tmp_path / "b").count("\n") == (0 if export is fhir else 4)  # four headers


@both
def test_a_file_is_whole_or_not_there(store: Store, pack: Pack, tmp_path: Path, export: Export) -> None:
    """A finding that is missing, doubled or nobody's stops the export, and what was there before stays."""
    fill(store, pack, tmp_path, 3)
    with store.begin() as connection:
        connection.execute(delete(findings).where(findings.c.id == 30))
    with pytest.raises(RunError, match="verify") as caught:
        export(url_of(store), pack, tmp_path / "out", Asked(), keys_of())
    assert caught.value.code == "findings_differ"
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


@both
def test_an_export_sees_one_moment(store: Store, pack: Pack, tmp_path: Path, export: Export) -> None:
    """What is read while an export runs is not in it, in part or whole."""
    fill(store, pack, tmp_path, 500)
    url = url_of(store)

    def meanwhile(what: str, done: int, total: int) -> None:
        assert total == 500
        if done == 10:
            writer = Store(url)
            with writer.begin() as connection:
                connection.execute(delete(findings).where(findings.c.document_id > 250))
                connection.execute(delete(texts).where(texts.c.document_id > 250))
                connection.execute(delete(readings).where(readings.c.document_id > 400))
            writer.close()

    written = export(url, pack, tmp_path / "out", Asked(text=True), keys_of(), meanwhile)
    assert (written.n_documents, written.n_findings, dict(written.unopened)) == (500, 500 * N_FINDINGS, {})


@both
@pytest.mark.parametrize("asked", [Asked(), Asked(text=True)])
def test_memory_does_not_grow_with_the_store(tmp_path: Path, pack: Pack, export: Export, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the documents take no more memory: what is held is a portion of documents and a table's rows that are not written yet."""
    for name, n_held in (("clinical.ROWS", 100), ("stored.ROWS", 100), ("stored.PORTION", 10)):
        monkeypatch.setattr(f"workers.export.{name}", n_held)
    peaks = []
    for n in (150, 600):
        store = Store(f"sqlite:///{tmp_path / f'{n}.db'}")
        fill(store, pack, tmp_path, n)
        store.close()
        if not peaks:  # what is imported on the way is not counted
            export(f"sqlite:///{tmp_path / f'{n}.db'}", pack, tmp_path / "warm", asked, keys_of())
        gc.collect()  # else it is what tests before left that is collected meanwhile, or is not
        tracemalloc.start()
        assert export(f"sqlite:///{tmp_path / f'{n}.db'}", pack, tmp_path / f"{n}", asked, keys_of()).n_documents == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0], peaks


# --- the command


@pytest.fixture
def command(store: Store, tmp_path: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose store, of each kind, has three notes of the ward; gives its folder."""
    for name, section in (("ward", SECTION), ("plain", "")):
        (tmp_path / "packs" / name).mkdir(parents=True)
        (tmp_path / "packs" / name / "pack.toml").write_text(PACK_TOML.replace('"ward"', f'"{name}"', 1) + section, encoding="utf-8")
    (tmp_path / "settings.toml").write_text(f'[store]\nurl = "{url_of(store)}"\n[packs]\nfolders = ["{tmp_path / "packs"}"]\n', encoding="utf-8")
    monkeypatch.setenv("STILLHOUSE_SETTINGS", str(tmp_path / "settings.toml"))
    fill(store, pack, tmp_path, 3)
    return tmp_path


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, Any]:
    """Exit code, words and data of an export."""
    code = main(["export", *arguments, "--json"])
    out, err = capfd.readouterr()
    return code, err, json.loads(out)


def acts(store: Store) -> list[dict[str, Any]]:
    with store.reading() as connection:
        return [json.loads(row.detail) for row in connection.execute(select(audit).where(audit.c.action == "export").order_by(audit.c.id))]


def test_the_command_tells_its_counts_and_is_audited(command: Path, store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    """The suffix .ndjson is FHIR, a folder is OMOP where it is said; counts are told in words and as data, and each act is in the audit with what it showed."""
    code, err, answer = run(capfd, "ward", str(command / "out.ndjson"))
    assert code == 0 and "3 Bundles of 3 AdverseEvent, 15 Condition, 3 Device" in err and f"from {3 * N_FINDINGS} findings" in err
    assert answer["data"]["resources"]["Condition"] == 15 and len((command / "out.ndjson").read_text(encoding="utf-8").splitlines()) == 3
    code, err, answer = run(capfd, "ward", str(command / "omop"), "--format", "omop", "--with-text", "--also", "identity", "--files", "parquet")
    assert code == 0 and f"3 notes and {3 * N_TERMS + 3} terms" in err and "withheld" not in err and "1 notes are dated by their receipt" in err
    assert answer["data"]["n_rows"] == 3 * N_TERMS + 3 and (command / "omop" / "note_nlp.parquet").exists()
    assert acts(store) == [
        {"file": "out.ndjson", "what": "fhir", "with_patient": 0, "with_text": 0},
        {"also": "identity", "file": "omop", "what": "omop", "with_patient": 0, "with_text": 1},
    ]
    assert CANARY not in err and main(["audit", "verify"]) == 0


def test_the_other_formats_are_as_they_were(command: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Parquet, CSV and JSON lines by the file's suffix or by name."""
    for arguments in ([str(command / "a.csv")], [str(command / "a"), "--format", "csv"]):
        code, err, answer = run(capfd, "ward", *arguments, "--what", "findings")
        assert code == 0 and answer["data"]["n_rows"] == 3 * N_FINDINGS and f"{3 * N_FINDINGS} rows" in err
    assert (command / "a.csv").read_bytes() == (command / "a").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ward", "out.csv", "--with-text"], "--format label-studio, fhir or omop"),
        (["ward", "out.json", "--format", "label-studio", "--with-patient"], "--format fhir or omop"),
        (["ward", "out.txt", "--format", "label-studio"], ".json"),
        (["ward", "out.csv", "--also", "identity"], "--format fhir or omop"),
        (["ward", "out.xlsx"], ".parquet"),
        (["plain", "out.ndjson"], "[export]"),
        (["ward", "out.ndjson", "--also", "identety"], "'identity'"),
        (["ward", "out.txt", "--format", "dicom"], "fhir"),
        (["ward", "no/such/out.ndjson"], "does not exist"),
    ],
)
def test_what_cannot_be_exported_is_told(command: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """A wrong format, pack, task or folder ends with 2, says what is wrong, and leaves no file."""
    code, err, answer = run(capfd, arguments[0], str(command / arguments[1]), *arguments[2:])
    assert code == 2 and message in err and not answer["ok"]
    assert not list(command.rglob("*out*"))


def test_no_error_holds_a_text(command: Path, store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    """A store whose tables are not as they should be is an error without a word of a document."""
    with store.begin() as connection:
        connection.execute(text("ALTER TABLE texts RENAME COLUMN text TO words"))
    code, err, _ = run(capfd, "ward", str(command / "out.ndjson"), "--with-text")
    assert code != 0 and CANARY not in err and not (command / "out.ndjson").exists()
    assert issubclass(StoreError, StillhouseError)


# --- the plan


def test_a_plan_names_what_the_pack_has(pack: Pack) -> None:
    """A task or label that is not there is told, one sentence each; the pack's own plan has no problem."""
    labels = {task.name: task.labels for task in pack.manifest.task}
    assert ward_plan(pack).problems(labels) == [] and ExportPlan().problems({"a": ("B",)}) == []
    wrong = ExportPlan.model_validate(
        {
            "fhir": {"mentions/PROBLEMS": "Condition", "mentions": "Condition"},
            "omop": {"concepts": {"doses/DRUG": 1}, "sections": {"PLAN": 2}},
            "assertion": "specialty",
            "causes": "cause",
            "sections": "sections",
            "withheld": ["names"],
        }
    )
    said = wrong.problems(labels)
    assert len(said) == 7 and all(
        part in " ".join(said) for part in ("'mentions/PROBLEMS'", "'doses/DRUG'", "'cause'", "'names'", "'PLAN'", "['heart', 'lung']")
    )


@pytest.mark.parametrize(
    "section",
    [{"fhir": {"a/B": "Procedure"}}, {"omop": {"note_type": -1}}, {"base": "no url"}, {"base": "https://a.org/"}, {"withold": ["a"]}, {"patient": ""}],
)
def test_a_plan_is_checked(section: dict[str, Any]) -> None:
    """A resource, concept or URL that is none, and a key that is unknown, is refused."""
    with pytest.raises(ValueError, match="validation error"):
        ExportPlan.model_validate(section)


def test_identity_is_withheld_without_being_named() -> None:
    """A plan that says nothing of it withholds the task `identity`."""
    assert ExportPlan().withheld == ("identity",) and STUDENT.startswith("ward")
