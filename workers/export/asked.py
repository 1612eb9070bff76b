"""What an export was asked to show beside findings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """`text`: the documents' words too. `patient`: the patient, of sealed documents as well. `also`: tasks that the pack withholds."""

    text: bool = False
    patient: bool = False
    also: frozenset[str] = frozenset()

    @property
    def opens(self) -> bool:
        """Whether texts are read: sealed metadata lie under one seal with them."""
        return self.text or self.patient
