"""Frame interpolation in ComfyUI: key frames through the VAE, frames between them through any guider, window by window."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Any

import torch
from torch import Tensor

from ....sampling.interpolation import Closed, Filling, InterpolationSpec, takes
from ....sampling.noise import FrameNoise
from ....video.frames.cuts import is_cut
from ..conditioning.frame_guide import apply_keyframes
from ..motion.apply import HostMotion
from ..sampling.guider import guider_of
from ..sampling.rounds import RoundRunner, sigmas_for
from ..vae.chunked import ChunkedVae
from ..vae.video import fitted
from .unfinished import KEPT, Entry, Unfinished, encoded_before


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
    loop: bool = False
    """Whether the clip is a closed loop: frames are also generated between its last frame and its first."""

    def settings(self) -> dict[str, Any]:
        """All settings by name; `loop` only where it is on, as runs before it was added are continued."""
        return {name: value for name, value in asdict(self).items() if name != "loop" or value}

    def frames(self, keys: int, plan: InterpolationSpec) -> int:
        """Number of frames of the new clip."""
        return keys * plan.factor if self.loop else plan.frames(keys)


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


def interpolate(
    inputs: InterpolationInputs, frames: Iterable[Tensor], request: InterpolationRequest, run: Unfinished | None = None
) -> Iterator[Tensor]:
    """Interpolates key frames `(3, h, w)` in [0, 1]; takes and yields frames one at a time, in the memory of a few windows.

    At a scene cut the last frame is repeated until the next key frame. Raises ValueError for a clip of one frame, and for
    a motion module or VAE that cannot interpolate.

    run   the unfinished run that is continued and stored; None: nothing is stored
    """
    return (_closed if request.loop else _open)(inputs, frames, request, run)


def _closed(
    inputs: InterpolationInputs, frames: Iterable[Tensor], request: InterpolationRequest, run: Unfinished | None
) -> Iterator[Tensor]:
    plan = plan_for(inputs.motion, request)
    keys = Closed(frames, plan.steps)
    for number, frame in enumerate(_open(inputs, keys, request, run), 1):
        if keys.count is not None:
            _check_count(keys.count)
        yield frame
        if keys.count is not None and number == request.frames(keys.count, plan):
            return


def _check_count(keys: int) -> None:
    if keys < 2:
        raise ValueError(f"expected two key frames or more to fill in between, got {keys}; connect a clip, not a picture")


def _open(
    inputs: InterpolationInputs, frames: Iterable[Tensor], request: InterpolationRequest, run: Unfinished | None
) -> Iterator[Tensor]:
    plan, stage, number, latents, last = plan_for(inputs.motion, request), None, 0, 0, None
    keys = (fitted(frame, inputs.chunked_vae) for frame in frames)
    for take in takes(keys, lambda before, after: is_cut(before, after, request.cut)):
        if last is not None:
            yield from [last] * (plan.factor - 1)
            number += plan.factor - 1
        first, second = next(take), next(take, None)
        stage = stage or _Interpolation(inputs, first, plan, request, run or Unfinished())
        scene, begin = Scene(number, latents), number
        frames_of_take = iter([first]) if second is None else stage.filled(chain([first, second], take), scene)
        for last in frames_of_take:
            yield last
            number += 1
        latents += 0 if second is None else number - begin
    _check_count(number)


@dataclass(frozen=True)
class Scene:
    """Place of a scene in the clip."""

    first: int
    """Number of its first frame."""
    latents: int
    """Number of latents in scenes before: scenes of one frame and repeated frames have none."""


class _Interpolation:
    """An interpolation for one size of frames."""

    def __init__(
        self,
        inputs: InterpolationInputs,
        first: Tensor,
        plan: InterpolationSpec,
        request: InterpolationRequest,
        run: Unfinished,
    ):
        vae, chunked_vae = inputs.chunked_vae.vae, inputs.chunked_vae
        if chunked_vae.squeezes:
            raise ValueError("this VAE compresses time, but every key frame needs a latent of its own; connect an image VAE")
        size = (first.shape[1] // chunked_vae.side, first.shape[2] // chunked_vae.side)
        model, self._key = apply_keyframes(inputs.model, inputs.motion, vae, size)
        self._entry: Mapping[str, Any] = model.model_options["transformer_options"][self._key]
        self._plan, self._chunked_vae, self._originals, self._base = plan, chunked_vae, request.originals, model.model
        self._shape, self._run = (vae.latent_channels, *size), run
        self._noise = FrameNoise(request.seed, self._shape)
        sigmas = sigmas_for(model, request.steps)
        guider = guider_of(model, inputs.positive, inputs.negative, request.cfg)
        remedy, rows = "factor, or window, then the size of the pictures", min(plan.cut.size, plan.clip)
        self._rounds = RoundRunner(guider, self._shape, rows, sigmas, request.seed, remedy, kept=KEPT)

    def filled(self, keys: Iterable[Tensor], scene: Scene) -> Iterator[Tensor]:
        """All frames of one scene."""
        pictures: list[Tensor] = []
        source = _recorded(keys, pictures) if self._originals else iter(keys)
        latents = self._latents(source, scene)
        decoded = self._chunked_vae.decode(self._base.process_latent_out(latent[None])[0] for latent in latents)
        for number, frame in enumerate(decoded):
            yield pictures.pop(0) if self._originals and number % self._plan.factor == 0 else frame

    def _latents(self, keys: Iterator[Tensor], scene: Scene) -> Iterator[Tensor]:
        """Latents of one scene: stored ones, each read after the key before it, then new ones."""
        plan, run = self._plan, self._run
        filling = Filling(self._filler, plan, self._rounds.sigmas, self._noise, scene.first)
        run.open(filling.places, self._shape)
        stored = run.stored(scene.latents)
        if run.is_past(scene.latents):
            for index, _ in enumerate(keys):
                yield from islice(stored, plan.factor if index else 1)
            return
        run.restore(filling, scene.latents)
        entering, entered = self._encoded(keys, filling.entered), 0
        for number, latent in enumerate(stored):
            if number % plan.factor == 0:
                next(entering)
                entered += 1
            yield latent
        for _ in islice(entering, filling.entered - entered):
            pass
        entry = Entry(plan.steps + 1, (plan.cut.size - plan.cut.overlap) // plan.factor)
        yield from run.sampled(filling, entering, entry, self._rounds, scene.latents)

    def _encoded(self, keys: Iterator[Tensor], entered: int) -> Iterator[Tensor]:
        """Latents of keys; zeros for those that entered in an earlier run, where they are not needed to encode others."""
        for _ in islice(keys, encoded_before(self._chunked_vae, entered)):
            yield torch.zeros(self._shape)
        yield from (self._base.process_latent_in(latent[None])[0] for latent in self._chunked_vae.encode(keys))

    def _filler(self, x: Tensor, sigma: float, numbers: Sequence[int], given: Mapping[int, Tensor]) -> Tensor:
        return self._rounds.live.at_level(x, sigma, numbers, **{self._key: {**self._entry, "given": given}})


def _recorded(frames: Iterable[Tensor], record: list[Tensor]) -> Iterator[Tensor]:
    for frame in frames:
        record.append(frame)
        yield frame
