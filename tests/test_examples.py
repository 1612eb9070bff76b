"""Real data as examples: every source of every pack that is on this disk, and rows made to be wrong."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines.examples import read_examples, read_source
from suites.discover import Pack, discover, find_pack
from suites.errors import DataError
from suites.samples import SPLITS
from suites.types import DataSource, LabelMap

DATA = Path(__file__).parents[2] / "shared" / "data"
SOURCES = [pytest.param(p, s, id=s.name) for p in discover()[0].values() if p.origin == "folder" for s in p.manifest.data]
GROUPED = [param for param in SOURCES if param.values[1].group_by]
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not here")


def written(folder: Path, rows: Sequence[object], split: str = "train") -> Path:
    """A data root with one source `made` of these rows."""
    (folder / "made").mkdir(exist_ok=True)
    (folder / "made" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def source(*maps: LabelMap, **options: object) -> DataSource:
    return DataSource(name="made", path="made", licence="CC0", maps=maps, **options)


TOPIC = LabelMap(task="topic", labels={"beast": "animals", "sky": "weather"}, ignore=("other",))
MOOD = LabelMap(task="mood", labels={"+": "glad", "-": "sad"})
THINGS = LabelMap(task="things", field="spans", labels={"a": "A"}, ignore=("c",))
STATE = LabelMap(task="state", labels={"yes": "present", "no": "absent"})


@needs_data
@pytest.mark.parametrize(("pack", "source"), SOURCES)
def test_a_source_on_disk_is_read(pack: Pack, source: DataSource) -> None:
    """Every split on disk gives examples whose ranges lie in their texts and whose labels are the pack's."""
    present = [split for split in SPLITS if list((DATA / str(source.path)).glob(f"{split}.jsonl*"))]
    assert "train" in present
    for split in present:
        examples = read_source(pack, source, split, DATA)
        assert examples
        assert {e.source for e in examples} == {source.name}
        for example in examples:
            assert example.tasks <= {m.task for m in source.maps}
            for f in example.gold:
                assert f.task in example.tasks
                assert f.label in pack.tasks[f.task].labels
                assert 0 <= f.start < f.end <= len(example.document.text)


@needs_data
@pytest.mark.parametrize(("pack", "source"), SOURCES)
def test_every_mapped_label_occurs(pack: Pack, source: DataSource) -> None:
    """Every label that a source is mapped onto occurs in its training split: no map is dead."""
    seen = {(f.task, f.label) for e in read_source(pack, source, "train", DATA) for f in e.gold}
    assert seen == {(m.task, label) for m in source.maps for label in m.labels.values()}


@needs_data
@pytest.mark.parametrize(("pack", "source"), GROUPED)
def test_a_grouped_source_gives_documents(pack: Pack, source: DataSource) -> None:
    """A grouped source gives one document a group, its sentences in order, apart by one space, from first to last character."""
    with gzip.open(DATA / str(source.path) / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    examples = read_source(pack, source, "train", DATA)
    assert len({e.document.id for e in examples}) == len(examples) == len({row[source.group_by] for row in rows})
    assert sum(len({(f.start, f.end) for f in e.gold}) for e in examples) == len(rows)
    by_group = {e.document.id.partition("/")[2]: e.document.text for e in examples}
    for example in examples:
        ranges = sorted({(f.start, f.end) for f in example.gold})
        assert (ranges[0][0], ranges[-1][1]) == (0, len(example.document.text))
        assert all(b[0] - a[1] == 1 for a, b in pairwise(ranges))
    for name, text in list(by_group.items())[:50]:
        sentences = sorted((row for row in rows if str(row[source.group_by]) == name), key=lambda row: float(row[str(source.order_by)]))
        assert text == " ".join(row["text"] for row in sentences)


def test_rows_of_a_group_become_one_document(toy_pack: Pack, tmp_path: Path) -> None:
    """Rows in any order within their group are joined by one space in the order of order_by, 10 after 9."""
    rows = [
        {"text": "Third.", "n": "10", "doc": "x", "label": "-"},
        {"text": "First.", "n": "2", "doc": "x", "label": "+"},
        {"text": "Second.", "n": "9", "doc": "x", "label": "-"},
        {"text": "Other.", "n": "1", "doc": "y", "label": "+"},
    ]
    one, two = read_source(toy_pack, source(MOOD, group_by="doc", order_by="n"), "train", written(tmp_path, rows))
    assert (one.document.id, one.document.text, two.document.text) == ("made/x", "First. Second. Third.", "Other.")
    assert [(f.label, one.document.text[f.start : f.end]) for f in one.gold] == [("glad", "First."), ("sad", "Second."), ("sad", "Third.")]


def test_a_torn_group_is_one_document(toy_pack: Pack, tmp_path: Path) -> None:
    """Rows of one group that do not lie together in the file are still one document."""
    rows = [{"text": t, "n": n, "doc": d, "label": "+"} for t, n, d in [("One.", 1, "x"), ("Else.", 1, "y"), ("Two.", 2, "x")]]
    examples = read_source(toy_pack, source(MOOD, group_by="doc", order_by="n"), "train", written(tmp_path, rows))
    assert sorted(e.document.text for e in examples) == ["Else.", "One. Two."]


@pytest.mark.parametrize(
    ("maps", "row", "named"),
    [
        ((TOPIC,), {"text": "t", "label": "plant"}, r"'plant' of field 'label' .* task 'topic'"),
        ((TOPIC,), {"text": "t"}, r"field 'label' .* task 'topic'"),
        ((THINGS,), {"text": "t", "spans": [{"label": "b", "start": 0, "end": 1}]}, r"'b' of field 'spans' .* task 'things'"),
        ((STATE,), {"text": "t", "label": "yes"}, "task 'state' is asked of a span; the row has none"),
    ],
    ids=["choice", "no label", "spans", "no span"],
)
def test_an_unmapped_label_is_an_error(toy_pack: Pack, tmp_path: Path, maps: tuple[LabelMap, ...], row: dict[str, object], named: str) -> None:
    """A row that the maps do not cover is a DataError that names source, line and label."""
    good = {"text": "t", "label": "beast", "spans": []}
    with pytest.raises(DataError, match=rf"made train\.jsonl:2: .*{named}"):
        read_source(toy_pack, source(*maps), "train", written(tmp_path, [good | {"spans": [{"label": "a", "start": 0, "end": 1}], "label": key(maps)}, row]))


def key(maps: tuple[LabelMap, ...]) -> str:
    """A source label that the first map knows."""
    return next(iter(maps[0].labels))


@pytest.mark.parametrize("line", ["{", "[]", '{"label": "beast"}', '{"text": 3}', '{"text": "  "}'])
def test_a_bad_row_is_an_error(toy_pack: Pack, tmp_path: Path, line: str) -> None:
    """A line that is no object with a text is a DataError that names file and line."""
    written(tmp_path, [])
    (tmp_path / "made" / "train.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.jsonl:1: expected a JSON object with a non-empty string 'text'"):
        read_source(toy_pack, source(TOPIC), "train", tmp_path)


@pytest.mark.parametrize(
    ("span", "reason"),
    [
        ({"label": "a", "start": 0, "end": 50}, r"span 0\.\.50 lies outside the text of 5 characters"),
        ({"label": "a", "end": 5}, r"field 'spans\.start' is not a number"),
        ({"label": "a", "start": 0, "end": "many"}, r"field 'spans\.end' is not a number"),
        ({"start": 0, "end": 5}, r"label 'None' of field 'spans' is not mapped"),
        ("a", r"expected a span to be an object with start, end and label"),
    ],
    ids=["outside", "no start", "no number", "no label", "no object"],
)
def test_a_bad_span_is_an_error(toy_pack: Pack, tmp_path: Path, span: object, reason: str) -> None:
    """A span that is none is a DataError that names source, line and reason."""
    with pytest.raises(DataError, match=rf"made train\.jsonl:1: .*{reason}"):
        read_source(toy_pack, source(THINGS), "train", written(tmp_path, [{"text": "storm", "spans": [span]}]))


def test_an_order_that_is_no_number_is_an_error(toy_pack: Pack, tmp_path: Path) -> None:
    """A row of a group without a place in it is a DataError that names source, line and field."""
    rows = [{"text": "One.", "n": 1, "doc": "x", "label": "+"}, {"text": "Two.", "doc": "x", "label": "+"}]
    with pytest.raises(DataError, match=r"made train\.jsonl:2: field 'n' is not a number"):
        read_source(toy_pack, source(MOOD, group_by="doc", order_by="n"), "train", written(tmp_path, rows))


def test_an_error_does_not_tell_the_text(toy_pack: Pack, tmp_path: Path) -> None:
    """Where a map's field is the text by mistake, the error says how long the value is, not what it says."""
    wrong = LabelMap(task="topic", field="text", labels={"a": "animals"})
    text = "The patient of room 12 is called Anna Example, and nobody may read that in a log."
    with pytest.raises(DataError, match=rf"label of {len(text)} characters of field 'text' is not mapped") as caught:
        read_source(toy_pack, source(wrong), "train", written(tmp_path, [{"text": text}]))
    assert "Anna" not in caught.value.message


def test_an_ignored_value_answers_nothing(toy_pack: Pack, tmp_path: Path) -> None:
    """A row whose value is ignored does not annotate a choice task; a row without spans does annotate a spans task."""
    (example,) = read_source(toy_pack, source(TOPIC, THINGS), "train", written(tmp_path, [{"id": 7, "text": "t", "label": "other", "spans": []}]))
    assert (example.document.id, example.gold, example.tasks) == ("made/7", (), {"things"})


def test_the_first_map_that_fits_wins(toy_pack: Pack, tmp_path: Path) -> None:
    """Of several maps for one choice task the first that does not ignore the row's value answers."""
    first = LabelMap(task="topic", field="kind", labels={"b": "animals"}, ignore=("*",))
    rows = [{"text": "t", "kind": "b", "label": "sky"}, {"text": "t", "kind": "?", "label": "sky"}]
    examples = read_source(toy_pack, source(first, TOPIC), "train", written(tmp_path, rows))
    assert [[f.label for f in e.gold] for e in examples] == [["animals"], ["weather"]]


def test_of_overlapping_spans_the_longest_stays(toy_pack: Pack, tmp_path: Path) -> None:
    """Overlapping spans of a source are thinned to the longest, doubled ones to one, ignored ones to none."""
    spans = [("a", 0, 3), ("a", 0, 9), ("a", 0, 9), ("a", 9, 12), ("c", 13, 20)]
    row = {"text": "x" * 20, "spans": [{"label": label, "start": a, "end": b} for label, a, b in spans]}
    (example,) = read_source(toy_pack, source(THINGS), "train", written(tmp_path, [row]))
    assert [(f.start, f.end) for f in example.gold] == [(0, 9), (9, 12)]


def test_an_absent_source_is_named(toy_pack: Pack, tmp_path: Path) -> None:
    """A required source that is not there is a DataError with the folder; an absent split of one that is there is empty."""
    with pytest.raises(DataError, match=rf"'made': {tmp_path / 'made'} not found"):
        read_source(toy_pack, source(TOPIC), "train", tmp_path)
    assert read_source(toy_pack, source(TOPIC), "train", tmp_path, required=False) == []
    assert read_source(toy_pack, source(TOPIC), "dev", written(tmp_path, [])) == []


def test_an_unknown_source_is_named(toy_pack: Pack) -> None:
    """A source that the pack does not have is a DataError that names it."""
    with pytest.raises(DataError, match=r"Pack 'toy' has no data source \['nosuch'\]"):
        read_examples(toy_pack, "train", sources=["nosuch"])


@pytest.fixture
def hub_pack(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pack:
    """The toy pack with one source of the Hugging Face hub, `org/here`, which lies in the cache with one row."""
    folder = tmp_path / "packs" / "toy"
    shutil.copytree(toy_folder / "toy", folder)
    with (folder / "pack.toml").open("a", encoding="utf-8") as file:
        file.write('\n[[data]]\nname = "made"\ndataset = "org/here"\nlicence = "CC0"\nmaps = [{task = "topic", labels = {beast = "animals"}}]\n')
    cache = tmp_path / "cache" / "datasets--org--here"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    (cache / "snapshots" / ("0" * 40)).mkdir(parents=True)
    (cache / "snapshots" / ("0" * 40) / "train.jsonl").write_text('{"text": "A beast.", "label": "beast"}\n')
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return find_pack("toy", [tmp_path / "packs"])


@pytest.mark.parametrize("root", [None, Path("/")])
def test_a_hub_dataset_needs_no_data_root(hub_pack: Pack, root: Path | None) -> None:
    """A dataset of the hub's cache is read without a data root, and a root of other packs' data is no mistake."""
    assert [e.document.text for e in read_examples(hub_pack, "train", data_root=root, sources=["made"])] == ["A beast."]
    assert read_examples(hub_pack, "train", data_root=root)[-1].source == "made"
    assert read_examples(hub_pack, "dev", data_root=root, sources=["made"]) == []


def test_an_absent_hub_dataset_is_named(hub_pack: Pack, tmp_path: Path) -> None:
    """A dataset that was asked for and is not in the cache is a DataError with its id; one not asked for is passed over."""
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(DataError, match="'made': dataset org/here is not in the hub's cache"):
        read_examples(hub_pack, "train", sources=["made"])
    assert {e.source for e in read_examples(hub_pack, "train")} == {"samples"}


def test_a_named_path_needs_a_data_root() -> None:
    """A source of files that is asked for without a data root is a DataError that says which setting is missing."""
    pack, asked = next(param.values for param in SOURCES)
    with pytest.raises(DataError, match=rf"'{asked.name}': {asked.path} not found\. Set \[data\] root"):
        read_examples(pack, "train", sources=[asked.name])


def test_every_span_of_a_row_is_asked(toy_pack: Pack, tmp_path: Path) -> None:
    """`field = "spans.KEY"` gives each span of a row the label under its key; a span that overlaps a longer one is dropped with its answer."""
    spans = [
        {"start": 0, "end": 3, "label": "a", "state": "yes"},
        {"start": 2, "end": 9, "label": "a", "state": "no"},
        {"start": 12, "end": 15, "label": "a"},
    ]
    made = source(THINGS, LabelMap(task="state", field="spans.state", labels={"yes": "present", "no": "absent"}))
    (example,) = read_source(toy_pack, made, "train", written(tmp_path, [{"id": "1", "text": "abc defgh ijk lmn", "spans": spans}]))
    assert [(f.task, f.label, f.start, f.end) for f in example.gold] == [("state", "absent", 2, 9), ("things", "A", 2, 9), ("things", "A", 12, 15)]
    strange = [{"id": "1", "text": "abc", "spans": [{"start": 0, "end": 3, "label": "a", "state": "maybe"}]}]
    with pytest.raises(DataError, match=r"label 'maybe' of field 'spans\.state' is not mapped"):
        read_source(toy_pack, made, "train", written(tmp_path, strange))
