"""The labelling configuration of a pack for Label Studio: what it asks, as controls about one text. labelstud.io/tags names the elements."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as xml

from suites.discover import Pack
from suites.types import Task

# the name of the text's element; tasks are named in small letters, so none has it
TEXT = "Text"
# told apart by people who see colours differently: Okabe and Ito 2008 (jfly.uni-koeln.de/color), without black
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
# else spaces at the begin of a line and doubled ones are not shown, and what is marked seems shifted (labelstud.io/tags/text)
SPACES = ".htx-text { white-space: pre-wrap; }"


def labelling_config(pack: Pack) -> str:
    """The configuration as XML. The names of its controls are the tasks', those of labels the pack's."""
    view = xml.Element("View")
    xml.SubElement(view, "Style").text = SPACES
    for task in pack.manifest.task:
        if task.kind != "pairs":
            _control(view, task, pack)
    relations = list(dict.fromkeys(label for task in pack.manifest.task if task.kind == "pairs" for label in task.labels))
    if relations:
        control = xml.SubElement(view, "Relations")
        for label in relations:
            xml.SubElement(control, "Relation", value=label)
    xml.SubElement(view, "Text", name=TEXT, value="$text")
    xml.indent(view)
    return xml.tostring(view, encoding="unicode") + "\n"


def is_region(task: Task) -> bool:
    """Whether its answers are ranges of the text; a sentence that is judged is one too."""
    return task.kind == "spans" or task.scope == "sentence"


def _control(view: xml.Element, task: Task, pack: Pack) -> None:
    xml.SubElement(view, "Header", value=task.question, size="5")
    if is_region(task):
        control = xml.SubElement(view, "Labels", name=task.name, toName=TEXT)
        for number, label in enumerate(task.labels):
            xml.SubElement(control, "Label", value=label, background=COLOURS[number % len(COLOURS)])
        return
    control = xml.SubElement(view, "Choices", name=task.name, toName=TEXT, choice="multiple" if task.kind == "tags" else "single", showInline="true")
    if task.scope == "span":
        control.attrib |= {"perRegion": "true", "visibleWhen": "region-selected", "whenLabelValue": ",".join(_asked_labels(task, pack))}
    for label in task.labels:
        xml.SubElement(control, "Choice", value=label)


def _asked_labels(task: Task, pack: Pack) -> Sequence[str]:
    """The labels of the regions that a task of scope `span` is asked of."""
    return task.of_labels or list(dict.fromkeys(label for name in task.of for label in pack.tasks[name].labels))
