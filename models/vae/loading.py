"""Loading of autoencoders: detect the family by keys, rename by its table, build, fill; strict at every step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..formats.checkpoint import read_file
from ..formats.keytable import KeyTable
from ..formats.leftovers import clean_weights
from ..formats.recognise import LoaderTarget, known
from ..formats.strict import in_file, load_strict
from .families import VAES, detect
from .family import VaeFamily

FIRST_STAGE = "first_stage_model."
"""Prefix of the autoencoder's keys in whole checkpoints."""
QUANT = "conditioner.embedders.3.encoder.quant_conv."
"""Prefix of the encoder's last layer in Stable Video Diffusion's checkpoints."""
FOLDERS = ("vae", "vae3d", "vae_temporal_decoder")
"""Folders of the autoencoder in diffusers' pipelines."""


@dataclass(frozen=True)
class Loaded:
    """An autoencoder with its family and key table."""

    network: nn.Module
    family: VaeFamily
    spelling: str
    table: KeyTable
    dtype: torch.dtype
    notes: tuple[str, ...] = ()
    """How the weights were found in the file."""

    @property
    def side(self) -> int:
        """Pixels per latent and side."""
        return int(getattr(self.network, "side"))  # noqa: B009  torch's stubs type attributes as modules

    def published(self) -> dict[str, Tensor]:
        """The weights under the file's key names."""
        return self.table.restore(self.network.state_dict())

    @property
    def report(self) -> str:
        """One line of text about the autoencoder."""
        count = sum(weight.numel() for weight in self.network.parameters())
        dtype = str(self.dtype).removeprefix("torch.")
        notes = "".join(f"; {line}" for line in self.notes)
        return (
            f"{self.family.title} ({self.spelling} spelling, {count / 1e6:.1f} M weights, {dtype}): {self.family.note}{notes}"
        )


def load_vae(path: str | Path) -> Loaded:
    """Loads the autoencoder of any known family from its file, a whole checkpoint, or a folder as diffusers writes it.

    Weights have the file's dtype, are on the CPU and need no gradient. Raises WrongFile with the file's name and the remedy.
    """
    path = Path(path)
    inner = next((path / name for name in FOLDERS if (path / name).is_dir()), path)
    contents = read_file(inner)
    with in_file(path.name):
        return vae_from(contents.tensors, contents.notes)


def vae_from(tensors: Mapping[str, Tensor], notes: tuple[str, ...] = ()) -> Loaded:
    """An autoencoder from tensors in any published spelling. notes: how they were found in the file."""
    cleaned = clean_weights(tensors)
    inner = autoencoder_of(cleaned.tensors)
    family = known(inner, LoaderTarget("a VAE", VAES, ("vae", "video_vae")), detect)
    loaded = load_strict(family, inner, lambda contents, _: family.build(contents.weights))
    spelled = loaded.spelled
    dtype = next(iter(spelled.weights.values())).dtype
    return Loaded(loaded.network, family, spelled.spelling, spelled.table, dtype, (*notes, *cleaned.notes))


def autoencoder_of(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The autoencoder's tensors among those of a file, without the prefix that they have in whole checkpoints."""
    if not any(key.startswith(FIRST_STAGE) for key in tensors):
        return tensors
    inner = {key.removeprefix(FIRST_STAGE): value for key, value in tensors.items() if key.startswith(FIRST_STAGE)}
    quant = {"quant_conv." + key.removeprefix(QUANT): value for key, value in tensors.items() if key.startswith(QUANT)}
    return quant | dict(clean_weights(inner).tensors)
