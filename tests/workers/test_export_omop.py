"""Clinical exports as OMOP CDM 5.4: the tables NOTE and NOTE_NLP as the model has them, and persons by number."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.progress import silent
from suites.discover import Pack
from suites.errors import UsageError
from suites.types import Finding
from workers.export.asked import Asked
from workers.export.cdm54 import NOTE, NOTE_NLP, Field
from workers.export.clinical import Files, Written, export_omop
from workers.export.terms import WITHHELD
from workers.keys import Keys
from workers.store import Store

from .ward import CANARY, N_TERMS, STUDENT, Odd, fill, metadata, note, url_of, ward_pack, ward_plan

# OMOP_CDMv5.4_Field_Level.csv of OHDSI/CommonDataModel: name, required, type
MODEL = {
    "note": """
        note_id yes integer, person_id yes integer, note_date yes date, note_datetime no datetime, note_type_concept_id yes integer,
        note_class_concept_id yes integer, note_title no varchar(250), note_text yes varchar(MAX), encoding_concept_id yes integer,
        language_concept_id yes integer, provider_id no integer, visit_occurrence_id no integer, visit_detail_id no integer,
        note_source_value no varchar(50), note_event_id no integer, note_event_field_concept_id no integer""",
    "note_nlp": """
        note_nlp_id yes integer, note_id yes integer, section_concept_id no integer, snippet no varchar(250), offset no varchar(50),
        lexical_variant yes varchar(250), note_nlp_concept_id no integer, note_nlp_source_concept_id no integer, nlp_system no varchar(250),
        nlp_date yes date, nlp_datetime no datetime, term_exists no varchar(1), term_temporal no varchar(50), term_modifiers no varchar(2000)""",
}
NOTHING, TEXTS = Asked(), Asked(text=True)


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return ward_pack(tmp_path)


@pytest.fixture
def ward(store_url: str, pack: Pack, tmp_path: Path) -> Iterator[str]:
    """A store of each kind with seven notes; gives its URL."""
    store = Store(store_url)
    fill(store, pack, tmp_path, 7)
    yield url_of(store)
    store.close()


def exported(url: str, pack: Pack, folder: Path, asked: Asked = NOTHING, files: Files = "csv") -> Written:
    return export_omop(url, pack, ward_plan(pack), folder, asked, Keys(), silent, files)


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fields(name: str) -> list[Field]:
    told = (entry.split() for entry in MODEL[name].split(","))
    return [Field(field, datatype, required == "yes") for field, required, datatype in told]


def test_the_fields_are_those_of_the_model() -> None:
    """Names, order, types and which are required: 16 fields of NOTE, 14 of NOTE_NLP."""
    assert (len(NOTE), len(NOTE_NLP)) == (16, 14)
    assert (list(NOTE), list(NOTE_NLP)) == (fields("note"), fields("note_nlp"))


@pytest.mark.parametrize("asked", [Asked(), TEXTS])
@pytest.mark.parametrize("name", ["note", "note_nlp"])
def test_every_cell_is_what_the_model_asks_for(ward: str, pack: Pack, tmp_path: Path, name: str, asked: Asked) -> None:
    """Columns in order; required ones never empty; whole numbers of 32 bits, dates and times that can be read, no string longer than its field."""
    exported(ward, pack, tmp_path / "out", asked)
    found = rows(tmp_path / "out", name)
    assert len(found) == {"note": 7, "note_nlp": 7 * N_TERMS}[name]
    assert list(found[0]) == [field.name for field in fields(name)]
    for row in found:
        for field in fields(name):
            check(row[field.name], field)


def check(cell: str, field: Field) -> None:
    if not cell:
        assert not field.required, field.name
    elif field.datatype == "integer":
        assert 0 <= int(cell) < 2**31, field.name
    elif field.datatype == "date":
        assert date.fromisoformat(cell)
    elif field.datatype == "datetime":
        assert datetime.fromisoformat(cell).tzinfo is None
    elif field.datatype != "varchar(MAX)":
        assert len(cell) <= int(field.datatype[8:-1]), field.name


def test_parquet_holds_the_same(ward: str, pack: Pack, tmp_path: Path) -> None:
    """Both kinds of file hold the same rows, Parquet with types."""
    exported(ward, pack, tmp_path / "csv", TEXTS)
    exported(ward, pack, tmp_path / "parquet", TEXTS, "parquet")
    kinds = {"integer": "int64", "date": "date32[day]", "datetime": "timestamp[us]"}
    for name in ("note", "note_nlp", "note_map", "person_map"):
        table = pq.read_table(tmp_path / "parquet" / f"{name}.parquet")
        assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in table.to_pylist()] == rows(tmp_path / "csv", name)
        for field in fields(name) if name in MODEL else []:
            assert str(table.schema.field(field.name).type) == kinds.get(field.datatype, "string")


def test_how_a_term_is_meant(ward: str, pack: Pack, tmp_path: Path) -> None:
    """By the model's conventions: negated, uncertain, imagined and the family's do not exist, history is past, and what has no modifier exists."""
    exported(ward, pack, tmp_path / "out", TEXTS)
    told = {
        row["lexical_variant"]: (row["term_exists"], row["term_temporal"], row["term_modifiers"].split("; ")[0]) for row in rows(tmp_path / "out", "note_nlp")
    }
    problem = "finding=mentions/PROBLEM"
    assert {words: told[words] for words in ("high pressure", "fever", "clot", "gout", "stroke", "asthma", "cough", "amoxicillin")} == {
        "high pressure": ("Y", "Present", problem),
        "fever": ("N", "Present", "negated=true"),
        "clot": ("N", "Present", "uncertain=true"),
        "gout": ("Y", "Past", "history=true"),
        "stroke": ("N", "Present", "conditional=true"),
        "asthma": ("N", "Present", "subject=family"),
        "cough": ("Y", "Present", problem),
        "amoxicillin": ("Y", "Present", "finding=mentions/DRUG"),
    }


def test_a_term_has_its_place_and_provenance(ward: str, pack: Pack, tmp_path: Path) -> None:
    """Offsets count in the text that note_text holds; concepts, sections, causes, scores and the student are told."""
    exported(ward, pack, tmp_path / "out", TEXTS)
    texts = {row["note_id"]: row["note_text"] for row in rows(tmp_path / "out", "note")}
    assert list(texts.values()) == [note(i).text for i in range(7)]
    found = rows(tmp_path / "out", "note_nlp")
    for row in found:
        modifiers = dict(part.split("=", 1) for part in row["term_modifiers"].split("; "))
        text, start, end = texts[row["note_id"]], int(row["offset"]), int(modifiers["end"])
        assert text[start:end].strip() == row["lexical_variant"] and row["lexical_variant"] in row["snippet"] and row["snippet"] in text
        assert modifiers["student"] == STUDENT and row["nlp_system"] == f"Stillhouse {STUDENT}"
        is_problem = modifiers["finding"] == "mentions/PROBLEM"
        assert row["note_nlp_concept_id"] == ("441840" if is_problem else "0") and row["note_nlp_source_concept_id"] == "0"
        assert modifiers["section"] == ("FAMILY_HISTORY" if row["lexical_variant"] == "cough" else "HISTORY")
        assert row["section_concept_id"] == ("4167217" if row["lexical_variant"] == "cough" else "0")
    by_words = {(row["note_id"], row["lexical_variant"]): row for row in found}
    rash, dose = by_words["1", "a rash"]["term_modifiers"], by_words["1", "500 mg"]["term_modifiers"]
    assert f"caused_by={by_words['1', 'amoxicillin']['note_nlp_id']}" in rash and "unsure=true" in rash
    assert "number=500.0; unit=mg" in dose and "source=rule" in dose and "score=1;" in dose


def test_no_word_of_the_document_is_told(ward: str, pack: Pack, tmp_path: Path) -> None:
    """Without --with-text a term is its normalised form or its label, there is no snippet, and note_text says so."""
    exported(ward, pack, tmp_path / "out", Asked(also=frozenset(["identity"])))
    told = "".join(file.read_text(encoding="utf-8") for file in (tmp_path / "out").iterdir())
    made = note(0)
    named = {made.text[f.start : f.end].strip() for f in made.findings if f.task in ("mentions", "adverse_effects", "doses", "identity")}
    assert len(named) == 12 and not [words for words in named if words in told] and CANARY not in told
    found = rows(tmp_path / "out", "note_nlp")
    assert {row["lexical_variant"] for row in found} == {"hypertension", "PROBLEM", "DRUG", "DOSE", "ADVERSE_EFFECT", "NAME"}
    assert {row["snippet"] for row in found} == {""} and {row["note_text"] for row in rows(tmp_path / "out", "note")} == {WITHHELD}


def test_identity_is_exported_when_it_is_asked_for(ward: str, pack: Pack, tmp_path: Path) -> None:
    """Terms of a withheld task are there by name alone."""
    for name, asked, n in (("a", Asked(), 0), ("b", Asked(also=frozenset(["identity"])), 7)):
        written = exported(ward, pack, tmp_path / name, asked)
        assert sum("finding=identity/NAME" in row["term_modifiers"] for row in rows(tmp_path / name, "note_nlp")) == n
        assert (written.n_withheld, written.n_rows) == (7 - n, 7 * N_TERMS + n)


def test_persons_have_numbers_that_stay(ward: str, pack: Pack, tmp_path: Path) -> None:
    """A patient's number is that of the first document of theirs, person_map leads back, nobody known is 0; another export is the same, byte for byte."""
    written = exported(ward, pack, tmp_path / "a")
    names = {row["person_id"]: row["patient"] for row in rows(tmp_path / "a", "person_map")}
    keys = {row["note_id"]: row["document"] for row in rows(tmp_path / "a", "note_map")}
    found = [(keys[row["note_id"]], row["person_id"]) for row in rows(tmp_path / "a", "note")]
    assert [names.get(person, "") for _, person in found] == [metadata(i)["patient"] for i in range(7)]
    assert [key for key, _ in found] == [f"note-{i}" for i in range(7)]
    assert [person for _, person in found] == ["1", "1", "0", "1", "1", "0", "7"] and written.n_without_patient == 2
    exported(ward, pack, tmp_path / "b")
    assert [f.name for f in sorted((tmp_path / "a").iterdir())] == ["note.csv", "note_map.csv", "note_nlp.csv", "person_map.csv"]
    assert all(file.read_bytes() == (tmp_path / "b" / file.name).read_bytes() for file in (tmp_path / "a").iterdir())


def test_a_note_has_the_day_that_its_metadata_tell(ward: str, pack: Pack, tmp_path: Path) -> None:
    """Day and time as given, a time only where one is given; else the day of receipt, which is counted."""
    written = exported(ward, pack, tmp_path / "out")
    found = [(row["note_date"], row["note_datetime"]) for row in rows(tmp_path / "out", "note")]
    assert found[:2] == [("2024-05-17", "2024-05-17 08:30:00"), ("2024-05-17", "")]
    assert date.fromisoformat(found[2][0]).year > 2024 and found[2][1] == "" and written.n_without_date == 2


def test_odd_documents_fit_their_fields(store_url: str, pack: Pack, tmp_path: Path) -> None:
    """Long terms, values and lists of causes are cut at whole parts; formulas and quotes are what they were."""
    long, key = "=" + "x" * 5000, "k" * 200
    effect = Finding("adverse_effects", "ADVERSE_EFFECT", 1.0, 0, 1)
    drugs = [Finding("mentions", "DRUG", 1.0, i, i + 1) for i in range(1, 400)]
    pairs = [Finding("causes", "CAUSES", 1.0, i, i + 1, "rule", other_start=0, other_end=1) for i in range(1, 400)]
    odd: list[Odd] = [
        (key, long, [Finding("mentions", "PROBLEM", 0.5, 0, 5001, value="v;\n" * 999)], {"patient": '"=1+1"'}),
        ("quotes", '-"a",\r\n"b"', [Finding("mentions", "PROBLEM", 0.5, 0, 4)], {"patient": "p" * 300}),
        ("blank", "\x0c\x0c.", [Finding("mentions", "PROBLEM", 0.5, 0, 2)], {}),
        ("causes", "y" * 500, [effect, *drugs, *pairs], {}),
    ]
    store = Store(store_url)
    fill(store, pack, tmp_path, 0, more=odd)
    store.close()
    exported(store_url, pack, tmp_path / "out", TEXTS)
    for name in MODEL:
        for row in rows(tmp_path / "out", name):
            for field in fields(name):
                check(row[field.name], field)
    notes = {row["note_title"]: row for row in rows(tmp_path / "out", "note")}
    assert notes["quotes"]["note_text"] == '-"a",\r\n"b"' and notes[key]["note_text"] == long
    assert rows(tmp_path / "out", "note_map")[0]["document"] == key
    assert [row["patient"] for row in rows(tmp_path / "out", "person_map")] == ['"=1+1"', "p" * 300]
    terms = {(row["note_id"], row["offset"]): row for row in rows(tmp_path / "out", "note_nlp")}
    assert terms["1", "0"]["lexical_variant"] == long[:250] and terms["3", "0"]["lexical_variant"] == "PROBLEM"
    causes = terms["4", "0"]["term_modifiers"].split("; ")
    assert 1900 < len("; ".join(causes)) <= 2000 and all(part.removeprefix("caused_by=").isdecimal() for part in causes if part.startswith("caused_by"))


def test_a_folder_appears_whole_or_not_at_all(ward: str, pack: Pack, tmp_path: Path) -> None:
    """An empty folder is filled; one that holds something is left as it is; after an error nothing is there."""
    (tmp_path / "empty").mkdir()
    exported(ward, pack, tmp_path / "empty")
    before = {file.name: file.read_bytes() for file in (tmp_path / "empty").iterdir()}
    with pytest.raises(UsageError, match="holds something"):
        exported(ward, pack, tmp_path / "empty", TEXTS)
    assert {file.name: file.read_bytes() for file in (tmp_path / "empty").iterdir()} == before

    def stopped(what: str, done: int, total: int) -> None:
        assert (what, total) == ("export", 7)
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_omop(ward, pack, ward_plan(pack), tmp_path / "stopped", Asked(), Keys(), stopped, "parquet")
    with pytest.raises(UsageError, match="does not exist"):
        exported(ward, pack, tmp_path / "no" / "such")
    assert not [path for path in tmp_path.iterdir() if "stopped" in path.name or "draft" in path.name or path.name == "no"]
