"""An example as arrays to train on: its windows, and per task which tokens answer what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pipelines.context import features
from pipelines.encode import Floats, Inputs, Ints, TextEncoder, Tokens, stitch
from pipelines.heads import n_outputs
from pipelines.rule_walk import RuleBudget
from pipelines.rules import Ruled, Rules
from suites.errors import DataError
from suites.hooks import Clean
from suites.types import Example, Finding, Task, TextLimits

Halves = npt.NDArray[np.float16]

IGNORED = -100  # torch's label of a position without loss


@dataclass(frozen=True, slots=True)
class Target:
    """What one task wants of one example.

    Ranges tasks: `ranges` are token ranges; `wanted` holds a label number a range (choice) or a
    row of zeros and ones (tags). Span tasks: `wanted` is a BIO tag number a token, IGNORED where
    the token is not the first piece of its word; `ranges` is empty.

    `soft` is what teachers answer there: probabilities, shape (n_ranges, n_outputs), for spans
    (n_tokens, n_outputs). Without `gold`, `wanted` is a teacher's guess and has no loss of its own.
    `cues` is what cues say of the ranges of a span-scoped task, shape (n_ranges, n_features).
    """

    ranges: tuple[slice, ...]
    wanted: Ints | Floats
    soft: Floats | None = None
    gold: bool = True
    cues: Floats | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example ready to train on.

    `states` are a teacher's hidden states of each window, shape of each: (len(row), hidden).
    """

    source: str
    inputs: Inputs
    n_tokens: int
    targets: dict[str, Target]
    states: tuple[Halves, ...] = ()

    @property
    def ids(self) -> Ints:
        """The word pieces, special ones left out. Shape: (n_tokens,)."""
        return stitch(self.inputs.rows, self.inputs.plan)


def encode_examples(
    examples: Sequence[Example],
    tasks: Sequence[Task],
    encoder: TextEncoder,
    limits: TextLimits,
    clean: Clean,
    guessed: Sequence[Sequence[Finding]] | None = None,
    rules: Rules | None = None,
) -> list[Encoded]:
    """The examples as arrays, in order. Their texts pass the pack's `clean` first, as they do when they are read.

    With the pack's `rules` the targets of span-scoped tasks hold what cues say.

    `guessed[i]` are a teacher's findings of example i: the targets, without gold, of the tasks that it does not annotate.
    """
    encoded = []
    for i, (example, tokens) in enumerate(zip(examples, encoder.tokens([clean(e.document.text) for e in examples]), strict=True)):
        ruled = _ruled(rules, clean(example.document.text), example, tasks)
        targets = {t.name: _target(t, example, tokens, ruled) for t in tasks if t.name in example.tasks}
        if guessed is not None:
            guess = replace(example, gold=tuple(guessed[i]))
            targets |= {t.name: replace(_target(t, guess, tokens), gold=False) for t in tasks if t.name not in example.tasks}
        encoded.append(Encoded(example.source, encoder.inputs(tokens, limits), len(tokens), targets))
    return encoded


def _ruled(rules: Rules | None, text: str, example: Example, tasks: Sequence[Task]) -> Ruled | None:
    """What rules and cues say of a text, where the example has gold that cues speak of."""
    asked = rules is not None and any(t.scope == "span" and t.name in example.tasks for t in tasks)
    try:
        return rules.read(text) if rules is not None and asked else None
    except RuleBudget as error:
        raise DataError(f"{example.source}/{example.document.id}: {error}") from None


def _target(task: Task, example: Example, tokens: Tokens, ruled: Ruled | None = None) -> Target:
    gold = [f for f in example.gold if f.task == task.name]
    number = {label: i for i, label in enumerate(task.labels)}
    if task.kind == "spans":
        return Target((), bio_tags(gold, number, tokens))
    if task.kind == "choice":
        ranges = tokens.between([(f.start, f.end) for f in gold])
        kept = [i for i, r in enumerate(ranges) if r.stop > r.start]
        cues = None
        if ruled is not None and task.scope == "span":
            cues = features(task, [(gold[i].start, gold[i].end) for i in kept], ruled.said, ruled.findings, task.within)
        return Target(tuple(ranges[i] for i in kept), np.asarray([number[gold[i].label] for i in kept], np.int32), cues=cues)
    places = sorted({(f.start, f.end) for f in gold} or {(0, len(example.document.text))})
    wanted = np.zeros((len(places), n_outputs(task)), np.float32)
    for finding in gold:
        wanted[places.index((finding.start, finding.end)), number[finding.label]] = 1.0
    return Target(tuple(tokens.between(places)), wanted)


def bio_tags(gold: Sequence[Finding], number: dict[str, int], tokens: Tokens) -> Ints:
    """Tag numbers: 0 outside, 2k+1 begins label k, 2k+2 is inside. A range that cuts a word takes it whole."""
    tags = np.zeros(len(tokens), np.int32)
    for finding in gold:
        touched = np.flatnonzero((tokens.ends > finding.start) & (tokens.starts < finding.end))
        if len(touched):
            words = tokens.words[touched]
            inside = np.flatnonzero(np.isin(tokens.words, words))
            tags[inside] = 2 * number[finding.label] + 2
            tags[tokens.words == words[0]] = 2 * number[finding.label] + 1
    tags[np.flatnonzero(np.diff(tokens.words, prepend=-2) == 0)] = IGNORED
    return tags
