"""The units of docs/systemd: each starts a command that there is, with options that it takes, confined as docs/operations.md says."""

from __future__ import annotations

import configparser
import importlib
import shlex
from pathlib import Path

import pytest

from workers.cli import _parser

UNITS = Path(__file__).parents[1] / "docs" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
CONFINED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "UMask": "0077",
    "LimitCORE": "0",
    "SystemCallFilter": "@system-service",
    "RestrictSUIDSGID": "yes",
    "CapabilityBoundingSet": "",
    "IPAddressDeny": "any",
    "User": "stillhouse",
}


def unit(path: Path) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None, strict=True, delimiters=("=",))
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_unit_starts_a_command_that_there_is(path: Path) -> None:
    """The verb exists and its own parser takes the options; who waits for a person's yes is given it."""
    program, *arguments = shlex.split(unit(path)["Service"]["ExecStart"].replace("%i", "8"))
    assert program == "/srv/stillhouse/.venv/bin/python" and arguments[0] == "manage.py"
    verb = arguments[1]
    options = _parser(verb, importlib.import_module(f"workers.verbs.{verb}")).parse_args(arguments[2:])
    assert getattr(options, "yes", True)
    assert getattr(options, "host", "127.0.0.1") == "127.0.0.1"


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_unit_is_confined(path: Path) -> None:
    """Every service runs as a user of its own without a way to more rights, and writes to var/ alone."""
    service = unit(path)["Service"]
    assert {name: service.get(name) for name in CONFINED} == CONFINED
    assert service["ReadWritePaths"] == "/srv/stillhouse/var"
    assert service["Type"] == "oneshot" or service["Restart"] == "always"


def test_every_unit_is_told_of() -> None:
    """docs/operations.md names each unit, and each timer has its service."""
    told = (UNITS.parent / "operations.md").read_text(encoding="utf-8")
    assert not [path.name for path in UNITS.iterdir() if path.name not in told and path.stem not in told]
    assert not [timer.name for timer in UNITS.glob("*.timer") if not timer.with_suffix(".service").exists()]
