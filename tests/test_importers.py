"""Importers of labelled data: the same documents in every format, every bad row named, hostile files bounded."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.importers import Columns, Fault, Item, Labelled, Note, Span, read_labelled
from pipelines.importers.asks import Ask, parse_ask, placed
from pipelines.importers.bind import bind
from pipelines.importers.draw import SHARES, drawn, split_ids
from pipelines.importers.gold import Answer, Gold, gold_of
from pipelines.importers.guess import guess
from pipelines.importers.labelled import MAX_CHARS
from pipelines.importers.names import legal_labels, legal_name
from pipelines.importers.survey import MAX_FAULTS, survey
from suites.errors import DataError, UsageError
from suites.samples import SPLITS, split_of

SECRET = "Zanzibar"  # stands in texts alone: no fault may show it


def read(path: Path, columns: Columns | None = None) -> tuple[list[Labelled], list[Fault], Counter[str]]:
    """What lies in a file: documents, faults, notes counted."""
    items: list[Item] = list(read_labelled(path, columns or Columns()))
    documents = [item for item in items if isinstance(item, Labelled)]
    faults = [item for item in items if isinstance(item, Fault)]
    return documents, faults, Counter(item.what for item in items if isinstance(item, Note))


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- the same documents in every format

TEXTS = ["Mara sells Kestrel bikes in Łódź.", "Nothing here, really.", "The Kestrel 😀 and the Falcon broke (twice)."]
SPANS = [[(0, 4, "PERSON"), (11, 18, "MAKER"), (28, 32, "PLACE")], [], [(4, 11, "MAKER"), (22, 28, "MAKER")]]


def jsonl(folder: Path) -> Path:
    rows = [{"text": t, "spans": [{"start": a, "end": b, "label": n, "text": t[a:b]} for a, b, n in s]} for t, s in zip(TEXTS, SPANS, strict=True)]
    return put(folder / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def triples(folder: Path) -> Path:
    rows = [{"text": t, "entities": [[a, b, n] for a, b, n in s]} for t, s in zip(TEXTS, SPANS, strict=True)]
    return put(folder / "t.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def brat(folder: Path) -> Path:
    for number, (text, spans) in enumerate(zip(TEXTS, SPANS, strict=True)):
        put(folder / "brat" / f"{number}.txt", text)
        put(folder / "brat" / f"{number}.ann", "".join(f"T{i}\t{n} {a} {b}\t{text[a:b]}\n" for i, (a, b, n) in enumerate(spans, 1)))
    return folder / "brat"


def docbin(folder: Path) -> Path:
    import spacy
    from spacy.tokens import DocBin

    nlp, box = spacy.blank("en"), DocBin()
    for text, spans in zip(TEXTS, SPANS, strict=True):
        doc = nlp(text)
        doc.set_ents([doc.char_span(a, b, label=n) for a, b, n in spans])
        box.add(doc)
    box.to_disk(folder / "a.spacy")
    return folder / "a.spacy"


def label_studio(folder: Path, unit: Callable[[str, int], int] = lambda text, at: at) -> Path:
    tasks = []
    for number, (text, spans) in enumerate(zip(TEXTS, SPANS, strict=True)):
        results = [
            {
                "id": f"r{i}",
                "from_name": "parts",
                "to_name": "text",
                "type": "labels",
                "value": {"start": unit(text, a), "end": unit(text, b), "text": text[a:b], "labels": [n]},
            }
            for i, (a, b, n) in enumerate(spans)
        ]
        tasks.append({"id": number, "data": {"text": text}, "annotations": [{"result": results}]})
    return put(folder / "a.json", json.dumps(tasks))


def conll(folder: Path) -> Path:
    return put(
        folder / "a.conll",
        "-DOCSTART- -X- O O\n\nMara NNP B-NP B-PERSON\nsells V O O\nKestrel N B-NP B-MAKER\nbikes N I-NP O\nin P O O\nŁódź N B-NP B-PLACE\n. . O O\n\n"
        "-DOCSTART- -X- O O\n\nNothing N O O\nhere A O O\n, , O O\nreally A O O\n. . O O\n\n"
        "-DOCSTART- -X- O O\n\nThe D O O\nKestrel N O B-MAKER\n😀 N O O\nand C O O\nthe D O O\nFalcon N O B-MAKER\n"
        "broke V O O\n( ( O O\ntwice A O O\n) ) O O\n. . O O\n",
    )


@pytest.mark.parametrize("make", [jsonl, triples, brat, docbin, label_studio, conll], ids=lambda make: make.__name__)
def test_every_format_says_the_same(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """Three documents give the same texts and spans from every format, beyond ASCII and beyond the basic plane."""
    documents, faults, _ = read(make(tmp_path))
    assert faults == []
    assert [document.text for document in documents] == TEXTS
    for document, expected in zip(documents, SPANS, strict=True):
        (group,) = document.spans.values()
        assert [(span.start, span.end, span.label) for span in group] == expected


def test_offsets_in_utf16_are_turned_into_code_points(tmp_path: Path) -> None:
    """Label Studio counts as browsers do: behind an emoji its offsets are one too high, which its words show."""
    path = label_studio(tmp_path, lambda text, at: len(text[:at].encode("utf-16-le")) // 2)
    documents, faults, notes = read(path)
    assert faults == [] and notes == {"offsets in units of UTF-16 were turned into code points": 1}
    assert [(s.start, s.end) for s in documents[2].spans["parts"]] == [(4, 11), (22, 28)]


# --- CoNLL

SCHEMES = {
    "IOB1": ["I-A", "I-A", "B-A", "O", "I-B"],
    "IOB2": ["B-A", "I-A", "B-A", "O", "B-B"],
    "BIOES": ["B-A", "E-A", "S-A", "O", "S-B"],
    "BILOU": ["B-A", "L-A", "U-A", "O", "U-B"],
}


@pytest.mark.parametrize("tags", SCHEMES.values(), ids=SCHEMES.keys())
@pytest.mark.parametrize("separator", [" ", "\t"], ids=["spaces", "tabs"])
def test_every_scheme_of_tags_says_the_same(tmp_path: Path, tags: list[str], separator: str) -> None:
    """IOB1, IOB2, BIOES and BILOU give the same spans."""
    path = put(tmp_path / "a.iob", "".join(f"w{n}{separator}{tag}\n" for n, tag in enumerate(tags)))
    ((document,), faults, _) = read(path)
    assert (document.text, faults) == ("w0 w1 w2 w3 w4", [])
    assert [(s.label, document.text[s.start : s.end]) for s in document.spans["entities"]] == [("A", "w0 w1"), ("A", "w2"), ("B", "w4")]


def test_without_separators_each_sentence_is_a_document(tmp_path: Path) -> None:
    """A blank line ends a document where nothing else does; comments are passed over, a token `#` is not; ids are taken from `# newdoc`."""
    documents, _, _ = read(put(tmp_path / "a.bio", "# id one\nA B-X\n# O\n\n\nB O\n"))
    assert [document.text for document in documents] == ["A #", "B"]
    documents, _, _ = read(put(tmp_path / "b.bio", "# newdoc id = d1\nA B-X\n\nB O\n# newdoc id = d2\nC O\n"))
    assert [(document.id, document.text) for document in documents] == [("d1", "A\nB"), ("d2", "C")]


@settings(deadline=None)
@given(st.lists(st.tuples(st.text("ab.,()'é😀", min_size=1, max_size=4), st.sampled_from(["O", "B-X", "I-X", "S-Y", "E-Y"])), min_size=1, max_size=30))
def test_a_span_begins_and_ends_with_its_tokens(tmp_path_factory: pytest.TempPathFactory, tokens: list[tuple[str, str]]) -> None:
    """Whatever the tokens and tags, spans lie inside the text, do not overlap, and hold whole tokens."""
    path = put(tmp_path_factory.mktemp("conll") / "a.conll", "".join(f"{token}\t{tag}\n" for token, tag in tokens))
    ((document,), faults, _) = read(path)
    assert faults == []
    assert "".join(document.text.split()) == "".join(token for token, _ in tokens)
    spans = document.spans["entities"]
    assert all(a.end <= b.start for a, b in pairwise(spans))
    assert all(document.text[s.start : s.end] == document.text[s.start : s.end].strip() != "" for s in spans)
    assert sum(len("".join(document.text[s.start : s.end].split())) for s in spans) == sum(len(token) for token, tag in tokens if tag != "O")


# --- brat, DocBin, Label Studio: what is theirs alone


def test_brat_attributes_and_hulls(tmp_path: Path) -> None:
    """Attributes are answers of their span, a discontinuous span is taken as its hull, what has no place in a pack is counted."""
    put(tmp_path / "b" / "sub" / "1.txt", "Severe pain in both\nknees and no fever.")
    ann = "T1\tProblem 0 11;20 25\tSevere pain knees\nT2\tProblem 33 38\tfever\nA1\tNegated T2\nA2\tCertainty T1 high\nR1\tX Arg1:T1 Arg2:T2\n#1\tNote T1\tx\n"
    put(tmp_path / "b" / "sub" / "1.ann", ann)
    ((document,), faults, notes) = read(tmp_path / "b")
    assert faults == [] and document.id == "sub/1"
    assert document.spans["entities"] == (Span("Problem", 0, 25, {"Certainty": "high"}), Span("Problem", 33, 38, {"Negated": "yes"}))
    assert notes["discontinuous spans were taken from their first to their last character"] == 1
    assert notes["relations of brat are left out"] == notes["notes of brat are left out"] == 1


def test_docbin_has_groups_and_categories(tmp_path: Path) -> None:
    """`spans["sc"]`, other groups and `cats` from one half on are read; user data, which could be anything, is not."""
    import spacy
    from spacy.tokens import DocBin

    nlp, box = spacy.blank("en"), DocBin(store_user_data=True)
    doc = nlp("Blue kettles sell well.")
    doc.spans["sc"] = [doc.char_span(0, 12, label="THING"), doc.char_span(5, 12, label="THING")]
    doc.cats = {"good": 0.9, "bad": 0.2, "even": 0.5}
    doc.user_data["note"] = "x"
    box.add(doc)
    box.to_disk(tmp_path / "a.spacy")
    ((document,), _, _) = read(tmp_path / "a.spacy")
    assert document.fields == {"cats": ("good", "even")}
    assert [(s.start, s.end) for s in document.spans["sc"]] == [(0, 12), (5, 12)]


def annotation(label: str, **more: object) -> dict[str, Any]:
    return {"result": [{"id": "c", "from_name": "topic", "type": "choices", "value": {"choices": [label]}}], **more}


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ([annotation("a"), annotation("b")], "a"),
        ([annotation("a", was_cancelled=True), annotation("b")], "b"),
        ([annotation("a"), annotation("b", ground_truth=True)], "b"),
        ([annotation("a"), annotation("b", ground_truth=True, was_cancelled=True)], "a"),
    ],
    ids=["first", "not cancelled", "ground truth", "cancelled ground truth"],
)
def test_one_annotation_counts(tmp_path: Path, annotations: list[object], expected: str) -> None:
    """Of several annotations the ground truth counts, else the first that is not cancelled."""
    path = put(tmp_path / "a.json", json.dumps([{"id": 1, "data": {"text": "x"}, "annotations": annotations}]))
    ((document,), _, _) = read(path)
    assert document.fields == {"topic": (expected,)}


def test_choices_of_a_range_are_its_answers(tmp_path: Path) -> None:
    """A choice of one region becomes what is said of that span; other results are counted and left out."""
    result = [
        {"id": "r", "from_name": "parts", "type": "labels", "value": {"start": 0, "end": 3, "labels": ["CAR"]}},
        {"id": "r", "from_name": "state", "type": "choices", "value": {"start": 0, "end": 3, "choices": ["new"]}},
        {"from_name": "stars", "type": "rating", "value": {"rating": 3}},
    ]
    ((document,), _, notes) = read(put(tmp_path / "a.json", json.dumps([{"data": {"body": "Car"}, "annotations": [{"result": result}]}])))
    assert document.spans == {"parts": (Span("CAR", 0, 3, {"state": "new"}),)}
    assert notes == {"results of type 'rating' are left out": 1}


# --- every bad row is named

BAD_ROWS: dict[str, tuple[str, str | bytes, str]] = {
    "no JSON": ("a.jsonl", f'{{"text": "ok"}}\n{{"text": "{SECRET}"\n', "a.jsonl:2: Not valid JSON at column"),
    "deep JSON": ("a.jsonl", '{"text": "ok"}\n' + "[" * 100_000 + "\n", "a.jsonl:2: "),
    "huge number": ("a.jsonl", '{"text": "ok"}\n{"text": "x", "label": ' + "9" * 5000 + "}\n", "a.jsonl:2: "),
    "no object": ("a.jsonl", '{"text": "ok"}\n[1]\n', "a.jsonl:2: The row is list, expected an object."),
    "no text": (
        "a.jsonl",
        '{"text": "ok"}\n{"body": "x"}\n',
        "a.jsonl:2: The row has no 'text'. Its keys: body. Name the key that holds the text: --text-column.",
    ),
    "empty text": ("a.jsonl", '{"text": "ok"}\n{"text": "  "}\n', "a.jsonl:2: The text is empty. Leave the row out."),
    "number as text": ("a.jsonl", '{"text": "ok"}\n{"text": 3}\n', "a.jsonl:2: The text is int, expected a string."),
    "NUL": ("a.jsonl", '{"text": "ok"}\n{"text": "a\\u0000"}\n', "a.jsonl:2: The text holds U+0000 at character 1"),
    "half a pair": ("a.jsonl", '{"text": "ok"}\n{"text": "a\\ud83d"}\n', "a.jsonl:2: The text holds U+D83D at character 1"),
    "too long": ("a.jsonl", '{"text": "ok"}\n{"text": "' + "x" * (MAX_CHARS + 1) + '"}\n', f"a.jsonl:2: The text has {MAX_CHARS + 1} characters"),
    "endless line": ("a.jsonl", '{"text": "ok"}\n' + "x" * 9_000_000 + "\n", "a.jsonl:2: The line has more than 8000000 characters."),
    "not UTF-8": (
        "a.jsonl",
        b'{"text": "ok"}\n{"text": "caf\xe9"}\n',
        "a.jsonl:2: The line is not utf-8. Save it as UTF-8, or name its encoding: --encoding cp1252.",
    ),
    "span outside": (
        "a.jsonl",
        '{"text": "ok"}\n{"text": "abc", "s": [{"start": 1, "end": 9, "label": "X"}]}\n',
        "a.jsonl:2: s 1: Span 1..9 lies outside the text of 3",
    ),
    "empty span": ("a.jsonl", '{"text": "ok"}\n{"text": "abc", "s": [{"start": 1, "end": 1, "label": "X"}]}\n', "a.jsonl:2: s 1: Span 1..1 lies outside"),
    "words of a span": (
        "a.jsonl",
        '{"text": "ok"}\n{"text": "abc' + SECRET + '", "s": [{"start": 0, "end": 2, "label": "X", "text": "bc"}]}\n',
        "a.jsonl:2: s 1: Span 0..2 does not cover the 2 characters that the source says it covers. Count offsets in code points",
    ),
    "bytes counted": (
        "a.jsonl",
        '{"text": "ok"}\n{"text": "éé abc", "s": [{"start": 5, "end": 8, "label": "X", "text": "abc"}]}\n'.replace('"éé abc"', '"éé abc ..."'),
        "a.jsonl:2: s 1: Span 5..8 does not cover the 3 characters that the source says it covers. The offsets seem to count bytes of UTF-8",
    ),
    "no label": ("a.jsonl", '{"text": "ok"}\n{"text": "abc", "s": [{"start": 0, "end": 1}]}\n', "a.jsonl:2: s 1: The span's label is 'None', expected a name."),
    "true as offset": ("a.jsonl", '{"text": "ok"}\n{"text": "abc", "s": [[true, 2, "X"]]}\n', "a.jsonl:2: s 1: A span has no whole numbers as start and end."),
    "ragged": ("a.csv", "text,label\nok,a\nx\n", "a.csv:3: The row has 1 fields, expected the header's 2. Quote fields"),
    "empty cell": ("a.csv", "text,label\nok,a\n,a\n", "a.csv:3: The text is empty."),
    "unclosed quote": ("a.csv", f'text,label\nok,a\n"{SECRET},a\nx,b\n', "a.csv:3: A quote in the row that starts at line 3 is not closed"),
    "bytes in CSV": ("a.csv", b"text,label\nok,a\ncaf\xe9,a\n", "a.csv:3: The line is not utf-8."),
    "one column": ("a.conll", "ok O\n\nalone\n", "a.conll:3: The line has 1 columns, expected 2 to 4"),
    "five columns": ("a.conll", "ok O\n\na b c d O\n", "a.conll:3: The line has 5 columns"),
    "no token": ("a.conll", "ok O\n\n\tO\n", "a.conll:3: The token is empty. Correct the line; its document was left out."),
    "NUL in a token": ("a.conll", "ok O\n\na\0 O\n", "a.conll:3: The text holds U+0000 at character 1"),
    "no tag": ("a.conll", f"ok O\n\na {SECRET * 9}\n", "a.conll:3: The tag is of 72 characters, expected O, B-LABEL or I-LABEL."),
    "cancelled": (
        "a.json",
        '[{"data": {"text": "ok"}, "annotations": [{"result": []}]}, {"annotations": [{"was_cancelled": true}]}]',
        "a.json:2: The task has no annotation",
    ),
    "text of the task": (
        "a.json",
        '[{"data": {"text": "ok"}, "annotations": [{"result": []}]}, {"data": {"a": "x", "b": "y"}, "annotations": [{}]}]',
        "a.json:2: The task's data has no text 'text'. Its texts: a, b.",
    ),
    "range of the task": (
        "a.json",
        '[{"data": {"text": "ok"}, "annotations": [{"result": []}]}, {"data": {"text": "abc"}, "annotations": [{"result": '
        '[{"type": "labels", "from_name": "p", "value": {"start": 0, "end": 7, "labels": ["X"]}}]}]}]',
        "a.json:2: result 1: Span 0..7 lies outside the text of 3 characters",
    ),
}


@pytest.mark.parametrize(("name", "content", "expected"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_a_bad_row_is_named_and_the_rest_goes_on(tmp_path: Path, name: str, content: str | bytes, expected: str) -> None:
    """A bad row is a fault with its place, what was expected and what to do, without the text; the row beside it is read."""
    documents, faults, _ = read(put(tmp_path / name, content))
    assert [document.text for document in documents] == ["ok"]
    assert str(faults[0]).startswith(expected)
    assert len(faults) == 1 and SECRET not in str(faults[0])


BRAT_FAULTS = {
    "no ann": ({"1.txt": "x"}, "b/1.txt: There is no .ann file of this name."),
    "no txt": ({"1.ann": "x"}, "b/1.ann: There is no .txt file of this name."),
    "no span": ({"1.txt": "x", "1.ann": "T1 X 0 1 x\n"}, "b/1.ann:1: The line is no span"),
    "strange line": ({"1.txt": "x", "1.ann": "\nZ1\tX\n"}, "b/1.ann:2: The line begins with none of T, A, M"),
    "outside": ({"1.txt": "x", "1.ann": "T1\tX 0 5\tx\n"}, "b/1.ann:1: Span 0..5 lies outside the text of 1"),
    "other words": ({"1.txt": f"{SECRET} b", "1.ann": f"T1\tX 0 8\t{SECRET[1:]}\n"}, "b/1.ann:1: Span 0..8 does not cover the 7 characters"),
    "not UTF-8": ({"1.txt": b"\xe9", "1.ann": ""}, "b/1.txt: The file is not UTF-8 at byte 0."),
    "bytes counted": ({"1.txt": "éé ab", "1.ann": "T1\tX 5 7\tab\n"}, "b/1.ann:1: Span 5..7 lies outside the text of 5"),
}


@pytest.mark.parametrize(("files", "expected"), BRAT_FAULTS.values(), ids=BRAT_FAULTS.keys())
def test_a_bad_file_of_brat_is_named(tmp_path: Path, files: dict[str, str | bytes], expected: str) -> None:
    """A faulty pair of files is named, and the one beside it is read."""
    for name, content in (files | {"z.txt": "ok", "z.ann": ""}).items():
        put(tmp_path / "b" / name, content)
    (documents, (fault,), _) = read(tmp_path / "b")
    assert [document.text for document in documents] == ["ok"]
    assert str(fault).startswith(expected) and SECRET not in str(fault)


UNREADABLE: dict[str, tuple[str, str | bytes, str]] = {
    "no such suffix": ("a.xlsx", "x", r"files with the suffix '\.xlsx' are not read\. Known: \.jsonl"),
    "no JSON": ("a.json", "{", "not valid JSON in UTF-8. Export from Label Studio"),
    "no list": ("a.json", "{}", "is dict, expected a list of objects"),
    "empty DocBin": ("a.spacy", b"", "is no DocBin that this spaCy reads"),
    "half a DocBin": ("a.spacy", zlib.compress(bytes(1000))[:10], "is no DocBin that this spaCy reads"),
    "no DocBin": ("a.spacy", b"hello", "is no DocBin: it is not packed by zlib"),
    "another DocBin": ("a.spacy", zlib.compress(b"hello"), "is no DocBin that this spaCy reads"),
    "no text column": ("a.csv", "body,label\nx,y\n", "has no column 'text'. Its columns: body, label. Name the one that holds the text: --text-column"),
    "column twice": ("a.csv", "text,a,a\nx,y,z\n", "columns that stand twice in the header: a"),
}


@pytest.mark.parametrize(("name", "content", "expected"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_file_that_cannot_be_read_at_all_is_an_error(tmp_path: Path, name: str, content: str | bytes, expected: str) -> None:
    """Where no row can be had the error names the file and the remedy."""
    with pytest.raises((DataError, UsageError), match=expected):
        read(put(tmp_path / name, content))


def test_a_packed_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DocBin that unpacks to more than the bound is refused before spaCy sees it, in the memory of a part."""
    monkeypatch.setattr("pipelines.importers.docbin.MAX_UNPACKED", 10_000_000)
    with pytest.raises(DataError, match="unpacks to more than"):
        read(put(tmp_path / "a.spacy", zlib.compress(bytes(50_000_000))))


def test_other_columns_and_encodings(tmp_path: Path) -> None:
    """Names of columns may be given, semicolons and a byte-order mark are seen, cp1252 is read where it is named."""
    documents, _, notes = read(put(tmp_path / "a.csv", "\ufeffnr;body;team\n7;café, au lait;x\n"), Columns(text="body", id="nr"))
    assert [(d.id, d.text, d.fields) for d in documents] == [("7", "café, au lait", {"team": ("x",)})]
    assert notes == {"the file's fields are parted by semicolons": 1}
    documents, faults, _ = read(put(tmp_path / "b.csv", "text,label\ncafé,x\n".encode("cp1252")), Columns(encoding="cp1252"))
    assert (documents[0].text, faults) == ("café", [])
    with pytest.raises(UsageError, match=r"--label-column: No column 'teem'\. Known: nr, team, text\. Did you mean 'team'\?"):
        read(put(tmp_path / "c.csv", "nr,text,team\n"), Columns(label="teem"))


def test_time_is_linear_in_hostile_input(tmp_path: Path) -> None:
    """100,000 nested and overlapping spans, a field of a million quotes, and a million blank lines take seconds, not hours."""
    began = time.monotonic()
    spans = [[i % 1000, i % 1000 + 1 + i % 7, "X"] for i in range(100_000)]
    documents, _, _ = read(put(tmp_path / "a.jsonl", json.dumps({"text": "x" * 2000, "s": spans})))
    seen = survey([*documents])
    gold = gold_of(documents[0], bind([Ask("s", "spans")], seen))
    assert isinstance(gold, Gold) and len(gold.answers) == 143
    read(put(tmp_path / "b.csv", "text,label\n" + '"' * 1_000_001))
    read(put(tmp_path / "c.conll", "\n" * 1_000_000))
    assert time.monotonic() - began < 30


# --- tasks


def seen_in(path: Path) -> Any:
    return survey(read_labelled(path, Columns()))


GUESSES: dict[str, tuple[list[dict[str, Any]], list[Ask]]] = {
    "one column": ([{"text": "a", "team": t} for t in "xxyy"], [Ask("team", "choice", field="team")]),
    "called label": ([{"text": "a", "label": t, "other": t} for t in "xxyy"], [Ask("label", "choice", field="label")]),
    "tags": ([{"text": "a", "labels": ["x", "y"]}, {"text": "b", "labels": []}, {"text": "c", "labels": ["x", "y"]}], [Ask("label", "tags", field="labels")]),
    "cats": ([{"text": "a", "cats": {"x": 1.0, "y": 0}}, {"text": "a", "cats": {"x": 0, "y": 1}}], [Ask("category", "choice", field="cats")]),
    "spans": ([{"text": "abc", "spans": [[0, 1, "X"]], "source": s} for s in "aabb"], [Ask("entities", "spans", field="spans")]),
    "answers": (
        [{"text": "abc", "p": [{"start": 0, "end": 1, "label": "X", "mood": m}, {"start": 1, "end": 2, "label": "Y"}]} for m in ("good", "bad")],
        [Ask("p", "spans", field="p"), Ask("mood", "choice", "span", of="p", of_labels=("X",), field="mood")],
    ),
}


@pytest.mark.parametrize(("rows", "expected"), GUESSES.values(), ids=GUESSES.keys())
def test_tasks_are_guessed_where_they_are_plain(tmp_path: Path, rows: list[dict[str, Any]], expected: list[Ask]) -> None:
    """The one field that looks like a label is a choice or tags, groups are spans, what all spans of a label have is asked of them."""
    path = put(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert guess(seen_in(path)) == expected


UNPLAIN: dict[str, tuple[list[dict[str, Any]], str]] = {
    "two columns": (
        [{"text": "a", "x": t, "y": t} for t in "aabb"],
        "Several fields could be the label: x, y. Say which: --label-column NAME, or one or more of: --task x:choice",
    ),
    "none": ([{"text": "a", "x": str(t)} for t in range(30)], "No field looks like a label: one has 2 to 200 values"),
    "texts": ([{"text": "a", "x": t * 100} for t in "aabb"], "No field looks like a label"),
}


@pytest.mark.parametrize(("rows", "expected"), UNPLAIN.values(), ids=UNPLAIN.keys())
def test_what_is_not_plain_is_asked(tmp_path: Path, rows: list[dict[str, Any]], expected: str) -> None:
    """Nothing is guessed where several fields could be meant or none can: the error names them and the options."""
    path = put(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UsageError) as caught:
        guess(seen_in(path))
    assert caught.value.message.startswith(expected)


ASKS = {
    "topic:choice:document:a,b": Ask("topic", "choice", labels=("a", "b")),
    "topic:choice": Ask("topic", "choice"),
    "topic:choice:a,b": Ask("topic", "choice", labels=("a", "b")),
    "flags:tags:document:a": Ask("flags", "tags", labels=("a",)),
    "parts:spans:MAKER, MODEL": Ask("parts", "spans", labels=("MAKER", "MODEL")),
    "mood:choice:sentence:glad,sad": Ask("mood", "choice", "sentence", ("glad", "sad")),
    "state:choice:span(parts):new,used": Ask("state", "choice", "span", ("new", "used"), "parts"),
}


@pytest.mark.parametrize(("written", "expected"), ASKS.items(), ids=ASKS.keys())
def test_a_task_is_read_as_it_is_written(written: str, expected: Ask) -> None:
    """--task is read, and what is shown of a task can be given again."""
    assert parse_ask(written) == expected
    assert parse_ask(expected.written) == expected


BAD_ASKS = {
    "topic": "expected NAME:KIND[:SCOPE]:LABEL,LABEL",
    "Topic:choice:a,b": "'Topic' is no task name: expected a small letter",
    "topic:chioce:a,b": "No kind 'chioce'. Known: choice, spans, tags. Did you mean 'choice'?",
    "topic:choice:paragraph:a,b": "'paragraph' is no scope: expected document, sentence or span(TASK)",
    "topic:tags:sentence:a,b": "kind 'tags' is asked of the document",
    "topic:choice:document:a b,c": "'a b' is no label: expected a letter",
    "topic:choice:document:a": "a choice needs two labels or more",
    "topic:choice:document:a,a": "a label stands twice",
}


@pytest.mark.parametrize(("written", "expected"), BAD_ASKS.items(), ids=BAD_ASKS.keys())
def test_a_bad_task_is_refused(written: str, expected: str) -> None:
    """A --task that cannot be meant is refused, and the error says which part and what was expected."""
    with pytest.raises(UsageError) as caught:
        parse_ask(written)
    assert expected in caught.value.message


def test_tasks_must_fit_together() -> None:
    """Two tasks of one name, a task asked of none, and a field of no task are refused."""
    with pytest.raises(UsageError, match="two tasks have the same name"):
        placed([parse_ask("a:choice"), parse_ask("a:tags")], [])
    with pytest.raises(UsageError, match=r"No spans task 'parts'\. Known: part\. Did you mean 'part'\?"):
        placed([parse_ask("part:spans:X"), parse_ask("b:choice:span(parts):x,y")], [])
    with pytest.raises(UsageError, match=r"expected TASK=FIELD\. No task 'c'"):
        placed([parse_ask("a:choice")], ["c=label"])
    assert [ask.name for ask in placed([parse_ask("b:choice:span(p):x,y"), parse_ask("p:spans:X")], ["b=mood"])] == ["p", "b"]


def test_gold_follows_the_tasks(tmp_path: Path) -> None:
    """Every kind and scope: labels are matched without regard to case, spans trimmed, the longest kept, absent answers masked."""
    row = {
        "text": "Red Kestrel sells . Fine.",
        "topic": "Bicycles",
        "flags": "new; cheap",
        "parts": [
            {"start": 0, "end": 12, "label": "maker", "mood": "good"},
            {"start": 4, "end": 11, "label": "MAKER", "mood": "bad"},
            {"start": 0, "end": 3, "label": "COLOUR"},
        ],
        "sentences": [{"start": 0, "end": 19, "label": "fact"}, {"start": 20, "end": 25, "label": "view"}],
        "empty": None,
    }
    path = put(tmp_path / "a.jsonl", json.dumps(row))
    tasks = ["topic:choice:bicycles,cars", "flags:tags", "parts:spans:MAKER", "mood:choice:span(parts):good,bad", "role:choice:sentence", "empty:choice:x,y"]
    bounds = bind(placed([parse_ask(task) for task in tasks], ["role=sentences"]), seen_in(path))
    gold = gold_of(read(path)[0][0], bounds)
    assert isinstance(gold, Gold)
    assert set(gold.answers) == {
        *(Answer("topic", "bicycles", 0, 25), Answer("flags", "new", 0, 25), Answer("flags", "cheap", 0, 25)),
        *(Answer("parts", "MAKER", 0, 11), Answer("mood", "good", 0, 11), Answer("role", "fact", 0, 19), Answer("role", "view", 20, 25)),
    }
    assert gold.tasks == {"topic", "flags", "parts", "mood", "role"}
    assert Counter(gold.notes) == {
        "spaces at the ends of spans were cut off": 1,
        "of overlapping spans the longest was kept": 1,
        "spans labelled 'COLOUR' are asked for by no task and were left out": 1,
    }


GOLD_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "another label": (
        {"text": "a", "topic": "boats"},
        "Label 'boats' of field 'topic' is none of task 'topic': cars, bikes. Add it to --task, or correct the row.",
    ),
    "two labels": ({"text": "a", "topic": ["cars", "bikes"]}, "Field 'topic' has 2 labels, expected one: task 'topic' is a choice."),
    "no label": ({"text": "a", "topic": ""}, "The row answers no task: 'topic' has no label there."),
    "a text as label": ({"text": "a", "topic": SECRET * 20}, "Label of 160 characters of field 'topic' is none of"),
    "half a pair as id": ({"text": "a", "topic": "cars", "id": "a\ud83d"}, "The id is 'a\\ud83d', expected printable characters."),
    "a long id": ({"text": "a", "topic": "cars", "id": "x" * 201}, "The id has 201 characters, expected 200 at most."),
}


@pytest.mark.parametrize(("row", "expected"), GOLD_FAULTS.values(), ids=GOLD_FAULTS.keys())
def test_a_row_that_answers_wrongly_is_named(tmp_path: Path, row: dict[str, Any], expected: str) -> None:
    """A row whose labels the task does not have is a fault, never silently another answer."""
    path = put(tmp_path / "a.jsonl", "\n".join(json.dumps(r) for r in ({"text": "b", "topic": "cars"}, {"text": "c", "topic": "bikes"}, row)))
    bounds = bind([parse_ask("topic:choice:cars,bikes")], seen_in(path))
    fault = gold_of(read(path)[0][2], bounds)
    assert isinstance(fault, Fault)
    assert fault.place == "a.jsonl:3" and str(fault).partition(": ")[2].startswith(expected)


def test_few_labels_of_a_wide_field_may_be_asked_for(tmp_path: Path) -> None:
    """Of a field with more values than labels may be, those asked for are found wherever they stand, and rows with others are named."""
    rows = [{"text": f"t{i}", "topic": f"label {i}"} for i in range(400)] + [{"text": "x", "topic": "Bikes"}, {"text": "y", "topic": "cars"}]
    path = put(tmp_path / "a.jsonl", "\n".join(json.dumps(row) for row in rows))
    bounds = bind([parse_ask("topic:choice:bikes,cars")], seen_in(path))
    found = [gold_of(row, bounds) for row in read(path)[0]]
    assert [gold.answers[0].label for gold in found if isinstance(gold, Gold)] == ["bikes", "cars"]
    with pytest.raises(DataError, match="has more than 200 labels, or longer ones than labels are"):
        bind([parse_ask("topic:choice")], seen_in(path))


def test_a_flag_is_yes_or_no(tmp_path: Path) -> None:
    """An attribute that is only ever set is a choice of yes and no, and a span without it is a no."""
    put(tmp_path / "b" / "1.txt", "pain fever")
    put(tmp_path / "b" / "1.ann", "T1\tP 0 4\tpain\nT2\tP 5 10\tfever\nA1\tNegated T2\n")
    seen = seen_in(tmp_path / "b")
    bounds = bind(guess(seen), seen)
    gold = gold_of(read(tmp_path / "b")[0][0], bounds)
    assert isinstance(gold, Gold)
    assert [(a.task, a.label, a.start) for a in gold.answers] == [("entities", "P", 0), ("entities", "P", 5), ("negated", "no", 0), ("negated", "yes", 5)]


LEGAL = {"Bill ing": "Bill_ing", "Öffentlich": "Offentlich", "1": "label_1", "好": "label", "a-b": "a_b", "a b": "a_b_2", "x" * 80: "x" * 60, "_y_": "y"}


def test_labels_become_legal_and_stay_different() -> None:
    """Any label becomes one that the contract takes, two never the same one, and the mapping says which."""
    assert legal_labels(LEGAL) == {**LEGAL, "a-b": "a_b_2", "a b": "a_b"}
    assert legal_labels(["Billing!", "BILLING", "boat"], ["billing"]) == {"Billing!": "billing", "BILLING": "billing"}
    assert [legal_name(name) for name in ("spans", "My Label", "2nd", "é" * 60)] == ["entities", "my_label", "field_2nd", "e" * 40]


@settings(deadline=None)
@given(st.lists(st.text(max_size=70), max_size=30, unique=True))
def test_any_labels_become_legal(labels: list[str]) -> None:
    """Whatever the labels, each gets a legal one of its own."""
    import re

    legal = legal_labels(labels)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,59}", label) for label in legal.values())
    assert len({label.lower() for label in legal.values()}) == len(labels)


# --- which documents become samples


def label_sets(n: int, rare: int) -> dict[int, frozenset[tuple[str, str]]]:
    return {i: frozenset({("t", "rare" if i % rare == 0 else "common")}) for i in range(n)}


def test_samples_are_even_and_repeatable() -> None:
    """Of many rows so many are drawn, each label as often as can be, the same of one seed and others of another."""
    rows = label_sets(10_000, 100)
    taken = drawn(rows, 150, 1)
    assert Counter(next(iter(rows[i]))[1] for i in taken) == {"rare": 75, "common": 75}
    assert taken == drawn(rows, 150, 1) != drawn(rows, 150, 2)
    assert Counter(next(iter(rows[i]))[1] for i in drawn(rows, 500, 1)) == {"rare": 100, "common": 400}
    assert drawn(rows, 20_000, 1) == list(rows)


@pytest.mark.parametrize("n", [20, 21, 40, 144, 500])
def test_made_ids_fill_the_splits(n: int) -> None:
    """Ids that are made give every split its share, of each label too, and what occurs once is in train."""
    labels = list(label_sets(n, 7).values())
    labels[1] = frozenset({("t", "once")})
    ids = split_ids([(None, one) for one in labels], "p", 1)
    splits = [split_of(id_) for id_ in ids]
    assert len(set(ids)) == n and set(splits) == set(SPLITS) and splits[1] == "train"
    for label in ("rare", "common"):
        shares = Counter(split for split, one in zip(splits, labels, strict=True) if ("t", label) in one)
        assert all(abs(shares[split] - SHARES[split] * sum(shares.values())) <= 2 for split in SPLITS)


def test_given_ids_stay() -> None:
    """An id that the data has is kept, wherever it lies, and no made one equals it."""
    ids = split_ids([("p-00002", frozenset()), (None, frozenset()), ("b", frozenset())], "p", 1)
    assert (ids[0], ids[2]) == ("p-00002", "b") and len(set(ids)) == 3


def test_faults_are_bounded(tmp_path: Path) -> None:
    """Of many bad rows all are counted and a bounded number is kept."""
    seen = seen_in(put(tmp_path / "a.jsonl", '{"text": "ok"}\n' + "no\n" * (MAX_FAULTS + 5)))
    assert (seen.n_rows, seen.n_faults, len(seen.faults)) == (1, MAX_FAULTS + 5, MAX_FAULTS)


def test_a_docbin_is_read_without_torch(tmp_path: Path) -> None:
    """A process that reads every format, spaCy's too, has not imported torch, which takes seconds and 300 MB."""
    code = "import sys; from pathlib import Path; from pipelines.importers import Columns, read_labelled\n"
    code += "assert sum(1 for _ in read_labelled(Path(sys.argv[1]), Columns())) == 3; print(sorted({'torch', 'transformers'} & sys.modules.keys()))"
    command = [sys.executable, "-c", code, str(docbin(tmp_path))]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.parametrize("make", [jsonl, docbin, label_studio, conll, brat], ids=lambda make: make.__name__)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_damaged_file_never_crashes(tmp_path_factory: pytest.TempPathFactory, make: Callable[[Path], Path], data: st.DataObject) -> None:
    """Whatever bytes of a file are changed, cut out or doubled, what can be read is read and the rest is a fault or one error of ours."""
    path = make(tmp_path_factory.mktemp("damaged"))
    file = next(iter(sorted(path.glob("*.ann")))) if path.is_dir() else path
    content = file.read_bytes()
    is_packed = path.suffix == ".spacy"
    content = bytearray(zlib.decompress(content) if is_packed else content)
    for _ in range(data.draw(st.integers(1, 4))):
        at, length = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, 8))
        content[at : at + length] = data.draw(st.binary(max_size=8))
    file.write_bytes(zlib.compress(bytes(content)) if is_packed else bytes(content))
    try:
        documents, faults, _ = read(path)
    except (DataError, UsageError):
        return
    for document in documents:
        assert all(0 <= s.start < s.end <= len(document.text) for group in document.spans.values() for s in group)
    assert all(fault.place and fault.what and fault.remedy for fault in faults)
    seen = survey([*documents, *faults])
    try:
        bounds = bind(guess(seen), seen)
    except (DataError, UsageError):
        return
    assert all(isinstance(gold_of(document, bounds), Gold | Fault) for document in documents)


@settings(deadline=None)
@given(content=st.binary(max_size=300), suffix=st.sampled_from([".jsonl", ".csv", ".tsv", ".conll", ".json", ".spacy"]))
def test_no_bytes_crash_a_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str) -> None:
    """Any bytes under any suffix give documents and faults, or one error of ours."""
    with suppress(DataError, UsageError):
        read(put(tmp_path_factory.mktemp("bytes") / f"a{suffix}", content))
