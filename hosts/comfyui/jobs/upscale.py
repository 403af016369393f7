"""Video upscaling in ComfyUI with Stable Diffusion's x4 upscaler, with temporal layers where the file has them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import comfy.conds
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ....models.vae.guided import GuidedVae
from ....sampling.stream import EulerSteps
from ....sampling.tiles import Grid, over_tiles
from ....sampling.upscale import LATENT, RGB, WINDOWS, laid_out, late_steps
from ....sampling.windowing import WindowSpec
from ....video.frames.colour import MATCHES, STEADY, carried
from ....video.frames.flow import flow_between, has_flow
from ....video.frames.warp import propagate
from ....video.restore.film import painted_over
from ..call import TILE, UPSCALE
from ..sampling.guider import guider_of
from ..sampling.rounds import RoundRunner, sigmas_for
from ..unet import is_upscaler, unet_of
from ..vae.chunked import ChunkedVae
from .unfinished import KEPT, Entry, Unfinished

TIMES = 4
SMALLEST, SCENE_CUT = 16, 0.3
"""Least side of a reduced frame; colour difference that counts as a cut where damage is filled."""
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


def prepared(frames: Iterable[Tensor], factor: float, masks: Iterable[Tensor] | None) -> Iterable[Tensor]:
    """Frames `(3 or 4, h, w)` at the size from which the upscaler makes `factor` times the source's, and without damage.

    factor   1 to 4; 1: the source's size, for restoration; 4: frames keep every bit
    masks    damage `(h, w)` in [0, 1], one mask per frame or one for all, filled from the frames around; None: none
    Raises ValueError for another factor, and for masks that do not fit.
    """
    if not 1 <= factor <= TIMES:
        raise ValueError(f"factor: expected 1 to {TIMES}, got {factor:g}")
    if masks is not None:
        frames = (picture for scene in painted_over(frames, masks, SCENE_CUT) for picture, _ in scene)
    return frames if factor == TIMES else (_reduced(frame, factor) for frame in frames)


def _reduced(frame: Tensor, factor: float) -> Tensor:
    height, width = (round(side * factor / TIMES) for side in frame.shape[1:])
    if min(height, width) < SMALLEST:
        raise ValueError(
            f"factor: with {factor:g} the frames are reduced to {width}x{height} pixels first, expected {SMALLEST}x{SMALLEST} "
            "or more; raise it"
        )
    return interpolate(frame[None], (height, width), mode="area")[0]


def upscale(
    inputs: UpscaleInputs, frames: Iterable[Tensor], request: UpscaleRequest, run: Unfinished | None = None
) -> Iterator[Tensor]:
    """Upscales frames `(3, h, w)` in [0, 1] to `(3, 4 h, 4 w)`; takes and yields them one at a time.

    Needs the memory of a few windows. Raises ValueError for a MODEL that is not an x4 upscaler, a VAE that is not an
    upscaler's, and a noise level outside the upscaler's range.

    run   the unfinished run that is continued and stored; None: nothing is stored
    """
    _check(inputs, request)
    source = iter(frames)
    first = next(source, None)
    if first is None:
        raise ValueError("expected one frame or more, got none")
    yield from _Upscaling(inputs, request, first[:RGB].shape, run or Unfinished()).large(chain([first], source))


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

    def __init__(self, inputs: UpscaleInputs, request: UpscaleRequest, shape: torch.Size, run: Unfinished):
        self._request, self._chunked_vae, self._base = request, inputs.chunked_vae, inputs.model.model
        self._shape, self._run = shape, run
        self._grid = Grid(request.tile, request.tile // 4, 1, 1) if 0 < request.tile < max(shape[1:]) else None
        guider = guider_of(inputs.model, inputs.positive, inputs.negative, request.cfg)
        sigmas = sigmas_for(inputs.model, request.steps)
        height, width = (request.tile, request.tile) if self._grid else shape[1:]  # the host reserves memory for a call
        latent, remedy = (LATENT, height, width), f"tile_size, or window (now {request.window})"
        wrappers = {UPSCALE: _with_small_pictures}
        self._rounds = RoundRunner(guider, latent, request.window, sigmas, request.seed, remedy, kept=KEPT, wrappers=wrappers)
        self._steps = EulerSteps(self._work, sigmas, WindowSpec(request.window, request.overlap))
        self._pictures: dict[int, Tensor] = {}
        """Small pictures of the frames that have not been decoded, by number."""
        self._noised: dict[int, Tensor] = {}
        """Noised small pictures of the frames that windows may still contain."""
        self._flows: dict[int, tuple[Tensor, Tensor]] = {}
        self._late = set(late_steps(sigmas)) if request.flow else set()
        self._decodes_with_picture = (
            isinstance(inputs.chunked_vae.vae.first_stage_model, GuidedVae) and inputs.chunked_vae.vae.first_stage_model.guide
        )

    def large(self, source: Iterator[Tensor]) -> Iterator[Tensor]:
        clean = (self._base.process_latent_out(latent[None])[0] for latent in self._latents(source))
        frames = self._chunked_vae.decode(self._with_picture(latent, number) for number, latent in enumerate(clean))
        pairs = self._paired(frames)
        yield from (frame for frame, _ in pairs) if self._request.colours == "off" else carried(pairs, self._request.colours)

    def _latents(self, source: Iterator[Tensor]) -> Iterator[Tensor]:
        """Clean latents `(c, h, w)` in the model's scale: stored ones, each read after its picture, then new ones."""
        steps, run, request = self._steps, self._run, self._request
        run.open(steps.places, (LATENT, *self._shape[1:]))
        run.restore(steps, 0)
        entering, read = self._noise_of(source), 0
        for latent in run.stored(0):
            next(entering)
            read += 1
            yield latent
        for _ in islice(entering, steps.entered - read):
            pass
        yield from run.sampled(steps, entering, Entry(request.window, request.window - request.overlap), self._rounds, 0)

    def _noise_of(self, source: Iterator[Tensor]) -> Iterator[Tensor]:
        """The noise `(c, h, w)` of each frame, after its picture has been stored."""
        request, steps = self._request, self._steps
        for number, frame in enumerate(source):
            frame = frame[:RGB]
            if frame.shape != self._shape:
                raise ValueError(f"frame {number}: expected the size of the first, got {tuple(frame.shape[1:])}")
            self._pictures[number] = frame
            laid = laid_out(number, frame, request.level, float(self._rounds.sigmas[0]), request.seed)
            if number >= steps.oldest:
                self._noised[number] = laid[LATENT:].clone()
            for old in [n for n in self._noised if n < steps.oldest]:
                del self._noised[old]
            yield laid[:LATENT]

    def _paired(self, frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Each large frame with its small one, whose memory is then freed."""
        for number, frame in enumerate(frames):
            yield frame, self._pictures.pop(number)

    def _with_picture(self, latent: Tensor, number: int) -> Tensor:
        return torch.cat([latent, self._pictures[number].to(latent) * 2 - 1]) if self._decodes_with_picture else latent

    def _work(self, window: Tensor, sigma: float, numbers: Sequence[int]) -> Tensor:
        window = torch.cat([window, torch.stack([self._noised[number] for number in numbers])], dim=1)

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
