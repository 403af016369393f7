"""Stages of a restyling in ComfyUI: the lanes of the inversion and those of the sampling, each with a guider."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ....sampling.inversion import check_sigmas, step_up
from ....sampling.pipeline import Block, Lane, Pipeline, descent, real_frames
from ....sampling.windowing import WindowSpec
from ..conditioning.hints import HintFrames, with_hints
from ..sampling.guider import guider_of
from ..sampling.inversion import prediction_of, scale_of
from ..sampling.rounds import RoundRunner
from .restyle_request import INVERSION, RestyleInputs, RestyleRequest


@dataclass
class Place:
    """Place of a run in a scene."""

    first: int
    """Number of the scene's first frame."""
    tick: int = 0
    spec: WindowSpec | None = None
    """Windows of the scene."""
    last: int | None = None
    """Number of the scene's last block, once it has been read."""
    count: int | None = None
    """Frames of the scene, once its end has been read."""

    def read(self, block: Block) -> None:
        self.spec = block.spec
        if block.count is not None:
            self.last, self.count = block.index, block.count


@dataclass(frozen=True)
class _Stage:
    rounds: RoundRunner
    lanes: Sequence[Lane]
    before: int
    """Number of lanes of the stages before."""


class Stages:
    """The stages for one size of latents `(c, h, w)`."""

    def __init__(
        self,
        inputs: RestyleInputs,
        request: RestyleRequest,
        sigmas: Tensor,
        hints: HintFrames | None,
        latent: tuple[int, int, int],
    ):
        self._request, self._sigmas, self._latent = request, sigmas, latent
        positive, negative, source = inputs.positive, inputs.negative, inputs.source_prompt
        if hints is not None:
            positive, negative = with_hints(positive, hints), with_hints(negative, hints, needed=False)
        sampling = self._rounds(guider_of(inputs.model, positive, negative, request.cfg))
        down = descent(sampling.live.at_level, sigmas)
        if request.start != INVERSION:
            self._stages = [_Stage(sampling, down, 0)]
        else:
            source = source if hints is None else with_hints(source, hints, needed=False)
            inverting = self._rounds(guider_of(inputs.model, source, source, 1.0))
            up = _ascent(inverting, sigmas, request.refine)
            self._stages = [_Stage(inverting, up, 0), _Stage(sampling, down, len(up))]
        self.lanes = sum(len(stage.lanes) for stage in self._stages)

    def run(self, entering: list[Tensor | None], place: Place, held: Tensor) -> Tensor:
        """Runs ticks through all stages; returns the frames `(f, c, h, w)` that have left the last one.

        entering   block of each tick; None after the scene's last one
        held       state of the lanes, changed in place
        """
        assert place.spec is not None
        blocks = entering
        for stage in self._stages:
            blocks = _run(stage, blocks, place, held[stage.before : stage.before + len(stage.lanes)])
        stride, index = place.spec.size - place.spec.overlap, place.tick - self.lanes
        real = [real_frames(n, block, place.count, stride) for n, block in enumerate(blocks, index) if block is not None]
        return torch.cat([torch.zeros(0, *self._latent), *real])

    def _rounds(self, guider: Any) -> RoundRunner:
        window = self._request.window
        remedy = f"window (now {window}), then the size of the video"
        kept = "Finished windows are kept."
        return RoundRunner(guider, self._latent, window, self._sigmas, self._request.seed, remedy, kept=kept)


def _run(stage: _Stage, entering: list[Tensor | None], place: Place, held: Tensor) -> list[Tensor | None]:
    assert place.spec is not None
    pipeline, first = Pipeline(stage.lanes, place.spec, place.first), place.tick - stage.before
    left: list[Tensor | None] = []

    def ticks() -> Iterator[None]:
        for tick, block in enumerate(entering, first):
            left.append(pipeline.tick(tick, block, place.last, held) if tick >= 0 else None)
            yield

    if first + len(entering) <= 0 or (place.last is not None and first > place.last + len(stage.lanes)):
        return [None] * len(entering)  # no frame of the scene is in these lanes: the model is not loaded
    stage.rounds.run(ticks())
    return left


def _ascent(rounds: RoundRunner, sigmas: Tensor, refine: int) -> list[Lane]:
    """Lanes of the inversion, from the lowest noise level to the highest."""
    sampling = rounds.guider.model_patcher.get_model_object("model_sampling")

    def lane(before: float, after: float) -> Lane:
        def step(x: Tensor, numbers: range) -> Tensor:
            def denoise(x: Tensor, sigma: Tensor) -> Tensor:
                return rounds.live.at_level(x, float(sigma[0]), numbers)

            return step_up(denoise, refine, prediction_of(sampling), scale_of(sampling))(x, before, after)

        return step

    levels = check_sigmas(sigmas)
    return [lane(before, after) for before, after in zip(levels, levels[1:], strict=False)]
