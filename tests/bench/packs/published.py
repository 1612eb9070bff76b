"""What others published of the sets, as the sets' own READMEs cite it, and which of our figures stands beside which peer's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.bench.sets import SETS

PUBLISHED: Mapping[str, str] = {
    **{name: chosen.published for name, chosen in SETS.items()},
    "deid_presidio_synth_en": "none seen",
    "a3cg_aspect_action": "none seen",
}


@dataclass(frozen=True, slots=True)
class Beside:
    """A comparison: what it is of, and the measures that are shown."""

    pack: str
    source: str
    task: str
    published: str
    measures: tuple[str, ...]


IDENTITY = ("NAME", "ADDRESS", "LOCATION", "ORGANISATION", "DATE", "ID", "PHONE", "EMAIL", "URL")
KPIS = ("SCOPE1", "SCOPE2", "SCOPE3", "SCOPE12", "SCOPE123")
PEER_OF: Mapping[str, Beside] = {
    "assertions": Beside("clinical", "negex_context", "assertion", PUBLISHED["negex_context"], ("negated", "historical", "family")),
    "identifiers": Beside(
        "clinical",
        "deid_presidio_synth_en",
        "identity",
        "none seen",
        (
            *("characters", "exact/all", "overlap/all", "exact/all, streets as places", "overlap/all, streets as places"),
            *(f"overlap/{label}" for label in IDENTITY),
        ),
    ),
    "quantities": Beside("environment", "measeval_quantities", "quantities", "quantity spans alone about 0.86 overlap F1 (recalled)", ("exact", "overlap")),
    "key figures": Beside(
        "environment",
        "os_climate_kpi",
        "kpi",
        "none seen",
        ("all", "BASE_YEAR", "TARGET_YEAR", "REDUCTION_TARGET", "CLIMATE_SCENARIO", *(f"{scope}_EMISSIONS" for scope in KPIS)),
    ),
}
