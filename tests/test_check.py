"""`check`: every message names the file, the place, the value and the remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suites.check import check_pack
from suites.discover import Pack, read_manifest
from suites.manifest_faults import manifest_faults
from workers.cli import main

from .workers.conftest import home as workers_home

home = workers_home
SECRET = "Zanzibar"


TASKS = {
    "topic": 'kind = "choice"\nquestion = "Is it about animals or weather?"\nlabels = ["animals", "weather"]',
    "mood": 'kind = "choice"\nscope = "sentence"\nquestion = "Is the sentence glad or sad?"\nlabels = ["glad", "sad"]',
    "things": 'kind = "spans"\nquestion = "Which things are named?"\nlabels = ["A"]',
    "flags": 'kind = "tags"\nquestion = "Is it urgent, is it a draft?"\nlabels = ["urgent", "draft"]',
}
HEAD = 'name = "toy"\nversion = "1.0"\ntitle = "Toy notices"\ndescription = "Reads notices."\n\n[text]\nwindow_tokens = 64\noverlap_tokens = 16\n\n'
COLUMN = '[[column]]\nname = "topic"\ntask = "topic"\nshow = "label"\ndescription = "The topic with the highest score."\n'
HEADINGS = ("Intended use", "Out of scope", "Data", "Known failures", "Contact")


def toy_sample(number: int) -> dict[str, Any]:
    """A notice with gold for every task."""
    text = f"The dog number {number} barks."
    found = [("topic", ("animals", "weather")[number % 2], 0, len(text)), ("mood", ("glad", "sad")[number % 2], 0, len(text)), ("things", "A", 4, 7)]
    found.append(("flags", ("urgent", "draft")[number % 2], 0, len(text)))
    findings = [{"task": task, "label": label, "start": start, "end": end} for task, label, start, end in found]
    return {"id": f"toy-{number:04}", "text": text, "findings": findings}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A pack that keeps the contract, in no folder of packs; a test may spoil it."""
    folder = tmp_path / "elsewhere" / "toy"
    folder.mkdir(parents=True)
    tasks = "".join(f'[[task]]\nname = "{name}"\n{rest}\n\n' for name, rest in TASKS.items())
    (folder / "pack.toml").write_text(HEAD + tasks + COLUMN, encoding="utf-8")
    (folder / "card.md").write_text("".join(f"## {heading}\n\nTests.\n" for heading in HEADINGS), encoding="utf-8")
    (folder / "samples.jsonl").write_text("".join(json.dumps(toy_sample(number)) + "\n" for number in range(60)), encoding="utf-8")
    (folder / "hooks.py").write_text("def clean(text):\n    return text\n", encoding="utf-8")
    assert check_pack(Pack(read_manifest(folder), folder)) == []
    return folder


def swap(old: str, new: str) -> Callable[[str], str]:
    def changed(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return changed


MANIFEST: dict[str, tuple[Callable[[str], str], list[str]]] = {
    "unknown key": (
        swap('title = "Toy notices"', 'titel = "Toy notices"'),
        ["pack.toml: title: not there. Add it: title = ...", "pack.toml:3: titel: unknown key. Did you mean 'title'?"],
    ),
    "key of a task": (
        swap('labels = ["glad", "sad"]', 'labels = ["glad", "sad"]\nlables = []'),
        ["pack.toml:22: task.1.lables (task 'mood'): unknown key. Did you mean 'labels'?"],
    ),
    "key like none": (
        swap('show = "label"', 'show = "label"\ncolour = "red"'),
        ["pack.toml:39: column.0.colour (column 'topic'): unknown key. Expected one of: description, index, name, only, show, task."],
    ),
    "missing key": (
        swap('question = "Is the sentence glad or sad?"\n', ""),
        ["pack.toml:16: task.1.question (task 'mood'): not there. Add it: question = ..."],
    ),
    "bad name": (
        swap('name = "flags"', 'name = "Flags"'),
        ["'Flags' is not allowed. Expected a small letter a-z, then small letters, digits and underscores, 40 at most."],
    ),
    "bad label": (swap('"urgent"', '"very urgent"'), ["task.3.labels.0 (task 'flags'): 'very urgent' is not allowed. Expected a letter A-Z or a-z"]),
    "bad kind": (swap('kind = "tags"', 'kind = "tag"'), ["task.3.kind (task 'flags'): 'tag' is not allowed. Did you mean 'tags'?"]),
    "bad version": (swap('version = "1.0"', 'version = "one"'), ["pack.toml:2: version: 'one' is not allowed. Expected a version as \"1.0\"."]),
    "no labels": (swap('labels = ["A"]', "labels = []"), ["task.2.labels (task 'things'): is empty. Expected one entry or more."]),
    "a wrong number": (
        swap("window_tokens = 64", "window_tokens = 8"),
        ["pack.toml:7: text.window_tokens: 8: input should be greater than or equal to 16. Change the value."],
    ),
    "a choice of one": (swap('labels = ["glad", "sad"]', 'labels = ["glad"]'), ["task.1 (task 'mood'): task 'mood' is a choice and needs two labels or more."]),
    "a column of no task": (swap('task = "topic"', 'task = "tropic"'), ["manifest: column 'topic' shows no task of this pack: 'tropic'."]),
    "no TOML": (swap('version = "1.0"', "version = 1.0.0"), ["not valid TOML: ", "(at line 2, column 14). Mend the line"]),
    "key of a cost": (
        swap("[[column]]\n", "[task.cost]\nurgent = {false_positiv = 2}\n[[column]]\n"),
        ["pack.toml:36: task.3.cost.urgent.false_positiv (task 'flags'): unknown key. Did you mean 'false_positive'?"],
    ),
}


@pytest.mark.parametrize(("change", "expected"), MANIFEST.values(), ids=MANIFEST.keys())
def test_a_problem_of_the_manifest_has_line_value_and_remedy(toy: Path, change: Callable[[str], str], expected: list[str]) -> None:
    """Each problem of pack.toml is told with the line it stands in, the key, the value, and the nearest key or what was expected."""
    path = toy / "pack.toml"
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    found = "\n".join(manifest_faults(toy))
    assert all(part in found for part in expected), found
    assert all(line.startswith(f"{path}") for line in found.splitlines())


def test_all_problems_of_a_manifest_are_told(toy: Path) -> None:
    """Several slips give several problems, each once, and what only follows from them is not told."""
    path = toy / "pack.toml"
    text = path.read_text(encoding="utf-8").replace("question =", "qestion =").replace('show = "label"', 'show = "lable"')
    path.write_text(text, encoding="utf-8")
    found = manifest_faults(toy)
    assert len(found) == len(set(found)) == 4 + 4 + 1


def test_lines_are_those_of_the_keys(toy: Path) -> None:
    """Each line that is told holds the key that is told."""
    path = toy / "pack.toml"
    text = re.sub(r"^(name|kind|task|labels|description) = .*$", r"\1 = 7", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    path.write_text(text, encoding="utf-8")
    lines = text.splitlines()
    for problem in manifest_faults(toy):
        match = re.match(rf"{re.escape(str(path))}:(\d+): ([\w.]+)", problem)
        assert match and lines[int(match[1]) - 1].startswith(f"{match[2].split('.')[-1]} = 7"), problem


def sample(**change: Any) -> str:
    """The first sample with other values."""
    return json.dumps({**toy_sample(0), "id": "spoilt", **change})


SAMPLES: dict[str, tuple[str, str]] = {
    "no JSON": (f'{{"id": "{SECRET}"', "not valid JSON at column"),
    "deep JSON": ("[" * 100_000, "not valid JSON"),
    "no object": ("[]", "is list, expected an object"),
    "key nearly right": ('{"id": "x", "text": "t", "findngs": []}', "findngs: unknown key. Did you mean 'findings'?"),
    "no id": (sample(id=None), "id: is not there, expected a string."),
    "number as id": (sample(id=7), "id: is a number, expected a string. Give each document an id of its own, in quotes."),
    "long id": (sample(id="x" * 300), "id: has 300 characters, expected 200 at most."),
    "half a pair in an id": (sample(id="a\ud83d"), "id: holds U+D83D at character 1, which no store takes. Write it anew."),
    "id twice": (sample(id="toy-0003"), "id 'toy-0003' stands in line 4 already. Give each document an id of its own."),
    "no text": (sample(text=" "), "text: is empty, expected a string with words in it."),
    "NUL": (sample(text=f"{SECRET}\0"), "text: holds U+0000 at character 8, which no store takes. Take it out."),
    "no list": (sample(findings={}), "findings: is an object, expected a list of {task, label, start, end}."),
    "no finding": (sample(findings=[3]), "findings.0: is a number, expected {task, label, start, end}."),
    "lacks": (sample(findings=[{"task": "topic", "label": "animals", "start": 0}]), "findings.0: lacks end."),
    "unknown task": (
        sample(findings=[{"task": "topc", "label": "a", "start": 0, "end": 1}]),
        "findings.0: task: 'topc' is no task of pack 'toy'. Did you mean 'topic'?",
    ),
    "unknown label": (
        sample(findings=[{"task": "topic", "label": "animal", "start": 0, "end": 1}]),
        "findings.0: label: 'animal' is no label of task 'topic'. Did you mean 'animals'?",
    ),
    "label like none": (
        sample(findings=[{"task": "topic", "label": SECRET * 9, "start": 0, "end": 1}]),
        "is no label of task 'topic'. Expected one of: animals, weather.",
    ),
    "text as offset": (
        sample(findings=[{"task": "topic", "label": "animals", "start": "0", "end": 1}]),
        "findings.0: start, end: are a string and a number, expected whole numbers.",
    ),
    "range outside": (
        sample(text="abc", findings=[{"task": "topic", "label": "animals", "start": 0, "end": 4}]),
        "findings.0: start, end: range 0..4 is empty or outside the text of 3",
    ),
    "unknown task left out": (sample(tasks=["mod"]), "tasks: 'mod' is no task of pack 'toy'. Did you mean 'mood'?"),
    "not the whole text": (
        sample(text="abc", tasks=["topic"], findings=[{"task": "topic", "label": "animals", "start": 0, "end": 1}]),
        "task 'topic' wants one finding over the whole text",
    ),
    "overlap": (
        sample(text="abcd", tasks=["things"], findings=[{"task": "things", "label": "A", "start": s, "end": s + 2} for s in (0, 1)]),
        "task 'things' has overlapping ranges.",
    ),
}


@pytest.mark.parametrize(("line", "expected"), SAMPLES.values(), ids=SAMPLES.keys())
def test_a_problem_of_a_sample_has_its_line(toy: Path, line: str, expected: str) -> None:
    """Each problem of samples.jsonl is told with the number of its line, the key and the remedy, and quotes no text."""
    path = toy / "samples.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    found = check_pack(Pack(read_manifest(toy), toy))
    assert any(problem.startswith(f"{path}:61: ") and expected in problem for problem in found), found
    assert SECRET not in "\n".join(found)
    assert all(problem.startswith(f"{path}:61: ") for problem in found)


FILES: dict[str, tuple[str, bytes | None, str]] = {
    "no card": ("card.md", None, "card.md: not found. Write it, with the headings ## Intended use, ## Out of scope"),
    "no heading": ("card.md", b"## Data\nx\n", "card.md: has no heading '## Contact'. Add it, and say something below it."),
    "empty heading": ("card.md", b"## Data\n\n## Contact\nx\n", "card.md:1: nothing stands below '## Data'. Say it there."),
    "card in another encoding": ("card.md", b"## Data\n\xe9", "is not UTF-8 at byte 8. Save it as UTF-8."),
    "rules in another encoding": ("rules.jsonl", b"\xe9", "is not UTF-8 at byte 0. Save it as UTF-8."),
    "samples in another encoding": ("samples.jsonl", b"\xe9", "samples.jsonl: is not UTF-8 at byte 0. Save it as UTF-8."),
    "no samples": ("samples.jsonl", None, "samples.jsonl: not found. A pack ships gold-labelled samples"),
    "empty samples": ("samples.jsonl", b"", "samples.jsonl: has 0 documents, expected 20 or more."),
}


@pytest.mark.parametrize(("name", "content", "expected"), FILES.values(), ids=FILES.keys())
def test_a_problem_of_a_file_is_named(toy: Path, name: str, content: bytes | None, expected: str) -> None:
    """A file that is missing, empty or in another encoding is named with the remedy, and nothing crashes."""
    (toy / name).unlink(missing_ok=True)
    if content is not None:
        (toy / name).write_bytes(content)
    assert any(expected in problem for problem in check_pack(Pack(read_manifest(toy), toy)))


HOOKS: dict[str, tuple[str, str]] = {
    "raises": ("def clean(text):\n    return text[1:] + chr(-len(text))\n", "hooks.py:2: a hook raised ValueError on toy-0000."),
    "another length": (
        "def clean(text):\n    return text.strip('.')\n",
        "hooks.py: clean() changed the length of toy-0000. Put a space where a character goes.",
    ),
    "unknown task": ("'task': 'thngs'", "illegal finding for toy-0000: task 'thngs' is none of this pack. Did you mean 'things'?"),
    "unknown label": ("'label': 'B'", "illegal finding for toy-0000: label 'B' is none of task 'things'. Expected one of: A."),
    "range": ("'end': 999", "illegal finding for toy-0000: things/A has the range 0..999, and the text 23 characters."),
    "score": ("'score': 2", "illegal finding for toy-0000: things/A at 0..3 has the score 2, expected 0 to 1."),
    "no place": ("'start': None", "illegal finding for toy-0000: start is NoneType."),
    "no score": ("'score': None", "illegal finding for toy-0000: score is NoneType."),
    "a list for a task": ("'task': ['things']", "illegal finding for toy-0000: task is list."),
    "bytes": ("def clean(text):\n    return text.encode()\n", "hooks.py: clean() gave bytes for toy-0000, expected a string."),
    "value": ("'value': 3", "illegal finding for toy-0000: things/A at 0..3: its second range, value, number"),
    "no Python": ("def clean(text:\n", "hooks.py: fails on import: SyntaxError"),
}


@pytest.mark.parametrize(("code", "expected"), HOOKS.values(), ids=HOOKS.keys())
def test_a_problem_of_a_hook_is_named(toy: Path, code: str, expected: str) -> None:
    """What a hook does wrong on a sample is told with its line or the finding's fault, and quotes no text."""
    if not code.startswith("def"):
        code = f"def refine(text, findings):\n    return [{{**{{'task': 'things', 'label': 'A', 'start': 0, 'end': 3}}, **{{{code}}}}}]\n"
    (toy / "hooks.py").write_text(code, encoding="utf-8")
    found = check_pack(Pack(read_manifest(toy), toy))
    assert expected in found[0]
    assert "dog" not in "".join(found)


RULES: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "rules.jsonl:1: wants {label: 'task/LABEL', id, pattern} as JSON."),
    "deep JSON": ("[" * 100_000, "rules.jsonl:1: wants"),
    "unknown label": (
        '{"label": "thngs/A", "id": "x", "pattern": "dog"}',
        "rules.jsonl:1: label: 'thngs/A' is no spans task and label of this pack. Did you mean 'things/A'?",
    ),
    "two forms": ('{"label": "things/A", "id": "a", "pattern": "dog", "regex": "d.g"}', "rules.jsonl:1: has both 'pattern' and 'regex'. Keep one;"),
    "an id twice": (
        '{"label": "things/A", "id": "a", "pattern": "dog"}\n{"label": "things/A", "id": "a", "pattern": "cat"}',
        "rules.jsonl:2: id 'a' has a rule of this label in line 1 already.",
    ),
    "no id": ('{"label": "things/A", "pattern": "dog"}', "rules.jsonl:1: lacks ['id']."),
}


@pytest.mark.parametrize(("line", "expected"), RULES.values(), ids=RULES.keys())
def test_a_problem_of_a_rule_has_its_line(toy: Path, line: str, expected: str) -> None:
    """Each problem of rules.jsonl is told with the number of its line and the nearest label."""
    (toy / "rules.jsonl").write_text(line + "\n", encoding="utf-8")
    assert any(expected in problem for problem in check_pack(Pack(read_manifest(toy), toy)))


def test_any_folder_can_be_checked(home: Any, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check PATH` checks a folder that is found nowhere, runs none of its hooks, and says so; where it is found, they run."""
    mark = toy.parent / "ran"
    with (toy / "hooks.py").open("a", encoding="utf-8") as file:
        file.write(f"\nopen({str(mark)!r}, 'w').close()\n")
    assert main(["check", str(toy), "--json"]) == 0
    out, words = capsys.readouterr()
    assert json.loads(out)["data"] == {"toy": []} and not mark.exists()
    assert f"{toy / 'hooks.py'}: not run" in words
    toy.rename(toy.parent / "tey")
    assert main(["check", str(toy.parent / "tey")]) == 1
    assert "name: 'toy', expected the folder's, 'tey'." in capsys.readouterr().err


def test_what_a_card_still_asks_for_is_told(home: Any, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A card that `new-pack` wrote keeps the contract; what only its author knows is asked for, with its line."""
    with (toy / "card.md").open("a", encoding="utf-8") as file:
        file.write("\nSay here who labelled them.\n")
    n_lines = len((toy / "card.md").read_text(encoding="utf-8").splitlines())
    assert main(["check", str(toy)]) == 0
    assert f"still to be filled in before others use it: card.md:{n_lines}\n" in capsys.readouterr().err


def test_a_broken_pack_is_checked_by_name_or_path(home: Any, toy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest that cannot be read is told line by line, whether the pack is called by name, by path, or not at all."""
    torn = toy.rename(toy.parent / "torn")
    text = (torn / "pack.toml").read_text(encoding="utf-8").replace('"toy"', '"torn"', 1).replace("question =", "qestion =")
    (torn / "pack.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("STILLHOUSE_PACKS__FOLDERS", str(torn.parent))
    for arguments in (["torn"], [str(torn)], []):
        assert main(["check", *arguments]) == 1
        words = capsys.readouterr().err
        assert "torn: 8 problems" in words and "unknown key. Did you mean 'question'?" in words


def test_at_most_twenty_problems_are_shown(home: Any, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of many problems twenty are shown and the others counted; --json has all; the exit code is 1."""
    with (toy / "samples.jsonl").open("a", encoding="utf-8") as file:
        file.write("x\n" * 30)
    assert main(["check", str(toy), "--json"]) == 1
    out, words = capsys.readouterr()
    assert "toy: 30 problems" in words and "... and 10 more" in words
    assert words.count("samples.jsonl:") == 20 and len(json.loads(out)["data"]["toy"]) == 30


def test_neither_a_pack_nor_a_folder(home: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What is neither is a wrong usage: the known packs, the nearest, exit code 2."""
    assert main(["check", "finanse"]) == 2
    assert "No pack 'finanse'. Known: clinical, environment, finance" in (words := capsys.readouterr().err)
    assert "Did you mean 'finance'?" in words and "Nor is there a folder of this path." in words


def test_an_empty_folder_is_no_pack(home: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without a manifest is told so, with the way to one."""
    (tmp_path / "empty").mkdir()
    assert main(["check", str(tmp_path / "empty")]) == 1
    assert "pack.toml: not found. A pack is a folder with a pack.toml; `python manage.py new-pack NAME` makes one." in capsys.readouterr().err
