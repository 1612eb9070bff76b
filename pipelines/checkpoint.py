"""Where an interrupted training goes on: weights, optimiser and step in one safetensors file. Torch; no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from pipelines.files import put_in_place
from suites.errors import StudentError

NAME = "checkpoint.safetensors"


def save_checkpoint(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
    """Writes the state of a training whole or not at all. `progress` is what else a resumed run must know, as JSON."""
    tensors = {f"model.{name}": p.detach().contiguous().cpu() for name, p in model.named_parameters()}
    for number, kept in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{key}": torch.as_tensor(value).contiguous().cpu() for key, value in kept.items()}
    draft = folder / f"{NAME}.draft"
    save_file(tensors, draft, metadata={"progress": json.dumps(progress)})
    put_in_place(draft, folder / NAME)


def load_checkpoint(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Puts the saved state into model and optimiser and gives the saved progress; None where nothing was saved.

    Raises StudentError for a checkpoint that is damaged.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a safetensors file is no mapping)
            progress: dict[str, Any] = json.loads((file.metadata() or {})["progress"])
    except (SafetensorError, KeyError, ValueError):
        raise StudentError(f"{path}: not a whole checkpoint. Remove it: the training then begins anew.", "bad_checkpoint") from None
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
    kept: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part == "optimiser":
            number, _, key = rest.partition(".")
            kept.setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict({"state": kept, "param_groups": optimiser.state_dict()["param_groups"]})
    return progress
