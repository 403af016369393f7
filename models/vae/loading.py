"""From a file to an autoencoder: find the family by keys, rename by its table, build, fill; strict at every step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import WrongFile
from ..formats.checkpoint import read_tensors
from ..formats.keytable import KeyTable
from ..formats.recognise import kind_of
from ..formats.strict import in_file, load_strict, some
from .families import VAES, detect
from .family import VaeFamily

FIRST_STAGE = "first_stage_model."
"""Where whole checkpoints keep their autoencoder."""
QUANT = "conditioner.embedders.3.encoder.quant_conv."
"""Where Stable Video Diffusion's checkpoints keep the last layer of the encoder."""
TRAINING = ("loss.", "model_ema.")
"""What .ckpt files of autoencoders carry from their training."""
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

    Weights keep the file's dtype, are on the CPU and need no gradient. Raises WrongFile, naming file and remedy.
    """
    path = Path(path)
    inner = next((path / name for name in FOLDERS if (path / name).is_dir()), path)
    tensors, _ = read_tensors(inner)
    with in_file(path.name):
        return vae_from(tensors)


def vae_from(tensors: Mapping[str, Tensor]) -> Loaded:
    """Makes an autoencoder of tensors in any published spelling."""
    held = autoencoder_of(tensors)
    family = detect(held)
    if family is None:
        raise WrongFile(_unknown(tensors))
    filled = load_strict(family, held, lambda contents, _: family.build(contents.weights))
    spelled = filled.spelled
    dtype = next(iter(spelled.weights.values())).dtype
    return Loaded(filled.network, family, spelled.spelling, spelled.table, dtype)


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
