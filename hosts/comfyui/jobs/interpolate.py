"""Frame interpolation in ComfyUI: key frames through the VAE, frames between them through any guider, window by window."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from torch import Tensor

from ....sampling.interpolation import InterpolationSpec, fill, takes
from ....sampling.noise import FrameNoise
from ....video.frames.cuts import is_cut
from ..conditioning.frame_guide import apply_keyframes
from ..motion.apply import HostMotion
from ..sampling.guider import guider_of
from ..sampling.rounds import ROUND, Prefetched, RoundRunner, sigmas_for
from ..vae.chunked import ChunkedVae
from ..vae.video import fitted


@dataclass(frozen=True)
class InterpolationRequest:
    """Settings of an interpolation."""

    factor: int = 4
    steps: int = 20
    cfg: float = 1.0
    seed: int = 0
    window: int = 0
    """Frames per window; 0: as many as the motion module was trained on."""
    shared: int = 1
    """Overlap of neighbouring windows, in intervals between key frames."""
    cut: float = 0.3
    """Colour difference of two key frames above which there is a scene cut between them; 0: no cuts."""
    originals: bool = False
    """Whether to return key frames as the input pictures instead of through the VAE."""


@dataclass(frozen=True)
class InterpolationInputs:
    """Model, conditioning and VAE of an interpolation."""

    model: Any
    positive: Any
    negative: Any
    motion: HostMotion
    chunked_vae: ChunkedVae


def plan_for(motion: HostMotion, request: InterpolationRequest) -> InterpolationSpec:
    """Windows of an interpolation. Raises ValueError for a factor that does not fit in one window."""
    guide, clip = motion.report.variant.guide, request.window or motion.report.variant.frames
    return InterpolationSpec(request.factor, clip, request.shared, bool(guide and guide.between == "ends"))


def interpolate(inputs: InterpolationInputs, frames: Iterable[Tensor], request: InterpolationRequest) -> Iterator[Tensor]:
    """Interpolates key frames `(3, h, w)` in [0, 1]; takes and yields frames one at a time, in the memory of a few windows.

    At a scene cut the last frame is repeated until the next key frame. Raises ValueError for a clip of one frame, and for
    a motion module or VAE that cannot interpolate.
    """
    plan, stage, number, last = plan_for(inputs.motion, request), None, 0, None
    keys = (fitted(frame, inputs.chunked_vae) for frame in frames)
    for take in takes(keys, lambda before, after: is_cut(before, after, request.cut)):
        if last is not None:
            yield from [last] * (plan.factor - 1)
            number += plan.factor - 1
        first, second = next(take), next(take, None)
        stage = stage or _Interpolation(inputs, first, plan, request)
        frames_of_take = iter([first]) if second is None else stage.filled(chain([first, second], take), number)
        for last in frames_of_take:
            yield last
            number += 1
    if number < 2:
        raise ValueError(f"expected two key frames or more to fill in between, got {number}; connect a clip, not a picture")


class _Interpolation:
    """An interpolation for one size of frames."""

    def __init__(self, inputs: InterpolationInputs, first: Tensor, plan: InterpolationSpec, request: InterpolationRequest):
        vae, chunked_vae = inputs.chunked_vae.vae, inputs.chunked_vae
        if chunked_vae.squeezes:
            raise ValueError("this VAE compresses time, but every key frame needs a latent of its own; connect an image VAE")
        size = (first.shape[1] // chunked_vae.side, first.shape[2] // chunked_vae.side)
        model, self._key = apply_keyframes(inputs.model, inputs.motion, vae, size)
        self._entry: Mapping[str, Any] = model.model_options["transformer_options"][self._key]
        self._plan, self._chunked_vae, self._originals, self._base = plan, chunked_vae, request.originals, model.model
        self._noise = FrameNoise(request.seed, (vae.latent_channels, *size))
        sigmas = sigmas_for(model, request.steps)
        guider = guider_of(model, inputs.positive, inputs.negative, request.cfg)
        remedy = "factor, or window, then the size of the pictures"
        shape = (vae.latent_channels, *size)
        self._rounds = RoundRunner(guider, shape, min(plan.cut.size, plan.clip), sigmas, request.seed, remedy)

    def filled(self, keys: Iterable[Tensor], first: int) -> Iterator[Tensor]:
        """All frames of one scene. first: number of its first frame in the full clip."""
        pictures: list[Tensor] = []
        source = _recorded(keys, pictures) if self._originals else keys
        latents = Prefetched(self._base.process_latent_in(latent[None])[0] for latent in self._chunked_vae.encode(source))
        sigmas, plan = self._rounds.sigmas, self._plan
        stream = fill(self._filler, latents, plan, sigmas, self._noise, first)
        ahead = (len(sigmas) * plan.cut.size + ROUND) // plan.factor + 2  # key frames that the steps buffer, and of a round
        filled = self._rounds.outside(stream, lambda: latents.make(ahead))
        decoded = self._chunked_vae.decode(self._base.process_latent_out(latent[None])[0] for latent in filled)
        for number, frame in enumerate(decoded):
            yield pictures.pop(0) if self._originals and number % plan.factor == 0 else frame

    def _filler(self, x: Tensor, sigma: float, numbers: Sequence[int], given: Mapping[int, Tensor]) -> Tensor:
        return self._rounds.live.at_level(x, sigma, numbers, **{self._key: {**self._entry, "given": given}})


def _recorded(frames: Iterable[Tensor], record: list[Tensor]) -> Iterator[Tensor]:
    for frame in frames:
        record.append(frame)
        yield frame
