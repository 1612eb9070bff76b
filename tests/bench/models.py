"""The models that peers read with: shapes of random weights, the student's graph for ONNX Runtime, spaCy's pipelines.

The speed of a shape does not depend on its weights; where they are random, the bench says so. Made in a process of its own.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pipelines.encode import TextEncoder
from pipelines.sources import encoder_folder
from tests.bench.documents import bench_documents
from tests.bench.ours import REFERENCE, limits
from tests.bench.process import reason

N_LABELS = 3
# texts on which NNCF looks for the range of each activation
N_CALIBRATION = 100
# transformers' configurations take it, their type hints do not say so
LABELLED: dict[str, Any] = {"num_labels": N_LABELS}


def make_models(names: Iterable[str], parent: Path, student: Path) -> dict[str, Path | str]:
    """The folder of each named model, or why it could not be made, in words."""
    made: dict[str, Path | str] = {}
    for name in names:
        folder = parent / name
        try:
            made[name] = MAKERS[name](folder, student)
        except Exception as error:  # whatever a library of another version raises: its row says so, the others are measured
            made[name] = reason(error)
    return made


def _minilm(folder: Path, student: Path) -> Path:
    return encoder_folder(REFERENCE)


def _student(folder: Path, student: Path) -> Path:
    """The student's own folder: transformers reads it as it lies."""
    return student


def _bert_base(folder: Path, student: Path) -> Path:
    from transformers import BertConfig, BertForSequenceClassification

    return _saved(lambda: BertForSequenceClassification(BertConfig(**LABELLED)), folder)  # its defaults are BERT-base


def _distilbert_base(folder: Path, student: Path) -> Path:
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    return _saved(lambda: DistilBertForSequenceClassification(DistilBertConfig(**LABELLED)), folder)


def _saved(make: Callable[[], Any], folder: Path) -> Path:
    import torch

    torch.manual_seed(1)
    make().save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):  # BERT's vocabulary
        shutil.copyfile(encoder_folder(REFERENCE) / name, folder / name)
    return folder


def _onnx(folder: Path, student: Path) -> Path:
    """The student's encoder with a linear head on the mean of its states, as torch exports it."""
    import torch
    from transformers import AutoModel

    encoder = AutoModel.from_pretrained(student, attn_implementation="eager").eval()

    class Classifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder
            self.head = torch.nn.Linear(encoder.config.dim, N_LABELS)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            seen = attention_mask.unsqueeze(-1).to(states.dtype)
            logits: torch.Tensor = self.head((states * seen).sum(1) / seen.sum(1))
            return logits

    folder.mkdir()
    example = torch.ones(2, 16, dtype=torch.long)
    free = {0: torch.export.Dim("rows"), 1: torch.export.Dim("tokens", max=512)}
    names = ("input_ids", "attention_mask")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Classifier().eval(),
            (example, example),
            folder / "model.onnx",
            input_names=names,
            dynamic_shapes=dict.fromkeys(names, free),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    shutil.copyfile(student / "tokenizer.json", folder / "tokenizer.json")
    return folder


def _onnx_int8(folder: Path, student: Path) -> Path:
    """The same graph with int8 weights and activations scaled as they come, as ONNX Runtime quantises it without calibration."""
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    plain = folder.parent / "onnx"
    if not (plain / "model.onnx").exists():
        _onnx(plain, student)
    folder.mkdir()
    model = onnx.load(plain / "model.onnx")
    model.graph.ClearField("value_info")  # the quantiser turns weights over, and stumbles on the shapes that they had
    quantize_dynamic(model, folder / "model.onnx", per_channel=True)
    shutil.copyfile(plain / "tokenizer.json", folder / "tokenizer.json")
    return folder


def _openvino_int8(folder: Path, student: Path) -> Path:
    """The student's graph as NNCF quantises it for transformers, SmoothQuant included, calibrated on texts of the packs' samples."""
    import nncf
    import numpy as np
    import openvino

    encoder = TextEncoder(student)
    tokens = encoder.tokens([d.text for d in bench_documents(encoder, N_CALIBRATION)])
    rows = [encoder.inputs(t, limits()).rows[0] for t in tokens]
    inputs = [{0: row[None].astype(np.int64), 1: np.ones((1, len(row)), np.int64)} for row in rows]
    model = openvino.Core().read_model(student / "encoder.xml")
    transformer, mixed = nncf.ModelType.TRANSFORMER, nncf.QuantizationPreset.MIXED
    quantised = nncf.quantize(model, nncf.Dataset(inputs), model_type=transformer, preset=mixed, subset_size=len(inputs))
    openvino.save_model(quantised, folder / "encoder.xml", compress_to_fp16=False)
    shutil.copyfile(student / "tokenizer.json", folder / "tokenizer.json")
    return folder


def _spacy(component: str, labels: Iterable[str]) -> Callable[[Path, Path], Path]:
    def make(folder: Path, student: Path) -> Path:
        from pipelines.rules import light_spacy

        with light_spacy():
            import spacy
        nlp = spacy.blank("en")
        pipe: Any = nlp.add_pipe(component)
        for label in labels:
            pipe.add_label(label)
        nlp.initialize()
        nlp.to_disk(folder)
        return folder

    return make


MAKERS: dict[str, Callable[[Path, Path], Path]] = {
    "bert-base": _bert_base,
    "distilbert-base": _distilbert_base,
    "minilm": _minilm,
    "student": _student,
    "onnx": _onnx,
    "onnx-int8": _onnx_int8,
    "openvino-int8": _openvino_int8,
    "textcat": _spacy("textcat", ("LEGITIMATE", "SPAM", "PHISHING")),
    "ner": _spacy("ner", ("PERSON", "ORGANISATION", "PLACE")),
}
