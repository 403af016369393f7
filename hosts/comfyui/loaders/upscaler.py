"""Loader of Stable Diffusion's x4 upscalers from diffusers and LDM files, with temporal layers where the file has them."""

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
    """Loads a MODEL with the file's temporal layers applied, CLIP and VAE where the file has them; motion None without any.

    Accepts UNets of Upscale-A-Video and LaVie-VSR, full x4 checkpoints, and x4 UNets with diffusers' or LDM keys. Raises
    WrongFile for anything else, with the right loader.
    """
    name, (tensors, _) = Path(path).name, read_tensors(path)
    if detect(tensors):
        loaded = load_checkpoint(path, settings)
        if is_upscaler(loaded.model):
            return loaded
        raise WrongFile(f"{name}: this is a video model, not an upscaler; load it with Load Video Checkpoint")
    kind = kind_of(tensors)
    if kind is None or kind.id != "x4_upscaler":
        what = f"this is {kind.name}: {kind.place}" if kind else "Zoetrope does not recognise this file"
        raise WrongFile(
            f"{name}: {what}. Expected Upscale-A-Video, LaVie-VSR or a Stable Diffusion x4 upscaler; pick another file."
        )
    model, clip, vae = through_the_host(_weights, path, tensors)
    return VideoCheckpoint(model, clip, vae, None, None)


def _weights(path: str, tensors: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    return _with_host_keys(tensors if tensors is not None else read_tensors(path)[0])


def _with_host_keys(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the keys of the host's checkpoints. Raises WrongFile for keys that an upscaler's UNet does not have."""
    if any(key.startswith(PREFIXES["unet"]) for key in tensors):
        return dict(tensors)
    if "input_blocks.0.0.weight" in tensors:
        return {PREFIXES["unet"] + key: value for key, value in tensors.items()}
    renamed, unexpected = diffusers_table(tensors).rename(tensors)
    if unexpected:
        raise WrongFile(f"expected an upscaler's UNet with diffusers' keys, got {unexpected[0]!r} too; download it again")
    return {PREFIXES["unet"] + key.removeprefix("unet:"): value.contiguous() for key, value in renamed.items()}
