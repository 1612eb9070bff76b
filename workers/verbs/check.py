"""Checks that packs keep the contract: manifest, card, rules, samples, hooks.

A folder need not be one that is found: give its path. Hooks of a folder that is not found are not run.

example: python manage.py check                 all packs
         python manage.py check finance         one pack
         python manage.py check ~/my_packs/claims    any folder
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from suites.check import check_pack, to_fill_in
from suites.discover import Pack, discover, read_manifest
from suites.errors import PackError, unknown
from suites.manifest_faults import manifest_faults
from workers.settings import Settings
from workers.show import words

SHOWN = 20  # problems of a pack


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack", nargs="?", help="name of the pack, or path of its folder; without it all are checked")


def run(options: Namespace, settings: Settings) -> object:
    problems = _of_one(options.pack, settings) if options.pack else _of_all(settings)
    for name, found in problems.items():
        words(f"{name}: {_verdict(found)}")
        for problem in found[:SHOWN]:
            words(f"  - {problem}")
        if len(found) > SHOWN:
            words(f"  ... and {len(found) - SHOWN} more (--json lists all)")
    bad = [name for name, found in problems.items() if found]
    if bad:
        error = PackError(f"{', '.join(bad)}: the contract is not kept; see the list above and docs/packs.md.", data=problems)
        error.exit_code = 1  # the command was right, the pack is not
        raise error
    return problems


def _verdict(found: list[str]) -> str:
    return "keeps the contract" if not found else f"{len(found)} {'problem' if len(found) == 1 else 'problems'}"


def _of_all(settings: Settings) -> dict[str, list[str]]:
    """The problems of every pack that is found, the broken ones too."""
    packs, broken = discover(settings.pack_folders)
    problems = {pack.name: _of_pack(pack, settings) for pack in packs.values()}
    return problems | {b.name: manifest_faults(b.folder) or [b.reason] for b in broken}


def _of_one(name: str, settings: Settings) -> dict[str, list[str]]:
    """The problems of a pack by its name, or of any folder by its path."""
    packs, broken = discover(settings.pack_folders)
    if name in packs:
        return {name: _of_pack(packs[name], settings)}
    for b in broken:
        if b.name == name:
            return {name: manifest_faults(b.folder) or [b.reason]}
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise PackError(f"{unknown('pack', name, packs)} Nor is there a folder of this path.", "no_pack")
    return _of_folder(folder, [*packs.values()], settings)


def _of_folder(folder: Path, packs: list[Pack], settings: Settings) -> dict[str, list[str]]:
    """The problems of a folder; its hooks run only where it is one of the packs that are found: what lies elsewhere nobody has vouched for."""
    if faults := manifest_faults(folder):
        return {folder.name: faults}
    known = next((pack for pack in packs if pack.folder.resolve() == folder.resolve()), None)
    if known is not None:
        return {known.name: _of_pack(known, settings)}
    pack = Pack(read_manifest(folder), folder)
    if (folder / "hooks.py").exists():
        words(f"{folder / 'hooks.py'}: not run, for the folder is none of suites/ and [packs] folders. Put it there to have its hooks checked.")
    found = [] if pack.name == folder.resolve().name else [f"{folder / 'pack.toml'}: name: {pack.name!r}, expected the folder's, {folder.resolve().name!r}."]
    _remind(pack)
    return {pack.name: [*found, *check_pack(pack, run_hooks=False), *_unusable_rules(pack)]}


def _of_pack(pack: Pack, settings: Settings) -> list[str]:
    _remind(pack)
    return [*check_pack(pack, settings.packs.trust_hooks), *_unusable_rules(pack)]


def _remind(pack: Pack) -> None:
    """A card that still asks is no fault of a pack in the making; who reads it later should find an answer."""
    if places := to_fill_in(pack):
        words(f"{pack.name}: still to be filled in before others use it: {', '.join(places)}")


def _unusable_rules(pack: Pack) -> list[str]:
    """What the rules' own library says against them: it compiles the patterns."""
    from pipelines.rules import Rules  # spaCy takes most of a second to import

    try:
        Rules(pack.folder, pack.manifest.language)
    except PackError as error:
        return [error.message]
    return []
