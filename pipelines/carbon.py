"""CodeCarbon's tables: grams of CO2e that a kilowatt hour costs in each country, and the watts of processors.

They are read as files of the wheel `codecarbon`; its code is never imported. Nothing asks the network.
"""

from __future__ import annotations

import csv
import json
import re
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

from suites.errors import RunError, SettingsError

WORLD = "WOR"
WORLD_NAME = "the world's average"

# what processors say of themselves and the table leaves out
_TRADEMARK = re.compile(r"\((?:r|tm)\)")
_REST = re.compile(r"(?:@| with ).*$")
_WORDS = re.compile(r"\b(?:cpu|processor|apu|\d+-cores?)\b|^\d+th gen ")


@cache
def source() -> str:
    """Where the tables are from, as `CodeCarbon 3.3.2`."""
    return f"CodeCarbon {metadata.version('codecarbon')}"


def grams_per_kwh(country: str = "") -> float:
    """gCO2e of a kilowatt hour by a country's mix (ISO 3166, three letters); "" or WOR: the world's average.

    As CodeCarbon reckons: its table's carbon intensity (mostly of 2023; Our World in Data). A country without one has the world's.
    Raises SettingsError for a code that the table does not have.
    """
    world = float(_json("carbon_intensity_per_source.json")["world_average"])
    return world if country in ("", WORLD) else float(_country(country)["carbon_intensity"] or world)


def country_name(country: str = "") -> str:
    """A country's name in English."""
    return WORLD_NAME if country in ("", WORLD) else str(_country(country)["country_name"])


def design_watts(model_name: str) -> float | None:
    """The thermal design power of a processor package, by what /proc/cpuinfo calls it; None: not in the table."""
    return _processors().get(_plain(model_name)) if model_name else None


def _country(code: str) -> dict[str, Any]:
    countries = _json("global_energy_mix.json")
    if code not in countries:
        reason = f"no grid of {code[:10]!r} is known ({source()} has {len(countries)})"
        raise SettingsError(f"{reason}. Expected an ISO 3166 code of three capital letters, as DEU, or nothing for the world's average.", "no_country")
    found: dict[str, Any] = countries[code]
    return found


@cache
def _processors() -> dict[str, float]:
    """Watts by plain name; of a name that has several the least is taken."""
    found: dict[str, float] = {}
    with _file("hardware/cpu_power.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if re.fullmatch(r"\d+(?:\.\d+)?", row["TDP"]):  # a few old ones name several
                name = _plain(row["Name"])
                found[name] = min(float(row["TDP"]), found.get(name, float("inf")))
    return found


def _plain(name: str) -> str:
    """A processor's name without trademarks, clock, graphics and number of cores."""
    return " ".join(_WORDS.sub(" ", _REST.sub("", _TRADEMARK.sub(" ", name.lower()))).split())


@cache
def _json(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_file(f"private_infra/{name}").read_text(encoding="utf-8"))
    return found


def _file(name: str) -> Path:
    """A file of CodeCarbon's data. Raises RunError where the wheel is missing."""
    found = util.find_spec("codecarbon")  # looks where it lies, and runs none of it
    if found is None or not found.submodule_search_locations:
        raise RunError("The wheel codecarbon is missing, whose tables energy is reckoned with. Run: make setup", "no_tables")
    return Path(found.submodule_search_locations[0]) / "data" / name
