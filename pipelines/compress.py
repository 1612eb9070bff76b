"""The student's encoder as inference reads it: an OpenVINO graph, and int8 where its shape allows. No tracing, no torch.

The graph is DistilBERT's (Sanh et al. 2019, arXiv:1910.01108): embeddings, then per layer
self-attention and a feed-forward step, each with residual and layer norm after (post-norm).
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from safetensors.numpy import load_file

from pipelines.encode import Floats, Inputs, Ints
from pipelines.int8_weights import CALIBRATION_TOKENS, LAYER_NORM_EPS, write_int8


def compress(folder: Path, inputs: Sequence[Inputs], seed: int) -> None:
    """Writes the graph and the int8 encoder of a student's folder, the latter calibrated on windows drawn from these texts."""
    export_encoder(folder)
    write_int8(folder, _drawn([row for text in inputs for row in text.rows], seed))


def _drawn(rows: Sequence[Ints], seed: int) -> list[Ints]:
    """Rows by chance until they have CALIBRATION_TOKENS; at least one."""
    chosen: list[Ints] = []
    n_tokens = 0
    for i in random.Random(seed).sample(range(len(rows)), len(rows)):
        if n_tokens >= CALIBRATION_TOKENS:
            break
        chosen.append(rows[i])
        n_tokens += len(rows[i])
    return chosen


def export_encoder(folder: Path) -> Path:
    """Writes encoder.xml and encoder.bin beside the folder's model.safetensors; gives the .xml."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = load_file(folder / "model.safetensors")
    path = folder / "encoder.xml"
    # fp32 on disk, so that the saved graph equals the student to rounding of the arithmetic alone
    ov.save_model(encoder_graph(weights, n_layers=config["n_layers"], n_heads=config["n_heads"]), path, compress_to_fp16=False)
    return path


def encoder_graph(weights: dict[str, Floats], *, n_layers: int, n_heads: int) -> ov.Model:
    """The graph: input_ids and attention_mask (batch, tokens) int64 to states (batch, tokens, hidden)."""
    ids, mask = (ops.parameter([-1, -1], np.int64, name) for name in ("input_ids", "attention_mask"))
    zero = ops.constant(np.int64(0))
    n_tokens = ops.gather(ops.shape_of(ids), ops.constant(np.int64(1)), zero)
    positions = ops.range(zero, n_tokens, ops.constant(np.int64(1)), "i64")
    words = ops.gather(ops.constant(weights["embeddings.word_embeddings.weight"]), ids, zero)
    places = ops.gather(ops.constant(weights["embeddings.position_embeddings.weight"]), positions, zero)
    states = _norm(ops.add(words, places), weights, "embeddings.LayerNorm")
    # (batch, 1, 1, tokens): true where a token may be looked at
    visible = ops.unsqueeze(ops.convert(mask, "boolean"), ops.constant(np.array([1, 2], np.int64)))
    for layer in range(n_layers):
        states = _layer(states, visible, weights, f"transformer.layer.{layer}", n_heads)
    result = ops.result(states)
    return ov.Model([result], [ids, mask], "encoder")


def _layer(states: ov.Output, visible: ov.Output, weights: dict[str, Floats], name: str, n_heads: int) -> ov.Output:
    def heads(part: str) -> ov.Output:
        linear = _linear(states, weights, f"{name}.attention.{part}")
        split = ops.reshape(linear, ops.constant(np.array([0, 0, n_heads, -1], np.int64)), special_zero=True)
        return ops.transpose(split, ops.constant(np.array([0, 2, 1, 3], np.int64)))

    seen = ops.scaled_dot_product_attention(heads("q_lin"), heads("k_lin"), heads("v_lin"), visible)
    merged = ops.reshape(
        ops.transpose(seen, ops.constant(np.array([0, 2, 1, 3], np.int64))),
        ops.constant(np.array([0, 0, -1], np.int64)),
        special_zero=True,
    )
    states = _norm(ops.add(states, _linear(merged, weights, f"{name}.attention.out_lin")), weights, f"{name}.sa_layer_norm")
    inner = ops.gelu(_linear(states, weights, f"{name}.ffn.lin1"), "erf")
    return _norm(ops.add(states, _linear(inner, weights, f"{name}.ffn.lin2")), weights, f"{name}.output_layer_norm")


def _linear(states: ov.Output, weights: dict[str, Floats], name: str) -> ov.Output:
    product = ops.matmul(states, ops.constant(weights[f"{name}.weight"]), False, True)
    return ops.add(product, ops.constant(weights[f"{name}.bias"]))


def _norm(states: ov.Output, weights: dict[str, Floats], name: str) -> ov.Output:
    normed = ops.mvn(states, ops.constant(np.array([-1], np.int64)), True, LAYER_NORM_EPS, "inside_sqrt")
    return ops.add(ops.multiply(normed, ops.constant(weights[f"{name}.weight"])), ops.constant(weights[f"{name}.bias"]))
