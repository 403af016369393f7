"""Repainting of damage in ComfyUI: windows of a clip are sampled inside masks, and pasted into the frames.

Damage is first filled from the frames around, so that the sampler begins with something that fits (SDEdit, arXiv 2108.01073).
Outside the masks the latents keep the source's values at every step. Windows without damage are not sampled.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, tee
from typing import Any

import comfy.conds
import torch
from torch import Tensor

from ....sampling.noise import FrameNoise
from ....sampling.stream import EulerSteps
from ....sampling.windowing import WindowSpec
from ....video.restore.film import painted_over
from ....video.restore.repainting import inner_weight, latent_cells, padded_to, pasted
from ..call import INPAINT
from ..sampling.guider import guider_of
from ..sampling.rounds import RoundRunner, sigmas_for
from ..unet import unet_of
from ..vae.chunked import ChunkedVae, check_frame_by_frame
from .film import with_even_sides
from .restyle_request import last_levels
from .unfinished import KEPT, Entry, Unfinished, encoded_before

LATENT = 4
INPAINTING = LATENT + 1 + LATENT
"""Input channels of an inpainting model: the noisy latent, the mask, and the picture without what is masked."""
BLANK = 0.5
"""Brightness of masked pixels in that picture."""
Pair = tuple[Tensor, Tensor]
"""A frame `(3, h, w)` and its mask `(h, w)` bool."""


@dataclass(frozen=True)
class RepaintRequest:
    """Settings of a repainting."""

    steps: int = 20
    cfg: float = 7.0
    seed: int = 0
    denoise: float = 0.6
    """Share of the noise levels that are used."""
    window: int = 16
    overlap: int = 4
    feather: int = 2
    """Pixels inside the edge of a mask over which repainted pixels fade in."""
    grow: int = 1
    """Latent pixels by which masks are grown for sampling."""
    cut: float = 0.3
    """Colour difference that counts as a cut; 0: no cut detection."""

    def __post_init__(self) -> None:
        if not 0 < self.denoise <= 1:
            raise ValueError(f"denoise: expected more than 0, up to 1, got {self.denoise:g}; 0 would repaint nothing")


@dataclass(frozen=True)
class RepaintInputs:
    """Model, conditioning and VAE of a repainting."""

    model: Any
    positive: Any
    negative: Any
    chunked_vae: ChunkedVae


def repaint(
    inputs: RepaintInputs,
    frames: Iterable[Tensor],
    masks: Iterable[Tensor],
    request: RepaintRequest,
    run: Unfinished | None = None,
) -> Iterator[Tensor]:
    """Repaints what masks mark in frames `(3, h, w)` in [0, 1], one at a time.

    masks   `(h, w)` in [0, 1], one per frame, or one for all
    Pixels outside the masks keep every bit. Raises ValueError for a MODEL or VAE that does not fit, fewer than three frames,
    interlaced ones, and masks of another number or size, or that leave nothing of a frame.

    run   the unfinished run that is continued and stored; None: nothing is stored
    """
    channels = unet_of(inputs.model).input_blocks[0][0].in_channels
    if channels not in (LATENT, INPAINTING):
        raise ValueError(
            f"Repaint Damage needs a checkpoint of Stable Diffusion, or one for inpainting, but this MODEL has {channels} "
            f"input channels, not {LATENT} or {INPAINTING}; load another checkpoint"
        )
    check_frame_by_frame(inputs.chunked_vae.vae, "Repaint Damage")
    stage, number, run = None, 0, run or Unfinished()
    for scene in painted_over(frames, masks, request.cut):
        first = next(scene)
        stage = stage or _Repainting(inputs, first[0], request, run, channels == INPAINTING)
        for picture in stage.repainted(chain([first], scene), number):
            yield picture
            number += 1


def repainting(
    inputs: RepaintInputs, request: RepaintRequest, masks: Tensor, frames: Iterable[Tensor], run: Unfinished
) -> Iterator[Tensor]:
    """As `repaint`, with masks `(f, h, w)`, for a video file: an odd last row or column is left out."""
    return repaint(inputs, map(with_even_sides, frames), map(with_even_sides, masks), request, run)


def example_masks(masks: Tensor) -> Tensor:
    """A mask `(1, h, w)` of the middle of a picture, to measure the time of windows that have damage."""
    example = torch.zeros(1, *masks.shape[1:])
    example[:, masks.shape[1] // 3 : masks.shape[1] // 2, masks.shape[2] // 3 : masks.shape[2] // 2] = 1
    return example


class _Repainting:
    """A repainting for one size of frames."""

    def __init__(self, inputs: RepaintInputs, first: Tensor, request: RepaintRequest, run: Unfinished, inpainting: bool):
        self._request, self._run, self._inpainting = request, run, inpainting
        self._chunked_vae, self._base = inputs.chunked_vae, inputs.model.model
        side = self._chunked_vae.side
        self._shape = (LATENT, -(-first.shape[1] // side), -(-first.shape[2] // side))
        self._sigmas = last_levels(request.steps, request.denoise, lambda steps: sigmas_for(inputs.model, steps))
        self._noise = FrameNoise(request.seed, self._shape)
        guider = guider_of(inputs.model, inputs.positive, inputs.negative, request.cfg)
        remedy, wrappers = f"window (now {request.window}), then the size of the pictures", {INPAINT: _with_masks}
        self._rounds = RoundRunner(
            guider, self._shape, request.window, self._sigmas, request.seed, remedy, kept=KEPT,
            wrappers=wrappers if inpainting else {},
        )  # fmt: skip
        self._pairs: deque[Pair] = deque()
        """Frames and masks that have not been decoded."""
        self._cells: dict[int, Tensor] = {}
        self._given: dict[int, Tensor] = {}
        """Masks `(1, h, w)` and latents `(4 or 8, h, w)` of the frames that windows may still contain, by number."""

    def repainted(self, pairs: Iterator[Pair], begin: int) -> Iterator[Tensor]:
        """All frames of the scene that begins with frame `begin`."""
        latents = (self._base.process_latent_out(latent[None])[0] for latent in self._latents(pairs, begin))
        for new in self._chunked_vae.decode(latents):
            picture, mask = self._pairs.popleft()
            height, width = mask.shape
            yield pasted(picture, new[:, :height, :width], inner_weight(mask, self._request.feather))

    def _latents(self, pairs: Iterator[Pair], begin: int) -> Iterator[Tensor]:
        """Latents of one scene: stored ones, each read after its frame, then new ones."""
        request, run = self._request, self._run
        steps = EulerSteps(self._work(begin), self._sigmas, WindowSpec(request.window, request.overlap))
        run.open(steps.places, self._shape)
        stored = run.stored(begin)
        if run.is_past(begin):
            for pair in pairs:
                self._pairs.append(pair)
                yield next(stored)
            return
        run.restore(steps, begin)
        entering, read = self._entering(pairs, begin, steps), 0
        for latent in stored:
            next(entering)
            read += 1
            yield latent
        for _ in islice(entering, steps.entered - read):
            pass
        yield from run.sampled(steps, entering, Entry(request.window, request.window - request.overlap), self._rounds, begin)

    def _entering(self, pairs: Iterator[Pair], begin: int, steps: EulerSteps) -> Iterator[Tensor]:
        """Noisy latents, after their frame, mask and clean latent have been stored; zeros for those that no window contains."""
        self._cells.clear()
        self._given.clear()
        passed = encoded_before(self._chunked_vae, min(steps.entered, steps.oldest))
        for pair in islice(pairs, passed):
            self._pairs.append(pair)
            yield torch.zeros(self._shape)
        masks: deque[Tensor] = deque()
        for number, given in enumerate(self._encoded(self._recorded(pairs, masks)), passed):
            self._cells[number] = latent_cells(masks.popleft(), self._chunked_vae.side, self._request.grow)[None]
            self._given[number] = given
            for old in [one for one in self._given if one < steps.oldest]:
                del self._given[old], self._cells[old]
            yield given[:LATENT] + float(self._sigmas[0]) * self._noise.at(begin + number, 0)

    def _recorded(self, pairs: Iterator[Pair], masks: deque[Tensor]) -> Iterator[Pair]:
        """The pairs at a size that the VAE takes; as they are they are stored for the end, and the masks in `masks`."""
        side = self._chunked_vae.side
        for picture, mask in pairs:
            self._pairs.append((picture, mask))
            larger = padded_to(mask[None].float(), side, repeated=False)[0] > 0
            masks.append(larger)
            yield padded_to(picture, side, repeated=True), larger

    def _encoded(self, pairs: Iterator[Pair]) -> Iterator[Tensor]:
        """Latents `(4, h, w)` in the sampler's scale; for an inpainting model with those of the blanked frames behind them."""
        whole, again = tee(pairs)
        encoded = [self._chunked_vae.encode(picture for picture, _ in whole)]
        if self._inpainting:
            encoded.append(self._chunked_vae.encode(torch.where(mask, BLANK, picture) for picture, mask in again))
        else:
            del again  # it would keep every frame
        for latents in zip(*encoded, strict=True):
            yield torch.cat([self._base.process_latent_in(latent[None])[0].float().cpu() for latent in latents])

    def _work(self, begin: int) -> Any:
        """The model's prediction inside the masks, and the source's latents elsewhere."""

        def work(window: Tensor, sigma: float, numbers: Sequence[int]) -> Tensor:
            given = torch.stack([self._given[number] for number in numbers])
            cells = torch.stack([self._cells[number] for number in numbers])
            source = given[:, :LATENT]
            if not bool(cells.any()):
                return source
            options = {INPAINT: torch.cat([cells.float(), given[:, LATENT:]], 1)} if self._inpainting else {}
            absolute = [begin + number for number in numbers]
            return torch.where(cells, self._rounds.live.at_level(window, sigma, absolute, **options), source)

        return work


def _with_masks(executor: Any, model: Any, conds: Any, x: Tensor, timestep: Tensor, options: Any, *more: Any) -> Any:
    """A CALC_COND_BATCH wrapper: adds mask and blanked picture of the rows to every condition."""
    added = {"c_concat": comfy.conds.CONDNoiseShape(options["transformer_options"][INPAINT].to(x))}
    conds = [half and [{**one, "model_conds": {**one["model_conds"], **added}} for one in half] for half in conds]
    return executor(model, conds, x, timestep, options, *more)
