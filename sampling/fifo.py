"""FIFO-Diffusion's queue: endless video at constant memory (Kim et al., NeurIPS 2024, arXiv 2405.11473).

Frames stand in a queue, each one step noisier than the one before it. An iteration takes one step at every place, the head
comes out clean, all move up by one, and pure noise enters at the tail. The model sees windows of f neighbours, so every window
has f noise levels (diagonal denoising, section 4.1); n windows side by side hold n*f levels (latent partitioning, 4.2); a
window may look at `context` frames that are cleaner than those it changes (lookahead denoising, 4.3, has context f/2); and the
borders between windows may move from one iteration to the next, so that no frame keeps meeting one (`shift`, ours).

Latents are kept as clean + sigma * noise, the variable of k-diffusion and of ComfyUI; a model is any callable of them.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .diffusion import rows

Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`(x (r f, c, h, w), sigma (r f,), frame (r f,)) -> clean (r f, c, h, w)`: r windows of f frames in one call;
frame: absolute frame numbers, negative in the warm-up."""

Noise = Callable[[int, int], Tensor]
"""`(frame, step) -> c h w`, standard normal. Step 0 is a frame's entry as pure noise, step k its k-th step after that."""


@dataclass(frozen=True)
class FifoLayout:
    """The shape of a queue."""

    sigmas: Tensor
    """One level per place, cleanest first `(s,)`: the noise that the frame at each place still has."""
    last: float
    """What a frame that comes out has left: 0; the published sampler leaves the first level of its schedule."""
    window: int
    """Frames that the model sees at once."""
    context: int
    """Of those, frames on the clean side that are only looked at: 0 to half of the window."""
    eta: float
    """Share of fresh noise in every step (DDIM, arXiv 2010.02502, equation 16): 0 none, 1 as much as DDPM."""
    shift: int = 0
    """How far the borders between windows move from iteration to iteration; 0: they stay, as published."""

    def __post_init__(self) -> None:
        spare = max(self.window // 2, self.window - len(self.sigmas))
        if not 0 <= self.context <= min(spare, self.window - 1):
            raise ValueError(
                f"context: expected 0 to half of the window ({self.window // 2}; {spare} with {len(self.sigmas)} levels), "
                f"got {self.context}"
            )
        if len(self.sigmas) < self.window - self.context:
            raise ValueError(
                f"levels: expected at least {self.window - self.context} (window less context), got {len(self.sigmas)}; "
                "raise the steps or lower the window"
            )
        if not bool((self.sigmas.diff() > 0).all()) or not 0 <= self.last <= float(self.sigmas[0]):
            raise ValueError("levels: expected noise that grows from place to place, starting at what is left at the end")
        if not 0 <= self.shift < self.stride:
            raise ValueError(f"shift: expected 0 to {self.stride - 1} (window less context less one), got {self.shift}")

    @property
    def stride(self) -> int:
        """Frames that a window changes."""
        return self.window - self.context

    @property
    def places(self) -> int:
        """Frames in the queue, those that are only looked at included."""
        return len(self.sigmas) + self.context

    @property
    def levels(self) -> Tensor:
        """Noise at each place; finished frames at the head keep the first level, as the published sampler feeds them."""
        return torch.cat([self.sigmas[:1].expand(self.context), self.sigmas])

    @property
    def after(self) -> Tensor:
        """Noise at each place after an iteration."""
        return torch.cat([self.levels[: self.context], self.sigmas.new_tensor([self.last]), self.sigmas[:-1]])

    def windows(self, frame: int = 0) -> list[tuple[slice, slice]]:
        """(places that the model sees, places of the queue that change), head first; every place changes once.

        frame   number of the frame at the first place that changes: borders that move depend on it
        """
        first = frame * self.shift % self.stride
        borders = sorted({0, *range(first, len(self.sigmas), self.stride), len(self.sigmas)})
        found = []
        for start, stop in pairwise(borders):
            seen = max(0, stop + self.context - self.window)  # short ones, at either end, see more of what is cleaner
            found.append((slice(seen, seen + self.window), slice(start + self.context, stop + self.context)))
        return found


def shape_of(sigmas: Tensor, window: int, context: int, eta: float, shift: int = 0) -> FifoLayout:
    """A queue for any sampling schedule.

    sigmas    as samplers take them: noisiest first, what is left at the end (0) last `(s + 1,)`
    context   grows where the schedule has fewer levels than the window has frames to change, so that few-step models get
              short queues behind a window full of finished frames; borders do not move then
    """
    if sigmas.ndim != 1 or len(sigmas) < 2:
        raise ValueError(f"sigmas: expected two or more noise levels in a row, got {tuple(sigmas.shape)}")
    levels = sigmas[:-1].flip(0)
    context = max(context, window - len(levels))
    return FifoLayout(levels, float(sigmas[-1]), window, context, eta, shift % (window - context))


def published_shape(
    table: Tensor, window: int, partitions: int, context: int | None = None, eta: float = 1.0, shift: int = 0
) -> FifoLayout:
    """The published queue: partitions * window levels at even distances in time, the first step from a level to itself.

    table     one sigma per timestep, cleanest first
    context   None: lookahead denoising, half of the window
    """
    count = partitions * window
    if not 2 <= count <= len(table):
        raise ValueError(f"partitions * window: expected 2 to {len(table)} levels, got {partitions} * {window}")
    times = torch.linspace(0, len(table) - 1, count, dtype=torch.float64).round().long()
    levels = table[times]
    return FifoLayout(levels, float(levels[0]), window, window // 2 if context is None else context, eta, shift)


BASE = 1 << 32
"""Steps of noise from here on belong to the base clip, so that it shares no number with the queue."""


@torch.inference_mode()
def base_clip(denoise: Denoiser, shape: FifoLayout, noise: Noise) -> Tensor:
    """An ordinary clip of one window `(f, c, h, w)`, sampled over the queue's own levels: what a shot may start from."""
    *_, clip = base_steps(denoise, shape, noise)
    return clip


def base_steps(denoise: Denoiser, shape: FifoLayout, noise: Noise) -> Iterator[Tensor]:
    """The same, as it is after each step."""
    frames = torch.arange(shape.window)
    levels = torch.cat([shape.sigmas.new_tensor([shape.last]), shape.sigmas])
    x = (1 + levels[-1] ** 2).sqrt() * _drawn(noise, frames, BASE).to(levels)
    for step in range(1, len(levels)):
        now, after = (levels[-step - part].expand(shape.window).to(x) for part in (0, 1))
        clean = denoise(x, now, frames.to(x.device)).to(x)
        x = ddim(x, clean, now, after, shape.eta, _drawn(noise, frames, BASE + step).to(x))
        yield x


def queue_of(clip: Tensor, shape: FifoLayout, noise: Noise, number: int = 0) -> Tensor:
    """A full queue from finished frames `(f, c, h, w)`: they stand at the tail, the first one repeated before them.

    number   of the clip's first frame: 0 where the shot begins with the clip, -f where it goes on after it. One frame of
             zeros with the number -1 makes a queue of noise, whose frames leave it as warm-up.
    """
    numbers = torch.arange(shape.places) - shape.context - (len(shape.sigmas) - len(clip))
    clean = clip[numbers.clamp(min=0, max=len(clip) - 1).to(clip.device)]
    return clean + rows(shape.levels, clip) * _drawn(noise, numbers + number, 0).to(clip)


def first_frame(clip: Tensor, shape: FifoLayout, number: int = 0) -> int:
    """Number of the frame that comes out first of `queue_of(clip, ...)`: what is negative is warm-up; where it is more than the
    clip's own first number (a clip longer than the queue), the frames before it are finished as they are."""
    return number + len(clip) - len(shape.sigmas)


@torch.inference_mode()
def run(
    denoise: Denoiser,
    queue: Tensor,
    shape: FifoLayout,
    noise: Noise,
    frame: int,
    together: int = 1,
    given: Tensor | None = None,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Endlessly yields (frame number, its clean latent c h w, the queue as the next iteration will find it).

    queue      `(places, c, h, w)`; what was yielded last resumes the shot
    frame      number of the frame at the first place that changes
    together   windows that share a model call: faster on a GPU, the same frames within rounding
    given      finished frames `(g, c, h, w)` before frame 0 that the shot goes on after; they stay what they are
    """
    with ThreadPoolExecutor(1) as aside:  # noise is drawn on the CPU while the model works
        coming = aside.submit(step_noise, shape, noise, frame)
        while True:
            drawn, coming = coming.result(), aside.submit(step_noise, shape, noise, frame + 1)
            queue = iterate(denoise, queue, shape, drawn, frame, together)
            if given is not None:
                queue = _held(queue, given, shape, noise, frame)
            out = queue[shape.context].clone()
            entering = (1 + shape.sigmas[-1] ** 2).sqrt().to(queue) * noise(frame + len(shape.sigmas), 0).to(queue)
            queue = torch.cat([queue[1:], entering[None]])
            yield frame, out, queue
            frame += 1


def iterate(denoise: Denoiser, queue: Tensor, shape: FifoLayout, drawn: Tensor | None, frame: int, together: int = 1) -> Tensor:
    """One step at every place. Windows read the queue as it was, so their order does not matter. `drawn`: of `step_noise`."""
    levels, after = shape.levels.to(queue), shape.after.to(queue)
    numbers = torch.arange(shape.places, device=queue.device) - shape.context + frame
    stepped = queue.clone()
    drawn = None if drawn is None else torch.cat([queue[: shape.context], drawn.to(queue)])
    windows = shape.windows(frame)
    for first in range(0, len(windows), together):
        group = windows[first : first + together]
        x, sigma, shown = (torch.cat([whole[seen] for seen, _ in group]) for whole in (queue, levels, numbers))
        for (seen, changed), clean in zip(group, denoise(x, sigma, shown).to(x).split(shape.window), strict=True):
            inside = slice(changed.start - seen.start, changed.stop - seen.start)
            fresh = None if drawn is None else drawn[changed]
            stepped[changed] = ddim(queue[changed], clean[inside], levels[changed], after[changed], shape.eta, fresh)
    return stepped


def step_noise(shape: FifoLayout, noise: Noise, frame: int) -> Tensor | None:
    """Fresh noise for every place that changes `(levels, c, h, w)`; None where steps take none."""
    if shape.eta == 0:
        return None
    count = len(shape.sigmas)
    return torch.stack([noise(frame + place, count - place) for place in range(count)])


def _held(stepped: Tensor, given: Tensor, shape: FifoLayout, noise: Noise, frame: int) -> Tensor:
    """The queue after an iteration with given frames, numbered up to -1, put back at their places' level."""
    numbers, after = torch.arange(shape.places) - shape.context + frame, shape.after
    here = ((numbers < 0) & (numbers >= -len(given))).nonzero().flatten()
    if len(here):
        kept = given.to(stepped)[(numbers[here] + len(given)).to(given.device)]
        stepped[here.to(stepped.device)] = kept + rows(after[here.to(after.device)], kept) * _drawn(noise, numbers[here], 0).to(
            kept
        )
    return stepped


def _drawn(noise: Noise, frames: Tensor, step: int) -> Tensor:
    return torch.stack([noise(int(frame), step) for frame in frames])


def ddim(x: Tensor, clean: Tensor, sigma: Tensor, after: Tensor, eta: float, noise: Tensor | None) -> Tensor:
    """One step from `sigma` to `after`, a level per frame `(f,)`, with DDIM's share of fresh noise (None where eta is 0)."""
    fresh = eta * after * ((sigma**2 - after**2).clamp(min=0)).sqrt() / sigma
    kept = (after**2 - fresh**2).clamp(min=0).sqrt()
    direction = (x - clean) / rows(sigma, x)
    stepped = clean + rows(kept, x) * direction
    return stepped if noise is None else stepped + rows(fresh, x) * noise


def calls_per_frame(shape: FifoLayout) -> float:
    """Windows of model work that every finished frame costs, on average."""
    period = shape.stride // math.gcd(shape.shift, shape.stride) if shape.shift else 1
    return sum(len(shape.windows(frame)) for frame in range(period)) / period
