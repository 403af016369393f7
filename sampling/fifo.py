"""FIFO-Diffusion's queue: endless video at constant memory (Kim et al., NeurIPS 2024, arXiv 2405.11473).

Frames are in a queue, each one step noisier than the one before it. An iteration takes one step at every place, removes the
clean head, moves all frames up by one and adds pure noise at the tail. The model processes windows of f neighbours, so every
window has f noise levels (diagonal denoising, section 4.1); n windows side by side have n*f levels (latent partitioning, 4.2);
a window may include `context` frames that are cleaner than those it updates (lookahead denoising, 4.3: f/2); and
the borders between windows may move with each iteration, so that no frame is at a border repeatedly (`shift`, not published).

Latents are clean + sigma * noise, as in k-diffusion and ComfyUI. A model is any function of the type `Denoiser`.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .diffusion import rows
from .tail import CoherentTail

Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`(x (r f, c, h, w), sigma (r f,), frame (r f,)) -> clean (r f, c, h, w)`: r windows of f frames in one call;
frame: absolute frame numbers, negative during warm-up."""

Noise = Callable[[int, int], Tensor]
"""`(frame, step) -> c h w`, standard normal. Step 0: the noise that a frame starts from; step k > 0: that added in step k."""


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
    """Number of these frames, at the cleaner end, that are not updated: 0 to half of the window."""
    eta: float
    """Share of new noise in every step (DDIM, arXiv 2010.02502, equation 16): 0 none, 1 as in DDPM."""
    shift: int = 0
    """Frames by which the borders between windows move with each iteration; 0: fixed, as published."""

    def __post_init__(self) -> None:
        spare = max(self.window // 2, self.window - len(self.sigmas))
        if not 0 <= self.context <= min(spare, self.window - 1):
            raise ValueError(
                f"context: expected 0 to {min(spare, self.window - 1)} (window {self.window}, {len(self.sigmas)} levels), "
                f"got {self.context}"
            )
        if len(self.sigmas) < self.window - self.context:
            raise ValueError(
                f"levels: expected at least {self.window - self.context} (window - context), got {len(self.sigmas)}; "
                "raise the steps or lower the window"
            )
        if not bool((self.sigmas.diff() > 0).all()) or not 0 <= self.last <= float(self.sigmas[0]):
            raise ValueError("levels: expected noise levels that increase from place to place, none below the final level")
        if not 0 <= self.shift < self.stride:
            raise ValueError(f"shift: expected 0 to {self.stride - 1} (window - context - 1), got {self.shift}")

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
        """Noise level at each place. Finished frames, at the head, have the first level, as in the published sampler."""
        return torch.cat([self.sigmas[:1].expand(self.context), self.sigmas])

    @property
    def after(self) -> Tensor:
        """Noise level at each place after an iteration."""
        return torch.cat([self.levels[: self.context], self.sigmas.new_tensor([self.last]), self.sigmas[:-1]])

    def windows(self, frame: int = 0) -> list[tuple[slice, slice]]:
        """For each window, head first: (places of the model's input, places that it updates). Every place is updated once.

        frame   number of the frame at the first updated place, which moving borders depend on
        """
        first = frame * self.shift % self.stride
        borders = sorted({0, *range(first, len(self.sigmas), self.stride), len(self.sigmas)})
        found = []
        for start, stop in pairwise(borders):
            begin = max(0, stop + self.context - self.window)  # short windows, at either end, get more context
            found.append((slice(begin, begin + self.window), slice(start + self.context, stop + self.context)))
        return found


def layout_of(sigmas: Tensor, window: int, context: int, eta: float, shift: int = 0) -> FifoLayout:
    """Layout of a queue for any sampling schedule.

    sigmas    as for a sampler: noisiest first, the final level (0) last `(s + 1,)`
    context   raised for schedules with fewer levels than window - context (few-step models): the rest of the window is
              then finished frames
    shift     taken modulo the number of frames that a window updates
    """
    if sigmas.ndim != 1 or len(sigmas) < 2:
        raise ValueError(f"sigmas: expected two or more noise levels, got shape {tuple(sigmas.shape)}")
    levels = sigmas[:-1].flip(0)
    context = max(context, window - len(levels))
    return FifoLayout(levels, float(sigmas[-1]), window, context, eta, shift % (window - context))


def published_layout(
    table: Tensor, window: int, partitions: int, context: int | None = None, eta: float = 1.0, shift: int = 0
) -> FifoLayout:
    """Layout of the published queue: partitions * window levels, evenly spaced in time.

    The last step of a frame, at the first place, does not change its noise level.

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
"""Number of the base clip's first noise step: far above those of the queue, so that the two share no noise."""


@torch.inference_mode()
def base_clip(denoise: Denoiser, layout: FifoLayout, noise: Noise) -> Tensor:
    """Samples an ordinary clip of one window `(f, c, h, w)` with the queue's noise levels: the start of a shot."""
    *_, clip = base_steps(denoise, layout, noise)
    return clip


def base_steps(denoise: Denoiser, layout: FifoLayout, noise: Noise) -> Iterator[Tensor]:
    """Samples the clip of `base_clip` and yields it after each step."""
    frames = torch.arange(layout.window)
    levels = torch.cat([layout.sigmas.new_tensor([layout.last]), layout.sigmas])
    x = (1 + levels[-1] ** 2).sqrt() * _drawn(noise, frames, BASE).to(levels)
    for step in range(1, len(levels)):
        now, after = (levels[-step - part].expand(layout.window).to(x) for part in (0, 1))
        clean = denoise(x, now, frames.to(x.device)).to(x)
        x = ddim(x, clean, now, after, layout.eta, _drawn(noise, frames, BASE + step).to(x))
        yield x


def queue_of(clip: Tensor, layout: FifoLayout, noise: Noise, number: int = 0) -> Tensor:
    """Makes a queue from finished frames `(f, c, h, w)` by adding noise; copies of the first frame fill the places before them.

    number   number of the clip's first frame: 0 for a shot that begins with the clip, -f for one that continues it. For a
             queue of noise, whose frames are warm-up, pass one frame of zeros and number -1.
    """
    numbers = torch.arange(layout.places) - layout.context - (len(layout.sigmas) - len(clip))
    clean = clip[numbers.clamp(min=0, max=len(clip) - 1).to(clip.device)]
    return clean + rows(layout.levels, clip) * _drawn(noise, numbers + number, 0).to(clip)


def first_frame(clip: Tensor, layout: FifoLayout, number: int = 0) -> int:
    """Number of the first frame that `queue_of(clip, ...)` finishes; negative during warm-up.

    For a clip longer than the queue it is above `number`; the frames before it are finished already.
    """
    return number + len(clip) - len(layout.sigmas)


@torch.inference_mode()
def run(
    denoise: Denoiser,
    queue: Tensor,
    layout: FifoLayout,
    noise: Noise,
    frame: int,
    together: int = 1,
    given: Tensor | None = None,
    tail: CoherentTail | None = None,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yields (frame number, clean latent of the frame `c h w`, queue for the next iteration) without end.

    queue      `(places, c, h, w)`; to resume a shot, the last one that was yielded
    frame      number of the frame at the first updated place
    together   windows per model call: more is faster on a GPU; frames differ by rounding only
    given      finished frames `(g, c, h, w)` before frame 0 that the shot continues; they stay unchanged
    tail       share of an entering frame's noise that comes from the frame before it; None: none
    """
    with ThreadPoolExecutor(1) as executor:  # noise is drawn on the CPU while the model works
        pending = executor.submit(step_noise, layout, noise, frame)
        while True:
            drawn, pending = pending.result(), executor.submit(step_noise, layout, noise, frame + 1)
            queue = iterate(denoise, queue, layout, drawn, frame, together)
            if given is not None:
                queue = _restored(queue, given, layout, noise, frame)
            finished = queue[layout.context].clone()
            queue = torch.cat([queue[1:], _entering(queue[-1], layout, noise, frame + len(layout.sigmas), tail)[None]])
            yield frame, finished, queue
            frame += 1


def _entering(last: Tensor, layout: FifoLayout, noise: Noise, number: int, tail: CoherentTail | None) -> Tensor:
    """The frame that enters `c h w`. last: frame at the last place, after the iteration."""
    levels = float(layout.after[-1]), float(layout.sigmas[-1])
    drawn = tail.entering(last, levels, noise, number) if tail else noise(number, 0)
    return (1 + layout.sigmas[-1] ** 2).sqrt().to(last) * drawn.to(last)


def iterate(
    denoise: Denoiser, queue: Tensor, layout: FifoLayout, drawn: Tensor | None, frame: int, together: int = 1
) -> Tensor:
    """Takes one step at every place; all windows get the queue from before the step. drawn: noise from `step_noise`."""
    levels, after = layout.levels.to(queue), layout.after.to(queue)
    numbers = torch.arange(layout.places, device=queue.device) - layout.context + frame
    stepped = queue.clone()
    drawn = None if drawn is None else torch.cat([queue[: layout.context], drawn.to(queue)])
    windows = layout.windows(frame)
    for first in range(0, len(windows), together):
        group = windows[first : first + together]
        x, sigma, frames = (torch.cat([values[inputs] for inputs, _ in group]) for values in (queue, levels, numbers))
        for (inputs, updated), clean in zip(group, denoise(x, sigma, frames).to(x).split(layout.window), strict=True):
            inside = slice(updated.start - inputs.start, updated.stop - inputs.start)
            fresh = None if drawn is None else drawn[updated]
            stepped[updated] = ddim(queue[updated], clean[inside], levels[updated], after[updated], layout.eta, fresh)
    return stepped


def step_noise(layout: FifoLayout, noise: Noise, frame: int) -> Tensor | None:
    """New noise for every updated place `(levels, c, h, w)`; None where eta is 0."""
    if layout.eta == 0:
        return None
    count = len(layout.sigmas)
    return torch.stack([noise(frame + place, count - place) for place in range(count)])


def _restored(stepped: Tensor, given: Tensor, layout: FifoLayout, noise: Noise, frame: int) -> Tensor:
    """The queue after an iteration, with the given frames (numbered -g to -1) restored at the noise levels of their places."""
    numbers, after = torch.arange(layout.places) - layout.context + frame, layout.after
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
    """One DDIM step from noise levels `sigma` to `after`, both `(f,)`. noise: the new noise; None where eta is 0."""
    fresh = eta * after * ((sigma**2 - after**2).clamp(min=0)).sqrt() / sigma
    kept = (after**2 - fresh**2).clamp(min=0).sqrt()
    direction = (x - clean) / rows(sigma, x)
    stepped = clean + rows(kept, x) * direction
    return stepped if noise is None else stepped + rows(fresh, x) * noise


def calls_per_frame(layout: FifoLayout) -> float:
    """Model calls (windows) per finished frame, on average."""
    period = layout.stride // math.gcd(layout.shift, layout.stride) if layout.shift else 1
    return sum(len(layout.windows(frame)) for frame in range(period)) / period
