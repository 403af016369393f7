"""Hidden states of the host's CLIP-Vision, preprocessed as in the training of image projectors.

The host's `encode_image` rounds pixels to 8 bits and has no unconditional input, so its network is called directly.
"""

from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ....models.image_prompt.loading import LoadedProjector
from ....models.image_prompt.pixels import pixels_of

STATE_NAMES = {"embedding": "image_embeds (projection_dim)", "penultimate": "hidden_size", "last": "hidden_size"}
"""Name of the width of each kind of states in a CLIP-Vision's configuration."""


def states(vision: Any, images: Tensor, loaded: LoadedProjector) -> Tensor:
    """Hidden states `(n, m, d)` of pictures `(n, h, w, c)` in [0, 1], the projector's input. Alpha is ignored.

    Raises ValueError where the CLIP-Vision's width is not that of the projector's training.
    """
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(f"image: expected at least one picture (n, h, w, c), got {tuple(images.shape)}")
    if images.shape[-1] not in (3, 4):
        raise ValueError(f"image: expected pictures in RGB or RGBA, got {images.shape[-1]} channels")
    return _states(vision, _pixels(vision, images[..., :3], loaded.look.crop), loaded)


def null_states(vision: Any, like: Tensor, loaded: LoadedProjector) -> Tensor:
    """Hidden states `(1, m, d)` of the unconditional input, which stands for no picture."""
    if loaded.look.null == "zero embedding":
        return torch.zeros_like(like[:1])
    side = vision.image_size
    if loaded.look.null == "zero picture":
        return _states(vision, torch.zeros(1, 3, side, side), loaded)
    return _states(vision, _pixels(vision, torch.full((1, side, side, 3), 0.5), crop=False), loaded)


def _pixels(vision: Any, images: Tensor, crop: bool) -> Tensor:
    """Pixels `(n, 3, side, side)` of pictures `(n, h, w, 3)`, normalised for this encoder."""
    pictures = images.float().movedim(-1, 1)
    return pixels_of(pictures, vision.image_size, crop, vision.image_mean, vision.image_std)


def _states(vision: Any, pixels: Tensor, loaded: LoadedProjector) -> Tensor:
    manager = comfy.model_management
    manager.load_model_gpu(vision.patcher)
    with torch.inference_mode():
        outputs = vision.model(pixel_values=pixels.to(vision.load_device).float(), intermediate_output=-2)
    last, penultimate, embedding = outputs[0], outputs[1], outputs[2]
    embedding = embedding[:, None] if embedding.ndim == 2 else embedding
    out = {"embedding": embedding, "penultimate": penultimate, "last": last}[loaded.look.states]
    if out.shape[-1] != loaded.states:
        raise ValueError(
            f"clip_vision: {loaded.file} was trained with an image encoder whose {STATE_NAMES[loaded.look.states]} is "
            f"{loaded.states}, this one's is {out.shape[-1]}. {_remedy(loaded)}"
        )
    return out.to(manager.intermediate_device()).float()


def _remedy(loaded: LoadedProjector) -> str:
    names = {1024: "ViT-H (CLIP-ViT-H-14-laion2B-s32B-b79K)", 1280: "ViT-bigG (CLIP-ViT-bigG-14-laion2B-39B-b160k)"}
    if loaded.look.states != "embedding":
        names = {1280: names[1024], 1664: names[1280]}
    expected = names.get(loaded.states)
    return f"Load CLIP Vision with {expected}." if expected else "Load the CLIP-Vision that belongs to it."
