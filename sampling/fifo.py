"""FIFO-Diffusion's queue: endless video at constant memory (Kim et al., NeurIPS 2024, arXiv 2405.11473).

Frames are in a queue, each one step noisier than the one before it. An iteration takes one step at every place, removes the
clean head, moves all frames up by one and adds pure noise at the tail. The model processes windows of f neighbours, so every
window has f noise levels (diagonal denoising, section 4.1); n windows side by side have n*f levels (latent partitioning, 4.2);
a window may include `context` frames that are cleaner than those it updates (lookahead denoising, 4.3, has context f/2); and
the borders between windows may move with each iteration, so that no frame is at a border repeatedly (`shift`, ours).

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
frame: absolute frame numbers, negative during warm-up."""

Noise = Callable[[int, int], Tensor]
"""`(frame, step) -> c h w`, standard normal. Step 0: the pure noise that a frame starts as; step k: noise of its k-th step."""


@dataclass(frozen=True)
class FifoLayout:
    """Noise levels of a queue and how it is cut into windows."""

    sigmas: Tensor
    """Noise level of the frame at each place, cleanest first `(s,)`."""
    last: float
    """Remaining noise of a finished frame: 0; in the published sampler the first level of its schedule."""
    window: int
    """Frames per model call."""
    context: int
    """Of those, frames on the clean side that are not updated: 0 to half of the window."""
    eta: float
    """Share of new noise in every step (DDIM, arXiv 2010.02502, equation 16): 0 none, 1 as in DDPM."""
    shift: int = 0
    """Frames by which the borders between windows move with each iteration; 0: fixed, as published."""

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
            raise ValueError("levels: expected noise that grows from place to place, starting at the final level or above")
        if not 0 <= self.shift < self.stride:
            raise ValueError(f"shift: expected 0 to {self.stride - 1} (window less context less one), got {self.shift}")

    @property
    def stride(self) -> int:
        """Frames that a window updates."""
        return self.window - self.context

    @property
    def places(self) -> int:
        """Frames in the queue, context included."""
        return len(self.sigmas) + self.context

    @property
    def levels(self) -> Tensor:
        """Noise level at each place; finished frames at the head have the first level, as in the published sampler."""
        return torch.cat([self.sigmas[:1].expand(self.context), self.sigmas])

    @property
    def after(self) -> Tensor:
        """Noise level at each place after an iteration."""
        return torch.cat([self.levels[: self.context], self.sigmas.new_tensor([self.last]), self.sigmas[:-1]])

    def windows(self, frame: int = 0) -> list[tuple[slice, slice]]:
        """(places of the model's input, places that are updated) of each window, head first; every place is updated once.

        frame   number of the frame at the first updated place: moving borders depend on it
        """
        first = frame * self.shift % self.stride
        borders = sorted({0, *range(first, len(self.sigmas), self.stride), len(self.sigmas)})
        found = []
        for start, stop in pairwise(borders):
            begin = max(0, stop + self.context - self.window)  # short windows, at either end, get more context
            found.append((slice(begin, begin + self.window), slice(start + self.context, stop + self.context)))
        return found


def shape_of(sigmas: Tensor, window: int, context: int, eta: float, shift: int = 0) -> FifoLayout:
    """Layout of a queue for any sampling schedule.

    sigmas    as for a sampler: noisiest first, the final level (0) last `(s + 1,)`
    context   is raised where the schedule has fewer levels than the window updates frames, so that few-step models get a
              short queue after a window of finished frames; borders are fixed then
    """
    if sigmas.ndim != 1 or len(sigmas) < 2:
        raise ValueError(f"sigmas: expected two or more noise levels, got shape {tuple(sigmas.shape)}")
    levels = sigmas[:-1].flip(0)
    context = max(context, window - len(levels))
    return FifoLayout(levels, float(sigmas[-1]), window, context, eta, shift % (window - context))


def published_shape(
    table: Tensor, window: int, partitions: int, context: int | None = None, eta: float = 1.0, shift: int = 0
) -> FifoLayout:
    """Layout of the published queue: partitions * window levels, evenly spaced in time; the first step keeps its level.

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
"""First noise step of the base clip, far above those of the queue, so that the two share no noise."""


@torch.inference_mode()
def base_clip(denoise: Denoiser, shape: FifoLayout, noise: Noise) -> Tensor:
    """An ordinary clip of one window `(f, c, h, w)`, sampled over the queue's levels, for a shot to start from."""
    *_, clip = base_steps(denoise, shape, noise)
    return clip


def base_steps(denoise: Denoiser, shape: FifoLayout, noise: Noise) -> Iterator[Tensor]:
    """As `base_clip`, yielding the clip after each step."""
    frames = torch.arange(shape.window)
    levels = torch.cat([shape.sigmas.new_tensor([shape.last]), shape.sigmas])
    x = (1 + levels[-1] ** 2).sqrt() * _drawn(noise, frames, BASE).to(levels)
    for step in range(1, len(levels)):
        now, after = (levels[-step - part].expand(shape.window).to(x) for part in (0, 1))
        clean = denoise(x, now, frames.to(x.device)).to(x)
        x = ddim(x, clean, now, after, shape.eta, _drawn(noise, frames, BASE + step).to(x))
        yield x


def queue_of(clip: Tensor, shape: FifoLayout, noise: Noise, number: int = 0) -> Tensor:
    """Fills a queue with finished frames `(f, c, h, w)`, noised: they are at the tail, the first one is repeated before them.

    number   number of the clip's first frame: 0 for a shot that begins with the clip, -f for one that continues it. One
             frame of zeros with number -1 makes a queue of noise, whose frames are warm-up.
    """
    numbers = torch.arange(shape.places) - shape.context - (len(shape.sigmas) - len(clip))
    clean = clip[numbers.clamp(min=0, max=len(clip) - 1).to(clip.device)]
    return clean + rows(shape.levels, clip) * _drawn(noise, numbers + number, 0).to(clip)


def first_frame(clip: Tensor, shape: FifoLayout, number: int = 0) -> int:
    """Number of the first finished frame of `queue_of(clip, ...)`; negative during warm-up. Where the clip is longer than the
    queue, it is above `number`, and the frames before it are finished already."""
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
    """Yields (frame number, its clean latent c h w, the queue for the next iteration) without end.

    queue      `(places, c, h, w)`; the last one yielded resumes the shot
    frame      number of the frame at the first updated place
    together   windows per model call: faster on a GPU, the same frames within rounding
    given      finished frames `(g, c, h, w)` before frame 0 that the shot continues; they stay unchanged
    """
    with ThreadPoolExecutor(1) as executor:  # noise is drawn on the CPU while the model works
        pending = executor.submit(step_noise, shape, noise, frame)
        while True:
            drawn, pending = pending.result(), executor.submit(step_noise, shape, noise, frame + 1)
            queue = iterate(denoise, queue, shape, drawn, frame, together)
            if given is not None:
                queue = _restored(queue, given, shape, noise, frame)
            finished = queue[shape.context].clone()
            entering = (1 + shape.sigmas[-1] ** 2).sqrt().to(queue) * noise(frame + len(shape.sigmas), 0).to(queue)
            queue = torch.cat([queue[1:], entering[None]])
            yield frame, finished, queue
            frame += 1


def iterate(denoise: Denoiser, queue: Tensor, shape: FifoLayout, drawn: Tensor | None, frame: int, together: int = 1) -> Tensor:
    """One step at every place; all windows read the queue before the step. drawn: noise from `step_noise`."""
    levels, after = shape.levels.to(queue), shape.after.to(queue)
    numbers = torch.arange(shape.places, device=queue.device) - shape.context + frame
    stepped = queue.clone()
    drawn = None if drawn is None else torch.cat([queue[: shape.context], drawn.to(queue)])
    windows = shape.windows(frame)
    for first in range(0, len(windows), together):
        group = windows[first : first + together]
        x, sigma, frames = (torch.cat([values[inputs] for inputs, _ in group]) for values in (queue, levels, numbers))
        for (inputs, updated), clean in zip(group, denoise(x, sigma, frames).to(x).split(shape.window), strict=True):
            inside = slice(updated.start - inputs.start, updated.stop - inputs.start)
            fresh = None if drawn is None else drawn[updated]
            stepped[updated] = ddim(queue[updated], clean[inside], levels[updated], after[updated], shape.eta, fresh)
    return stepped


def step_noise(shape: FifoLayout, noise: Noise, frame: int) -> Tensor | None:
    """New noise for every updated place `(levels, c, h, w)`; None where eta is 0."""
    if shape.eta == 0:
        return None
    count = len(shape.sigmas)
    return torch.stack([noise(frame + place, count - place) for place in range(count)])


def _restored(stepped: Tensor, given: Tensor, shape: FifoLayout, noise: Noise, frame: int) -> Tensor:
    """The queue after an iteration, with given frames (numbers up to -1) restored at the noise level of their places."""
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
    """One step from `sigma` to `after`, a level per frame `(f,)`, with `eta` of new noise (DDIM; None where eta is 0)."""
    fresh = eta * after * ((sigma**2 - after**2).clamp(min=0)).sqrt() / sigma
    kept = (after**2 - fresh**2).clamp(min=0).sqrt()
    direction = (x - clean) / rows(sigma, x)
    stepped = clean + rows(kept, x) * direction
    return stepped if noise is None else stepped + rows(fresh, x) * noise


def calls_per_frame(shape: FifoLayout) -> float:
    """Model calls (windows) per finished frame, on average."""
    period = shape.stride // math.gcd(shape.shift, shape.stride) if shape.shift else 1
    return sum(len(shape.windows(frame)) for frame in range(period)) / period
