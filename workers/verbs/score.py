"""Reads single texts at once, in this process: one JSON object a text on stdout. `serve` does the same over HTTP.

TEXT is given on the command line, or line by line on stdin: a line is a text, answered as soon as it is there. The student stays loaded, so
that a message takes milliseconds. Findings are those that the queue gives; nothing is stored.

example: python manage.py score finance "Your account is locked. Confirm your PIN at http://example.org/x"
         tail -f messages.txt | python manage.py score finance
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from suites.errors import RunError, UsageError
from workers.settings import Settings
from workers.show import n_of, words
from workers.threads import one_thread_each


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("text", nargs="*", help="texts to read (default: the lines of stdin)")
    parser.add_argument("--student", metavar="ID", help="default: the released one")


def run(options: Namespace, settings: Settings) -> object:
    one_thread_each()
    from workers.score import Scorer

    if not all(map(str.strip, options.text)):
        raise UsageError("A TEXT is empty: give words to read, or none at all to read the lines of stdin.", "empty_text")
    scorer = Scorer.of(settings, options.pack, options.student)
    answers: list[dict[str, object]] = []
    n = n_failed = 0
    for text in options.text or map(str.strip, sys.stdin):
        if not text:
            continue
        n += 1
        scored = scorer.score(text, str(n))
        n_failed += scored.failure is not None
        line = {name: value for name, value in asdict(scored).items() if value is not None}
        if options.json:
            answers.append(line)
        else:
            print(json.dumps(line, ensure_ascii=False), flush=True)
    words(f"{n_of(n, 'text')} read by {scorer.student_id}, {n_failed} failed.")
    if n_failed:
        raise RunError(f"{n_failed} of {n} texts could not be read; the rest was.", "some_failed", answers)
    return answers
