"""The command line: verbs, their help, and how errors and interrupts end."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from suites.errors import RunError, StillhouseError, UsageError, unknown
from workers.arguments import add_common
from workers.hardening import keep_private
from workers.threads import spin_briefly
from workers.verbs import Part

# verb -> one line for --help, in the order of a student's and a document's life. The module is
# workers.verbs.VERB (dashes as underscores); only the chosen one is imported: --help stays fast.
VERBS = {
    "packs": "list the packs, their tasks and where they come from",
    "check": "check that a pack keeps the contract",
    "new-pack": "make the folder of a new pack, ready to be filled",
    "distill": "distil a smaller encoder from a teacher, on the pack's own texts",
    "finetune": "fine-tune a pack's student on its samples or on real data",
    "suggest": "propose which unlabelled documents to label next",
    "evaluate": "score a student on held-out examples, beside simple baselines",
    "release": "pass a student through the gate and let it read",
    "rollback": "let the primary student before the present one read again",
    "students": "list, show, compare and retire students",
    "predict": "read a file without a store, results to stdout",
    "score": "read single texts at once, in milliseconds",
    "serve": "answer POST /score over HTTP",
    "console": "serve jobs, results, documents and charts as web pages",
    "deidentify": "write documents without what tells who they are about",
    "migrate": "bring the store to the newest schema",
    "up": "run the embedded broker and the workers together",
    "worker": "run worker processes",
    "submit": "store documents and queue them for reading",
    "status": "show jobs: how far, how many, what failed",
    "energy": "show what jobs and runs took, beside the same job on the teacher",
    "failures": "show documents and rows that could not be read, and why",
    "retry": "read a job's failed documents again",
    "pause": "set a job's documents aside",
    "resume": "let a paused job's documents be read again",
    "cancel": "give up a job's waiting documents",
    "metrics": "print or serve what operators watch, for Prometheus",
    "verify": "check that nothing is lost and nothing doubled",
    "backup": "write a backup of a SQLite store and its students, while workers go on",
    "restore": "bring a backup back",
    "purge": "erase documents for good, with a certificate",
    "keys": "make, list and rotate the master key of a sealed store",
    "query": "ask the store in SQL, read-only",
    "drift": "show how far what is read lies from what the student was tried on",
    "review": "let people judge what the student is unsure of, and make gold of it",
    "export": "write a pack's results or findings to a file",
    "copy": "write a copy of the store without texts, for analysts' own tools",
    "tables": "show the data dictionary of the store",
    "audit": "show who did what, and check that nothing of it was changed",
    "roles": "make, show and check the roles of a PostgreSQL store",
    "doctor": "check this machine, the settings, the store and the broker",
    "bench": "measure this machine: our student beside other systems, in one table",
    "demo": "the whole story on this machine in two to six minutes",
}

EPILOG = """first steps:
  python manage.py demo                      see it work; it lies in var/demo
  python manage.py migrate                   make the store
  python manage.py finetune finance          fine-tune on the shipped samples
  python manage.py release finance --experimental    let the student read
  python manage.py up                        broker and workers (another terminal)
  python manage.py submit finance inbox/     queue a folder
  python manage.py query "select * from finance_results"

`python manage.py VERB --help` teaches a verb. Every verb takes --json and --debug.
Settings: settings.toml, or STILLHOUSE_SECTION__KEY in the environment.
Exit codes: 0 done, 1 a run or the gate failed, 2 wrong usage or settings."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; gives its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else 2
    verb = arguments[0]
    if verb not in VERBS:
        return _fail(UsageError(f"{unknown('command', verb, VERBS)} Try: python manage.py --help"), verb, arguments)
    keep_private(verb)
    spin_briefly()
    module = importlib.import_module(f"workers.verbs.{verb.replace('-', '_')}")
    try:
        options = _parser(verb, module).parse_args(arguments[1:])
    except UsageError as error:
        return _fail(error, verb, arguments)
    try:
        from workers.settings import load_settings  # the edge where a command reads its settings

        return _succeed(module.run(options, load_settings()), verb, options.json)
    except StillhouseError as error:
        if options.debug:
            raise
        return _fail(error, verb, arguments)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader of our output has gone, as `head` does: no error of ours
        sys.stderr.close()
        return 0
    except OSError as error:
        if options.debug:
            raise
        return _fail(RunError(f"{error.filename or 'the system'}: {error.strerror or type(error).__name__}.", "system"), verb, arguments)


class _Parser(argparse.ArgumentParser):
    """Its errors are UsageErrors, so that they end as all others do, with --json too."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise UsageError(f"{message}. Try: {self.prog} --help")


def _parser(verb: str, module: ModuleType) -> _Parser:
    parser = _Parser(prog=f"python manage.py {verb}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common(parser)
    module.add_arguments(parser)
    return parser


def _succeed(data: object, verb: str, as_json: bool) -> int:
    if as_json:
        answer = {"data": data.data, "more": data.more} if isinstance(data, Part) else {"data": data}
        print(json.dumps({"ok": True, "command": verb} | answer, ensure_ascii=False, default=str))
    return 0


def _fail(error: StillhouseError, verb: str, arguments: Sequence[str]) -> int:
    if "--json" in arguments:
        answer = {"ok": False, "command": verb, "error": {"code": error.code, "message": error.message}}
        print(json.dumps(answer | ({} if error.data is None else {"data": error.data}), ensure_ascii=False, default=str))
    print(f"error: {error.message}", file=sys.stderr)
    return error.exit_code


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [
        "usage: python manage.py VERB [options]",
        "",
        "Stillhouse reads domain documents in bulk: packs fine-tune students, workers read, analysts query.",
        "",
        "verbs:",
    ]
    lines += [f"  {verb:<{width}}  {line}" for verb, line in VERBS.items()]
    return "\n".join([*lines, "", EPILOG])
