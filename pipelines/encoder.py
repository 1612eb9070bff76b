"""A BERT or DistilBERT encoder copied, layer by layer, into DistilBERT's shape. Torch, training side."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from transformers import DistilBertConfig, DistilBertModel

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


def load_encoder(folder: Path, layers: Sequence[int] | Literal["all"] = "all") -> tuple[DistilBertModel, tuple[int, ...]]:
    """A DistilBertModel with the chosen layers of the encoder in `folder`, and their numbers.

    With all layers its hidden states equal the original's: BERT's token-type embedding of
    single texts is constant and is added to every position embedding.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = load_file(folder / "model.safetensors")
    weights = {_modern(name): tensor for name, tensor in weights.items()}
    is_bert = config["model_type"] == "bert"
    n_layers = config["num_hidden_layers"] if is_bert else config["n_layers"]
    chosen = tuple(range(n_layers)) if layers == "all" else tuple(layers)
    if not chosen or max(chosen) >= n_layers or min(chosen) < 0:
        raise StudentError(f"{folder}: has layers 0..{n_layers - 1}; layers {list(chosen)} were asked for.", "bad_layers")
    if config.get("hidden_act", config.get("activation", "gelu")) != "gelu":
        raise StudentError(f"{folder}: activation is not gelu, the only one of DistilBERT's graph here.", "bad_source")
    if config.get("layer_norm_eps", 1e-12) != 1e-12:
        raise StudentError(f"{folder}: layer_norm_eps is {config['layer_norm_eps']}; DistilBERT has 1e-12 and no other.", "bad_source")
    model = DistilBertModel(_config(config, len(chosen), is_bert))
    model.load_state_dict(_copied(weights, chosen) if is_bert else _renumbered(weights, chosen))
    model.eval()  # type: ignore[no-untyped-call]
    return model, chosen


def _modern(name: str) -> str:
    """A weight's name without its model's prefix; the first BERTs call a norm's weight gamma and its bias beta."""
    bare = name.removeprefix("bert.").removeprefix("distilbert.")
    return bare.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _config(config: Mapping[str, Any], n_layers: int, is_bert: bool) -> DistilBertConfig:
    names = (
        {"dim": "hidden_size", "hidden_dim": "intermediate_size", "n_heads": "num_attention_heads"}
        if is_bert
        else {"dim": "dim", "hidden_dim": "hidden_dim", "n_heads": "n_heads"}
    )
    return DistilBertConfig(
        vocab_size=config["vocab_size"],
        max_position_embeddings=config["max_position_embeddings"],
        pad_token_id=config.get("pad_token_id", 0),
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


def save_encoder(model: DistilBertModel, source: Path, folder: Path, labels: Sequence[str]) -> None:
    """Saves config.json (with real id2label), model.safetensors and the tokenizer files."""
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: i for i, label in enumerate(labels)}
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors", metadata={"format": "pt"})
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
