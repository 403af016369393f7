"""From a file to an autoencoder: find the family by keys, rename by its table, build, fill; strict at every step."""

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
"""Where whole checkpoints keep their autoencoder."""
QUANT = "conditioner.embedders.3.encoder.quant_conv."
"""Where Stable Video Diffusion's checkpoints keep the last layer of the encoder."""
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
    notes: tuple[str, ...] = ()
    """What was done to find the weights in the file."""

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
        notes = "".join(f"; {line}" for line in self.notes)
        return (
            f"{self.family.title} ({self.spelling} spelling, {count / 1e6:.1f} M weights, {dtype}): {self.family.note}{notes}"
        )


def load_vae(path: str | Path) -> Loaded:
    """Reads the autoencoder of any known family out of a file, a whole checkpoint or a folder as diffusers writes it.

    Weights keep the file's dtype, are on the CPU and need no gradient. Raises WrongFile, naming file and remedy.
    """
    path = Path(path)
    inner = next((path / name for name in FOLDERS if (path / name).is_dir()), path)
    read = read_file(inner)
    with in_file(path.name):
        return vae_from(read.tensors, read.notes)


def vae_from(tensors: Mapping[str, Tensor], notes: tuple[str, ...] = ()) -> Loaded:
    """Makes an autoencoder of tensors in any published spelling. said: what was done to find them."""
    settled = clean_weights(tensors)
    held = autoencoder_of(settled.tensors)
    family = known(held, LoaderTarget("VAE", VAES, ("vae", "video_vae")), detect)
    filled = load_strict(family, held, lambda contents, _: family.build(contents.weights))
    spelled = filled.spelled
    dtype = next(iter(spelled.weights.values())).dtype
    return Loaded(filled.network, family, spelled.spelling, spelled.table, dtype, (*notes, *settled.notes))


def autoencoder_of(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The autoencoder's tensors out of whatever else a file holds."""
    if not any(key.startswith(FIRST_STAGE) for key in tensors):
        return tensors
    held = {key.removeprefix(FIRST_STAGE): value for key, value in tensors.items() if key.startswith(FIRST_STAGE)}
    beside = {"quant_conv." + key.removeprefix(QUANT): value for key, value in tensors.items() if key.startswith(QUANT)}
    return beside | dict(clean_weights(held).tensors)
