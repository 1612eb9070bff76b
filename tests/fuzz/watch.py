"""One process that feeds inputs to targets, within bounds of memory and time: `python -m tests.fuzz.watch FOLDER TARGET ... --inputs N`.

Each input lies in FOLDER/current while it is tried, so that what ends the process is known. What was found is FOLDER/found.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import signal
import sys
import time
import traceback
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from .mutate import MOST_BYTES, mutated

if TYPE_CHECKING:
    from .targets import Target

MEMORY_BYTES = 3 << 30  # of addresses: the libraries take 1 GiB of them
INSTRUMENTED = ("workers", "zipfile", "csv", "email", "html", "gzip", "tomllib")  # watched for new code: ours, and what parses for us
INPUT_S = 10.0  # an input that takes longer ends the process


@dataclass
class Found:
    """What one target showed: inputs tried, crashes by place (each with a file that holds its input), seconds of the slowest input."""

    inputs: int = 0
    slowest_s: float = 0.0
    slowest_bytes: int = 0
    crashes: dict[str, str] = field(default_factory=dict)


class Watch:
    """Tries inputs and keeps count; `save` writes it down."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._saved = 0.0
        self.found: dict[str, Found] = {}

    def attempt(self, name: str, target: Target, data: bytes) -> None:
        """Tries one input. An exception is kept as a crash, a hang ends the process by SIGALRM."""
        found = self.found.setdefault(name, Found())
        (self._folder / "current").write_bytes(data)
        signal.setitimer(signal.ITIMER_REAL, INPUT_S)
        started = time.perf_counter()
        try:
            target(data)
        except Exception as error:  # whatever it is: none is promised
            place = traceback.extract_tb(error.__traceback__)[-1]
            # of a broken promise its words, for they quote nothing
            what = f"{type(error).__name__} {error if type(error).__name__ == 'Broken' else ''} at {Path(place.filename).name}:{place.lineno}"
            if what not in found.crashes:
                found.crashes[what] = self._kept(name, data)
        seconds = time.perf_counter() - started
        signal.setitimer(signal.ITIMER_REAL, 0)
        found.inputs += 1
        if seconds > found.slowest_s:
            found.slowest_s, found.slowest_bytes = seconds, len(data)
        if time.monotonic() - self._saved > 0.5:
            self.save()

    def save(self) -> None:
        """Writes what was found so far, and the peak of the process's memory in MiB."""
        self._saved = time.monotonic()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        told = {name: asdict(found) | {"peak_mb": peak} for name, found in self.found.items()}
        draft = self._folder / "found.draft"
        draft.write_text(json.dumps(told))
        draft.rename(self._folder / "found.json")

    def _kept(self, name: str, data: bytes) -> str:
        file = self._folder / f"crash-{name.strip('.')}-{hashlib.sha256(data).hexdigest()[:12]}"
        file.write_bytes(data)
        return str(file)


def bound() -> None:
    """From now on the process has bounded memory, and a hang ends it even inside a library."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def seeds_of(name: str) -> list[bytes]:
    """The valid inputs of a target; of one that has none of its own those of all files."""
    from .seeds import SEEDS

    return SEEDS.get(name) or [seed for other, seeds in SEEDS.items() if other.startswith(".") for seed in seeds]


def _by_number(watch: Watch, name: str, target: Target, first: int, inputs: int | None, until: float) -> None:
    """Inputs made from numbers, `first` and on; before number 0 the valid ones."""
    for seed in seeds_of(name) if first == 0 else ():
        watch.attempt(name, target, seed)
    for number in range(first, first + inputs) if inputs is not None else count(first):
        if time.monotonic() > until:
            break
        watch.attempt(name, target, mutated(seeds_of(name), Random(f"{name}/{number}")))


def _by_coverage(watch: Watch, name: str, folder: Path, seconds: float, seed: int) -> None:
    """With atheris: inputs that reach new code are mutated further. Does not return."""
    import atheris

    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from .targets import targets

    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, data in enumerate(seeds_of(name)):
        (corpus / str(number)).write_bytes(data)
    target = targets(folder)[name]

    def mutate(data: bytes, most: int, number: int) -> bytes:
        random = Random(number)
        if random.random() < 0.5:
            return bytes(atheris.Mutate(data, most))
        return mutated([data or b"\0", *seeds_of(name)], random)[:most]

    flags = [f"-max_total_time={max(1, int(seconds))}", f"-max_len={MOST_BYTES}", "-timeout=0", "-rss_limit_mb=0", "-verbosity=0", f"-seed={seed + 1}"]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], lambda data: watch.attempt(name, target, data), custom_mutator=mutate)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("targets", nargs="+")
    parser.add_argument("--inputs", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--coverage", action="store_true")
    options = parser.parse_args()
    bound()
    watch = Watch(options.folder)
    if options.coverage:
        _by_coverage(watch, options.targets[0], options.folder, options.seconds, options.first)
    from .targets import targets

    until = time.monotonic() + options.seconds
    for name, target in targets(options.folder).items():
        if name in options.targets:
            _by_number(watch, name, target, options.first, options.inputs, until)
    watch.save()


if __name__ == "__main__":
    main()
