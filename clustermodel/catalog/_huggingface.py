"""Read a model from the config.json that its authors publish on Hugging Face."""

import json
import math
import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from clustermodel import specs
from clustermodel.catalog._catalog import Entry
from clustermodel.catalog._counts import COUNTED, count
from clustermodel.catalog._errors import ConfigError
from clustermodel.catalog._hf_config import Config
from clustermodel.catalog._hf_ffn import read_ffn
from clustermodel.catalog._hf_formats import four_bit_formats, native_formats
from clustermodel.catalog._hf_layers import WIDTH, read_attention, read_layers, read_recurrent
from clustermodel.catalog._provenance import HUGGING_FACE, Written
from clustermodel.catalog._read import read_text

_CONTEXT = (
    "max_position_embeddings",
    "model_max_length",
    "max_sequence_length",
    "max_seq_len",
    "n_positions",
)
_MTP = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules")
_TIED = ("gemma", "cohere", "falcon", "gpt2", "gpt_bigcode", "bloom", "mpt", "opt", "starcoder2")
"""Families that tie input and output embedding where the config is silent [transformers 5.23, defaults]."""


def read_config(path: Path | str) -> Entry[specs.Model]:
    """The model of a config.json, or of a folder that holds one.

    Everything else that a model needs is counted from those shapes. A `ConfigError` lists all that is missing
    or malformed.
    """
    file = Path(path)
    file = file / "config.json" if file.is_dir() else file
    config = Config(_parsed(file))
    fields, shape = _facts(config)
    formats = {"native": native_formats(config), "four_bit": four_bit_formats(config)}
    if not config.problems:
        fields |= _counted(config, fields, shape)
    if config.problems:
        raise ConfigError("\n  ".join([str(file), *sorted(set(config.problems))]))
    words = {"attention": _description(fields), **formats, **({"shape": shape} if shape else {})}
    return _entry(file, fields, words)


def _parsed(file: Path) -> dict[str, Any]:
    try:
        table = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{file}: not valid JSON: {error}") from None
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: expected the table of a Hugging Face config.json, got {table!r:.40}")
    return table


def _facts(config: Config) -> tuple[dict[str, float], dict[str, Any]]:
    layers = read_layers(config)
    attention, shape = read_attention(config, layers)
    fields = {
        "layers": layers.total,
        "d_model": config.number(*WIDTH, least=1.0),
        "vocab": config.number("vocab_size", least=1.0),
        "context": config.number(*_CONTEXT, least=1.0),
        "tied_embeddings": float(
            config.flag("tie_word_embeddings", default=config.model_type.startswith(_TIED))
        ),
        "mtp_layers": config.number(*_MTP, default=0.0),
        **attention,
        **read_ffn(config, layers),
    }
    if layers.linear:
        shape["recurrent"] = read_recurrent(config)
    return fields, shape


def _counted(config: Config, fields: dict[str, float], shape: dict[str, Any]) -> dict[str, float]:
    counts = count(fields, shape)
    found = {field: getattr(counts, name) for field, name in COUNTED.items()}
    if not all(math.isfinite(number) for number in found.values()):
        config.problems.append("the shapes are too large to be a model; check the numbers")
    return found


def _entry(file: Path, fields: dict[str, float], words: dict[str, Any]) -> Entry[specs.Model]:
    name = file.parent.name if file.name == "config.json" and file.parent.name else file.stem
    slug = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") or "model"
    provenance = {field: _written(field, value, file) for field, value in fields.items()}
    spec = specs.Model(**{field: jnp.asarray(value) for field, value in fields.items()})
    return Entry("models", slug, {"name": name, **words}, spec, provenance)


def _written(field: str, value: float, file: Path) -> Written:
    text = f"{value:.17g} {specs.fields(specs.Model)[field].metadata['unit']}".strip()
    if field in COUNTED:
        return Written(text, HUGGING_FACE, "derived", note=f"counted from the shapes in {file}")
    return Written(text, HUGGING_FACE, "published", note=str(file))


def _description(fields: dict[str, float]) -> str:
    kind = "MLA" if fields.get("kv_lora_rank") else "GQA"
    parts = ["hybrid" if fields["linear_layers"] else "", kind, "sparse" if fields["sparse_topk"] else ""]
    parts.append(f"window {fields['sliding_window']:g}" if fields["sliding_window"] else "")
    return " ".join(part for part in parts if part)
