"""LoRA files: the role of each key, and the scale of the factors from tensors, header or settings.

W += s * alpha / rank * up @ down (arXiv 2106.09685, 4.1), alpha / sqrt(rank) in rsLoRA (arXiv 2312.03732). Without an alpha it
is the rank. Spellings: kohya (`lora_down`, `.alpha`), PEFT (`lora_A.NAME`, and its `adapter_config.json`), diffusers
(`.lora.down`, `processor.to_q_lora.down`, `lora_adapter_metadata` in the header), LyCORIS (recognised, not supported).
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..errors import WrongFile
from .published import Metadata

NAME = r"(?:\.(?P<adapter>(?!weight$)[^.]+))?(?:\.weight)?$"
ENDINGS = tuple(
    (re.compile(pattern), role)
    for pattern, role in (
        (rf"\.lora_(?:down|A){NAME}", "down"),
        (rf"\.lora_(?:up|B){NAME}", "up"),
        (r"(?:\.lora|_lora|\.lora_linear_layer)\.down\.weight$", "down"),
        (r"(?:\.lora|_lora|\.lora_linear_layer)\.up\.weight$", "up"),
        (r"\.(?:alpha|lora_alpha|network_alpha)$", "alpha"),
        (r"\.(?:dora_scale|lora_magnitude_vector(?:\..+)?)$", "a DoRA"),
        (r"\.hada_\w+$", "a LoHa"),
        (r"\.lokr_\w+$", "a LoKr"),
        (r"\.oft_\w+(?:\.weight)?$", "an OFT"),
        (r"\.lora_mid(?:\.weight)?$", "a LoCon in Tucker form"),
        (r"\.(?:diff|diff_b|w_norm|b_norm|set_weight|reshape_weight|scalar)$", "a difference of whole weights"),
    )
)
"""Pattern of a key's ending -> its role: a factor, its alpha, or the name of an adapter of another kind."""
BUNDLED = "bundle_emb."
"""Prefix of the embeddings that some LoRA files contain."""
ALPHAS = ("lora_alpha", "ss_network_alpha", "network_alpha")
RANKS = ("r", "rank", "lora_rank", "network_dim", "ss_network_dim", "dim")
NOTHING = ("", "None", "null", "none")
TEXT = ("text_encoder", "text_encoder_2", "text_encoder_3")
"""Networks whose settings are not those of the UNet's layers."""
LONGEST = 1 << 20
"""Most characters of a header's entry, or bytes of a file of settings, that are read."""


@dataclass(frozen=True)
class Part:
    """Role of a key in a LoRA file."""

    module: str
    """Name of the layer that it changes, in the file's spelling."""
    role: str
    """`down`, `up`, `alpha`, or the name of an adapter of another kind."""
    adapter: str = ""
    """Name of the adapter, where files may hold several."""


def part_of(key: str) -> Part | None:
    """Role of a key; None for keys that do not belong to a LoRA."""
    for pattern, role in ENDINGS:
        if match := pattern.search(key):
            return Part(key[: match.start()], role, match.groupdict().get("adapter") or "")
    return None


@dataclass(frozen=True)
class Scaling:
    """Scale of a file's layers, from its header or settings."""

    alpha: float | None = None
    """Alpha of all layers; None: the rank."""
    by_layer: Mapping[str, float] = field(default_factory=dict)
    """Last names of a layer -> its own alpha."""
    by_root: bool = False
    """Whether alpha is divided by the square root of the rank."""
    ranks: frozenset[int] = frozenset()
    """Ranks of the layers in the settings; empty where they contain none."""
    adapter: str = ""
    """Name of another kind of adapter, where the settings are those of one."""
    source: str = ""
    """Where the scale was found, for messages."""

    def of(self, module: str, rank: int, alpha: float | None = None) -> float:
        """The factor of one layer. alpha: that of a tensor beside the layer's factors, which has priority."""
        if alpha is None:
            matches = [value for name, value in self.by_layer.items() if module == name or module.endswith(f".{name}")]
            alpha = matches[0] if matches else self.alpha
        if alpha is None:
            return 1.0
        return alpha / (math.sqrt(rank) if self.by_root else rank)


def scaling_of(metadata: Metadata) -> Scaling:
    """Scale from a header: diffusers' and PEFT's tables in JSON, or numbers of kohya and other trainers.

    Raises WrongFile for an entry that cannot be read.
    """
    for name, text in metadata.items():
        if "alpha" in text and len(text) <= LONGEST and text.lstrip().startswith("{"):
            for table in _tables(name, text):
                if any(key in table for key in ALPHAS):
                    return from_config(table, f"{name} in its header")
    for name in (*ALPHAS, "alpha"):
        value = metadata.get(name, "")
        if value.strip() not in NOTHING and (name != "alpha" or any(rank in metadata for rank in RANKS)):
            return Scaling(alpha=_number(value, name), source=f"{name} in its header")
    return Scaling()


def from_config(config: Mapping[str, Any], source: str) -> Scaling:
    """Scale from a table of settings as PEFT writes them (`LoraConfig`). source: where the table is, for messages."""
    alpha = next((config[name] for name in ALPHAS if config.get(name) is not None), None)
    pattern = config.get("alpha_pattern") or {}
    ranks = [config.get("r"), *(config.get("rank_pattern") or {}).values()] if isinstance(pattern, Mapping) else None
    if ranks is None or not all(rank is None or isinstance(rank, int) for rank in ranks):
        raise WrongFile(f"{source}: expected ranks and alphas by the names of layers, got {str(dict(config))[:80]}")
    return Scaling(
        alpha=None if alpha is None else _number(alpha, source),
        by_layer={_plain(name): _number(value, f"{source}, alpha_pattern") for name, value in pattern.items()},
        by_root=config.get("use_rslora") in (True, "true", "True"),
        ranks=frozenset(rank for rank in ranks if rank is not None),
        adapter="a DoRA" if config.get("use_dora") in (True, "true", "True") else "",
        source=source,
    )


def _tables(name: str, text: str) -> Iterator[Mapping[str, Any]]:
    """Tables of settings in a JSON text: the whole, those inside it, and one per network whose name is a prefix of keys."""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        if name == "lora_adapter_metadata":
            raise WrongFile(f"{name} in its header: expected JSON, got {text[:40]!r}") from None
        return
    if not isinstance(table, dict):
        return
    yield table
    yield from (value for value in table.values() if isinstance(value, dict))
    networks = dict.fromkeys(key.partition(".")[0] for key in table if "." in key)
    for network in (each for each in networks if each not in TEXT):
        yield {key.partition(".")[2]: value for key, value in table.items() if key.startswith(f"{network}.")}


def _plain(pattern: str) -> str:
    """A layer's name from one of PEFT's regular expressions."""
    return pattern.strip("^$").replace("\\.", ".").removeprefix(".*.")


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool):
        raise WrongFile(f"{name}: expected the LoRA's alpha, a number, got {str(value)[:40]!r}")
    return number


def alpha_in(value: Tensor, key: str) -> float:
    """The number in an alpha tensor. Raises WrongFile for a tensor without one finite number."""
    if value.numel() != 1 or value.is_complex():
        raise WrongFile(f"{key}: expected one number, got shape {list(value.shape)}")
    return 1.0 if value.device.type == "meta" else _number(value.float().item(), key)
