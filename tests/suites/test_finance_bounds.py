"""What the finance pack takes at most, in time and in what it touches."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.rule_walk import RuleBudget
from suites.discover import is_legal
from suites.types import Finding

from .finance import hooks, pack, read, rules

ROOT = Path(__file__).parents[2]
N = 100_000


def filled(part: str) -> str:
    return part * (N // len(part))


HOSTILE = {
    "digits": filled("1"),
    "digits apart": filled("1 "),
    "numbers": filled("0161 496 0217 "),
    "ever new numbers": " ".join(f"202-555-{i % 10_000:04d}" for i in range(N // 13)),
    "www": filled("www."),
    "www apart": filled("www. "),
    "square brackets": filled("["),
    "links in brackets": filled("[www.a.example](http://b.example) "),
    "links in tags": filled('<a href="http://a.example">'),
    "one link of brackets": "http://a.example/" + filled(")"),
    "labels": filled("a.") + "com",
    "addresses": filled("a@b.example "),
    "at signs": filled("a@"),
    "beginnings of IBANs": filled("DE89"),
    "wrong IBANs": filled("DE89 3704 0044 0532 0130 01 "),
    "wrong coins": filled("bc1q" + "q" * 60 + " "),
    "wrong ether": filled("0x" + "aB" * 20 + " "),
    "groups of an amount": "EUR 1" + filled(" 000"),
    "ranges of amounts": filled("$1-2m "),
    "amounts in a row": filled("$1-"),
    "doubtful marks": filled("1.234 EUR "),
    "pairs of currencies": filled("GBP/USD 1.234/"),
    "cards in a row": filled("4111111111111111 "),
    "requests": filled("requests to ") + "buy gift cards",
    "what was done to others": filled("they were told to buy gift cards "),
    "names in a host": "http://" + filled("apple-login.") + "com",
    "number words": filled("five hundred ") + "dollars",
    "invisible characters": filled("1\u200b"),
    "full-width digits": filled("１"),
    "verbs": filled("enter your "),
    "negations": filled("not ") + "enter your password",
    "one endless sentence": filled("never ask you to enter your password "),
    "an endless warning": filled("criminals ") + "enter your password",
    "threats without a full stop": filled("the account will be closed "),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_texts_are_refined_in_a_second(text: str) -> None:
    """Of 100,000 characters made to be slow the hooks take well under a second of the processor; quadratic steps take many times that."""
    try:
        found = rules().read(text).findings
    except RuleBudget:
        found = []
    hooks().refine("warm https://a.example 0161 496 0217 DE89370400440532013000", [Finding("identifiers", "LINK", 1.0, 5, 22, "rule")])
    started = time.thread_time()
    refined = hooks().refine(text, found)
    assert time.thread_time() - started < 1.5
    assert all(is_legal(f, pack(), len(text)) for f in refined)


def test_time_is_linear_in_the_text() -> None:
    """Four times the text takes no more than eight times the time."""
    taken = []
    for times in (200, 800):
        text = "Never ask, enter your password and card, call 0161 496 0217 or see https://a.example/x for €5 " * times
        found = rules().read(text).findings
        started = time.thread_time()
        hooks().refine(text, found)
        taken.append(time.thread_time() - started)
    assert taken[1] < 8 * taken[0] + 0.05


def test_foreign_findings_pass_through() -> None:
    """What other tasks found is given on as it was."""
    others = [Finding("verdict", "spam", 0.9, 0, 5), Finding("parties", "PERSON", 0.7, 0, 2, unsure=True)]
    assert [f for f in read("Hello", others) if f.task in ("verdict", "parties")] == sorted(others, key=lambda f: (f.start, f.end))


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "\f", "\0", "a\0b.com/x", "‮", "\U0001f600" * 40, "https://", "www.", "@", "€", "+", "0x", "bc1", "http://[::1", "xn--.xn--/x"]
)
def test_scraps_are_read(text: str) -> None:
    """No text, however short or odd, makes the hooks raise or give what cannot be stored."""
    assert all(is_legal(f, pack(), len(text)) for f in read(text))


OFFLINE = """
import sys
def deny(event, args):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request", "http.client")):
        raise SystemExit("network: " + event)
    if event == "subprocess.Popen":
        raise SystemExit("process: " + str(args[0]))
sys.addaudithook(deny)
from tests.suites.finance import read
from tests.suites.test_finance_identifiers import VALID
from tests.suites.test_finance_links import HIDDEN, LOOKALIKE, MISMATCHED
for text, *_ in [*VALID, *HIDDEN.values(), *LOOKALIKE.values(), *((text,) for text in MISMATCHED.values())]:
    assert read(text)
print("read")
"""


def test_nothing_is_looked_up() -> None:
    """Reading identifiers and links of every kind opens no connection, resolves no name and starts no process."""
    done = subprocess.run([sys.executable, "-c", OFFLINE], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "read\n"), done.stderr[-500:]


LAZY = """
import sys
from suites.discover import find_pack
from suites.hooks import load_hooks
libraries = {"stdnum", "phonenumbers", "publicsuffixlist", "Crypto", "confusable_homoglyphs"}
hooks = load_hooks(find_pack("finance"))
hooks.refine("Nothing stands here.", [])
print(sorted(libraries & sys.modules.keys()))
"""


def test_libraries_are_loaded_when_they_are_needed() -> None:
    """Loading the hooks, and reading a text without identifiers, loads no library: a worker starts as fast as before."""
    done = subprocess.run([sys.executable, "-c", LAZY], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
