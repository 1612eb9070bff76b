"""Quantities in canonical units, key figures, and written identifiers of standards."""

from dataclasses import replace

from .says import SAYS

KPI, QUANTITIES, REFERENCES = "kpi", "quantities", "references"


def refine(text, findings):
    """The findings, quantities and references in normalised form, with the key figures that the text gives.

    What reads numbers is imported where there are some: it takes a third of a second, once in a process.
    """
    findings = [finding for finding in findings if finding.task != KPI]
    if not SAYS.search(text) and not any(finding.task == QUANTITIES for finding in findings):
        return [_reference(finding, text) for finding in findings]
    from .kpis import figures_of
    from .places import Places

    places = Places(text)
    refined = [_quantity(f, text, places) if f.task == QUANTITIES else _reference(f, text) for f in findings]
    figures = figures_of(text, places.pages, places.convention)
    return [*refined, *_identifiers(text, refined), *(_kpi(figure) for figure in figures)]


def _quantity(finding, text, places):
    """The quantity in canonical form; one in a table's cell has the unit that the table says."""
    from .quantities import read_quantity

    convention, unit = places.at(finding.start, finding.end)
    quantity = read_quantity(text[finding.start : finding.end], convention, unit)
    if quantity is None:
        return finding
    return replace(finding, number=quantity.number, unit=quantity.unit, value=quantity.value, unsure=finding.unsure or quantity.unsure)


def _reference(finding, text):
    """The reference with its one form as value; any other finding as it is."""
    if finding.task != REFERENCES:
        return finding
    from .codes import normalised

    return replace(finding, value=normalised(text[finding.start : finding.end]))


def _identifiers(text, findings):
    from .codes import identifiers_of

    taken = [(f.start, f.end) for f in findings if f.task == REFERENCES]
    for start, end, value in identifiers_of(text, taken):
        yield {"task": REFERENCES, "label": "STANDARD", "start": start, "end": end, "value": value}


def _kpi(figure):
    quantity = figure.quantity
    # tonnes of a gas that is not named
    unsure = quantity.unit == "t" and figure.metric.endswith("EMISSIONS")
    said = {"value": figure.year, "number": quantity.number, "unit": quantity.unit, "unsure": unsure}
    return {"task": KPI, "label": figure.metric, "start": figure.start, "end": figure.end, **said}
