"""Where reviewers sit in the console: what each has passed over and decided since it was started, and what comes next for them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

from workers.console.tokens import IDLE_S
from workers.reviews.sitting import Sitting

# of more the one longest unused is forgotten: what was decided is stored, and what was passed over comes again
SEATS = 200


class Place(NamedTuple):
    """Who looks at which student's findings: `mode` and `task` as the page's address says them."""

    reviewer: str
    pack: str
    student_id: str
    mode: str
    task: str


@dataclass
class Seat:
    """A sitting, used by one request at a time; `said`: what came of the last one, told once. `begun`: the audit has it."""

    sitting: Sitting
    used_at: float = field(default_factory=time.monotonic)
    lock: Lock = field(default_factory=Lock)
    said: str = ""
    begun: bool = False

    def told(self) -> str:
        said, self.said = self.said, ""
        return said


class Seats:
    """The seats of all reviewers. Two windows of one reviewer on the same place share it. One that nobody used for as long as a session lasts is over."""

    def __init__(self) -> None:
        self._taken: OrderedDict[Place, Seat] = OrderedDict()
        self._lock = Lock()

    def at(self, place: Place, make: Callable[[], Sitting]) -> Seat:
        """The seat at a place, made where nobody sits there yet."""
        with self._lock:
            seat = self._taken.pop(place, None)
            if seat is None or time.monotonic() - seat.used_at > IDLE_S:
                seat = Seat(make())
            seat.used_at = time.monotonic()
            self._taken[place] = seat
            while len(self._taken) > SEATS:
                self._taken.popitem(last=False)
        return seat

    def leave(self, place: Place) -> None:
        """Ends the sitting at a place: the next one there begins anew."""
        with self._lock:
            self._taken.pop(place, None)
