"""Upscaling clips in ComfyUI with Stable Diffusion's x4 upscaler: any spelling, temporal layers where the file has them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import comfy.conds
import torch
from torch import Tensor

from ....models.vae.guided import GuidedVae
from ....sampling.stream import euler_stream
from ....sampling.tiles import Grid, over_tiles
from ....sampling.upscale import LATENT, RGB, WINDOWS, laid_out, late_steps
from ....sampling.windowing import WindowSpec
from ....video.frames.colour import MATCHES, STEADY, carried
from ....video.frames.flow import flow_between, has_flow
from ....video.frames.warp import propagate
from ..call import TILE, UPSCALE
from ..sampling.guider import guider_of
from ..sampling.rounds import RoundRunner, sigmas_for
from ..unet import is_upscaler, unet_of
from ..vae.chunked import ChunkedVae

TIMES = 4
COLOURS = (STEADY, *MATCHES, "off")
"""Ways of matching the small frames' colours."""


@dataclass(frozen=True)
class UpscaleRequest:
    """What an artist asks for."""

    steps: int = 20
    cfg: float = 4.0
    seed: int = 0
    level: int = 20
    """Noise level of the small pictures: how freely detail is made up."""
    window: int = WINDOWS.size
    overlap: int = WINDOWS.overlap
    tile: int = 0
    """Side of a tile in pixels of the small picture; 0: whole pictures."""
    colours: str = STEADY
    """One of `COLOURS`."""
    flow: bool = False
    """Whether late steps carry latents along the small pictures' optical flow; needs OpenCV."""

    def __post_init__(self) -> None:
        if self.colours not in COLOURS:
            raise ValueError(f"match_colour: expected {', '.join(COLOURS)}, got {self.colours!r}")
        if self.flow and not has_flow():
            raise ValueError("follow_flow needs OpenCV: pip install opencv-python-headless, or switch it off")


@dataclass(frozen=True)
class UpscaleInputs:
    """Who makes pictures large."""

    model: Any
    positive: Any
    negative: Any
    chunked_vae: ChunkedVae


def upscale(inputs: UpscaleInputs, frames: Iterable[Tensor], request: UpscaleRequest) -> Iterator[Tensor]:
    """Frames `(3, h, w)` in [0, 1] to `(3, 4 h, 4 w)`, one at a time in and out, in the memory of a few windows.

    Raises ValueError for a MODEL that is no x4 upscaler, a VAE that is not an upscaler's, and a level it does not know.
    """
    _check(inputs, request)
    source = iter(frames)
    first = next(source, None)
    if first is None:
        raise ValueError("expected one frame or more, got none")
    yield from _Upscaling(inputs, request, first.shape[-2:]).large(first, source)


def _check(inputs: UpscaleInputs, request: UpscaleRequest) -> None:
    if not is_upscaler(inputs.model):
        raise ValueError(
            "Upscale Video needs a Stable Diffusion x4 upscaler, but this MODEL takes no small pictures. Load one with Load "
            "Video Upscaler, or Load Demo Upscaler."
        )
    if inputs.chunked_vae.side != TIMES or inputs.chunked_vae.squeezes:
        raise ValueError(
            f"Upscale Video needs the upscaler's own VAE, whose latents are {TIMES} pixels wide; this one's are "
            f"{inputs.chunked_vae.side}. Connect the VAE of the upscaler's file, or load it with Load Temporal VAE."
        )
    placed = [one for half in (inputs.positive, inputs.negative) for _, one in half if "mask" in one or "area" in one]
    if request.tile and placed:
        raise ValueError("conditions for a part of the picture (mask, area) and tiles do not go together; set tile_size to 0")
    most = unet_of(inputs.model).label_emb.num_embeddings - 1
    if not 0 <= request.level <= most:
        raise ValueError(f"noise_level: expected 0 to {most}, which is what this upscaler knows, got {request.level}")


class _Upscaling:
    """One size of frames, one model."""

    def __init__(self, inputs: UpscaleInputs, request: UpscaleRequest, size: Sequence[int]):
        height, width = size
        self._request, self._chunked_vae, self._base = request, inputs.chunked_vae, inputs.model.model
        self._cut = WindowSpec(request.window, request.overlap)
        self._grid = Grid(request.tile, request.tile // 4, 1, 1) if 0 < request.tile < max(size) else None
        guider = guider_of(inputs.model, inputs.positive, inputs.negative, request.cfg)
        sigmas = sigmas_for(inputs.model, request.steps)
        seen = (request.tile, request.tile) if self._grid else (height, width)  # memory is set aside for what a call sees
        remedy = f"tile_size, or window (now {request.window})"
        self._rounds = RoundRunner(
            guider, (LATENT, *seen), request.window, sigmas, request.seed, remedy, wrappers={UPSCALE: _with_small_pictures}
        )
        self._pictures: list[Tensor] = []
        self._flows: dict[int, tuple[Tensor, Tensor]] = {}
        self._late = set(late_steps(sigmas)) if request.flow else set()
        self._looks_back = (
            isinstance(inputs.chunked_vae.vae.first_stage_model, GuidedVae) and inputs.chunked_vae.vae.first_stage_model.guide
        )

    def large(self, first: Tensor, others: Iterator[Tensor]) -> Iterator[Tensor]:
        pictures = self._pictures

        def noted() -> Iterator[Tensor]:
            for number, frame in enumerate(chain([first], others)):
                frame = frame[:RGB]
                if frame.shape != first[:RGB].shape:
                    raise ValueError(f"frame {number}: expected the size of the first, got {tuple(frame.shape[1:])}")
                pictures.append(frame)
                yield laid_out(number, frame, self._request.level, float(self._rounds.sigmas[0]), self._request.seed)

        stream = (self._with_picture(latent, pictures, n) for n, latent in enumerate(self._sampled(noted())))
        frames = self._chunked_vae.decode(stream)
        pairs = self._paired(frames)
        yield from (frame for frame, _ in pairs) if self._request.colours == "off" else carried(pairs, self._request.colours)

    def _paired(self, frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Each large frame with its small one, which is then let go."""
        for number, frame in enumerate(frames):
            picture = self._pictures[number]
            self._pictures[number] = picture.new_empty(0)  # its number stays in step, its memory does not
            yield frame, picture

    def _sampled(self, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """Clean latents, unscaled as the VAE takes them."""
        made = self._rounds.outside(euler_stream(self._work, frames, self._rounds.sigmas, self._cut))
        return (self._base.process_latent_out(one[None, :LATENT])[0] for one in made)

    def _with_picture(self, latent: Tensor, pictures: list[Tensor], number: int) -> Tensor:
        return torch.cat([latent, pictures[number].to(latent) * 2 - 1]) if self._looks_back else latent

    def _work(self, window: Tensor, sigma: float, numbers: Sequence[int]) -> Tensor:
        def denoised(part: Tensor, corner: tuple[int, int]) -> Tensor:
            told = {UPSCALE: (part[:, LATENT:], self._request.level), TILE: (*corner, (window.shape[-2], window.shape[-1]))}
            return self._rounds.live.at_level(part[:, :LATENT], sigma, numbers, **told)

        clean = over_tiles(denoised, window, self._grid) if self._grid else denoised(window, (0, 0))
        return self._carried(clean, numbers) if sigma in self._late and len(numbers) > 1 else clean

    def _carried(self, clean: Tensor, numbers: Sequence[int]) -> Tensor:
        forward, backward = zip(*(self._flow(number) for number in numbers[:-1]), strict=True)
        return propagate(clean, torch.stack(forward), torch.stack(backward))

    def _flow(self, number: int) -> tuple[Tensor, Tensor]:
        """From a frame to the next, and back; kept while other steps may ask."""
        if number not in self._flows:
            pair = self._pictures[number], self._pictures[number + 1]
            self._flows[number] = flow_between(*pair), flow_between(*reversed(pair))
            for old in [n for n in self._flows if n < number - len(self._rounds.sigmas) * self._request.window]:
                del self._flows[old]
        return self._flows[number]


def _with_small_pictures(executor: Any, model: Any, conds: Any, x: Tensor, timestep: Tensor, options: Any, *more: Any) -> Any:
    """A CALC_COND_BATCH wrapper: every condition sees the small pictures of these rows, at their level."""
    small, level = options["transformer_options"][UPSCALE]
    beside = {
        "c_concat": comfy.conds.CONDNoiseShape(small.to(x)),
        "y": comfy.conds.CONDRegular(torch.tensor([level], device=x.device)),
    }
    conds = [half and [{**one, "model_conds": {**one["model_conds"], **beside}} for one in half] for half in conds]
    return executor(model, conds, x, timestep, options, *more)
