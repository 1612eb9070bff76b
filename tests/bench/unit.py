"""What every system of the speed bench shares, and nothing else: each process imports it before its clock has run out."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW_TOKENS, STRIDE = 512, 64  # [CLS] and [SEP] included, as everywhere


@dataclass(frozen=True, slots=True)
class Unit:
    """What a system is handed at once: texts, and the tokens that they add."""

    texts: tuple[str, ...]
    n_tokens: int
