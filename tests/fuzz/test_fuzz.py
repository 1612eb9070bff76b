"""A bounded run of the fuzzer, the same on every machine, and the inputs that once broke something."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workers.ingest import Reject, read_paths

from .mutate import mutated
from .seeds import SEEDS, zipped
from .targets import Broken, targets
from .watch import Watch

ROOT = Path(__file__).parents[2]
NAMES = tuple(targets(Path()))
INPUTS = {"rules": 25}  # spaCy takes 50 ms for each
USUAL_INPUTS = 110


def watched(folder: Path, *arguments: str) -> dict[str, dict[str, object]]:
    """What a process of its own found, within its bounds of memory and time."""
    done = subprocess.run([sys.executable, "-m", "tests.fuzz.watch", str(folder), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{done.stderr[-2000:]}\nthe input: {(folder / 'current').read_bytes()[:2000]!r}"
    found: dict[str, dict[str, object]] = json.loads((folder / "found.json").read_text())
    return found


def test_two_thousand_inputs(tmp_path: Path) -> None:
    """Damaged files of every format, names, cells, rules and settings break no promise, in bounded memory and time."""
    usual = [name for name in NAMES if name not in INPUTS]
    found = watched(tmp_path, *usual, "--inputs", str(USUAL_INPUTS))
    for name, inputs in INPUTS.items():
        found |= watched(tmp_path, name, "--inputs", str(inputs))
    assert {name: told["crashes"] for name, told in found.items() if told["crashes"]} == {}
    assert found.keys() == set(NAMES)
    assert sum(int(str(told["inputs"])) for told in found.values()) >= 1_900


def test_inputs_are_the_same_everywhere() -> None:
    """An input is made from its number alone, so that a crash can be told and made again."""
    assert [mutated(SEEDS[".zip"], Random(f".zip/{n}")) for n in range(5)] == [mutated(SEEDS[".zip"], Random(f".zip/{n}")) for n in range(5)]
    assert len({mutated(SEEDS[".zip"], Random(f".zip/{n}")) for n in range(50)}) > 40


def test_a_broken_promise_is_found(tmp_path: Path) -> None:
    """A target that breaks its promise is counted as a crash with its place, and its input is kept: the runs above can fail."""
    watch = Watch(tmp_path)

    def broken(data: bytes) -> None:
        if b"x" in data:
            raise Broken("no x")

    watch.attempt("t", broken, b"a")
    watch.attempt("t", broken, b"x")
    watch.save()
    ((what, where),) = watch.found["t"].crashes.items()
    assert what.startswith("Broken no x at test_fuzz.py")
    assert Path(where).read_bytes() == b"x"
    assert json.loads((tmp_path / "found.json").read_text())["t"]["inputs"] == 2


def test_a_footer_that_once_ended_the_process(tmp_path: Path) -> None:
    """A Parquet file whose column was optional and is said to be required is rejected, and the process that reads it goes on."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", None]}), sink)
    optional, required = b"\x25\x02\x18\x04text", b"\x25\x00\x18\x04text"  # field 3, the repetition; field 4, the name
    assert sink.getvalue().count(optional) == 1
    (tmp_path / "a.parquet").write_bytes(sink.getvalue().replace(optional, required))
    script = "import sys; from pathlib import Path; from workers.ingest import read_paths\nfor _, rows in read_paths([Path(sys.argv[1])], 9): print(*rows)"
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.parquet")], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Reject" in done.stdout


def test_a_zip_member_without_a_name(tmp_path: Path) -> None:
    """A member whose name is empty is a reject, and the next one is read."""
    data = zipped([("x", b"x"), ("ok.txt", b"x")], zipfile.ZIP_STORED)
    entry = data.index(b"PK\x01\x02")
    nameless = bytearray(data[: entry + 46] + data[entry + 47 :])
    nameless[entry + 28] = 0  # the length of its name
    end = nameless.rindex(b"PK\x05\x06")
    nameless[end + 12 : end + 16] = (int.from_bytes(nameless[end + 12 : end + 16], "little") - 1).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(nameless)
    rows = [row for _, found in read_paths([tmp_path / "a.zip"], 9) for row in found]
    assert [row.code if isinstance(row, Reject) else row.text for row in rows] == ["unsafe_name", "x"]


@pytest.mark.parametrize(
    "data", SEEDS["settings"] + [b"worker = 3\n", b"[home]\nx = 1\n", b"x = " + b"9" * 5_000, b"x = " + b"[" * 5_000, b"[worker]\nx='HOME__X=1 "]
)
def test_settings_that_once_broke(tmp_path: Path, data: bytes) -> None:
    """Sections that are none, a section `home`, numbers of too many digits and nesting without end are errors of settings."""
    targets(tmp_path)["settings"](data)
