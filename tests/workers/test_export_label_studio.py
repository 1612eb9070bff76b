"""Predictions for Label Studio: every kind of answer as its editor draws it, offsets that fit, and texts only for who may have them."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest

from pipelines.importers.label_studio import read_json
from pipelines.importers.labelled import Columns, Labelled
from pipelines.progress import silent
from suites.discover import Pack
from suites.errors import SettingsError, StoreError
from suites.types import Finding, Manifest
from workers.cli import main
from workers.export.asked import Asked
from workers.export.label_studio import export_label_studio
from workers.export.labelling import labelling_config
from workers.keys import Keys
from workers.store import Store

from .test_export_clinical import MASTER, keys_of, roles  # noqa: F401
from .test_roles import url_of as login_url
from .ward import CANARY, N_FINDINGS, PACK_TOML, SECTION, fill, note, url_of

Json = dict[str, Any]

TAGS = '  { name = "flags", kind = "tags", labels = ["urgent", "private"], question = "What is it & \\"why\\"?" },\n]'
# astral letters before what is found: in units of UTF-16 each counts twice
EMOJI = "🐱 Note: 𝒳 has fever\r\nand 🐱🐱 a cough."


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """The ward's pack, and tags."""
    return Pack(Manifest.model_validate(tomllib.loads(PACK_TOML.rstrip().removesuffix("]") + TAGS + SECTION)), tmp_path)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store(store_url)
    yield opened
    opened.close()


def at(words: str) -> tuple[int, int]:
    return EMOJI.index(words), EMOJI.index(words) + len(words)


def odd() -> list[tuple[str, str, list[Finding], dict[str, object]]]:
    found = [
        Finding("mentions", "PROBLEM", 0.9, *at("fever"), unsure=True),
        Finding("assertion", "negated", 0.6, *at("fever")),
        Finding("adverse_effects", "ADVERSE_EFFECT", 0.7, *at("fever")),
        Finding("mentions", "PROBLEM", 0.8, *at("cough"), value="tussis"),
        Finding("flags", "private", 0.55, 0, len(EMOJI)),
        Finding("flags", "urgent", 0.95, 0, len(EMOJI)),
        Finding("causes", "CAUSES", 1.0, *at("fever"), "rule", other_start=at("cough")[0], other_end=at("cough")[1]),
    ]
    return [("emoji", EMOJI, found, {}), ("bare", "Nothing here.", [], {})]


def exported(store: Store, pack: Pack, place: Path, asked: Asked, keys: Keys | None = None) -> dict[str, Json]:
    """The tasks by document."""
    written = export_label_studio(url_of(store), pack, place, asked, keys or keys_of(), silent)
    tasks = json.loads(place.read_text(encoding="utf-8"))
    assert written.n_documents == len(tasks)
    return {task["data"]["document"]: task for task in tasks}


def results(task: Json) -> list[Json]:
    (prediction,) = task["predictions"]
    return list(prediction["result"])


def controls(config: str) -> dict[str, tuple[str, set[str]]]:
    """By name a control's kind of result and its labels, as the configuration has them."""
    view = xml.fromstring(config)
    kinds = {"Labels": "labels", "Choices": "choices"}
    return {e.attrib["name"]: (kinds[e.tag], {label.attrib["value"] for label in e}) for e in view if e.tag in kinds}


def test_every_result_is_one_that_the_configuration_draws(store: Store, pack: Pack, tmp_path: Path) -> None:
    """Each result names a control of the configuration, its type and a label of it, and a range of the text; relations join regions that are there."""
    fill(store, pack, tmp_path, 3, more=odd())
    tasks = exported(store, pack, tmp_path / "tasks.json", Asked(text=True))
    config = (tmp_path / "tasks.xml").read_text(encoding="utf-8")
    (text,) = xml.fromstring(config).iter("Text")
    drawn, relations = controls(config), {e.attrib["value"] for e in xml.fromstring(config).iter("Relation")}
    ids: Counter[str] = Counter()
    for task in tasks.values():
        words, regions = task["data"]["text"], {r["id"]: r["value"] for r in results(task) if r["type"] == "labels"}
        for result in results(task):
            if result["type"] == "relation":
                assert {result["from_id"], result["to_id"]} <= regions.keys() and set(result["labels"]) <= relations and result["direction"] == "right"
                continue
            kind, labels = drawn[result["from_name"]]
            value = result["value"]
            assert (
                result["type"] == kind and set(value[kind]) <= labels and value[kind] and result["to_name"] == text.attrib["name"] and 0 <= result["score"] <= 1
            )
            if kind == "labels" or "start" in value:
                assert value["text"] == words[value["start"] : value["end"]] and value["text"]
            if kind == "choices" and "start" in value:
                assert (value["start"], value["end"]) == (regions[result["id"]]["start"], regions[result["id"]]["end"])
            else:
                ids[result["id"]] += 1
    assert set(ids.values()) == {1}
    assert text.attrib["value"] == "$text" and len(tasks) == 5
    # of a note every finding is a result; the choice about a range, once
    assert len(results(tasks["note-0"])) == N_FINDINGS
    assert tasks["bare"]["predictions"][0] == {"model_version": "ward-0123456789ab", "result": []}


def test_each_kind_of_answer_is_told_as_such(store: Store, pack: Pack, tmp_path: Path) -> None:
    """Tags stand in one result; a range that two tasks found is asked once and told of both; a pair joins its two ranges; a sentence is a region."""
    fill(store, pack, tmp_path, 1, more=odd())
    tasks = exported(store, pack, tmp_path / "tasks.json", Asked())
    found = results(tasks["emoji"])
    (flags,) = [r for r in found if r.get("from_name") == "flags"]
    assert flags["value"] == {"choices": ["private", "urgent"]} and flags["score"] == 0.55
    meant = {r["id"] for r in found if r.get("from_name") == "assertion"}
    assert meant == {r["id"] for r in found if r["type"] == "labels" and r["value"]["start"] == at("fever")[0]} and len(meant) == 2
    told = {r["value"]["start"]: r["meta"]["text"] for r in found if "meta" in r}
    assert told == {at("fever")[0]: ["unsure"], at("cough")[0]: ["tussis"]}
    # no drug has the pair's first range: it is counted, not invented
    assert not [r for r in found if r["type"] == "relation"]
    assert tasks["emoji"]["predictions"][0]["score"] == 0.55 and tasks["emoji"]["data"]["n_unsure"] == 1
    inside = {r.get("from_name"): r for r in results(tasks["note-0"])}
    assert inside["sentence_role"]["type"] == "labels" and inside["specialty"]["value"] == {"choices": ["heart"]}
    (pair,) = [r for r in results(tasks["note-0"]) if r["type"] == "relation"]
    by_id = {r["id"]: r for r in results(tasks["note-0"]) if r["type"] == "labels"}
    assert (by_id[pair["from_id"]]["value"]["labels"], by_id[pair["to_id"]]["from_name"]) == (["DRUG"], "adverse_effects")


def test_pairs_without_their_ranges_are_counted(store: Store, pack: Pack, tmp_path: Path) -> None:
    """A pair whose range no finding has is told of, not dropped in silence."""
    fill(store, pack, tmp_path, 0, more=odd())
    written = export_label_studio(url_of(store), pack, tmp_path / "tasks.json", Asked(), keys_of(), silent)
    assert written.n_unbound == 1 and "1 pairs are left out" in " ".join(written.told(tmp_path / "tasks.json", with_text=False))


def test_what_is_accepted_comes_back_as_it_was(store: Store, pack: Pack, tmp_path: Path) -> None:
    """Predictions that a reviewer accepts are read back by our importer: each label has its own words, emoji before it or not."""
    fill(store, pack, tmp_path, 0, more=odd())
    tasks = exported(store, pack, tmp_path / "tasks.json", Asked(text=True))
    accepted = [{"id": i, "data": task["data"], "annotations": [{"result": results(task)}]} for i, task in enumerate(tasks.values(), 1)]
    (tmp_path / "back.json").write_text(json.dumps(accepted), encoding="utf-8")
    read = {item.text: item for item in read_json(tmp_path / "back.json", "back.json", Columns()) if isinstance(item, Labelled)}
    back = read[EMOJI]
    assert [(s.label, EMOJI[s.start : s.end], dict(s.answers)) for s in back.spans["mentions"]] == [
        ("PROBLEM", "fever", {"assertion": "negated"}),
        ("PROBLEM", "cough", {}),
    ]
    assert back.fields["flags"] == ("private", "urgent")
    # code points, as the editor counts: in units of UTF-16 the range would begin 2 later
    fever = next(r for r in results(tasks["emoji"]) if r.get("from_name") == "mentions")
    assert fever["value"]["start"] == EMOJI.index("fever") == len(EMOJI[: EMOJI.index("fever")].encode("utf-16-le")) // 2 - 2


def test_no_word_of_a_document_without_being_asked(store: Store, pack: Pack, tmp_path: Path) -> None:
    """Without --with-text `data` holds the document's id, and no result holds words."""
    fill(store, pack, tmp_path, 2)
    tasks = exported(store, pack, tmp_path / "tasks.json", Asked())
    assert {frozenset(task["data"]) for task in tasks.values()} == {frozenset({"document", "n_unsure"})}
    assert not [r for task in tasks.values() for r in results(task) if "text" in r.get("value", {})]
    assert CANARY not in (tmp_path / "tasks.json").read_text(encoding="utf-8") and CANARY not in (tmp_path / "tasks.xml").read_text(encoding="utf-8")


def test_sealed_texts_need_the_master_key(store: Store, pack: Pack, tmp_path: Path) -> None:
    """With the key a sealed text is in its task; without it nothing is exported."""
    fill(store, pack, tmp_path, 2, keys=keys_of(MASTER, encrypts=True))
    tasks = exported(store, pack, tmp_path / "with.json", Asked(text=True), keys_of(MASTER))
    assert tasks["note-1"]["data"]["text"] == note(1).text
    with pytest.raises(SettingsError, match="master key"):
        export_label_studio(url_of(store), pack, tmp_path / "without.json", Asked(text=True), keys_of(None), silent)
    assert not (tmp_path / "without.json").exists()


@pytest.mark.usefixtures("roles")
def test_texts_are_for_reviewers(postgres_url: str, pack: Pack, tmp_path: Path) -> None:
    """An analyst exports predictions without texts and is refused those with; a reviewer may."""
    analyst, reviewer = (login_url(postgres_url, f"a_{role}") for role in ("analyst", "reviewer"))
    assert export_label_studio(analyst, pack, tmp_path / "a.json", Asked(), keys_of(), silent).n_documents == 3
    with pytest.raises(StoreError, match="reviewer"):
        export_label_studio(analyst, pack, tmp_path / "b.json", Asked(text=True), keys_of(), silent)
    assert not (tmp_path / "b.json").exists() and not (tmp_path / "b.xml").exists()
    assert export_label_studio(reviewer, pack, tmp_path / "c.json", Asked(text=True), keys_of(), silent).n_documents == 3


def test_the_configuration_has_every_task(pack: Pack) -> None:
    """A control a task, by its name; what is asked of ranges appears with them; marks of XML in a question do no harm."""
    config = labelling_config(pack)
    assert controls(config).keys() == {task.name for task in pack.manifest.task if task.kind != "pairs"}
    view = xml.fromstring(config)
    assertion = next(e for e in view.iter("Choices") if e.attrib["name"] == "assertion")
    assert assertion.attrib["perRegion"] == "true" and assertion.attrib["whenLabelValue"] == "PROBLEM,DRUG,ADVERSE_EFFECT"
    assert next(e for e in view.iter("Choices") if e.attrib["name"] == "flags").attrib["choice"] == "multiple"
    assert 'What is it & "why"?' in {e.attrib["value"] for e in view.iter("Header")}


def test_it_is_recorded(store: Store, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command writes both files, tells what to do next, and the audit holds whether texts were in them."""
    fill(store, pack, tmp_path, 1)
    packs = tmp_path / "packs" / "ward"
    packs.mkdir(parents=True)
    (packs / "pack.toml").write_text(PACK_TOML + SECTION, encoding="utf-8")
    for name in ("samples.jsonl", "card.md"):
        (packs / name).write_text("", encoding="utf-8")
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[store]\nurl = "{url_of(store)}"\n[packs]\nfolders = ["{packs.parent}"]\n', encoding="utf-8")
    monkeypatch.setenv("STILLHOUSE_SETTINGS", str(settings))
    assert main(["export", "ward", str(tmp_path / "t.json"), "--format", "label-studio", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["data"]
    assert answer["n_documents"] == 1 and Path(answer["config"]).exists()
    assert main(["audit", "list", "--json"]) == 0
    acts = json.loads(capsys.readouterr().out)["data"]
    assert json.loads(acts[0]["detail"]) == {"file": "t.json", "what": "label-studio", "with_text": 0}
