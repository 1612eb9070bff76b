"""Links and domains: the registrable domain, and what about a link is meant to deceive. Nothing is ever looked up on a network."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

# a host name has 253 characters at most (RFC 1035)
MAX_HOST = 253
# names shorter than this are compared whole, not letter by letter
_SHORT, _EDITABLE = 5, 6
_DEFANGED = re.compile(r"\[(\.|:)\]|\((\.)\)")
_SCHEME = re.compile(r"(?i)h(?:tt|xx)ps?://|ftps?://")
# what stands behind a link in a sentence and is no part of it
_TRAILING = ".,;:!?*_~\"'`’”»…"
_PAIRS = {")": "(", "]": "[", "}": "{"}
# top-level domains that are oftener the end of a file's name or, where a space is missing, the next word
_FILES = frozenset(("zip", "mov", "md", "sh", "py", "pl", "rs", "cc", "so", "ps", "ai", "app"))
_NEXT_WORDS = frozenset(("in", "is", "it", "at", "be", "to", "me", "my", "so", "no", "do", "am", "as", "us", "im", "by", "id", "la", "pm"))
_PLACE = re.compile(r"(?i)\b(?:at|visit|on|to|site|via|from|domain)\s$")
# suffixes that are kept for examples (RFC 2606), which no list of public suffixes names
_RESERVED = frozenset(("example", "invalid", "test"))
# digits and pairs of letters that are drawn like a letter
_DRAWN = str.maketrans("013456789", "oleasbtbg")
_LEGAL = frozenset(("the", "of", "and", "ltd", "llp", "llc", "inc", "gmbh", "ag", "sarl", "plc", "ou"))
_ONLY_NAME = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Link:
    """A link's parts. `domain` is its registrable domain in ASCII letters, or its IP address; `name` what stands before the public suffix."""

    domain: str
    name: str
    subdomains: tuple[str, ...]
    path: str
    port: int | None
    has_user: bool
    is_ip: bool
    is_known: bool


@lru_cache(1 << 12)
def link(written: str) -> Link | None:
    """The parts of a link or domain; None of what has no host."""
    seen = written if written.isascii() else "".join(c for c in written if unicodedata.category(c) != "Cf")
    defanged = _DEFANGED.sub(lambda m: m[1] or m[2], seen)
    address = re.sub(r"(?i)^hxxp", "http", defanged)
    try:
        parts = urlsplit(address if _SCHEME.match(address) else "//" + address)
        host, port = (parts.hostname or "").strip("."), parts.port
    except ValueError:
        return None
    if not host or len(host) > MAX_HOST:
        return None
    return _ip_link(host, port, parts) or _named_link(host, port, parts)


def _ip_link(host: str, port: int | None, parts: SplitResult) -> Link | None:
    try:
        # browsers read a whole number, decimal or hexadecimal, as an address
        address = IPv4Address(int(host, 0)) if re.fullmatch(r"0x[0-9a-f]{8}|[1-9]\d{7,9}", host) else ip_address(host)
    except ValueError:
        return None
    return Link(str(address), "", (), parts.path, port, parts.username is not None, True, True)


def _named_link(host: str, port: int | None, parts: SplitResult) -> Link | None:
    labels = [_ascii(label) for label in unicodedata.normalize("NFKC", host).lower().split(".")]
    if len(labels) < 2 or not all(labels):
        return None
    whole = ".".join(labels)
    domain = _suffixes().privatesuffix(whole)
    if domain is None:
        return None
    is_known = labels[-1] in _RESERVED or _suffixes().publicsuffix(whole, accept_unknown=False) is not None
    name = domain.partition(".")[0]
    subdomains = tuple(labels[: len(labels) - domain.count(".") - 1])
    return Link(domain, name, subdomains, parts.path, port, parts.username is not None, False, is_known)


def _ascii(label: str) -> str:
    """A label in ASCII letters (punycode, RFC 3492)."""
    return label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")


def _unicode(label: str) -> str:
    """What a label in punycode shows."""
    try:
        return label[4:].encode("ascii").decode("punycode") if label.startswith("xn--") else label
    except UnicodeError:
        return label


@cache
def _suffixes() -> Any:
    """The public suffix list that the library ships."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def has_scheme(written: str) -> bool:
    return _SCHEME.match(_DEFANGED.sub(lambda m: m[1] or m[2], written)) is not None


def trimmed(written: str) -> int:
    """How long a link is without what follows it in the sentence: marks, and brackets that it does not open."""
    end = len(written)
    opened = {bracket: written.count(bracket) for bracket in _PAIRS.values()}
    closed = {bracket: written.count(bracket) for bracket in _PAIRS}
    while end:
        last = written[end - 1]
        if last in _TRAILING:
            end -= 1
        elif last in _PAIRS and closed[last] > opened[_PAIRS[last]]:
            closed[last] -= 1
            end -= 1
        else:
            break
    return end


def is_domain(written: str, before: str) -> bool:
    """Whether a bare name with dots is a domain, not a file, a number or two sentences without a space."""
    found = link(written)
    if found is None or not found.is_known or not found.name or found.name.isdigit():
        return False
    last = written.rpartition(".")[2].partition(":")[0]
    if last.lower() in _FILES or not last.islower():
        return False
    # "paid.in" may be two words; after "at" or "visit", or with a hyphen or digit, it is not
    return last not in _NEXT_WORDS or re.search(r"[-\d]", written) is not None or _PLACE.search(before) is not None


def hidden(found: Link) -> Iterator[str]:
    """Why a reader cannot see where a link leads."""
    if found.has_user:
        yield "userinfo"
    if found.is_ip:
        yield "ip_host"
    if found.port not in (None, 80, 443):
        yield "port"
    if found.domain in _known().shorteners:
        yield "shortener"
    if any(label.startswith("xn--") for label in (*found.subdomains, found.name)):
        yield "punycode"


@lru_cache(1 << 12)
def lookalike(found: Link, organisations: tuple[str, ...] = ()) -> tuple[str, bool] | None:
    """How a domain imitates another one, and whether that may be in earnest; `organisations` are names that the text itself speaks of."""
    known = _known()
    if found.is_ip or found.domain in known.shorteners:
        return None
    if listed := next((how for name, own in known.names.items() if not _is_of(found, own) and (how := _imitates(found, name, own))), None):
        way, name = listed
        is_word = name in known.common and way in ("in_subdomain", "with_more") and name in _parts(found)
        return f"{way}={name}", is_word and not _baits(found) and not _shows(found, known.names[name])
    if found.domain not in known.hosts:
        named = [words for organisation in organisations if (words := _words(organisation))]
        if any(_is_own(found, words) for words in named):
            return None
        if how := next((how for words in named if (how := _imitates_organisation(found, words))), None):
            return how, False
    parts = _unicode(found.name).split("-")
    baits = [part for part in parts if part in known.bait]
    if baits and len(parts) > len(baits):
        return f"bait_word={baits[0]}", all(bait in known.mild for bait in baits)
    return None


def _host(found: Link) -> str:
    return ".".join((*found.subdomains, found.domain))


def _is_of(found: Link, own: frozenset[str]) -> bool:
    """Whether a domain, or the whole host, is among a name's own."""
    return found.domain in own or _host(found) in own


def _shows(found: Link, own: frozenset[str]) -> bool:
    """Whether a host begins, after a dot or at once, with one of a name's own domains: "apple.com.help.example", "apple.com-help.example"."""
    host = f".{_host(found)}"
    return any(f".{domain}." in host or f".{domain}-" in host for domain in own)


def _parts(found: Link) -> set[str]:
    """What stands between dots and hyphens of a host, before its public suffix."""
    return {part for label in (*found.subdomains, found.name) for part in label.split("-")}


def _baits(found: Link) -> set[str]:
    """The words of bait in a host."""
    return _parts(found) & _known().bait


def _imitates(found: Link, name: str, own: frozenset[str]) -> tuple[str, str] | None:
    """How a domain that is not a listed name's own shows that name, and the name."""
    way = (
        _in_host(found, name, own) or _in_path(found, name, own) or ("drawn_like" if any(_is_drawn_like(_unicode(s), name) for s in found.subdomains) else None)
    )
    return (way, name) if way else None


def _in_host(found: Link, name: str, own: frozenset[str]) -> str | None:
    label = _unicode(found.name)
    if _is_drawn_like(label, name):
        return "drawn_like"
    # before a service that hosts what others name stands whose page it is
    is_tenant = found.domain in _known().hosts and not _baits(found) - _known().mild
    if _shows(found, own) or (not is_tenant and any(name in sub.split("-") for sub in found.subdomains)):
        return "in_subdomain"
    parts = label.split("-")
    if len(parts) > 1 and any(part == name or _is_drawn_like(part, name) for part in parts):
        return "with_more"
    rest = label.removeprefix(name) if label.startswith(name) else label.removesuffix(name)
    return "with_more" if len(name) >= _SHORT and rest != label and rest in _known().bait else None


def _in_path(found: Link, name: str, own: frozenset[str]) -> str | None:
    path = found.path.lower()
    shown = any(domain in path and re.search(rf"[/.@=]{re.escape(domain)}(?![\w-])", path) for domain in own)
    return "in_path" if shown or (len(name) >= _SHORT and re.search(rf"/{name}[/-](?:log-?in|sign-?in|verify|secure|account|update)", path)) else None


def _words(organisation: str) -> list[str]:
    """The words of an organisation's name that tell it apart; nothing of a short name, which may stand anywhere."""
    words = [w for w in _ONLY_NAME.split(unicodedata.normalize("NFKC", organisation).lower()) if w and w not in _LEGAL]
    return words if words and len(words[0]) >= _SHORT else []


def _is_own(found: Link, words: list[str]) -> bool:
    """Whether a domain is an organisation's own as far as its name tells: the name, or a part of it."""
    parts = [part for part in _unicode(found.name).split("-") if part]
    return "".join(parts) in "".join(words) or set(parts) <= set(words)


def _imitates_organisation(found: Link, words: list[str]) -> str | None:
    """How a domain shows an organisation's name without being its own: before another domain, with other words, or a letter off."""
    parts = [part for part in _unicode(found.name).split("-") if part]
    short = "".join(words[:2])
    if any((name := sub.replace("-", "")) == short or name.startswith(words[0]) for sub in found.subdomains):
        return "in_subdomain=organisation"
    if len(parts) > 1 and (words[0] in parts or (len(words) > 1 and short in parts)):
        return "with_more=organisation"
    if any(_is_drawn_like("".join(parts[:i]), "".join(words[:j])) for i in range(1, len(parts) + 1) for j in range(1, len(words) + 1)):
        return "drawn_like=organisation"
    return None


def _is_drawn_like(label: str, name: str) -> bool:
    """Whether a label is not a name but looks like it: letters drawn alike, or, of a long name, one letter more, fewer, changed or swapped."""
    if label == name or abs(len(label) - len(name)) > 2:
        return False
    if len(name) >= 4 and _drawn(label) == _drawn(name):
        return True
    return len(name) >= _EDITABLE and label[0] == name[0] and _is_one_edit(label, name) and not _is_plural(label, name)


@lru_cache(1 << 12)
def _drawn(label: str) -> str:
    """A label with letters and digits that are drawn alike made one."""
    from .plain import Plain

    shown = Plain(label, 0, len(label)).text.lower()
    marks = "".join(c for c in unicodedata.normalize("NFD", shown) if not unicodedata.combining(c))
    return marks.replace("rn", "m").replace("vv", "w").replace("ı", "i").translate(_DRAWN).replace("i", "l")


def _is_plural(label: str, name: str) -> bool:
    return label in (name + "s", name[:-1]) and (label.endswith("s") or name.endswith("s"))


def _is_one_edit(a: str, b: str) -> bool:
    """Whether one insertion, deletion, change or swap of neighbours makes one word of the other (Damerau 1964)."""
    if len(a) > len(b):
        a, b = b, a
    if len(b) - len(a) > 1:
        return False
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    if len(a) < len(b):
        return a[at:] == b[at + 1 :]
    return a[at + 1 :] == b[at + 1 :] or (a[at : at + 2] == b[at : at + 2][::-1] and a[at + 2 :] == b[at + 2 :])


@dataclass(frozen=True, slots=True)
class _Known:
    names: dict[str, frozenset[str]]
    common: frozenset[str]
    bait: frozenset[str]
    mild: frozenset[str]
    shorteners: frozenset[str]
    hosts: frozenset[str]


@cache
def _known() -> _Known:
    """What `links.toml` beside this file lists."""
    lists = tomllib.loads((Path(__file__).parent / "links.toml").read_text(encoding="utf-8"))
    names = {name: frozenset(own) for name, own in lists["names"].items()}
    words, services = lists["words"], lists["services"]
    common, bait, mild = (frozenset(words[name]) for name in ("common", "bait", "mild"))
    return _Known(names, common, bait, mild, frozenset(services["shorteners"]), frozenset(services["hosts"]))
