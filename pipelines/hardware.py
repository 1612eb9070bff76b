"""What training runs on, and how it is told to use it well. Torch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch

# the fused attention's backward pass is slow on short rows of a CPU: plain products are twice as fast there (docs/performance.md)
FUSED_FROM_TOKENS = 160


def training_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def accelerators(device: torch.device) -> tuple[str, ...]:
    """The UUIDs of the NVIDIA accelerators that a device is, as NVML names them; none of a CPU."""
    return (f"GPU-{torch.cuda.get_device_properties(device).uuid}",) if device.type == "cuda" else ()


def mixed_precision(device: torch.device) -> AbstractContextManager[Any]:
    """bf16 products where the device has them: twice as fast; emulated they would be slower than fp32."""
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


def suit_attention(model: Any, n_tokens: int, device: torch.device) -> None:
    """Chooses the attention that trains fastest on rows of so many tokens; it changes no result beyond rounding."""
    wanted = "eager" if device.type == "cpu" and n_tokens < FUSED_FROM_TOKENS else "sdpa"
    if model.config._attn_implementation != wanted:
        model.set_attn_implementation(wanted)
