"""The pack contract, held by every pack that is found, and the discovery of packs."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.evaluate import given_of
from pipelines.following import following
from pipelines.joined import joined
from pipelines.metrics import score_task
from pipelines.rules import Rules
from suites.check import check_pack
from suites.discover import Pack, discover, find_pack, is_legal, read_manifest
from suites.errors import PackError
from suites.hooks import Hooks, load_hooks
from suites.samples import SPLITS, read_samples, split_of
from suites.types import LEADING, UNIT_CHARS, Example, Finding
from workers.tables import findings

PACKS = [pack for pack in discover()[0].values() if pack.origin == "folder"]
MIN_SAMPLES = 150
each_pack = pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.name)


@each_pack
def test_a_pack_keeps_the_contract(pack: Pack) -> None:
    """`manage.py check` finds no problem in a pack of the repository."""
    assert check_pack(pack) == []


@each_pack
def test_samples_suffice(pack: Pack) -> None:
    """A pack ships 150 samples or more, in all three splits, and every label of every task occurs."""
    examples = read_samples(pack)
    assert len(examples) >= MIN_SAMPLES
    assert Counter(split_of(e.document.id) for e in examples).keys() == set(SPLITS)
    seen = {(f.task, f.label) for e in examples for f in e.gold}
    assert seen == {(task.name, label) for task in pack.annotated_tasks for label in task.labels}


# reasons are right by code and sentence, not to the character, and need the student's answers: tests/suites/test_finance_reasons.py
# causes are every drug with every adverse effect of a sentence, of which not all are meant: tests/suites/test_clinical_causes.py
APART = {("finance", "reasons"), ("clinical", "causes")}


@pytest.mark.parametrize(
    ("pack", "name"),
    [pytest.param(p, t.name, id=f"{p.name}-{t.name}") for p in PACKS for t in p.manifest.task if t.answered_by == "rule" and (p.name, t.name) not in APART],
)
def test_rules_find_what_the_samples_hold(pack: Pack, name: str) -> None:
    """A task answered by rules scores 0.95 or more on the samples that annotate it, after refine, where the student answers as gold does."""
    examples = [e for e in read_samples(pack) if name in e.tasks]
    rules, hooks = Rules(pack.folder, pack.manifest.language, pack.manifest.task), load_hooks(pack)
    found = [answered(pack, e, rules, hooks) for e in examples]
    assert score_task(pack.tasks[name], [e.gold for e in examples], found).score >= 0.95


def answered(pack: Pack, example: Example, rules: Rules, hooks: Hooks) -> list[Finding]:
    """What is found in an example by rules and hooks beside a student without faults."""
    text = example.document.text
    ruled = rules.read(text)
    perfect = [f for f in example.gold if pack.tasks[f.task].answered_by == "student"]
    sentences = given_of(pack, example).sentences or ruled.sentences
    return following(pack, joined(text, hooks.refine(text, [*ruled.findings, *perfect]), pack.tasks), sentences, {}, len(text))


def test_a_broken_pack_leaves_the_others(toy_folder: Path, tmp_path: Path) -> None:
    """A pack that cannot be read is listed as broken with its reason, and the others are found."""
    shutil.copytree(toy_folder / "toy", tmp_path / "toy")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "pack.toml").write_text('name = "torn', encoding="utf-8")
    packs, broken = discover(suites=tmp_path)
    assert "toy" in packs
    assert [(b.name, b.folder) for b in broken] == [("torn", tmp_path / "torn")]
    assert "not valid TOML" in broken[0].reason
    with pytest.raises(PackError, match=r"'torn' is broken: .*pack\.toml: not valid TOML"):
        find_pack("torn", [tmp_path])


def test_a_folder_of_another_name_is_broken(toy_folder: Path, tmp_path: Path) -> None:
    """A folder whose manifest has another name is broken, and the reason gives both names."""
    shutil.copytree(toy_folder / "toy", tmp_path / "tey")
    (broken,) = discover(suites=tmp_path)[1]
    assert "'toy'" in broken.reason
    assert "'tey'" in broken.reason


def test_two_packs_of_one_name_are_refused(toy_folder: Path, tmp_path: Path) -> None:
    """A name clash is an error that names both places."""
    shutil.copytree(toy_folder / "toy", tmp_path / "toy")
    with pytest.raises(PackError) as caught:
        discover([toy_folder, tmp_path])
    assert str(toy_folder / "toy") in caught.value.message
    assert str(tmp_path / "toy") in caught.value.message


def test_an_unknown_pack_is_guessed() -> None:
    """The error of an unknown pack lists the known ones and guesses the nearest."""
    with pytest.raises(PackError, match=r"No pack 'clincal'\. Known: clinical, environment, finance.*Did you mean 'clinical'\?"):
        find_pack("clincal")


def installed(toy_folder: Path, site: Path, monkeypatch: pytest.MonkeyPatch, value: str = "toy_pip_package.data") -> Path:
    """A pip package with the toy pack inside, whose own code raises on import."""
    root = site / "toy_pip_package"
    shutil.copytree(toy_folder / "toy", root / "data")
    (root / "__init__.py").write_text("raise RuntimeError('imported')\n", encoding="utf-8")
    with (root / "data" / "hooks.py").open("a", encoding="utf-8") as file:
        file.write(f"\nopen({str(site / 'ran')!r}, 'w').close()\n")
    information = site / "toy_pip_package-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-pip-package\nVersion: 1.0\n", encoding="utf-8")
    (information / "entry_points.txt").write_text(f"[stillhouse.packs]\ntoy_pip = {value}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    return site / "ran"


def test_a_pip_pack_is_read_as_data(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pip package's pack is found without importing the package or running its hooks."""
    ran = installed(toy_folder, tmp_path, monkeypatch)
    pack = find_pack("toy")
    assert (pack.origin, pack.folder) == ("pip:toy_pip", tmp_path / "toy_pip_package" / "data")
    assert "toy_pip_package" not in sys.modules
    assert not ran.exists()


def test_a_pip_pack_runs_hooks_only_when_trusted(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hooks of a pip pack are refused with the remedy until they are trusted, and then run."""
    ran = installed(toy_folder, tmp_path, monkeypatch)
    pack = find_pack("toy")
    with pytest.raises(PackError, match=r"trust_hooks in settings\.toml") as caught:
        load_hooks(pack, trusted=["another"])
    assert caught.value.code == "hooks_untrusted"
    assert not ran.exists()
    (refined,) = load_hooks(pack, trusted=["toy"]).refine("QRX123", [Finding("codes", "CODE", 1.0, 0, 6, "rule")])
    assert refined.number == 123.0
    assert ran.exists()


def test_a_check_runs_no_untrusted_hooks(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checking a pip pack runs none of its code."""
    ran = installed(toy_folder, tmp_path, monkeypatch)
    check_pack(find_pack("toy"))
    assert not ran.exists()


def test_a_malformed_entry_point_leaves_the_others(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pip package whose entry point is no module name is listed as broken, and the others are found."""
    installed(toy_folder, tmp_path, monkeypatch, value="toy-pip-package")
    packs, broken = discover()
    assert {pack.name for pack in PACKS} <= packs.keys()
    assert [b.origin for b in broken] == ["pip:toy_pip"]


def test_a_sample_may_hold_a_line_separator(toy_folder: Path, tmp_path: Path) -> None:
    """A sample whose text holds U+2028 is read: only a line feed ends a line of JSON."""
    shutil.copytree(toy_folder / "toy", tmp_path / "toy")
    samples = tmp_path / "toy" / "samples.jsonl"
    samples.write_text(samples.read_text(encoding="utf-8").replace(" near ", "\u2028near "), encoding="utf-8")
    assert len(read_samples(find_pack("toy", [tmp_path]))) == 60


@pytest.mark.parametrize("hook", ["clean(text)", "refine(text, findings)"])
def test_a_hook_that_raises_is_a_problem(toy_folder: Path, tmp_path: Path, hook: str) -> None:
    """A hook that raises on a sample is listed among the problems."""
    shutil.copytree(toy_folder / "toy", tmp_path / "toy")
    (tmp_path / "toy" / "hooks.py").write_text(f"def {hook}:\n    return 1 / 0\n", encoding="utf-8")
    assert "ZeroDivisionError" in " ".join(check_pack(find_pack("toy", [tmp_path])))


DATA = '[[data]]\nname = "d"\nlicence = "CC0"\n'
BAD_MANIFESTS = {
    "unknown key": ('title = "Toy notices"', 'title = "Toy notices"\nicon = "x"', "icon"),
    "unknown key of a task": ('scope = "sentence"', 'scope = "sentence"\nlabel = "x"', "task.1.label"),
    "duplicate label": ('labels = ["animals", "weather"]', 'labels = ["animals", "animals"]', "'topic' lists a label twice"),
    "choice with one label": ('labels = ["animals", "weather"]', 'labels = ["animals"]', "'topic' is a choice and needs two labels"),
    "tags of sentences": ('kind = "choice"\nscope = "sentence"', 'kind = "tags"\nscope = "sentence"', "'mood': kind 'tags' is asked of the document"),
    "span task without of": ('of = "things"\n', "", "'state': scope = 'span' and of"),
    "of no spans task": ('of = "things"', 'of = "topic"', "'state': of = 'topic'"),
    "column of unknown task": ('task = "codes"\nshow = "sum"', 'task = "cods"\nshow = "sum"', "column 'codes_sum' shows no task of this pack: 'cods'"),
    "column of unknown label": ('only = "absent"', 'only = "gone"', "column 'n_absent': only = 'gone'"),
    "two columns of one name": ('name = "codes_sum"', 'name = "n_absent"', "two columns"),
    "overlap too large": ("overlap_tokens = 16", "overlap_tokens = 32", "overlap_tokens must be"),
    "data onto unknown label": ("[[column]]\n", DATA + 'path = "d"\nmaps = [{task = "topic", labels = {x = "birds"}}]\n[[column]]\n', "'birds'"),
    "data onto unknown task": ("[[column]]\n", DATA + 'path = "d"\nmaps = [{task = "tropic", labels = {x = "animals"}}]\n[[column]]\n', "'tropic'"),
    "data without a place": ("[[column]]\n", DATA + 'maps = [{task = "topic", labels = {x = "animals"}}]\n[[column]]\n', "path or dataset"),
    "bound of unknown task": ("[student]\n", "[gate]\nminimum = {subject = 0.5}\n[student]\n", "gate.minimum names no task: 'subject'"),
}


@pytest.mark.parametrize(("old", "new", "named"), BAD_MANIFESTS.values(), ids=BAD_MANIFESTS.keys())
def test_a_bad_manifest_is_refused(toy_folder: Path, tmp_path: Path, old: str, new: str, named: str) -> None:
    """A manifest with a mistake gives a PackError that names the file and the key."""
    good = (toy_folder / "toy" / "pack.toml").read_text(encoding="utf-8")
    assert old in good
    (tmp_path / "pack.toml").write_text(good.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PackError) as caught:
        read_manifest(tmp_path)
    assert str(tmp_path / "pack.toml") in caught.value.message
    assert named in caught.value.message


@pytest.mark.parametrize("name", LEADING)
def test_a_column_of_the_views_own_is_refused(toy_folder: Path, tmp_path: Path, name: str) -> None:
    """A result column named like one that every view has would break the store: the manifest is refused and the name told."""
    good = (toy_folder / "toy" / "pack.toml").read_text(encoding="utf-8")
    (tmp_path / "pack.toml").write_text(good.replace('name = "codes_sum"', f'name = "{name}"'), encoding="utf-8")
    with pytest.raises(PackError, match=rf"column '{name}' has a name that every results view has already"):
        read_manifest(tmp_path)


BAD_SAMPLES = {
    "no findings": ('{"id": "x", "text": "t"}', "KeyError"),
    "unknown label": ('{"id": "x", "text": "t", "findings": [{"task": "topic", "label": "birds", "start": 0, "end": 1}]}', "'topic'/'birds'"),
    "range outside": ('{"id": "x", "text": "t", "findings": [{"task": "topic", "label": "animals", "start": 0, "end": 2}]}', "0..2"),
}


@pytest.mark.parametrize(("line", "named"), BAD_SAMPLES.values(), ids=BAD_SAMPLES.keys())
def test_a_bad_sample_is_refused(toy_folder: Path, tmp_path: Path, line: str, named: str) -> None:
    """An unusable sample gives a PackError that names file, line and reason."""
    shutil.copytree(toy_folder / "toy", tmp_path / "toy")
    with (tmp_path / "toy" / "samples.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(PackError, match=r"samples\.jsonl:61: .*" + named):
        read_samples(find_pack("toy", [tmp_path]))


def test_the_digest_is_of_what_decides_answers(toy_folder: Path, tmp_path: Path) -> None:
    """A pack's digest changes with its rules and not with its samples."""
    shutil.copytree(toy_folder / "toy", tmp_path / "toy")
    before = find_pack("toy", [tmp_path]).digest
    (tmp_path / "toy" / "samples.jsonl").write_text("", encoding="utf-8")
    assert find_pack("toy", [tmp_path]).digest == before
    (tmp_path / "toy" / "rules.jsonl").write_text("", encoding="utf-8")
    assert find_pack("toy", [tmp_path]).digest != before


def test_a_split_never_moves() -> None:
    """A document's split is a function of its id alone: these three are known."""
    assert [split_of(i) for i in ("b", "a", "environment-0003")] == ["train", "dev", "test"]


def test_splits_have_their_shares() -> None:
    """Of many ids about 70 % fall to train, 15 % to dev and 15 % to test."""
    shares = Counter(split_of(f"document-{i}") for i in range(20_000))
    assert {s: shares[s] / 20_000 for s in SPLITS} == pytest.approx({"train": 0.70, "dev": 0.15, "test": 0.15}, abs=0.01)


CODE = Finding("codes", "CODE", 1.0, 0, 6, "rule")


@pytest.mark.parametrize("number", [None, 0, 2.5, -(2**62), 1e308])
def test_a_finding_that_can_be_stored_is_legal(toy_pack: Pack, number: float | None) -> None:
    """Forms up to the store's bounds are legal, beyond ASCII too."""
    assert is_legal(replace(CODE, value="é\U0001f600", unit="x" * UNIT_CHARS, number=number), toy_pack, 6)


@pytest.mark.parametrize(
    "forms",
    [
        {"unit": "x" * (UNIT_CHARS + 1)},
        {"unit": "\0"},
        {"unit": "\ud800"},
        {"unit": 3},
        {"value": "a\0b"},
        {"value": "\udfff"},
        {"value": 3},
        {"number": float("nan")},
        {"number": float("inf")},
        {"number": 10**400},
        {"number": 2**63},
        {"number": True},
        {"number": "3"},
        {"source": "somebody else"},
        {"unsure": 1},
        {"score": float("nan")},
    ],
    ids=str,
)
def test_a_finding_that_no_store_takes_is_illegal(toy_pack: Pack, forms: dict[str, object]) -> None:
    """What a database would refuse later, again and again, is refused when the hook gives it."""
    assert is_legal(CODE, toy_pack, 6)
    assert not is_legal(replace(CODE, **forms), toy_pack, 6)


def test_the_bound_of_a_unit_is_the_stores() -> None:
    """The contract's longest unit is the column's length: longer ones would be refused in the store's transaction."""
    assert findings.c.unit.type.length == UNIT_CHARS
