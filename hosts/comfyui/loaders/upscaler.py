"""Stable Diffusion's x4 upscaler from a file of any spelling, with temporal layers where the file has them."""

from pathlib import Path

from torch import Tensor

from ....models.errors import WrongFile
from ....models.formats.checkpoint import read_tensors
from ....models.formats.ldm import diffusers_table
from ....models.formats.recognise import kind_of
from ....models.motion.families import detect
from ..motion.apply import Settings
from ..unet import is_upscaler
from .checkpoint import PREFIXES, VideoCheckpoint, load_checkpoint, through_the_host


def load_upscaler(path: str, settings: Settings) -> VideoCheckpoint:
    """MODEL with the file's temporal layers applied, CLIP and VAE where the file holds them; motion None where it has none.

    Takes Upscale-A-Video's and LaVie-VSR's UNets, whole x4 checkpoints, and their UNets as diffusers or LDM spell them. Raises
    ValueError for anything else, and says where it belongs.
    """
    name, (tensors, _) = Path(path).name, read_tensors(path)
    if detect(tensors):
        loaded = load_checkpoint(path, settings)
        if is_upscaler(loaded.model):
            return loaded
        raise WrongFile(f"{name}: this is a video model, no upscaler; Load Video Checkpoint takes it")
    kind = kind_of(tensors)
    if kind is None or kind.id != "x4_upscaler":
        what = f"this is {kind.name}: {kind.place}" if kind else "this is no model that Zoetrope knows"
        raise WrongFile(
            f"{name}: {what}. Expected Upscale-A-Video, LaVie-VSR or a Stable Diffusion x4 upscaler; pick another file."
        )
    model, clip, vae = through_the_host(_weights, path, tensors)
    return VideoCheckpoint(model, clip, vae, None, None)


def _weights(path: str, tensors: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    return _spelled(tensors if tensors is not None else read_tensors(path)[0])


def _spelled(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As the host expects checkpoints."""
    if any(key.startswith(PREFIXES["unet"]) for key in tensors):
        return dict(tensors)
    if "input_blocks.0.0.weight" in tensors:
        return {PREFIXES["unet"] + key: value for key, value in tensors.items()}
    renamed, left = diffusers_table(tensors).rename(tensors)
    if left:
        raise WrongFile(f"expected an upscaler's UNet as diffusers writes it, got {left[0]!r} as well; download it again")
    return {PREFIXES["unet"] + key.removeprefix("unet:"): value.contiguous() for key, value in renamed.items()}
