"""The command line as a user meets it."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import insert

from workers.cli import VERBS
from workers.settings import Settings
from workers.store import Store
from workers.tables import documents, failures, jobs

from .conftest import ROOT, manage, manage_json, write_documents

ASKED = [
    *("packs", "check", "new-pack", "finetune", "evaluate", "release", "predict", "submit", "worker", "up"),
    *("status", "failures", "retry", "cancel", "query", "export", "tables", "migrate", "doctor"),
]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(ROOT / "manage.py"), *arguments], capture_output=True, text=True, timeout=60)


def test_every_promised_verb_exists() -> None:
    """The verbs of the README are there, and the README names every verb."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(ASKED) <= set(VERBS)
    assert not [verb for verb in VERBS if f"manage.py {verb}" not in readme and f"`{verb}`" not in readme]


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_help_teaches(verb: str) -> None:
    """--help of each verb says what it does and gives an example, without importing anything heavy."""
    done = run(verb, "--help")
    assert done.returncode == 0
    assert "example:" in done.stdout and f"manage.py {verb}" in done.stdout


def test_help_and_packs_answer_at_once() -> None:
    """`--help` takes less processor time than importing pydantic does, and `packs`, which needs that, less than three times as much.

    The best of five, taking turns: how fast the machine is does not count.
    """

    def seconds(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], capture_output=True, timeout=60, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    manage = str(ROOT / "manage.py")
    rounds = [(seconds("-c", "import pydantic.main"), seconds(manage, "--help"), seconds(manage, "packs")) for _ in range(5)]
    pydantic_s, help_s, packs_s = (min(of) for of in zip(*rounds, strict=True))
    assert help_s < pydantic_s
    assert packs_s < 3 * pydantic_s


def test_help_and_packs_import_nothing_heavy() -> None:
    """Neither torch nor a database, broker or encoder library is imported to list the packs."""
    code = (
        "import sys; sys.argv = ['manage.py', 'packs'];\nfrom workers.cli import main\nmain()\n"
        "heavy = {'torch', 'transformers', 'sqlalchemy', 'celery', 'redis', 'spacy', 'openvino', 'sklearn', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "usage"),
        (["finetun", "finance"], 2, "Did you mean 'finetune'?"),
        (["finetune"], 2, "required: pack"),
        (["finetune", "clincal"], 2, "Did you mean 'clinical'?"),
        (["check", "nothere"], 2, "No pack 'nothere'"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_to_do(arguments: list[str], code: int, says: str) -> None:
    """A mistake in a command is one clear line and exit code 2."""
    done = run(*arguments)
    assert done.returncode == code
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_json_is_one_envelope(home: Settings) -> None:
    """--json gives {ok, command, data} or {ok, command, error{code, message}} and nothing else on stdout."""
    good = json.loads(manage("packs", "--json", home=home).stdout)
    assert good["ok"] and good["command"] == "packs" and {p["pack"] for p in good["data"]["packs"]} >= {"clinical", "toy"}
    bad = json.loads(manage("submit", "clinical", "nothing", "--json", home=home, check=False).stdout)
    assert (bad["ok"], bad["command"], bad["error"]["code"]) == (False, "submit", "not_released")
    assert "finetune clinical" in bad["error"]["message"]


def test_wrong_usage_is_in_the_envelope(home: Settings) -> None:
    """A mistake in the arguments is the JSON error too, and still exit code 2."""
    done = manage("query", "--limit", "0", "--json", home=home, check=False)
    error = json.loads(done.stdout)
    assert (done.returncode, error["ok"], error["command"], error["error"]["code"]) == (2, False, "query", "usage")
    assert "--limit" in error["error"]["message"] and "query --help" in error["error"]["message"]
    assert "usage: python manage.py query" in done.stderr


def test_what_is_wrong_is_in_the_envelope(home: Settings, tmp_path: Path) -> None:
    """`check` and `doctor` that find something wrong say in --json what, as they do when all is well."""
    folder = tmp_path / "mine"
    manage("new-pack", "insurance", "--folder", str(folder), home=home)
    done = manage("check", "insurance", "--json", home=home, check=False, STILLHOUSE_PACKS__FOLDERS=str(folder))
    assert done.returncode == 1 and "has 0 documents, expected 20" in " ".join(json.loads(done.stdout)["data"]["insurance"])
    done = manage("doctor", "--json", home=home, check=False)
    assert done.returncode == 1 and {"store": False, "packs": True}.items() <= {c["name"]: c["ok"] for c in json.loads(done.stdout)["data"]}.items()


@pytest.mark.parametrize("verb", [("query", "select id from jobs order by id"), ("status",), ("failures",)], ids=lambda verb: verb[0])
def test_a_limit_is_never_silent(home: Settings, verb: tuple[str, ...]) -> None:
    """What a limit leaves out is told on stderr, and by `more` in --json."""
    manage("migrate", home=home)
    store = Store(home.store_url)
    with store.begin() as connection:
        for i in (1, 2):
            connection.execute(insert(jobs).values(name=f"job {i}", pack="toy", student_id="toy-0", state="OPEN", submitted_at=0.0))
            connection.execute(insert(documents).values(pack="toy", key=str(i), content_sha256="", n_chars=1, meta={}, received_at=0.0))
            failure = {"stage": "clean", "code": "too_long", "reason": "", "attempts": 1, "failed_at": 0.0}
            connection.execute(insert(failures).values(job_id=i, document_id=i, student_id="toy-0", **failure))
    store.close()
    for limit, more in (("1", True), ("2", False)):
        done = manage(*verb, "--limit", limit, "--json", home=home)
        answer = json.loads(done.stdout)
        assert (answer["more"], "--limit shows more" in done.stderr) == (more, more)
        assert len(answer["data"]["failures"] if verb == ("failures",) else answer["data"]) == int(limit)


def test_a_demo_of_an_unknown_pack_touches_nothing(home: Settings) -> None:
    """A misspelt pack is guessed, and the folder of the former demo stays as it was."""
    kept = home.runtime_folder / "demo" / "kept"
    kept.mkdir(parents=True)
    done = manage("demo", "--pack", "finanse", home=home, check=False)
    assert done.returncode == 2 and "Did you mean 'finance'?" in done.stderr
    assert kept.exists()


@pytest.mark.parametrize("name", ["_x", "über", "x" * 41, "Claims", "1x", "a-b", ""])
def test_new_pack_refuses_a_name_that_the_contract_refuses(home: Settings, tmp_path: Path, name: str) -> None:
    """A name that no manifest may have is refused before anything is written."""
    done = manage("new-pack", name, "--folder", str(tmp_path / "mine"), home=home, check=False)
    assert done.returncode == 2 and "is no pack name. Expected" in done.stderr
    assert not (tmp_path / "mine").exists()


def test_data_goes_to_stdout_and_words_to_stderr(home: Settings, tmp_path: Path) -> None:
    """What `predict` prints can be piped: stdout holds JSON lines alone."""
    path = write_documents(tmp_path / "a.jsonl", 3)
    done = manage("predict", "toy", str(path), home=home)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["id"] for line in lines] == ["doc-0", "doc-1", "doc-2"]
    assert "student toy-" in done.stderr


def test_predict_reports_bad_rows_and_exits_1(home: Settings, tmp_path: Path) -> None:
    """Good rows are read, bad ones named with place and code, and the exit code says that not all went well."""
    path = write_documents(tmp_path / "a.jsonl", 2)
    path.write_text(path.read_text() + "not json\n")
    done = manage("predict", "toy", str(path), home=home, check=False)
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 2
    assert "a.jsonl:3: bad_json" in done.stderr


def test_new_pack_makes_a_folder_that_is_found(home: Settings, tmp_path: Path) -> None:
    """A new pack is discovered at once, and `check` says what it still lacks."""
    folder = tmp_path / "mine"
    manage("new-pack", "insurance", "--folder", str(folder), home=home)
    done = manage("check", "insurance", home=home, check=False, STILLHOUSE_PACKS__FOLDERS=str(folder))
    assert done.returncode == 1
    assert "has 0 documents, expected 20" in done.stderr
    again = manage("new-pack", "insurance", "--folder", str(folder), home=home, check=False)
    assert again.returncode == 2 and "exists already" in again.stderr


def test_submit_without_migrate_says_migrate(home: Settings, tmp_path: Path) -> None:
    """A forgotten step is named, not guessed."""
    done = manage("submit", "toy", str(write_documents(tmp_path / "a.jsonl", 1)), home=home, check=False)
    assert done.returncode == 1 and "manage.py migrate" in done.stderr


def test_submit_without_a_broker_keeps_the_documents(home: Settings, tmp_path: Path) -> None:
    """With no broker running the documents are stored and wait, and the user is told."""
    manage("migrate", home=home)
    done = manage("submit", "toy", str(write_documents(tmp_path / "a.jsonl", 4)), home=home)
    assert "No broker answers" in done.stderr
    (job,) = manage_json("status", home=home)
    assert (job["pending"], job["adds_up"]) == (4, True)


def test_doctor_is_well_after_migrate(home: Settings) -> None:
    """`doctor` passes on a migrated home and names what is missing before."""
    before = manage("doctor", home=home, check=False)
    assert not Path(home.store_url.removeprefix("sqlite:///")).exists()  # to look makes nothing
    sealing = manage("doctor", home=home, check=False, STILLHOUSE_PRIVACY__ENCRYPT="true", STILLHOUSE_PACKS__FOLDERS="/nowhere/packs")
    assert "BAD  keys:" in sealing.stdout + sealing.stderr and "/nowhere/packs" in sealing.stdout + sealing.stderr
    assert before.returncode == 1 and "manage.py migrate" in before.stderr
    manage("migrate", home=home)
    manage("doctor", home=home)


def test_another_python_is_told_what_to_do() -> None:
    """One that has none of the packages says how to get them, in one line."""
    done = subprocess.run([sys.executable, "-S", str(ROOT / "manage.py"), "doctor"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "make setup" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_roles_are_postgresqls(home: Settings) -> None:
    """On SQLite each way of asking for roles says that there are none."""
    manage("migrate", home=home)
    for way in ("--check", "--apply", "--sql"):
        assert "SQLite has no roles" in manage("roles", way, home=home, check=False).stderr


def test_the_readmes_commands_exist() -> None:
    """Every `manage.py VERB` in README and docs names a verb that there is."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    named = {match for page in pages for match in re.findall(r"manage\.py ([a-z][a-z-]*)", page.read_text(encoding="utf-8"))}
    assert named and named <= set(VERBS)
