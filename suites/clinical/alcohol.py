"""Units of alcohol, which look like units of insulin or heparin."""

from __future__ import annotations

import re

_DRINK = r"(?:alcohol|etoh|ethanol|drinks?|drinking|drank|drinker|beers?|lagers?|ciders?|wines?|spirits|vodka|whisky|whiskey|gin|rum|sherry)"
_UNITS = re.compile(r"(?i)units?$")
_BEFORE = re.compile(rf"(?i)\b{_DRINK}\b[,:;]?([^.;,\n]{{0,40}})$")
_AFTER = re.compile(rf"(?i)[\s/-]{{0,2}}(?:(?:a|per|each|every) )?(?:day|week|weekend|wk|night|month|daily|weekly|nightly)?\s?(?:of (?:[a-z]+ )?)?{_DRINK}\b")
# between drink and units these say that the units are a drug's
_DRUG = re.compile(
    r"(?i)\b(?:insulins?|\w+parin|glargine|lantus|basaglar|toujeo|tresiba|degludec|detemir|levemir|lispro|humalog|aspart|novo\w+|humulin|nph|oxytocin|penicillin|"
    r"epo\w*|botox|botulinum|vitamin|\w*calciferol|vasopressin|transfus\w+|blood|prbcs?|given|gave|on)\b"
)
_HOW_OFTEN = re.compile(rf"(?i)(?:\bunits?(?: (?:of )?{_DRINK})?|\b{_DRINK})[\s,/-]{{0,2}}$")
_LOOK_BACK = 60


def is_drunk(text, start, end, label):
    """Whether an amount is of alcohol, or a frequency how often somebody drinks it."""
    before = text[max(0, start - _LOOK_BACK) : start]
    if label == "FREQUENCY":
        return _HOW_OFTEN.search(before) is not None and _of_drink(before)
    return _UNITS.search(text, start, end) is not None and (_of_drink(before) or _AFTER.match(text, end) is not None)


def _of_drink(before):
    drink = _BEFORE.search(before)
    return drink is not None and _DRUG.search(drink[1]) is None
