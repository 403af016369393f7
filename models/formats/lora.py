"""LoRA files: what each key is a part of, by rule, and the scale that a file gives its factors, wherever it stands.

W += s * alpha / rank * up @ down (arXiv 2106.09685, 4.1), alpha / sqrt(rank) in rsLoRA (arXiv 2312.03732). Where no alpha is
said it is the rank. Spellings: kohya (`lora_down`, `.alpha`), PEFT (`lora_A.NAME`, and its `adapter_config.json`), diffusers
(`.lora.down`, `processor.to_q_lora.down`, `lora_adapter_metadata` in the header), LyCORIS for what is named and not read.
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
"""How a key ends -> what it is: a factor, its alpha, or the name of an adapter of another kind."""
BUNDLED = "bundle_emb."
"""Before the embeddings that some LoRA files bring along."""
ALPHAS = ("lora_alpha", "ss_network_alpha", "network_alpha")
RANKS = ("r", "rank", "lora_rank", "network_dim", "ss_network_dim", "dim")
NOTHING = ("", "None", "null", "none")
TEXT = ("text_encoder", "text_encoder_2", "text_encoder_3")
"""Networks whose settings are not those of the UNet's layers."""
LONGEST = 1 << 20
"""Characters of a header's entry, or of a file of settings, that are looked at."""


@dataclass(frozen=True)
class Part:
    """What a key of a LoRA file is."""

    module: str
    """The layer that it changes, as the file spells it."""
    role: str
    """`down`, `up`, `alpha`, or the name of an adapter of another kind."""
    adapter: str = ""
    """Name of the adapter, where a file may hold several."""


def part_of(key: str) -> Part | None:
    """What a key is; None where it is no LoRA's."""
    for pattern, role in ENDINGS:
        if match := pattern.search(key):
            return Part(key[: match.start()], role, match.groupdict().get("adapter") or "")
    return None


@dataclass(frozen=True)
class Scaling:
    """What a file says of the scale of all its layers."""

    alpha: float | None = None
    by_layer: Mapping[str, float] = field(default_factory=dict)
    """Last names of a layer -> its own alpha."""
    by_root: bool = False
    """Whether alpha is divided by the root of the rank."""
    ranks: frozenset[int] = frozenset()
    """That the file says its layers have; empty where it says none."""
    adapter: str = ""
    """An adapter of another kind that it says it is."""
    source: str = ""
    """Where it stands."""

    def of(self, module: str, rank: int, alpha: float | None = None) -> float:
        """The factor of one layer. alpha: the layer's own, from a tensor beside its factors; it comes first."""
        if alpha is None:
            own = [value for name, value in self.by_layer.items() if module == name or module.endswith(f".{name}")]
            alpha = own[0] if own else self.alpha
        if alpha is None:
            return 1.0
        return alpha / (math.sqrt(rank) if self.by_root else rank)


def scaling_of(metadata: Metadata) -> Scaling:
    """Reads it off a header: diffusers' and PEFT's tables in JSON, kohya's and others' numbers.

    Raises WrongFile where something stands there that cannot be read.
    """
    for name, text in metadata.items():
        if "alpha" in text and len(text) <= LONGEST and text.lstrip().startswith("{"):
            for table in _tables(name, text):
                if any(key in table for key in ALPHAS):
                    return from_config(table, f"{name} in its header")
    for name in (*ALPHAS, "alpha"):
        told = metadata.get(name, "")
        if told.strip() not in NOTHING and (name != "alpha" or any(rank in metadata for rank in RANKS)):
            return Scaling(alpha=_number(told, name), source=f"{name} in its header")
    return Scaling()


def from_config(config: Mapping[str, Any], source: str) -> Scaling:
    """Reads it off a table as PEFT writes them (`LoraConfig`). source: where that stands, for messages."""
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
    """Tables of settings in a text: itself, those inside it, and those of each network whose name stands before settings."""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        if name == "lora_adapter_metadata":
            raise WrongFile(f"its header's {name} is no JSON, got {text[:40]!r}") from None
        return
    if not isinstance(table, dict):
        return
    yield table
    yield from (value for value in table.values() if isinstance(value, dict))
    networks = dict.fromkeys(key.partition(".")[0] for key in table if "." in key)
    for network in (each for each in networks if each not in TEXT):
        yield {key.partition(".")[2]: value for key, value in table.items() if key.startswith(f"{network}.")}


def _plain(pattern: str) -> str:
    """A layer's name without the signs of a regular expression that PEFT puts around it."""
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
    """The number in an alpha tensor. Raises WrongFile where there is none."""
    if value.numel() != 1 or value.is_complex():
        raise WrongFile(f"{key}: expected one number, got shape {list(value.shape)}")
    return 1.0 if value.device.type == "meta" else _number(value.float().item(), key)
