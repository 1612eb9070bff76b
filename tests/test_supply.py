"""What is loaded is what was made: no pickle, no foreign code, no changed file, no version that nobody pinned."""

from __future__ import annotations

import ast
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig, DistilBertConfig

from pipelines.engines import kept_in
from pipelines.release import Event, Register, read_register
from pipelines.sources import CONFIG_KEYS, encoder_folder
from pipelines.student import INT8_FILE, SEALED, SUMS, WHERE_THERE, Student, load_student
from suites.errors import StudentError
from workers.cli import main

from .workers.conftest import home as workers_home
from .workers.conftest import manage

ROOT = Path(__file__).parents[1]
OURS = [path for top in ("suites", "pipelines", "workers", "migrations", "tests/bench") for path in sorted((ROOT / top).rglob("*.py"))] + [ROOT / "manage.py"]

home = workers_home


# --- a student is read as it was sealed, or not at all


@pytest.fixture
def owned(home: Any, toy_student: tuple[Path, Student]) -> Path:
    """The released student of `home` as a copy that a test may change."""
    folder = Path(home.students_folder / "toy" / toy_student[1].id)
    folder.unlink()
    shutil.copytree(toy_student[1].folder, folder)
    return folder


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.parametrize("name", [*SEALED, *WHERE_THERE, SUMS])
def test_predict_refuses_a_flipped_byte(owned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, place: str) -> None:
    """One flipped bit at either end or in the middle of any file that decides answers: `predict` ends with 1, names a file, and reads nothing."""
    (tmp_path / "a.txt").write_text("The storm near the zoo was awful.", encoding="utf-8")
    length = (owned / name).stat().st_size
    flip(owned / name, {"first": 0, "middle": length // 2, "last": length - 1}[place])
    assert main(["predict", "toy", str(tmp_path / "a.txt"), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["error"]["code"] == "student_damaged"
    # a flipped digit of the list is seen at the file that it is the digest of
    assert re.search(rf"{owned}/({'.+' if name == SUMS else re.escape(name)}): missing, or not the file that was sealed", answer["error"]["message"])


def test_a_worker_leaves_the_documents_of_a_damaged_student_waiting(owned: Path, home: Any, tmp_path: Path) -> None:
    """The job's documents wait, and `status` says which file is not as it was sealed."""
    from workers.drain import drain
    from workers.store import Store

    (tmp_path / "a.txt").write_text("The storm near the zoo was awful.", encoding="utf-8")
    manage("migrate", home=home)
    manage("submit", "toy", str(tmp_path / "a.txt"), home=home)
    flip(owned / "heads.safetensors", 100)
    store = Store(home.store_url)
    assert drain(store, home, budget_s=10).n_read == 0
    store.close()
    (row,) = json.loads(manage("status", "--json", home=home).stdout)["data"]
    assert (row["pending"], row["failed"]) == (1, 0)
    assert f"{owned / 'heads.safetensors'}: missing, or not the file that was sealed" in row["message"]


def edited(folder: Path, old: str, new: str) -> None:
    text = (folder / SUMS).read_text(encoding="ascii")
    assert old in text
    (folder / SUMS).write_text(text.replace(old, new), encoding="utf-8")


def hidden(folder: Path) -> None:
    """An int8 encoder that the list passes over, as a byte flipped in its name would leave it."""
    edited(folder, f"  {INT8_FILE}\n", "  README.md\n")


SPOILT = {
    "a name that no student has": lambda f: edited(f, INT8_FILE, "encoder.int9.safetensors"),
    "the int8 encoder left out": lambda f: (f / SUMS).write_text("".join(x for x in (f / SUMS).open() if INT8_FILE not in x)),
    "the int8 encoder under another name": hidden,
    "a line twice": lambda f: (f / SUMS).write_text((f / SUMS).read_text() + (f / SUMS).read_text().splitlines(True)[0]),
    "a way out of the folder": lambda f: edited(f, "  encoder.bin", "  ../encoder.bin"),
    "no text": lambda f: (f / SUMS).write_bytes(b"\xff\xfe"),
    "empty": lambda f: (f / SUMS).write_bytes(b""),
    "a file is a folder": lambda f: ((f / "encoder.bin").unlink(), (f / "encoder.bin").mkdir()),
    "a file is a pipe": lambda f: ((f / "encoder.bin").unlink(), os.mkfifo(f / "encoder.bin")),
    "a file leads elsewhere": lambda f: ((f / "encoder.bin").unlink(), (f / "encoder.bin").symlink_to("/etc/hostname")),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_a_list_or_folder_of_another_form_is_refused(owned: Path, spoil: Any) -> None:
    """A list of sums that is not as `seal` writes it, and a file that is none, are errors that name the file."""
    spoil(owned)
    with pytest.raises(StudentError, match=rf"{owned}/[A-Za-z0-9.]+: missing, or not the file that was sealed"):
        load_student(owned)


def bits(content: bytes) -> Iterator[bytes]:
    """The content with each of its bits flipped."""
    for at in range(len(content)):
        for bit in range(8):
            yield content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :]


def test_a_flipped_bit_of_the_gates_record_lets_no_engine_in(tmp_path: Path) -> None:
    """gate.json is written after sealing: whatever bit of it flips, a student is read on no engine that the gate had not found good."""
    for compressed in ({"engine": "int8", "holds": False, "problems": ["x"]}, {"engine": "bf16", "holds": True, "problems": []}):
        whole = json.dumps({"passed": True, "state": "primary", "problems": [], "compressed": compressed}, indent=1).encode()
        allowed = {"bf16"} if compressed["holds"] else set()
        for content in bits(whole):
            (tmp_path / "gate.json").write_bytes(content)
            assert kept_in(tmp_path) & {"int8", "bf16"} <= allowed


def test_a_flipped_bit_of_the_register_moves_no_student(tmp_path: Path) -> None:
    """Whatever bit of released.json flips, the register is refused or names the same students in the same states."""
    events = (Event(student="toy-0123456789ab", state="primary", at=1.0), Event(student="toy-ba9876543210", state="experimental", at=2.0))
    register = Register(events=events)
    (tmp_path / "toy").mkdir()
    n_refused = 0
    for content in bits((register.model_dump_json(indent=1) + "\n").encode()):
        (tmp_path / "toy" / "released.json").write_bytes(content)
        try:
            read = read_register(tmp_path, "toy")
        except StudentError:
            n_refused += 1
        else:
            assert (read.states, read.line, read.reader) == (register.states, register.line, register.reader)
    assert n_refused > 0


# --- an encoder's folder


@pytest.fixture
def encoder(tiny_encoder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny encoder that a test may change."""
    return Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))


def with_keys(file: Path, **keys: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | keys), encoding="utf-8")


@pytest.mark.parametrize("config", [BertConfig, DistilBertConfig])
def test_what_transformers_writes_is_known(config: type) -> None:
    """Every key that the installed transformers writes for the two models is on the list: no folder of its making is refused."""
    assert set(config().to_dict()) <= CONFIG_KEYS


@pytest.mark.parametrize(
    "key", ["auto_map", "_attn_implementation_internal", "_attn_implementation", "trust_remote_code", "custom_pipelines", "quantization_config", "novel"]
)
def test_a_key_beside_the_list_is_refused(encoder: Path, key: str) -> None:
    """config.json may hold the keys of a BERT or DistilBERT alone; the refusal names the key."""
    encoder_folder(f"path:{encoder}")
    with_keys(encoder / "config.json", **{key: "a/b"})
    with pytest.raises(StudentError, match=rf"config\.json holds \['{key}'\]") as caught:
        encoder_folder(f"path:{encoder}")
    assert caught.value.code == "bad_source"


def test_a_tokenizer_with_code_is_refused(encoder: Path) -> None:
    """tokenizer_config.json, which a student carries on for other tools, may not name code."""
    with_keys(encoder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["code.T", None]})
    with pytest.raises(StudentError, match=r"tokenizer_config\.json holds \['auto_map'\]"):
        encoder_folder(f"path:{encoder}")


def test_weights_that_are_no_safetensors_are_refused(encoder: Path) -> None:
    """A pickle under the name model.safetensors is a StudentError, and is not unpickled."""
    from pipelines.encoder import load_encoder

    (encoder / "model.safetensors").write_bytes(pickle.dumps(Payload(encoder / "made")))
    with pytest.raises(StudentError, match=r"model\.safetensors: not a whole file in safetensors"):
        load_encoder(encoder)
    assert not (encoder / "made").exists()


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._folder,)


LOAD = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from pathlib import Path
from pipelines.encoder import load_encoder
from pipelines.predict import make_predictor
from pipelines.sources import encoder_folder
from pipelines.student import load_student
from suites.discover import find_pack
from suites.types import Document

packs, student, encoder = map(Path, sys.argv[1:])
load_encoder(encoder_folder(f"path:{encoder}"))
(reading,) = make_predictor(find_pack("toy", [packs]), load_student(student)).predict([Document("1", "The storm was awful.")])
assert reading.findings
for path in opened:
    if path.startswith((str(student), str(encoder))):
        print(Path(path).name)
"""


def test_pickles_beside_the_weights_are_never_opened(owned: Path, encoder: Path, toy_folder: Path, tmp_path: Path) -> None:
    """An encoder's and a student's folder may hold .bin, .pt, .pkl and .joblib files: nothing opens them, and what they would do is not done."""
    planted = ["pytorch_model.bin", "training_args.bin", "model.pt", "heads.pkl", "label_encoder.joblib"]
    for folder in (owned, encoder):
        for name in planted:
            (folder / name).write_bytes(pickle.dumps(Payload(tmp_path / "made")))
    done = subprocess.run([sys.executable, "-c", LOAD, str(toy_folder), str(owned), str(encoder)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    opened = set(done.stdout.split())
    assert {"config.json", "heads.safetensors"} <= opened, "the hook saw nothing"
    assert opened.isdisjoint(planted) and not (tmp_path / "made").exists()


# --- our own code


UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
LOADERS = {"torch.load", "torch.hub", "np.load", "numpy.load", "pandas.read_pickle", "spacy.load", "yaml.load", "torch.jit.load"}
# the bench measures transformers and spaCy themselves, on folders that it has made
BENCH_MAY = {
    "tests/bench/peers.py": {"from_pretrained", "spacy.load"},
    "tests/bench/models.py": {"from_pretrained"},
    "tests/bench/packs/philter_peer.py": {"spacy.load"},
}


def unsafe(tree: ast.AST) -> set[str]:
    """What in a module could run code that comes with data."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] in UNPICKLERS}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} if str(node.module).split(".")[0] in UNPICKLERS else set()
        elif isinstance(node, ast.Attribute):
            named = ast.unparse(node)
            found |= {named} & LOADERS
            found |= {node.attr} & {"from_pretrained"}
        elif isinstance(node, ast.keyword):
            risky = node.arg in ("trust_remote_code", "allow_pickle") and not (isinstance(node.value, ast.Constant) and node.value.value is False)
            found |= {str(node.arg)} if risky else set()
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found |= {node.func.id} & {"eval", "exec"}
    return found


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_our_code_loads_no_pickle_and_no_foreign_code(path: Path) -> None:
    """No module imports an unpickler, calls a loader that unpickles or fetches, or trusts remote code."""
    assert unsafe(ast.parse(path.read_text(encoding="utf-8"))) <= BENCH_MAY.get(str(path.relative_to(ROOT)), set())


@pytest.mark.parametrize(
    "code",
    [
        *("import joblib", "from pickle import loads", "torch.load(f)", "np.load(f, allow_pickle=True)", "AutoModel.from_pretrained(f)", "eval('1')"),
        *("f(trust_remote_code=True)", "f(trust_remote_code=given)", "spacy.load(f)"),
    ],
)
def test_the_walk_sees_what_is_unsafe(code: str) -> None:
    """The walk finds each of them: the test above can fail."""
    assert unsafe(ast.parse(code))


def test_of_codecarbon_tables_alone_are_read() -> None:
    """No module imports codecarbon, whose code reaches for the network and reports usage: a process that has reckoned energy holds none of it."""
    for path in OURS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in named if name.split(".")[0] == "codecarbon"], path
    code = "import sys; from pipelines.energy import Meter, Rates; m = Meter(Rates('DEU')); m.told(m.total()); print([n for n in sys.modules if 'carbon' in n])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.strip() == "['pipelines.carbon']"


# --- dependencies

LOCKS = sorted(ROOT.glob("requirements*.lock"))


def pins(lock: Path) -> list[str]:
    return [line for line in lock.read_text(encoding="utf-8").splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_dependency_is_pinned(lock: Path) -> None:
    """Each line of a lock names one exact version, each package once."""
    lines = pins(lock)
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.+!]*", line)] == []
    names = [line.partition("==")[0] for line in lines]
    assert len(set(names)) == len(names)


def installed() -> dict[str, str]:
    return {re.sub(r"[-_.]+", "-", found.metadata["Name"].lower()): found.version for found in metadata.distributions()}


def test_what_is_installed_is_what_the_locks_say() -> None:
    """Every pinned package that runs or tests is installed in that version, torch in the Makefile's; nothing else is installed but what the bench adds."""
    here = installed()
    pinned = {lock.name: dict(line.split("==") for line in pins(lock)) for lock in LOCKS}
    torch = re.search(r"torch==(\S+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert torch and here["torch"].partition("+")[0] == torch[1]
    needed = pinned["requirements.lock"] | pinned["requirements-dev.lock"]
    assert {name: here.get(name) for name in needed} == needed
    extra = here.keys() - needed.keys() - {"torch", "pip"}
    assert {name: here[name] for name in extra} == {name: pinned["requirements-bench.lock"].get(name) for name in extra}


def test_nothing_that_reports_usage_is_installed() -> None:
    """OpenVINO's and NNCF's reporting is a package of its own, which no lock names and nothing has brought along."""
    assert not {"openvino-telemetry", "sentry-sdk", "posthog", "opentelemetry-sdk", "scarf"} & installed().keys()
