"""Names of people and places found by words beside them: what is left when words of no name are taken off."""

from __future__ import annotations

import re

from .lists import words

_WORD = re.compile(r"[^\s,;:()\[\]\"“”|/]+")
_TITLE_BEFORE = re.compile(r"(?:^|[^\w])(?:[Dd]r|DR|Dra|[Mm]r|MR|[Mm]rs|MRS|[Mm]s|MS|Miss|Mx|[Pp]rof|PROF|Professor|Doctor|Sir|Dame|Dear|Rev)\.?,?\s{1,2}$")
# that a word of capitals is a name must be told by a title, or by another such word beside it
_SHORT = 5
_TITLE_CHARS = 12
_MIXED = re.compile(r"[A-Z][a-z]{0,2}[A-Z0-9]")
# branches of medicine and who works in them
_BRANCH = re.compile(r"[a-z]{2,}(?:olog(?:y|ists?)|iatr(?:y|ists?|ics)|surgery|surgeons?|therap(?:y|ists?)|dontics?|graph(?:y|ers?)|met(?:ry|rists?))")
# after these a name is that of a disease, sign, test or thing
_NAMED_AFTER = re.compile(
    r"(?i)(?:['’]s?)?[\s-]{1,2}(?:and \w+ )?(?:\w+ )?(?:disease|syndrome|sign|signs|test|tests|phenomenon|lymphomas?|palsy|"
    r"fracture|contracture|score|scale|classification|class|stage|procedure|repair|operation|catheter|solution|lactate|grade|sarcoma|o?esophagus|thyroiditis|encephalopathy|ganglion|cysts?|tube|dementia|bod(?:y|ies)|cells?|criteria|"
    r"position|man(?:o?e)uv(?:re|er)|reflex|triad|loop|canal|pouch|nodes?|stain|angle|area|drop|chorea|arteritis|nephropathy|nodules?|purpura|pneumonia|tumou?rs?|ulcer|hernia|"
    r"neuroma|cyst|gland|patch(?:es)?|line|plate|screw|pin|nail|stent|index|formula|factor|virus|ataxia|disorder|psychosis|pattern|anomaly|malformation|dystrophy|clamp|"
    r"forceps|retractor|curette|elevator|dissector|speculum|needle|drain|bandage|splint|collar|brace|inventory|questionnaire|spirochete|agar|medium|incision|"
    r"approach|technique|flap|graft|valve|shunt|rod)\b"
)


def parts(text, start, end):
    """The words of a range: where each begins and ends, and itself."""
    return [(m.start(), m.end(), m.group()) for m in _WORD.finditer(text, start, end)]


def trimmed(text, start, end):
    """The range of the first run of words that may be a name; None where there is none, or where the name is that of a disease."""
    kept = []
    titled = _TITLE_BEFORE.search(text[max(0, start - _TITLE_CHARS) : start]) is not None
    for word in parts(text, start, end):
        if kept and _is_sentence_end(text, kept[-1], word[0]):
            break
        if not _is_no_name(word[2]) or _is_initial(word[2]) or (titled and not kept and word[2].strip(".") not in words("titles")):
            kept.append(word)
        elif kept:
            break
    if not kept:
        return None
    begin, finish = kept[0][0], kept[-1][1]
    if len(kept) == 1 or not _is_initial(kept[-1][2]):
        finish = _without_possessive(text, finish)
    titled = titled or _TITLE_BEFORE.search(text[max(0, begin - _TITLE_CHARS) : begin]) is not None
    if not titled and all(len(word) <= 2 for _, _, word in kept):
        return None
    if titled or (finish < kept[-1][1] and len(kept) > 1):
        return begin, finish
    if all(word.lower().rstrip(".,") in words("eponyms") for _, _, word in kept) or _NAMED_AFTER.match(text, finish):
        return None
    if len(kept) == 1 and _is_abbreviation(kept[0][2]):
        return None
    return begin, finish


def is_of_disease(text, end):
    """Whether what stands after a name makes it that of a disease, sign or thing."""
    return _NAMED_AFTER.match(text, end) is not None


def small(text, start, end):
    """The range of the first words of a name in small letters, up to one that belongs to none; None where that is the first."""
    kept = []
    for word in parts(text, start, end):
        if _is_no_name(word[2]) or word[2].strip(".,'’") in words("after_titles"):
            break
        kept.append(word)
    return (kept[0][0], _without_possessive(text, kept[-1][1])) if kept else None


def _is_initial(word):
    return len(word) <= 2 and word[0].isupper() and word[1:] in ("", ".")


def _is_sentence_end(text, word, start):
    """Whether a sentence ends after a word and before `start`: with a full stop and two spaces."""
    return word[2].endswith(".") and start - word[1] > 1


def place(text, start, end):
    """The range of a place without words that belong to no name; None where nothing is left, or where it is a name of disease."""
    found = parts(text, start, end)
    while found and _is_no_name(found[0][2]) and not (len(found) > 1 and found[0][2] in words("beginnings_of_places")):
        found = found[1:]
    while found and _is_no_name(found[-1][2]) and not found[-1][2].isupper():
        found = found[:-1]
    for n, (_, _, word) in enumerate(found):
        if word.lower().strip(".") in words("ends_of_places"):
            found = found[:n]
            break
    if not found or found[0][2].lower() in words("eponyms") or _NAMED_AFTER.match(text, found[-1][1]):
        return None
    if len(found) == 1 and _is_abbreviation(found[0][2]):
        return None
    return found[0][0], _without_possessive(text, found[-1][1])


def _is_no_name(word):
    low = word.lower().strip(".,'’-&")
    return low in words("leading") or not low or any(c.isdigit() for c in low) or _BRANCH.fullmatch(low) is not None


def _is_abbreviation(word):
    bare = word.strip(".,'’")
    return (bare.isupper() and len(bare) <= _SHORT) or (_MIXED.match(bare) is not None and not re.match(r"(?:Mc|Mac|De|La|Le|Di|Da|Du|O['’])[A-Z]", bare))


def _without_possessive(text, end):
    """Where a name ends before 's."""
    if text[end - 2 : end].lower() in ("'s", "’s"):
        return end - 2
    return end - 1 if text[end - 1] in "'’.,-" else end
