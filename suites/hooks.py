"""The two optional pure functions of a pack: `clean` and `refine`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from suites.discover import Pack
from suites.errors import PackError
from suites.types import Finding

Clean = Callable[[str], str]
Refine = Callable[[str, Sequence[Finding]], Sequence[Finding]]


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
    they run only if `[packs] trust_hooks` in settings.toml names the pack.
    """
    path = pack.folder / "hooks.py"
    if not path.exists():
        return Hooks(_same_text, _same_findings)
    if pack.origin != "folder" and pack.name not in trusted:
        raise PackError(
            f"{path}: hooks of the pip pack {pack.name!r} are not trusted. Read them, then add the name to [packs] trust_hooks in settings.toml.",
            "hooks_untrusted",
        )
    spec = importlib.util.spec_from_file_location(f"stillhouse_hooks_{pack.name}", path)
    if spec is None or spec.loader is None:
        raise PackError(f"{path}: cannot be loaded as Python.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # third-party code: any exception at import means a broken pack
        raise PackError(f"{path}: fails on import: {type(error).__name__}: {error}") from None
    return Hooks(getattr(module, "clean", _same_text), getattr(module, "refine", _same_findings))
