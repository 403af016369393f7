"""Video upscaling in ComfyUI with Stable Diffusion's x4 upscaler, with temporal layers where the file has them."""

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
"""Methods of matching the small frames' colours."""


@dataclass(frozen=True)
class UpscaleRequest:
    """Settings of an upscaling."""

    steps: int = 20
    cfg: float = 4.0
    seed: int = 0
    level: int = 20
    """Noise level of the small pictures: higher levels generate more detail."""
    window: int = WINDOWS.size
    overlap: int = WINDOWS.overlap
    tile: int = 0
    """Side of a tile in pixels of the small picture; 0: no tiles."""
    colours: str = STEADY
    """One of `COLOURS`."""
    flow: bool = False
    """Whether late steps propagate latents along the small pictures' optical flow; needs OpenCV."""

    def __post_init__(self) -> None:
        if self.colours not in COLOURS:
            raise ValueError(f"match_colour: expected {', '.join(COLOURS)}, got {self.colours!r}")
        if self.flow and not has_flow():
            raise ValueError("follow_flow needs OpenCV: pip install opencv-python-headless, or switch it off")


@dataclass(frozen=True)
class UpscaleInputs:
    """Model, conditioning and VAE of an upscaling."""

    model: Any
    positive: Any
    negative: Any
    chunked_vae: ChunkedVae


def upscale(inputs: UpscaleInputs, frames: Iterable[Tensor], request: UpscaleRequest) -> Iterator[Tensor]:
    """Upscales frames `(3, h, w)` in [0, 1] to `(3, 4 h, 4 w)`; takes and yields them one at a time.

    Needs the memory of a few windows. Raises ValueError for a MODEL that is not an x4 upscaler, a VAE that is not an
    upscaler's, and a noise level outside the upscaler's range.
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
            "Upscale Video needs a Stable Diffusion x4 upscaler, but this MODEL has no input for small pictures. Load one with "
            "Load Video Upscaler, or Load Demo Upscaler."
        )
    if inputs.chunked_vae.side != TIMES or inputs.chunked_vae.squeezes:
        raise ValueError(
            f"Upscale Video needs the upscaler's own VAE, whose latents are {TIMES} pixels wide; this one's are "
            f"{inputs.chunked_vae.side}. Connect the VAE of the upscaler's file, or load it with Load Temporal VAE."
        )
    placed = [one for half in (inputs.positive, inputs.negative) for _, one in half if "mask" in one or "area" in one]
    if request.tile and placed:
        raise ValueError("conditions for a part of the picture (mask, area) cannot be combined with tiles; set tile_size to 0")
    most = unet_of(inputs.model).label_emb.num_embeddings - 1
    if not 0 <= request.level <= most:
        raise ValueError(f"noise_level: expected 0 to {most}, the range of this upscaler, got {request.level}")


class _Upscaling:
    """An upscaling for one size of frames."""

    def __init__(self, inputs: UpscaleInputs, request: UpscaleRequest, size: Sequence[int]):
        height, width = size
        self._request, self._chunked_vae, self._base = request, inputs.chunked_vae, inputs.model.model
        self._cut = WindowSpec(request.window, request.overlap)
        self._grid = Grid(request.tile, request.tile // 4, 1, 1) if 0 < request.tile < max(size) else None
        guider = guider_of(inputs.model, inputs.positive, inputs.negative, request.cfg)
        sigmas = sigmas_for(inputs.model, request.steps)
        call_size = (request.tile, request.tile) if self._grid else (height, width)  # the host reserves memory for it
        remedy = f"tile_size, or window (now {request.window})"
        self._rounds = RoundRunner(
            guider, (LATENT, *call_size), request.window, sigmas, request.seed, remedy, wrappers={UPSCALE: _with_small_pictures}
        )
        self._pictures: list[Tensor] = []
        self._flows: dict[int, tuple[Tensor, Tensor]] = {}
        self._late = set(late_steps(sigmas)) if request.flow else set()
        self._decodes_with_picture = (
            isinstance(inputs.chunked_vae.vae.first_stage_model, GuidedVae) and inputs.chunked_vae.vae.first_stage_model.guide
        )

    def large(self, first: Tensor, following: Iterator[Tensor]) -> Iterator[Tensor]:
        pictures = self._pictures

        def noisy() -> Iterator[Tensor]:
            for number, frame in enumerate(chain([first], following)):
                frame = frame[:RGB]
                if frame.shape != first[:RGB].shape:
                    raise ValueError(f"frame {number}: expected the size of the first, got {tuple(frame.shape[1:])}")
                pictures.append(frame)
                yield laid_out(number, frame, self._request.level, float(self._rounds.sigmas[0]), self._request.seed)

        stream = (self._with_picture(latent, pictures, n) for n, latent in enumerate(self._sampled(noisy())))
        frames = self._chunked_vae.decode(stream)
        pairs = self._paired(frames)
        yield from (frame for frame, _ in pairs) if self._request.colours == "off" else carried(pairs, self._request.colours)

    def _paired(self, frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Each large frame with its small one, whose memory is then freed."""
        for number, frame in enumerate(frames):
            picture = self._pictures[number]
            self._pictures[number] = picture.new_empty(0)  # the list keeps its indices
            yield frame, picture

    def _sampled(self, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """Clean latents `(c, h, w)` without the model's scale, as the VAE takes them."""
        clean = self._rounds.outside(euler_stream(self._work, frames, self._rounds.sigmas, self._cut))
        return (self._base.process_latent_out(latent[None, :LATENT])[0] for latent in clean)

    def _with_picture(self, latent: Tensor, pictures: list[Tensor], number: int) -> Tensor:
        return torch.cat([latent, pictures[number].to(latent) * 2 - 1]) if self._decodes_with_picture else latent

    def _work(self, window: Tensor, sigma: float, numbers: Sequence[int]) -> Tensor:
        def denoised(part: Tensor, corner: tuple[int, int]) -> Tensor:
            size = (window.shape[-2], window.shape[-1])
            options = {UPSCALE: (part[:, LATENT:], self._request.level), TILE: (*corner, size)}
            return self._rounds.live.at_level(part[:, :LATENT], sigma, numbers, **options)

        clean = over_tiles(denoised, window, self._grid) if self._grid else denoised(window, (0, 0))
        return self._propagated(clean, numbers) if sigma in self._late and len(numbers) > 1 else clean

    def _propagated(self, clean: Tensor, numbers: Sequence[int]) -> Tensor:
        forward, backward = zip(*(self._flow(number) for number in numbers[:-1]), strict=True)
        return propagate(clean, torch.stack(forward), torch.stack(backward))

    def _flow(self, number: int) -> tuple[Tensor, Tensor]:
        """Optical flow from a frame to the next one, and back; cached while other steps may need it."""
        if number not in self._flows:
            pair = self._pictures[number], self._pictures[number + 1]
            self._flows[number] = flow_between(*pair), flow_between(*reversed(pair))
            for old in [n for n in self._flows if n < number - len(self._rounds.sigmas) * self._request.window]:
                del self._flows[old]
        return self._flows[number]


def _with_small_pictures(executor: Any, model: Any, conds: Any, x: Tensor, timestep: Tensor, options: Any, *more: Any) -> Any:
    """A CALC_COND_BATCH wrapper: adds the small pictures of the rows and their noise level to every condition."""
    small, level = options["transformer_options"][UPSCALE]
    added = {
        "c_concat": comfy.conds.CONDNoiseShape(small.to(x)),
        "y": comfy.conds.CONDRegular(torch.tensor([level], device=x.device)),
    }
    conds = [half and [{**one, "model_conds": {**one["model_conds"], **added}} for one in half] for half in conds]
    return executor(model, conds, x, timestep, options, *more)
