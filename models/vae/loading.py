"""From a file to an autoencoder: find the family by keys, rename by its table, build, fill; strict at every step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..formats.checkpoint import read_tensors
from ..formats.keytable import KeyTable
from ..formats.recognise import kind_of
from ..formats.strict import check_finite, compare, rename, some, table_of
from .families import VAES, detect
from .family import VaeFamily

FIRST_STAGE = "first_stage_model."
"""Where whole checkpoints keep their autoencoder."""
QUANT = "conditioner.embedders.3.encoder.quant_conv."
"""Where Stable Video Diffusion's checkpoints keep the last layer of the encoder."""
TRAINING = ("loss.", "model_ema.")
"""What .ckpt files of autoencoders carry from their training."""
ALIAS = "alias:"
"""Ours for a tensor that a file holds a second time."""
FOLDERS = ("vae", "vae3d", "vae_temporal_decoder")
"""Where diffusers' pipelines keep it."""


@dataclass(frozen=True)
class Loaded:
    """An autoencoder and what it is."""

    network: nn.Module
    family: VaeFamily
    spelling: str
    table: KeyTable
    dtype: torch.dtype

    @property
    def side(self) -> int:
        """Pixels per latent and side."""
        return int(getattr(self.network, "side"))  # noqa: B009  a network's attribute, whatever torch's stubs say

    def published(self) -> dict[str, Tensor]:
        """The weights as the file spells them."""
        return self.table.restore(self.network.state_dict())

    @property
    def report(self) -> str:
        """A line for people."""
        count = sum(weight.numel() for weight in self.network.parameters())
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{self.family.title} ({self.spelling} spelling, {count / 1e6:.1f} M weights, {dtype}): {self.family.note}"


def load_vae(path: str | Path) -> Loaded:
    """Reads the autoencoder of any known family out of a file, a whole checkpoint or a folder as diffusers writes it.

    Weights keep the file's dtype, are on the CPU and need no gradient. Raises ValueError, naming file and remedy.
    """
    path = Path(path)
    inner = next((path / name for name in FOLDERS if (path / name).is_dir()), path)
    tensors, _ = read_tensors(inner)
    try:
        return vae_from(tensors)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def vae_from(tensors: Mapping[str, Tensor]) -> Loaded:
    """Makes an autoencoder of tensors in any published spelling."""
    held = autoencoder_of(tensors)
    family = detect(held)
    if family is None:
        raise ValueError(_unknown(tensors))
    spelling, table = table_of(family, held)
    ours = {key: value for key, value in rename(family, table, held).items() if not key.startswith(ALIAS)}
    try:
        with torch.device("meta"):  # the file's tensors become the weights: nothing is allocated or initialised twice
            network = family.build({key: tuple(value.shape) for key, value in ours.items()})
    except (LookupError, ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        raise ValueError(
            f"this looks like {family.title}, but its tensors do not make a whole one ({error}); download the file again"
        ) from error
    compare(network, ours, family, table)
    check_finite(ours, family, table)
    network.load_state_dict(ours, strict=True, assign=True)
    return Loaded(network.requires_grad_(False).eval(), family, spelling, table, next(iter(ours.values())).dtype)


def autoencoder_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The autoencoder's tensors out of whatever else a file holds."""
    if not any(key.startswith(FIRST_STAGE) for key in tensors):
        return {key: value for key, value in tensors.items() if not key.startswith(TRAINING)}
    held = {key.removeprefix(FIRST_STAGE): value for key, value in tensors.items() if key.startswith(FIRST_STAGE)}
    held = {key: value for key, value in held.items() if not key.startswith(TRAINING)}
    beside = {"quant_conv." + key.removeprefix(QUANT): value for key, value in tensors.items() if key.startswith(QUANT)}
    return beside | held


def _unknown(tensors: Mapping[str, Tensor]) -> str:
    titles = ", ".join(family.title for family in VAES)
    if kind := kind_of(tensors):
        return f"this is none of the VAEs that Zoetrope knows ({titles}) but {kind.name}: {kind.place}. Pick another file."
    got = some(sorted(tensors))
    return f"this is none of the VAEs that Zoetrope knows. Expected keys of {titles}; got {got}. Pick another file."
