"""Checks that packs keep the contract: manifest, card, rules, samples, hooks.

example: python manage.py check            all packs
         python manage.py check finance    one pack
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from suites.check import check_pack
from suites.discover import Pack, discover, find_pack
from suites.errors import PackError
from workers.settings import Settings
from workers.show import words


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack", nargs="?", help="name of the pack; without it all are checked")


def run(options: Namespace, settings: Settings) -> object:
    packs, broken = discover(settings.pack_folders)
    chosen = [find_pack(options.pack, settings.pack_folders)] if options.pack else list(packs.values())
    problems = {pack.name: [*check_pack(pack, settings.packs.trust_hooks), *_unusable_rules(pack)] for pack in chosen}
    if not options.pack:
        problems |= {b.name: [b.reason] for b in broken}
    for name, found in problems.items():
        words(f"{name}: {'keeps the contract' if not found else f'{len(found)} problems'}")
        for problem in found[:20]:
            words(f"  - {problem}")
    bad = [name for name, found in problems.items() if found]
    if bad:
        error = PackError(f"{', '.join(bad)}: the contract is not kept; see the list above and docs/packs.md.", data=problems)
        error.exit_code = 1  # the command was right, the pack is not
        raise error
    return problems


def _unusable_rules(pack: Pack) -> list[str]:
    """What the rules' own library says against them: it compiles the patterns."""
    from pipelines.rules import Rules  # spaCy takes most of a second to import

    try:
        Rules(pack.folder, pack.manifest.language)
    except PackError as error:
        return [error.message]
    return []
