"""A student's encoder in int8: calibrated on text of its own, rounded, and laid out as the kernel reads it. No torch.

The encoder is run over the calibration texts twice, in fp32 and with the products of weights as the kernel will compute them. Each
product is smoothed (Xiao et al. 2023, arXiv:2211.10438): inputs are divided, and weights multiplied, by a factor an input, so that no input
is much larger than the others; then its weights are rounded to suit the inputs that the rounded products before
it really give, and its bias takes up what is left of the mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.special import erf

from pipelines.encode import Floats, Ints
from pipelines.int8_kernel import HEAD_WIDTHS
from pipelines.int8_rounding import GROUP, Bytes, rounded, safe_scale
from pipelines.student import INT8_FILE

LAYER_NORM_EPS = 1e-12  # DistilBERT's and BERT's
# of calibration so many tokens: more bring little (docs/performance.md)
CALIBRATION_TOKENS = 16_000
SMOOTHING = 0.5  # how much of the differences between inputs goes over to the weights; 0.5 as in SmoothQuant
LANES = 16
ZERO = 128
LEVELS = 254

Weights = Mapping[str, Floats]
# in fp32, and as the kernel computes it
Pair = tuple[Floats, Floats]


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix in int8. x W + b is about (q(x smooth) weight) scale + bias. Shapes: weight (n, k), scale and bias (n,), smooth (k,)."""

    weight: Bytes
    scale: Floats
    bias: Floats
    smooth: Floats


def can_be_int8(config: Mapping[str, int]) -> bool:
    """Whether the kernel can compute an encoder of this config.json: its widths fill vectors."""
    head = config["dim"] // config["n_heads"]
    return config["dim"] % LANES == 0 and config["hidden_dim"] % LANES == 0 and head in HEAD_WIDTHS


def write_int8(folder: Path, rows: Sequence[Ints]) -> Path | None:
    """Writes encoder.int8.safetensors beside the folder's model.safetensors, calibrated on rows of token ids; None where its shape cannot be int8."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not can_be_int8(config):
        return None
    weights = load_file(folder / "model.safetensors")
    layers = _products(weights, rows, n_layers=config["n_layers"], n_heads=config["n_heads"])
    arrays = _norm_arrays(weights, "embeddings.LayerNorm", "norm")
    for part in ("word", "position"):
        arrays[f"{part}s"] = weights[f"embeddings.{part}_embeddings.weight"].astype(np.float16)
    for number, products in enumerate(layers):
        ours, theirs = f"layer.{number}", f"transformer.layer.{number}"
        arrays |= _norm_arrays(weights, f"{theirs}.sa_layer_norm", f"{ours}.after_attention")
        arrays |= _norm_arrays(weights, f"{theirs}.output_layer_norm", f"{ours}.after_outer")
        for name, product in products.items():
            arrays |= {f"{ours}.{name}.{key}": np.ascontiguousarray(array) for key, array in laid_out(product).items()}
    save_file(arrays, folder / INT8_FILE, metadata={"n_heads": str(config["n_heads"])})
    return folder / INT8_FILE


def _norm_arrays(weights: Weights, theirs: str, ours: str) -> dict[str, np.ndarray]:
    return {f"{ours}.{kind}": weights[f"{theirs}.{kind}"].astype(np.float32) for kind in ("weight", "bias")}


def laid_out(product: Product) -> dict[str, np.ndarray]:
    """A product's arrays as int8_kernel.c reads them, with what its zero point adds counted out."""
    q = product.weight.astype(np.int32)
    n, k = q.shape
    groups = q.reshape(n // LANES, LANES, k // GROUP, GROUP // 4, 2, 2).sum(axis=(3, 5)).transpose(0, 2, 1, 3)
    return {
        "weight": product.weight.reshape(n // LANES, LANES, k // 4, 4).transpose(0, 2, 1, 3),
        "scale": product.scale,
        "bias": product.bias,
        "sum": (q.sum(axis=1) * product.scale).astype(np.float32),
        "start": (-ZERO * q.sum(axis=1)).astype(np.int32),
        "group_start": (-ZERO * groups).astype(np.int16),  # wraps, and so do the sums that begin with it
        "smooth": product.smooth,
    }


def _products(weights: Weights, rows: Sequence[Ints], *, n_layers: int, n_heads: int) -> list[dict[str, Product]]:
    """The products of each layer, calibrated one after another."""
    lengths = [len(row) for row in rows]
    embedded = np.concatenate([_embedded(weights, row) for row in rows])
    states = embedded, embedded
    layers = []
    for number in range(n_layers):
        products, states = _layer(weights, f"transformer.layer.{number}", states, lengths, n_heads)
        layers.append(products)
    return layers


def _layer(weights: Weights, layer: str, states: Pair, lengths: Sequence[int], n_heads: int) -> tuple[dict[str, Product], Pair]:
    """The products of one layer, and the states after it."""
    made: dict[str, Product] = {}

    def product(name: str, inputs: Pair, *parts: str) -> Pair:
        weight, bias = (np.concatenate([weights[f"{layer}.{part}.{kind}"] for part in parts]) for kind in ("weight", "bias"))
        made[name], small = calibrated(weight, bias, *inputs)
        return np.asarray(inputs[0] @ weight.T + bias), small

    def normed(inputs: Pair, added: Pair, norm: str) -> Pair:
        return _normed(inputs[0] + added[0], weights, f"{layer}.{norm}"), _normed(inputs[1] + added[1], weights, f"{layer}.{norm}")

    full, small = product("qkv", states, "attention.q_lin", "attention.k_lin", "attention.v_lin")
    seen = product("out", (attention(full, lengths, n_heads), attention(small, lengths, n_heads)), "attention.out_lin")
    states = normed(states, seen, "sa_layer_norm")
    full, small = product("inner", states, "ffn.lin1")
    states = normed(states, product("outer", (gelu(full), gelu(small)), "ffn.lin2"), "output_layer_norm")
    return made, states


def calibrated(weight: Floats, bias: Floats, full: Floats, small: Floats) -> tuple[Product, Floats]:
    """A product in int8 and what it gives for `small`, the inputs as the kernel has them; it should give what `full`, those in fp32, give.

    Shapes: weight (n, k), bias (n,), full and small (n_tokens, k), result (n_tokens, n).
    """
    smooth = _smoothing(weight, small)
    inputs = stepped(small * smooth)
    mean = inputs.mean(axis=0)
    away = inputs - mean
    moments = (away.T @ away).astype(np.float64) / len(away)
    smoothed = weight / smooth
    scale = safe_scale(smoothed)
    q = rounded(smoothed, moments, scale)
    back = q * scale[:, None]
    shifted = (bias + full.mean(axis=0) @ weight.T - back @ mean).astype(np.float32)
    return Product(q, scale, shifted, smooth), inputs @ back.T + shifted


def _smoothing(weight: Floats, inputs: Floats) -> Floats:
    """The factor of each input, 1 in the geometric mean. Shape: (k,)."""
    tiny = np.float32(1e-4)
    of_weights, of_inputs = np.maximum(np.abs(weight).max(axis=0), tiny), np.maximum(np.abs(inputs).max(axis=0), tiny)
    factors = of_weights ** (1 - SMOOTHING) / of_inputs**SMOOTHING
    return np.asarray(factors / np.exp(np.log(factors).mean()), np.float32)


def stepped(inputs: Floats) -> Floats:
    """Inputs as the kernel rounds them: 254 steps between the least and the largest of each token."""
    high, low = inputs.max(axis=1, keepdims=True), inputs.min(axis=1, keepdims=True)
    step, middle = np.maximum((high - low) / LEVELS, np.finfo(np.float32).tiny), (high + low) / 2
    return np.asarray(np.rint((inputs - middle) / step) * step + middle, np.float32)


def _embedded(weights: Weights, row: Ints) -> Floats:
    words = weights["embeddings.word_embeddings.weight"][row] + weights["embeddings.position_embeddings.weight"][: len(row)]
    return _normed(words, weights, "embeddings.LayerNorm")


def _normed(states: Floats, weights: Weights, name: str) -> Floats:
    away = states - states.mean(axis=1, keepdims=True)
    normed = away / np.sqrt((away**2).mean(axis=1, keepdims=True) + LAYER_NORM_EPS)
    return np.asarray(normed * weights[f"{name}.weight"] + weights[f"{name}.bias"], np.float32)


def gelu(x: Floats) -> Floats:
    """x times the chance that a normal number is below it (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    half, root = np.float32(0.5), np.float32(0.5**0.5)  # as Python's or numpy's own numbers they would make doubles of all
    return np.asarray(x * half * (1 + erf(x * root)), np.float32)


def attention(asked: Floats, lengths: Sequence[int], n_heads: int) -> Floats:
    """What the tokens of each row see of one another. Shapes: queries, keys and values (n_tokens, 3 hidden), result (n_tokens, hidden)."""
    hidden = asked.shape[1] // 3
    seen = np.empty((len(asked), hidden), np.float32)
    begin = 0
    for n_tokens in lengths:
        row = asked[begin : begin + n_tokens]
        queries, keys, values = (part.reshape(n_tokens, n_heads, -1).transpose(1, 0, 2) for part in np.split(row, 3, axis=1))
        scores = queries @ keys.transpose(0, 2, 1) / np.float32(np.sqrt(hidden // n_heads))
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        seen[begin : begin + n_tokens] = (shares / shares.sum(axis=-1, keepdims=True) @ values).transpose(1, 0, 2).reshape(n_tokens, hidden)
        begin += n_tokens
    return seen
