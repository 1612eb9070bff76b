"""The two optional pure functions of a pack: `clean` and `refine`."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from suites.discover import Pack
from suites.errors import PackError
from suites.types import Finding

# of a finding that `refine` gives as a dict
NEW: Mapping[str, Any] = {"score": 1.0, "source": "rule"}
Clean = Callable[[str], str]
Refine = Callable[[str, Sequence[Finding]], Sequence[Finding]]
# what a pack's own `refine` gives: findings, and dicts of new ones
PackRefine = Callable[[str, Sequence[Finding]], Iterable[Finding | Mapping[str, Any]]]


@dataclass(frozen=True)
class Hooks:
    """`clean(text)` gives a text of the same length; `refine(text, findings)` gives findings."""

    clean: Clean
    refine: Refine


def _same_text(text: str) -> str:
    return text


def _same_findings(text: str, findings: Sequence[Finding]) -> Sequence[Finding]:
    return findings


def load_hooks(pack: Pack, trusted: Sequence[str] = ()) -> Hooks:
    """The pack's hooks, or ones that change nothing.

    A folder under suites/ is our own code and runs. The hooks of a pip pack are third-party code:
    they run only if `[packs] trust_hooks` in settings.toml names the pack. They may import siblings of their folder (`from .dates import ...`).
    """
    path = pack.folder / "hooks.py"
    if not path.exists():
        return Hooks(_same_text, _same_findings)
    if pack.origin != "folder" and pack.name not in trusted:
        raise PackError(
            f"{path}: hooks of the pip pack {pack.name!r} are not trusted. Read them, then add the name to [packs] trust_hooks in settings.toml.",
            "hooks_untrusted",
        )
    module = _loaded(path, f"stillhouse_hooks_{pack.name}_{hashlib.sha256(str(pack.folder.resolve()).encode()).hexdigest()[:8]}")
    refine = getattr(module, "refine", None)
    return Hooks(getattr(module, "clean", _same_text), _same_findings if refine is None else _whole(refine))


def _loaded(path: Path, name: str) -> ModuleType:
    """The module in a file, as a package of the files beside it. Each call runs it anew."""
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=[str(path.parent)])
    if spec is None or spec.loader is None:
        raise PackError(f"{path}: cannot be loaded as Python.")
    module = importlib.util.module_from_spec(spec)
    for known in [known for known in sys.modules if known == name or known.startswith(f"{name}.")]:
        del sys.modules[known]
    sys.modules[name] = module  # where relative imports look for their package
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # third-party code: any exception at import means a broken pack
        del sys.modules[name]
        raise PackError(f"{path}: fails on import: {type(error).__name__}: {error}") from None
    return module


def _whole(refine: PackRefine) -> Refine:
    """The pack's `refine` with its dicts made findings of rules."""
    return lambda text, findings: [f if isinstance(f, Finding) else Finding(**{**NEW, **f}) for f in refine(text, findings)]
