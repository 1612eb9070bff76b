"""What the cores can do at best, and how many multiply-adds an encoder asks of them. Torch, in a process of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

# rows, inner, columns of the product: large enough for every core, small enough for a cache
PRODUCT = (1024, 1024, 1024)
PROBE = (256, 512, 512)
SECONDS = 1.0
# a library without a kernel for this processor multiplies a hundred times slower: its figure is no peak
HOPELESS = 1e9


def peaks(n_threads: int) -> dict[str, float | None]:
    """The fp32 and the int8 peak, multiply-adds per second of all threads together."""
    return {"fp32": fp32_peak(n_threads), "int8": int8_peak(n_threads)}


def fp32_peak(n_threads: int) -> float:
    """Multiply-adds per second of the best of torch's large fp32 products."""
    import torch

    torch.set_num_threads(n_threads)
    a, b = (torch.rand(shape) for shape in (PRODUCT[:2], PRODUCT[1:]))
    return _best(lambda: torch.mm(a, b), PRODUCT)


def int8_peak(n_threads: int) -> float | None:
    """Multiply-adds per second of int8: of our kernel's instructions in registers alone, or of the best library's product where that is more.

    None where nothing here multiplies int8 fast.
    """
    import torch

    from pipelines import int8_kernel

    torch.set_num_threads(n_threads)
    in_registers = None if int8_kernel.why_not() else int8_kernel.peak(n_threads)
    found = [rate for rate in (in_registers, _fbgemm(), _int_mm()) if rate is not None]
    return max(found, default=None)


def _fbgemm() -> float | None:
    """u8 x s8 as torch's quantised linear layers multiply them."""
    import torch

    def product(shape: tuple[int, int, int]) -> Callable[[], object]:
        n_rows, n_inner, n_columns = shape
        x = torch.quantize_per_tensor(torch.rand(n_rows, n_inner), 0.01, 0, torch.quint8)
        w = torch.quantize_per_tensor(torch.rand(n_columns, n_inner) - 0.5, 0.01, 0, torch.qint8)
        packed = torch.ops.quantized.linear_prepack(w, None)
        return lambda: torch.ops.quantized.linear(x, packed, 1.0, 0)

    return _rate(product)


def _int_mm() -> float | None:
    """s8 x s8 to s32."""
    import torch

    def product(shape: tuple[int, int, int]) -> Callable[[], object]:
        a, b = (torch.randint(-127, 127, size, dtype=torch.int8) for size in (shape[:2], shape[1:]))
        return lambda: torch._int_mm(a, b)

    return _rate(product)


def _rate(product: Callable[[tuple[int, int, int]], Callable[[], object]]) -> float | None:
    try:
        if _best(product(PROBE), PROBE, 0.2) < HOPELESS:
            return None
        return _best(product(PRODUCT), PRODUCT)
    except (RuntimeError, AttributeError, NotImplementedError):  # torch has no such product on this processor
        return None


def _best(multiply: Callable[[], object], shape: tuple[int, int, int], seconds: float = SECONDS) -> float:
    multiply()
    best, ends = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < ends:
        before = time.perf_counter()
        multiply()
        best = min(best, time.perf_counter() - before)
    return shape[0] * shape[1] * shape[2] / best


def multiply_adds(folder: Path, lengths: Sequence[int]) -> int | None:
    """Multiply-adds of the matrix products that an encoder's folder asks for on windows of so many tokens; None for no BERT.

    A layer has 4 products of hidden x hidden and 2 of hidden x inner for each token, and in attention 2 of
    hidden for each pair of tokens. Padding, norms and the rest are no useful work and do not count.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    names = {"bert": ("hidden_size", "intermediate_size", "num_hidden_layers"), "distilbert": ("dim", "hidden_dim", "n_layers")}.get(config.get("model_type"))
    if names is None:
        return None
    hidden, inner, n_layers = (int(config[name]) for name in names)
    return int(n_layers * sum(n * (4 * hidden**2 + 2 * hidden * inner) + 2 * n**2 * hidden for n in lengths))
