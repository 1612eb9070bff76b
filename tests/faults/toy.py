"""The toy pack with documents that crash, hang, raise or eat memory, and slow enough that faults strike while they are read."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

from tests.conftest import TOY_HOOKS, make_tiny_encoder, make_toy_pack

ROOT = Path(__file__).parents[2]
POISONS = ("crash", "hang", "raise", "memory")
CANARY = "CANARY7Q"
SLEEP = "STILLHOUSE_FAULT_SLEEP_MS"

HOOKS = (
    TOY_HOOKS
    + """

import os
import signal
import time

_calm_refine = refine


def refine(text, findings):
    time.sleep(float(os.environ.get("STILLHOUSE_FAULT_SLEEP_MS", "0")) / 1000)
    if "poison crash" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if "poison hang" in text:
        time.sleep(1e6)
    if "poison raise" in text:
        raise ValueError(text)
    if "poison memory" in text:
        eaten = []
        while True:
            eaten.append(bytearray(1 << 26))
    return _calm_refine(text, findings)
"""
)
_SENTENCES = (
    "The red kettle stands here.",
    "No grey cat near the zoo was awful.",
    "The storm near the sky was lovely under QRX123.",
    "They were glad about it.",
)


def make(folder: Path) -> None:
    """Writes `packs/toy` and a released student of it under `students/toy` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "packs").mkdir()
    make_toy_pack(folder / "packs" / "toy", make_tiny_encoder(folder / "encoder"), HOOKS)
    (folder / "settings.toml").write_text('[students]\nfolder = "students"\n[packs]\nfolders = ["packs"]\n', encoding="utf-8")
    env = {**os.environ, "STILLHOUSE_SETTINGS": str(folder / "settings.toml")}
    for command in (["finetune", "toy"], ["release", "toy", "--experimental"]):
        done = subprocess.run([sys.executable, str(ROOT / "manage.py"), *command], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def write_wave(path: Path, wave: int, n: int, rng: random.Random, poison_share: float) -> dict[str, str]:
    """Writes a file of `n` documents; gives the poison of each that has one. Ids are wave and number; every text is of its own and bears a canary."""
    poisons: dict[str, str] = {}
    with path.open("w", encoding="utf-8") as file:
        for i in range(n):
            key = f"w{wave}-{i}"
            words = [_SENTENCES[(i + k) % len(_SENTENCES)] for k in range(1 + i % 4)]
            if rng.random() < poison_share:
                poisons[key] = rng.choice(POISONS)
                words.append(f"This is poison {poisons[key]}.")
            file.write(json.dumps({"id": key, "text": f"{' '.join(words)} {CANARY}{wave}x{i}."}) + "\n")
    return poisons
