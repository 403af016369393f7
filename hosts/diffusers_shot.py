"""Long shots of the embedded model on diffusers: a denoiser that knows what is said at every frame."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from einops import rearrange
from torch import Tensor

from ..sampling.diffusion import v_denoiser
from ..sampling.fifo import Denoiser
from ..sampling.timeline import Cue, Numbers, mix_at
from .diffusers import motion_in
from .diffusers_demo import Demo


@contextmanager
def denoising(demo: Demo, cues: Sequence[Cue], guidance: Numbers, window: int) -> Iterator[Denoiser]:
    """The embedded model with one noise level, one prompt and one guidance scale per frame, for the length of the block.

    cues      prompts by frame; a fade mixes their embeddings
    guidance  classifier-free guidance scale by frame
    window    frames of a clip; a call may hold several
    """
    with torch.inference_mode():
        texts = demo.text(demo.text.tokenize([*(cue.said for cue in cues), ""]).to(demo.unet.device))  # (cues + 1, n, d)

    @torch.inference_mode()
    def denoise(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        numbers = frame.tolist()
        context = torch.cat([_told(texts, cues, numbers), texts[-1:].expand(len(numbers), -1, -1)])
        scale = torch.tensor([guidance.at(number) for number in numbers], device=x.device).reshape(-1, 1, 1, 1)

        def predict(noisy: Tensor, times: Tensor) -> Tensor:
            both = demo.unet(torch.cat([noisy, noisy]), times.repeat(2), context).sample
            wanted, plain = rearrange(both, "(two r) c h w -> two r c h w", two=2)
            return plain + scale * (wanted - plain)

        return v_denoiser(predict)(x, sigma)

    if demo.motion is None:
        raise ValueError("a long shot needs the motion module")
    with motion_in(demo.unet, demo.motion, frames=window):
        yield denoise


def _told(texts: Tensor, cues: Sequence[Cue], numbers: Sequence[int]) -> Tensor:
    mixes = (mix_at(cues, number) for number in numbers)
    return torch.stack([torch.lerp(texts[before], texts[now], share) for before, now, share in mixes])
