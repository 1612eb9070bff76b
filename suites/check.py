"""What a pack must keep, checked: `manage.py check PACK` prints these problems."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from traceback import extract_tb

from suites.discover import Pack, is_legal
from suites.errors import PackError
from suites.hooks import load_hooks
from suites.nearest import guess, shown
from suites.sample_faults import read_numbered
from suites.samples import SPLITS, split_of
from suites.types import Example, Finding, Task

MIN_SAMPLES = 20
# how a card that `new-pack` wrote asks for what only its author knows
ASKED = "Say here"
CARD_HEADINGS = ("Intended use", "Out of scope", "Data", "Known failures", "Contact")


def check_pack(pack: Pack, trusted: Sequence[str] = (), *, run_hooks: bool = True) -> list[str]:
    """The problems of a pack, each with file, place, value and remedy; an empty list when it keeps the contract.

    Hooks of a pip pack run only if `trusted` names it. Without `run_hooks` none is loaded.
    """
    problems: list[str] = []
    for check in (_check_card, _check_rules, _check_context):
        try:
            problems += check(pack)
        except UnicodeDecodeError as error:
            problems.append(f"{pack.folder}: a file of {check.__name__.removeprefix('_check_')} is not UTF-8 at byte {error.start}. Save it as UTF-8.")
    try:
        numbered, faults = read_numbered(pack)
    except PackError as error:
        return [*problems, error.message]
    problems += [*faults, *_check_samples(pack, numbered)]
    if not faults:  # else what is missing may stand in the lines that cannot be read
        problems += _check_all(pack, [example for _, example in numbered])
    problems += _check_hooks(pack, [example for _, example in numbered], trusted) if run_hooks else []
    return problems


def to_fill_in(pack: Pack) -> list[str]:
    """Where the card still asks for something: `card.md:12`."""
    path = pack.folder / "card.md"
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    return [f"{path.name}:{number}" for number, line in enumerate(lines, start=1) if line.startswith(ASKED)]


def _check_card(pack: Pack) -> list[str]:
    path = pack.folder / "card.md"
    if not path.exists():
        return [f"{path}: not found. Write it, with the headings {', '.join(f'## {h}' for h in CARD_HEADINGS)}."]
    sections = _sections(path.read_text(encoding="utf-8"))
    missing = [f"{path}: has no heading '## {h}'. Add it, and say something below it." for h in CARD_HEADINGS if h not in sections]
    return missing + [f"{path}:{sections[h][0]}: nothing stands below '## {h}'. Say it there." for h in CARD_HEADINGS if h in sections and not sections[h][1]]


def _sections(text: str) -> dict[str, tuple[int, bool]]:
    """The headings of second order, each with its line and whether anything stands below it."""
    sections: dict[str, tuple[int, bool]] = {}
    heading = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("## "):
            heading = line[3:].strip()
            sections[heading] = (number, False)
        elif heading and line.strip():
            sections[heading] = (sections[heading][0], True)
    return sections


def _check_rules(pack: Pack) -> list[str]:
    path = pack.folder / "rules.jsonl"
    has_hooks = (pack.folder / "hooks.py").exists()
    rule_tasks = {t.name for t in pack.manifest.task if t.answered_by == "rule" and t.kind != "pairs" and not has_hooks}
    if not path.exists():
        return [f"{path}: not found, but rules answer {sorted(rule_tasks)}."] if rule_tasks else []
    problems, answered = [], set()
    first: dict[str, int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rule = json.loads(line)
            name, _, label = rule["label"].partition("/")
            missing = ({"id"} if "regex" in rule else {"id", "pattern"}) - rule.keys()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            problems.append(f"{path}:{number}: wants {{label: 'task/LABEL', id, pattern}} as JSON.")
            continue
        task = pack.tasks.get(name)
        if task is None or task.kind != "spans" or label not in task.labels:
            known = [f"{t.name}/{own}" for t in pack.manifest.task if t.kind == "spans" for own in t.labels]
            problems.append(f"{path}:{number}: label: {shown(rule['label'])} is no spans task and label of this pack.{guess(rule['label'], known)}")
        if missing:
            problems.append(f"{path}:{number}: lacks {sorted(missing)}.")
        if rule.keys() >= {"pattern", "regex"}:
            problems.append(f"{path}:{number}: has both 'pattern' and 'regex'. Keep one; write two rules where both are meant.")
        if (earlier := first.setdefault(f"{rule['label']} {rule.get('id')}", number)) != number:
            problems.append(f"{path}:{number}: id {shown(rule.get('id'))} has a rule of this label in line {earlier} already. Give each an id of its own.")
        answered.add(name)
    return problems + [f"{path}: no rule answers task {name!r}. Write one, or let the student answer it." for name in sorted(rule_tasks - answered)]


def _check_context(pack: Pack) -> list[str]:
    """The cues whose task is no choice asked of spans, or has no such label."""
    path = pack.folder / "context.jsonl"
    problems = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n") if path.exists() else (), start=1):
        try:
            name, _, label = json.loads(line)["label"].partition("/") if line.strip() else ("", "", "")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            problems.append(f"{path}:{number}: wants {{label: 'task/label', id, pattern, direction}} as JSON.")
            continue
        task = pack.tasks.get(name)
        if name and (task is None or task.scope != "span" or (label and label not in task.labels)):
            known = [f"{t.name}/{own}" for t in pack.manifest.task if t.scope == "span" for own in t.labels]
            problems.append(
                f"{path}:{number}: label: {shown(f'{name}/{label}')} is no task of scope 'span' and label of this pack.{guess(f'{name}/{label}', known)}"
            )
    return problems


def _check_samples(pack: Pack, numbered: list[tuple[int, Example]]) -> list[str]:
    """What is wrong with single samples, by line."""
    path = pack.folder / "samples.jsonl"
    problems = []
    first: dict[str, int] = {}
    for line, example in numbered:
        if (earlier := first.setdefault(example.document.id, line)) != line:
            problems.append(f"{path}:{line}: id {example.document.id!r} stands in line {earlier} already. Give each document an id of its own.")
        problems += [f"{path}:{line}: {example.document.id}: {p}" for p in _check_example(pack, example)]
    return problems


def _check_all(pack: Pack, examples: list[Example]) -> list[str]:
    """What is wrong with the samples taken together: too few, an empty split, a label that none has."""
    path = pack.folder / "samples.jsonl"
    problems = []
    if len(examples) < MIN_SAMPLES:
        problems.append(f"{path}: has {len(examples)} documents, expected {MIN_SAMPLES} or more. Label more, or import them: new-pack --from.")
    if not examples:
        return problems
    splits = Counter(split_of(e.document.id) for e in examples)
    problems += [f"{path}: the split by hash leaves {split!r} empty; add documents." for split in SPLITS if not splits[split]]
    seen = Counter((f.task, f.label) for e in examples for f in e.gold)
    for task in pack.annotated_tasks:
        problems += [
            f"{path}: label {task.name}/{label} never occurs. Add documents with it, or take it out of pack.toml."
            for label in task.labels
            if not seen[task.name, label]
        ]
    return problems


def _check_example(pack: Pack, example: Example) -> list[str]:
    by_task: dict[str, list[Finding]] = defaultdict(list)
    for finding in example.gold:
        by_task[finding.task].append(finding)
    problems = []
    for name in sorted(example.tasks):
        task = pack.tasks.get(name)
        if task is None:
            problems.append(f"'tasks' names no task of this pack: {name!r}.")
        else:
            problems += _check_gold(task, example, by_task)
    return problems


def _check_gold(task: Task, example: Example, by_task: dict[str, list[Finding]]) -> list[str]:
    gold = by_task[task.name]
    n_chars = len(example.document.text)
    if task.is_of_document:
        wrong = [f for f in gold if (f.start, f.end) != (0, n_chars)]
        if wrong or (task.kind == "choice" and len(gold) != 1):
            return [f"task {task.name!r} wants {'one finding' if task.kind == 'choice' else 'findings'} over the whole text, has {len(gold)}."]
    ranges = sorted((f.start, f.end) for f in gold)
    if (task.kind == "spans" or task.scope == "sentence") and any(a[1] > b[0] for a, b in pairwise(ranges)):
        return [f"task {task.name!r} has overlapping ranges."]
    if task.scope == "span":
        parents = {(f.start, f.end) for findings in by_task.values() for f in findings if task.asks(f)}
        if set(ranges) != parents:
            return [f"task {task.name!r} must answer each span of {', '.join(task.of)}: {len(parents)} spans, {len(set(ranges))} answered."]
    return []


def _check_hooks(pack: Pack, examples: list[Example], trusted: Sequence[str]) -> list[str]:
    """Runs the hooks on the samples: `clean` keeps the length, `refine` keeps tasks, labels and ranges legal."""
    path = pack.folder / "hooks.py"
    if not path.exists():
        return []
    try:
        hooks = load_hooks(pack, trusted)
    except PackError as error:
        return [error.message]
    problems = []
    for example in examples:
        text = example.document.text
        try:
            cleaned = hooks.clean(text)
            if not isinstance(cleaned, str):
                problems.append(f"{path}: clean() gave {type(cleaned).__name__} for {example.document.id}, expected a string.")
            elif len(cleaned) != len(text):
                problems.append(f"{path}: clean() changed the length of {example.document.id}. Put a space where a character goes.")
            refined = list(hooks.refine(text, [replace(f, source="rule") for f in example.gold]))
        except Exception as error:  # a pack's code: whatever it raises is a problem of the pack
            problems.append(f"{_raised_at(error, pack)}: a hook raised {type(error).__name__} on {example.document.id}. It must take any text and findings.")
            continue
        strange = next((f for f in refined if not _is_legal(f, pack, len(text))), None)
        if strange is not None:
            problems.append(f"{path}: refine() gave an illegal finding for {example.document.id}: {_why_illegal(strange, pack, len(text))}")
    return problems


def _is_legal(finding: Finding, pack: Pack, n_chars: int) -> bool:
    try:
        return is_legal(finding, pack, n_chars)
    except TypeError:  # a list for a name, None for a number
        return False


def _raised_at(error: Exception, pack: Pack) -> str:
    """The file and line of the pack where an exception came from."""
    frames = [frame for frame in extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(pack.folder)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else f"{pack.folder / 'hooks.py'}"


def _why_illegal(finding: Finding, pack: Pack, n_chars: int) -> str:
    """Which part of a finding is illegal, and what was expected."""
    for part, kind in (("task", str), ("label", str), ("start", int), ("end", int), ("score", (int, float))):
        if not isinstance(value := getattr(finding, part), kind):
            return f"{part} is {type(value).__name__}. See docs/packs.md for what a finding holds."
    task = pack.tasks.get(finding.task)
    if task is None:
        return f"task {shown(finding.task)} is none of this pack.{guess(finding.task, pack.tasks)}"
    if finding.label not in task.labels:
        return f"label {shown(finding.label)} is none of task {task.name!r}.{guess(finding.label, task.labels)}"
    if not 0 <= finding.start <= finding.end <= n_chars:
        return f"{task.name}/{finding.label} has the range {finding.start}..{finding.end}, and the text {n_chars} characters."
    whole = f"{task.name}/{finding.label} at {finding.start}..{finding.end}"
    if not 0.0 <= finding.score <= 1.0:
        return f"{whole} has the score {shown(finding.score)}, expected 0 to 1."
    return f"{whole}: its second range, value, number, unit, source or unsure is none that can be stored. See docs/packs.md."
