"""What a pack must keep, checked: `manage.py check PACK` prints these problems."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from suites.discover import Pack, is_legal
from suites.errors import PackError
from suites.hooks import load_hooks
from suites.samples import SPLITS, read_samples, split_of
from suites.types import Example, Finding, Task

MIN_SAMPLES = 20
CARD_HEADINGS = ("Intended use", "Out of scope", "Data", "Known failures", "Contact")


def check_pack(pack: Pack, trusted: Sequence[str] = ()) -> list[str]:
    """The problems of a pack, one sentence each; an empty list when it keeps the contract.

    Hooks of a pip pack run only if `trusted` names it.
    """
    problems = [*_check_card(pack), *_check_rules(pack)]
    try:
        examples = read_samples(pack)
    except PackError as error:
        return [*problems, error.message]
    problems += _check_samples(pack, examples)
    problems += _check_hooks(pack, examples, trusted)
    return problems


def _check_card(pack: Pack) -> list[str]:
    path = pack.folder / "card.md"
    if not path.exists():
        return [f"{path}: not found. Write intended use, limits, data and licences."]
    text = path.read_text(encoding="utf-8")
    return [f"{path}: has no heading '## {h}'." for h in CARD_HEADINGS if f"## {h}" not in text]


def _check_rules(pack: Pack) -> list[str]:
    path = pack.folder / "rules.jsonl"
    rule_tasks = {t.name for t in pack.manifest.task if t.answered_by == "rule"}
    if not path.exists():
        return [f"{path}: not found, but rules answer {sorted(rule_tasks)}."] if rule_tasks else []
    problems, answered = [], set()
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rule = json.loads(line)
            name, _, label = rule["label"].partition("/")
            missing = {"id", "pattern"} - rule.keys()
        except (ValueError, KeyError, TypeError, AttributeError):
            problems.append(f"{path}:{number}: wants {{label: 'task/LABEL', id, pattern}} as JSON.")
            continue
        task = pack.tasks.get(name)
        if task is None or task.kind != "spans" or label not in task.labels:
            problems.append(f"{path}:{number}: {rule['label']!r} is no spans task and label of this pack.")
        if missing:
            problems.append(f"{path}:{number}: lacks {sorted(missing)}.")
        answered.add(name)
    return problems + [f"{path}: no rule answers task {name!r}." for name in sorted(rule_tasks - answered)]


def _check_samples(pack: Pack, examples: list[Example]) -> list[str]:
    path = pack.folder / "samples.jsonl"
    problems = []
    if len(examples) < MIN_SAMPLES:
        problems.append(f"{path}: has {len(examples)} documents, expected {MIN_SAMPLES} or more.")
    ids = Counter(e.document.id for e in examples)
    problems += [f"{path}: id {i!r} occurs {n} times." for i, n in ids.items() if n > 1]
    splits = Counter(split_of(e.document.id) for e in examples)
    problems += [f"{path}: the split by hash leaves {split!r} empty; add documents." for split in SPLITS if not splits[split]]
    for example in examples:
        problems += [f"{path}: {example.document.id}: {p}" for p in _check_example(pack, example)]
    seen = Counter((f.task, f.label) for e in examples for f in e.gold)
    for task in pack.manifest.task:
        problems += [f"{path}: label {task.name}/{label} never occurs." for label in task.labels if not seen[task.name, label]]
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
    if task.scope == "document" and task.kind != "spans":
        wrong = [f for f in gold if (f.start, f.end) != (0, n_chars)]
        if wrong or (task.kind == "choice" and len(gold) != 1):
            return [f"task {task.name!r} wants {'one finding' if task.kind == 'choice' else 'findings'} over the whole text, has {len(gold)}."]
    ranges = sorted((f.start, f.end) for f in gold)
    if (task.kind == "spans" or task.scope == "sentence") and any(a[1] > b[0] for a, b in pairwise(ranges)):
        return [f"task {task.name!r} has overlapping ranges."]
    if task.scope == "span":
        parents = {(f.start, f.end) for f in by_task[task.of or ""] if not task.of_labels or f.label in task.of_labels}
        if set(ranges) != parents:
            return [f"task {task.name!r} must answer each span of {task.of!r}: {len(parents)} spans, {len(set(ranges))} answered."]
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
            if len(hooks.clean(text)) != len(text):
                problems.append(f"{path}: clean() changed the length of {example.document.id}.")
            refined = list(hooks.refine(text, [replace(f, source="rule") for f in example.gold]))
        except Exception as error:  # a pack's code: whatever it raises is a problem of the pack
            problems.append(f"{path}: a hook raised {type(error).__name__} on {example.document.id}.")
            continue
        if not all(is_legal(f, pack, len(text)) for f in refined):
            problems.append(f"{path}: refine() gave an illegal finding for {example.document.id}.")
    return problems
