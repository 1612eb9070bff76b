"""Normalises and checks what the rules found: amounts to numbers, checksums of IBANs and cards."""

import re
from dataclasses import replace

_SYMBOLS = {"$": "USD", "US$": "USD", "£": "GBP", "€": "EUR", "¥": "JPY", "₹": "INR", "₦": "NGN"}
_WORDS = {"euro": "EUR", "euros": "EUR", "dollar": "USD", "dollars": "USD", "pound": "GBP", "pounds": "GBP", "quid": "GBP", "bitcoin": "BTC", "bitcoins": "BTC"}
_TIMES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "million": 1e6, "bn": 1e9, "billion": 1e9, "trillion": 1e12}


def refine(text, findings):
    """Amounts with number and currency; IBANs and cards that fail their checksum are dropped."""
    refined = []
    for finding in findings:
        found = text[finding.start : finding.end]
        if finding.label == "IBAN" and finding.task == "identifiers":
            finding = _iban(finding, found)
        elif finding.label == "CARD" and not _luhn(re.sub(r"\D", "", found)):
            continue
        elif finding.label == "AMOUNT":
            finding = _amount(finding, found)
        if finding is not None:
            refined.append(finding)
    return refined


def _iban(finding, found):
    """The IBAN with its country as value, or its longest leading groups that pass the checksum: the rule may run into the next word."""
    groups = found.split(" ")
    for n in range(len(groups), 0, -1):
        shorter = " ".join(groups[:n])
        if _mod97("".join(groups[:n])):
            return replace(finding, end=finding.start + len(shorter), value=shorter[:2])
    return None


def _mod97(iban):
    """ISO 13616: the four first characters moved to the end, letters as numbers, remainder 1 of 97."""
    if not 15 <= len(iban) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


def _luhn(digits):
    """ISO/IEC 7812-1 check digit."""
    if not 13 <= len(digits) <= 19:
        return False
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def _amount(finding, found):
    number = re.search(r"\d[\d.,\s]*\d|\d", found)
    if number is None:
        return finding
    value = _number(number.group())
    rest = (found[: number.start()] + " " + found[number.end() :]).split()
    unit = None
    for word in rest:
        value *= _TIMES.get(word.lower(), 1.0)
        unit = unit or _SYMBOLS.get(word) or _WORDS.get(word.lower()) or (word if re.fullmatch(r"[A-Z]{3,4}", word) else None)
    return replace(finding, number=value, unit=unit)


def _number(digits):
    """1,234.50 and 1.234,50 and 9 400 as numbers: the last mark with other than three digits behind it is the decimal one."""
    digits = re.sub(r"\s", "", digits)
    match = re.fullmatch(r"(.*)[.,](\d+)", digits)
    if match and (len(match[2]) != 3 or (("." in match[1] or "," in match[1]) and digits[match.end(1)] not in match[1])):
        return float(re.sub(r"[.,]", "", match[1]) + "." + match[2])
    return float(re.sub(r"[.,]", "", digits))
