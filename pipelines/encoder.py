"""A BERT or DistilBERT encoder copied, layer by layer, into DistilBERT's shape. Torch, training side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import DistilBertConfig, DistilBertForMaskedLM, DistilBertModel

from pipelines.encode import Ints
from pipelines.sources import shape_of
from suites.errors import StudentError

Weights = Mapping[str, torch.Tensor]

# BERT's name of a part -> DistilBERT's, within a layer
_LAYER_PARTS = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}


# BERT's name of a part of the masked-language head -> DistilBERT's
_MLM_PARTS = {
    "cls.predictions.transform.dense.weight": "vocab_transform.weight",
    "cls.predictions.transform.dense.bias": "vocab_transform.bias",
    "cls.predictions.transform.LayerNorm.weight": "vocab_layer_norm.weight",
    "cls.predictions.transform.LayerNorm.bias": "vocab_layer_norm.bias",
    "cls.predictions.bias": "vocab_projector.bias",
}

Layers = Sequence[int] | Literal["all", "half"]


def load_encoder(folder: Path, layers: Layers = "all", kept: Ints | None = None) -> tuple[DistilBertModel, tuple[int, ...]]:
    """A DistilBertModel with the chosen layers of the encoder in `folder`, and their numbers.

    With all layers its hidden states equal the original's: BERT's token-type embedding of
    single texts is constant and is added to every position embedding. `half` is every second
    layer, the last one included. `kept` are the rows of the word embeddings that stay.
    """
    config, weights = _read(folder)
    is_bert = config["model_type"] == "bert"
    n_layers = shape_of(folder).n_layers
    chosen = chosen_layers(layers, n_layers)
    if not chosen or max(chosen) >= n_layers or min(chosen) < 0:
        raise StudentError(f"{folder}: has layers 0..{n_layers - 1}; layers {list(chosen)} were asked for.", "bad_layers")
    if config.get("hidden_act", config.get("activation", "gelu")) != "gelu":
        raise StudentError(f"{folder}: activation is not gelu, the only one of DistilBERT's graph here.", "bad_source")
    if config.get("layer_norm_eps", 1e-12) != 1e-12:
        raise StudentError(f"{folder}: layer_norm_eps is {config['layer_norm_eps']}; DistilBERT has 1e-12 and no other.", "bad_source")
    state = _copied(weights, chosen) if is_bert else _renumbered(weights, chosen)
    pad_id = config.get("pad_token_id", 0)
    if kept is not None:
        state["embeddings.word_embeddings.weight"] = state["embeddings.word_embeddings.weight"][torch.from_numpy(kept).long()]
        pad_id = None if pad_id is None else int(np.searchsorted(kept, pad_id))
    model = DistilBertModel(_config(config, len(chosen), is_bert, len(state["embeddings.word_embeddings.weight"]), pad_id))
    model.load_state_dict(state)
    model.eval()  # type: ignore[no-untyped-call]
    return model, chosen


def load_masked_language_model(folder: Path, layers: Layers = "all", kept: Ints | None = None) -> DistilBertForMaskedLM | None:
    """The encoder as `load_encoder` gives it, with the masked-language head of its folder.

    None where the folder has none, or one whose output weights are not the word embeddings.
    """
    config, weights = _read(folder)
    is_bert = config["model_type"] == "bert"
    names = _MLM_PARTS if is_bert else {name: name for name in _MLM_PARTS.values()}
    if not all(name in weights for name in names):
        return None
    outputs = weights.get("cls.predictions.decoder.weight" if is_bert else "vocab_projector.weight")
    if outputs is not None and not torch.equal(outputs, weights["embeddings.word_embeddings.weight"]):
        return None
    encoder, _ = load_encoder(folder, layers, kept)
    model = DistilBertForMaskedLM(encoder.config)
    head = {ours: weights[theirs] for theirs, ours in names.items()}
    if kept is not None:
        head["vocab_projector.bias"] = head["vocab_projector.bias"][torch.from_numpy(kept).long()]
    encoder_state = {f"distilbert.{name}": tensor for name, tensor in encoder.state_dict().items()}
    # the projector's weight is the word embedding itself
    tied = {"vocab_projector.weight": encoder_state["distilbert.embeddings.word_embeddings.weight"]}
    model.load_state_dict(encoder_state | head | tied)
    model.eval()  # type: ignore[no-untyped-call]
    return model


def chosen_layers(layers: Layers, n_layers: int) -> tuple[int, ...]:
    """The numbers of the layers asked for: `half` of 6 are 1, 3, 5 (the last states are the ones that heads read)."""
    if layers == "half":
        return tuple(range(n_layers - 1, -1, -2))[::-1]
    return tuple(range(n_layers)) if layers == "all" else tuple(layers)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """config.json, and the weights by their modern names. Raises StudentError for weights that are no safetensors."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    try:
        return config, {_modern(name): tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    except SafetensorError:
        raise StudentError(f"{folder / 'model.safetensors'}: not a whole file in safetensors. Restore the folder, or use another one.", "bad_source") from None


def _modern(name: str) -> str:
    """A weight's name without its model's prefix; the first BERTs call a norm's weight gamma and its bias beta."""
    bare = name.removeprefix("bert.").removeprefix("distilbert.")
    return bare.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _config(config: Mapping[str, Any], n_layers: int, is_bert: bool, n_pieces: int, pad_id: int | None) -> DistilBertConfig:
    names = (
        {"dim": "hidden_size", "hidden_dim": "intermediate_size", "n_heads": "num_attention_heads"}
        if is_bert
        else {"dim": "dim", "hidden_dim": "hidden_dim", "n_heads": "n_heads"}
    )
    return DistilBertConfig(
        vocab_size=n_pieces,
        max_position_embeddings=config["max_position_embeddings"],
        pad_token_id=pad_id,
        n_layers=n_layers,
        # no dropout: drawing its masks takes a third of a training step on a CPU (docs/performance.md)
        attention_dropout=0.0,
        dropout=0.0,
        **{ours: config[theirs] for ours, theirs in names.items()},
    )


def _copied(weights: Weights, layers: Sequence[int]) -> dict[str, torch.Tensor]:
    token_type = weights["embeddings.token_type_embeddings.weight"][0]
    state = {
        "embeddings.word_embeddings.weight": weights["embeddings.word_embeddings.weight"],
        "embeddings.position_embeddings.weight": weights["embeddings.position_embeddings.weight"] + token_type,
    }
    for kind in ("weight", "bias"):
        state[f"embeddings.LayerNorm.{kind}"] = weights[f"embeddings.LayerNorm.{kind}"]
        for new, old in enumerate(layers):
            for bert, distil in _LAYER_PARTS.items():
                state[f"transformer.layer.{new}.{distil}.{kind}"] = weights[f"encoder.layer.{old}.{bert}.{kind}"]
    return state


def _renumbered(weights: Weights, layers: Sequence[int]) -> dict[str, torch.Tensor]:
    state = {name: tensor for name, tensor in weights.items() if name.startswith("embeddings.")}
    for new, old in enumerate(layers):
        prefix = f"transformer.layer.{old}."
        state |= {f"transformer.layer.{new}.{n.removeprefix(prefix)}": t for n, t in weights.items() if n.startswith(prefix)}
    return state


def save_encoder(model: DistilBertModel | DistilBertForMaskedLM, folder: Path, labels: Sequence[str] = ()) -> None:
    """Saves config.json (with real id2label where labels are given) and model.safetensors. The tokenizer is `vocabulary`'s to write."""
    if labels:
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {label: i for i, label in enumerate(labels)}
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    # a masked-language head shares the word embeddings: safetensors stores no tensor twice
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "vocab_projector.weight"}
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "model.safetensors", metadata={"format": "pt"})
