"""Live shots of the embedded model on diffusers: frames of a video enter, and leave it in another look."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from torch import Tensor

from ....demo.layout import FOLDER, PARTS, part_path
from ....sampling.diffusion import SD_SIGMAS
from ....sampling.pieces import Pieces
from ....shots.journal import Scalar
from ....shots.live.record import PromptFrom
from ..motion import motion_in
from .model import PIXELS, Demo

LATENT = (4, PIXELS // 8, PIXELS // 8)
TABLE = SD_SIGMAS


@dataclass
class DemoLive:
    """The embedded model as a `shots.live.host.LiveHost`. prompt: in its text encoder's words; motion: with temporal layers."""

    demo: Demo
    prompt: str
    motion: bool = True
    concurrent: bool = True
    understood: Any = str
    """Converts a prompt that is set while the shot runs; raises ValueError for one that cannot be used."""
    leaving = False

    def __post_init__(self) -> None:
        self.pieces, self.tiles, self.device = Pieces(), dict[int, int](), self.demo.unet.device
        self._prompts: tuple[tuple[int, Tensor], ...] = ()
        self._negative = self._text("")

    def _text(self, prompt: str) -> Tensor:
        with torch.inference_mode():
            return self.demo.text(self.demo.text.tokenize([prompt]).to(self.device))[0]

    def check_prompt(self, prompt: str) -> None:
        self.understood(prompt)

    def prompts(self, prompts: Sequence[PromptFrom]) -> None:
        texts = [self.prompt if one.text is None else self.understood(one.text) for one in prompts]
        self._prompts = tuple((one.frame, self._text(text)) for one, text in zip(prompts, texts, strict=True))

    def positive(self, x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        rows = [max(0, sum(start <= number for start, _ in self._prompts) - 1) for number in frame.tolist()]
        return self._clean(x, sigma, torch.stack([self._prompts[row][1] for row in rows]))

    def negative(self, x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        return self._clean(x, sigma, self._negative.expand(len(x), *self._negative.shape))

    def _clean(self, x: Tensor, sigma: Tensor, texts: Tensor) -> Tensor:
        return self.demo.guided(texts, texts, 1.0)(x.to(self.device), sigma.to(self.device))

    def encode(self, pictures: Tensor) -> Tensor:
        return self.demo.encode(pictures.to(self.device)).float().cpu()

    def decode(self, latents: Tensor, piece: int | None = None) -> Tensor:
        return self.demo.decode(latents.to(self.device))

    def rounds(self, streams: Iterator[Iterator[object]]) -> Iterator[None]:
        for steps in streams:
            if self.motion and self.demo.motion is not None:
                with motion_in(self.demo.unet, self.demo.motion, frames=0):
                    for _ in steps:
                        pass
            else:
                for _ in steps:
                    pass
            yield

    def settings(self) -> dict[str, Scalar]:
        """Settings that the latents depend on, besides those of the queue; the prompt as a digest (docs/security.md)."""
        files = hashlib.sha256()
        for part in PARTS:
            files.update(part_path(part, FOLDER).read_bytes())
        prompt = hashlib.sha256(self.prompt.encode()).hexdigest()
        return {"model": f"sha256:{files.hexdigest()}", "prompt": f"sha256:{prompt}", "motion layers": self.motion}

    def made_with(self) -> dict[str, Scalar]:
        return {
            "device": str(self.device), "precision": str(self.demo.unet.dtype), "torch": torch.__version__,
            "diffusers": diffusers.__version__,
        }  # fmt: skip
