"""Live shot: frames enter a short queue as their source plus noise, and leave it in another look.

The queue of `fifo` with few levels is StreamDiffusion's stream batch (arXiv 2312.12491): a call of the model takes one step at
every level, one block of frames enters and one leaves. Three things differ from an endless shot. Frames enter as a source, not
as noise. A step replaces the noise, x' = clean + sigma' * noise (latent consistency models, arXiv 2310.04378), by default with
the same noise for every frame, so that a still picture stays still. And guidance may lead away from a prediction that was
remembered when the frame entered (residual classifier-free guidance). Blocks, and finished frames as context of the motion
layers, are not published.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from .fifo import Denoiser
from .known import CLEAN, Noise
from .layout import Levels
from .schedule import every_nth

OFF, SOURCE, NEGATIVE, FULL = "off", "remembered source", "remembered negative", "full"
GUIDANCE = (OFF, SOURCE, NEGATIVE, FULL)
"""Kinds of guidance, by model calls per frame: n, n, n + 1 and 2 n for n levels."""
ORIGINAL_STEPS = 50
"""Noise levels that latent consistency models are trained on."""


def live_sigmas(table: Tensor, strength: float, levels: int) -> Tensor:
    """Noise levels of a live shot, noisiest first, 0 last `(levels + 1,)`: the LCM scheduler's, cut by `strength`.

    table      one sigma per timestep of the model, cleanest first
    strength   share of the schedule that is run: 1 replaces the source by noise
    Raises ValueError for a strength outside 0 to 1, and for one with fewer original steps than levels.
    """
    table = table.float().cpu()
    original = every_nth(table, ORIGINAL_STEPS) if len(table) > ORIGINAL_STEPS else table
    if not 0 < strength <= 1:
        raise ValueError(f"strength: expected more than 0, up to 1, got {strength:g}")
    steps = int(len(original) * strength + 1e-6)
    if not 1 <= levels <= steps:
        raise ValueError(
            f"levels: expected 1 to {steps} at strength {strength:g} (of {len(original)} steps), got {levels}; "
            "raise the strength or lower the levels"
        )
    places = steps - 1 - (torch.arange(levels) * steps) // levels
    return torch.cat([original[places], table.new_zeros(1)])


@dataclass(frozen=True)
class Guidance:
    """Guidance of a live shot: clean' = rest + scale * (clean - rest)."""

    kind: str = OFF
    """One of `GUIDANCE`: what `rest` is. The source and the prediction of the negative prompt are remembered from a frame's
    entering; full: the negative prompt's prediction at each step."""
    scale: float = 1.2
    delta: float = 1.0
    """Share of a remembered rest; the remaining share is the noisy latent itself, as in the paper."""

    def __post_init__(self) -> None:
        if self.kind not in GUIDANCE:
            raise ValueError(f"guidance: expected one of {', '.join(GUIDANCE)}, got {self.kind!r}")

    def applied(self, clean: Tensor, rest: Tensor) -> Tensor:
        return rest + self.scale * (clean - rest)


@dataclass(frozen=True)
class LiveLayout:
    """Size of a live shot's queue."""

    levels: int
    """Model calls that each frame takes part in."""
    block: int = 1
    """Frames that enter and leave together."""
    context: int = 0
    """Finished frames that the motion layers get in addition."""

    def __post_init__(self) -> None:
        for name, value, least in (("levels", self.levels, 1), ("block", self.block, 1), ("context", self.context, 0)):
            if value < least:
                raise ValueError(f"{name}: expected {least} or more, got {value}")

    @property
    def rows(self) -> int:
        """Frames per model call."""
        return self.levels * self.block + self.context

    @property
    def waiting(self) -> int:
        """Frames in the queue between two calls."""
        return (self.levels - 1) * self.block

    @property
    def delay(self) -> int:
        """Frames that enter until a frame leaves, itself included; the time of one call is added."""
        return self.levels * self.block


@dataclass(frozen=True)
class LiveState:
    """Frames in the queue between two calls, cleanest first; contiguous, as a stored state is, because the layout in memory may
    change the bits of the model's output."""

    frame: int
    """Number of the frame that is finished next; negative during warm-up."""
    queue: Tensor
    """`(w, c, h, w)`, w = `LiveLayout.waiting`."""
    rests: Tensor
    """Remembered rest of the guidance of each frame, as `queue`."""
    sigmas: Tensor
    """Noise levels of each block from its entering to its end `(n - 1, n + 1)`: they may change while the shot runs."""
    context: Tensor
    """The last finished frames `(f, c, h, w)`, at most `LiveLayout.context`."""

    @property
    def entering(self) -> int:
        """Number of the frame that enters next."""
        return self.frame + len(self.queue)

    def to(self, device: torch.device) -> "LiveState":
        return replace(self, queue=self.queue.to(device), rests=self.rests.to(device), context=self.context.to(device))


def live_noise(noise: Noise, same: bool) -> Noise:
    """Noise by (frame, number of the level, the noisiest 0). same: every frame has that of frame 0, which is drawn once."""
    if not same:
        return noise
    drawn = cache(lambda level: noise(0, level))
    return lambda _, level: drawn(level)


def beginning(first: Tensor, sigmas: Tensor, layout: LiveLayout, noise: Noise) -> LiveState:
    """The queue before the first call: copies of the first source frame `(c, h, w)` at the levels, all of them warm-up."""
    frames = first.expand(layout.waiting, *first.shape)
    by_block = sigmas.expand(layout.levels - 1, -1)
    state = LiveState(-layout.waiting, frames, frames, by_block, first.new_zeros(0, *first.shape))
    now, _, steps = _levels(state, sigmas, layout)
    drawn = _drawn(noise, state.frame, steps[: layout.waiting], first)
    return replace(state, queue=now[slice(0, layout.waiting)].noised(frames, drawn))


@torch.inference_mode()
def step(
    positive: Denoiser,
    negative: Denoiser | None,
    state: LiveState,
    entering: Tensor,
    sigmas: Tensor,
    layout: LiveLayout,
    noise: Noise,
    guidance: Guidance,
) -> tuple[Tensor, LiveState]:
    """One call: a block enters, every frame takes a step, a block leaves. Returns (finished block `(b, c, h, w)`, new state).

    positive, negative   the model with either prompt; negative is called only for the guidance that needs it
    entering   latents of the source `(b, c, h, w)`
    sigmas     noise levels of the entering block, noisiest first, 0 last `(n + 1,)`
    noise      `(frame, number of the level, the noisiest 0)`, see `live_noise`
    The finished block has the numbers from `state.frame` on.
    """
    now, after, steps = _levels(state, sigmas, layout)
    drawn = _drawn(noise, state.entering, steps[layout.waiting :], entering)
    assert negative or guidance.kind not in (NEGATIVE, FULL)
    entered = now[slice(layout.waiting, None)].noised(entering, drawn)
    queue = torch.cat([state.queue, entered])
    numbers = torch.arange(state.frame, state.frame + len(queue))
    rests = torch.cat([state.rests, entering])
    if guidance.kind == NEGATIVE and negative:
        new = slice(layout.waiting, None)
        rests[new] = negative(entered, now.sigma[new], numbers[new]).to(rests)
    clean = _with_context(positive, state, queue, now, numbers)
    if guidance.kind == FULL and negative:
        clean = guidance.applied(clean, _with_context(negative, state, queue, now, numbers))
    elif guidance.kind != OFF:
        clean = guidance.applied(clean, torch.lerp(queue, rests, guidance.delta))
    block = layout.block
    finished, frame = clean[:block], state.frame + block
    drawn = _drawn(noise, frame, steps[block:] + 1, clean)
    kept = torch.cat([state.context, finished])[-layout.context :] if layout.context and state.frame >= 0 else state.context
    schedules = torch.cat([state.sigmas, sigmas[None].to(state.sigmas)])[1:]
    renoised = after[slice(block, None)].noised(clean[block:], drawn)
    return finished, LiveState(frame, renoised.contiguous(), rests[block:].contiguous(), schedules, kept.contiguous())


def _with_context(denoise: Denoiser, state: LiveState, queue: Tensor, now: Levels, numbers: Tensor) -> Tensor:
    """Clean frames of the queue; finished frames before it are given to the model without noise."""
    count = len(state.context)
    x = torch.cat([state.context, queue])
    sigma = torch.cat([now.sigma.new_full((count,), CLEAN), now.sigma])
    frames = torch.cat([torch.arange(state.frame - count, state.frame), numbers])
    return denoise(x, sigma.to(x.device), frames).to(x)[count:]


def _levels(state: LiveState, sigmas: Tensor, layout: LiveLayout) -> tuple[Levels, Levels, Tensor]:
    """(Levels by place, levels after the step, number of the level by place, the noisiest 0), the entering block included."""
    schedules = torch.cat([state.sigmas, sigmas[None].to(state.sigmas)])
    numbers = torch.arange(layout.levels).flip(0)
    by_block = [schedules[torch.arange(layout.levels), numbers + more] for more in (0, 1)]
    now, after = (Levels(one, torch.ones_like(one)).repeat(layout.block) for one in by_block)
    return now, after, numbers.repeat_interleave(layout.block)


def _drawn(noise: Noise, first: int, steps: Tensor, like: Tensor) -> Tensor:
    """Noise of consecutive frames from number `first` on, each at its level `(f, c, h, w)`."""
    drawn = [noise(first + place, int(step)) for place, step in enumerate(steps)]
    return torch.stack(drawn).to(like) if drawn else like.new_zeros(0, *like.shape[-3:])


@dataclass
class SimilarityFilter:
    """Skips frames that resemble the last one that was processed, at random (StreamDiffusion's stochastic similarity filter).

    Raises ValueError for a threshold that is not between 0 and 1.
    """

    threshold: float = 0.98
    """Cosine of two frames above which they may be skipped: never at the threshold, always for equal frames."""
    most: int = 10
    """Frames skipped in a row; after one more, a frame is processed."""
    seed: int = 0
    skipped: int = 0
    last: Tensor | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise ValueError(f"similarity: expected 0 to less than 1, got {self.threshold:g}")
        generator = torch.Generator().manual_seed(self.seed & (2**63 - 1))
        self.uniform: Callable[[], float] = lambda: float(torch.rand((), generator=generator))
        """Draws from [0, 1)."""

    def keeps(self, frame: Tensor) -> bool:
        """Whether a frame `(c, h, w)` is to be processed."""
        if self.last is None or self.last.shape != frame.shape:
            self.last = frame
            return True
        alike = float(torch.cosine_similarity(self.last.flatten(), frame.flatten(), dim=0, eps=1e-6))
        skip = max(0.0, 1 - (1 - alike) / (1 - self.threshold)) >= self.uniform()
        if skip and self.skipped > self.most:
            skip, self.skipped = False, 0
        elif skip:
            self.skipped += 1
        self.last = self.last if skip else frame
        return not skip
