"""Command-line arguments that verbs share, and their types."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError

# of reviewed documents, never learned from; of places in the review queue, given to sure findings
HELD_BACK = 0.2
CHECK_SURE = 0.1


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def rate(text: str) -> float:
    """A number above 0 and at most 1."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise ArgumentTypeError(f"{text!r} is not a number above 0 and at most 1")
    return number


def above_zero(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def share(text: str) -> float:
    """A number of 0 or more and below 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1:
        raise ArgumentTypeError(f"{text!r} is not a number of 0 or more and below 1")
    return number


def add_job(parser: ArgumentParser) -> None:
    """Adds the job that a verb is about."""
    parser.add_argument("job", help="number or name of a job")


def add_held_back(parser: ArgumentParser) -> None:
    """Adds --held-back: the same share wherever reviews are taken from, or what one command holds back another learns from."""
    told = f"share of the reviewed documents that is never learned from, the same in all commands (default {HELD_BACK}; 0: none)"
    parser.add_argument("--held-back", type=share, default=HELD_BACK, metavar="SHARE", help=told)


def add_common(parser: ArgumentParser, *, again: bool = False) -> None:
    """Adds --json and --debug. `again`: to a sub-verb, which leaves what its verb was given."""
    default: object = SUPPRESS if again else False
    shown = "one JSON object on stdout: {ok, command, data | error}, and `more` where --limit cuts"
    parser.add_argument("--json", action="store_true", default=default, help=shown)
    parser.add_argument("--debug", action="store_true", default=default, help="show the traceback of an error")
