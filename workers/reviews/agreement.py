"""How far two reviewers agree beyond chance: Cohen's kappa, with a 95 % interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

# of the normal distribution
Z_95 = 1.96


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of `n` things that two judged: the share on which they agree, kappa, and the interval that holds it at 95 %.

    `kappa` is None where it is undefined: both said one and the same of everything, so that chance alone would make them agree.
    """

    n: int
    agreed: float
    kappa: float | None
    low: float | None
    high: float | None


def agreement(pairs: Sequence[tuple[Hashable, Hashable]]) -> Agreement:
    """Cohen 1960 (doi:10.1177/001316446002000104); the interval by the large-sample standard error of Fleiss, Cohen & Everitt 1969
    (doi:10.1037/h0028106, formula 13).

    Where they agree on everything that error is 0, however few they judged: there the lower end is what agreement of 1 - 3 / n would give, the
    least that n agreements in a row leave likely (the rule of three). Raises ValueError without pairs.
    """
    if not pairs:
        raise ValueError("agreement: nothing was judged by both")
    n = len(pairs)
    of_a, of_b = (Counter(side) for side in zip(*pairs, strict=True))
    both = Counter(a for a, b in pairs if a == b)
    agreed = both.total() / n
    by_chance = sum(of_a[c] * of_b[c] for c in of_a) / n**2
    if by_chance == 1.0:
        return Agreement(n, agreed, None, None, None)
    kappa = (agreed - by_chance) / (1 - by_chance)
    if agreed == 1.0:
        return Agreement(n, agreed, kappa, max(-1.0, 1 - min(1.0, 3 / n) / (1 - by_chance)), 1.0)
    margin = Z_95 * math.sqrt(_variance(pairs, of_a, of_b, kappa, by_chance))
    return Agreement(n, agreed, kappa, max(-1.0, kappa - margin), min(1.0, kappa + margin))


def _variance(pairs: Sequence[tuple[Hashable, Hashable]], of_a: Counter[Hashable], of_b: Counter[Hashable], kappa: float, by_chance: float) -> float:
    """The square of kappa's standard error."""
    n = len(pairs)
    total = 0.0
    for (a, b), count in Counter(pairs).items():
        if a == b:
            total += count / n * (1 - (of_a[a] + of_b[a]) / n * (1 - kappa)) ** 2
        else:
            total += count / n * ((of_b[a] + of_a[b]) / n) ** 2 * (1 - kappa) ** 2
    return max(0.0, total - (kappa - by_chance * (1 - kappa)) ** 2) / (n * (1 - by_chance) ** 2)
