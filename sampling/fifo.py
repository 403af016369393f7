"""FIFO-Diffusion's queue: endless video at constant memory (Kim et al., NeurIPS 2024, arXiv 2405.11473).

Frames stand in a queue, each one step noisier than the one before it. An iteration takes one step at every place, the head
comes out clean, all move up by one, and pure noise enters at the tail. The model sees windows of f neighbours, so every window
has f noise levels (diagonal denoising, section 4.1); n windows side by side hold n*f levels (latent partitioning, 4.2); a
window may look at `context` frames that are cleaner than those it changes (lookahead denoising, 4.3, has context f/2).

Latents are kept as clean + sigma * noise, the variable of k-diffusion and of ComfyUI; a model is any callable of them.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .diffusion import rows

Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`(x (f, c, h, w), sigma (f,), frame (f,)) -> clean (f, c, h, w)`; frame: absolute frame numbers, negative in the warm-up."""

Noise = Callable[[int, int], Tensor]
"""`(frame, step) -> c h w`, standard normal. Step 0 is a frame's entry as pure noise, step k its k-th step after that."""


@dataclass(frozen=True)
class Diagonal:
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

    def __post_init__(self) -> None:
        if not 0 <= self.context <= self.window // 2:
            raise ValueError(f"context: expected 0 to half of the window ({self.window // 2}), got {self.context}")
        if len(self.sigmas) < self.window - self.context:
            raise ValueError(
                f"levels: expected at least {self.window - self.context} (window less context), got {len(self.sigmas)}; "
                "raise the steps or lower the window"
            )
        if not bool((self.sigmas.diff() > 0).all()):
            raise ValueError("levels: expected noise that grows from place to place")

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

    def windows(self) -> list[tuple[slice, slice]]:
        """(places that the model sees, places of the queue that change), head first; every place changes once."""
        stride = self.window - self.context
        found = []
        for start in range(0, len(self.sigmas), stride):
            first = min(start, self.places - self.window)  # the last one moves back to stay whole
            found.append(
                (slice(first, first + self.window), slice(start + self.context, min(start + self.window, self.places)))
            )
        return found


def queue_of(clip: Tensor, shape: Diagonal, noise: Noise) -> Tensor:
    """A full queue from a finished clip `(f, c, h, w)`: its frames at the tail, the first one repeated before them.

    Frame numbers: the clip's first frame is 0, so the tail holds frame f - 1, and the head of the queue is warm-up.
    """
    early = len(shape.sigmas) - len(clip)
    numbers = torch.arange(shape.places) - shape.context - early
    clean = clip[numbers.clamp(min=0, max=len(clip) - 1)]
    drawn = torch.stack([noise(int(number), 0) for number in numbers]).to(clip)
    return clean + rows(shape.levels, clip) * drawn


def first_frame(clip: Tensor, shape: Diagonal) -> int:
    """Number of the frame that comes out first of `queue_of(clip, ...)`: 0, or negative where a warm-up comes before it."""
    return len(clip) - len(shape.sigmas)


@torch.inference_mode()
def run(denoise: Denoiser, queue: Tensor, shape: Diagonal, noise: Noise, frame: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Endlessly yields (frame number, its clean latent c h w, the queue as the next iteration will find it).

    queue   `(places, c, h, w)`; what was yielded last resumes the shot
    frame   number of the frame at the first place that changes
    """
    while True:
        queue = iterate(denoise, queue, shape, noise, frame)
        out = queue[shape.context].clone()
        entering = (1 + shape.sigmas[-1] ** 2).sqrt().to(queue) * noise(frame + len(shape.sigmas), 0).to(queue)
        queue = torch.cat([queue[1:], entering[None]])
        yield frame, out, queue
        frame += 1


def iterate(denoise: Denoiser, queue: Tensor, shape: Diagonal, noise: Noise, frame: int) -> Tensor:
    """One step at every place. Windows read the queue as it was, so their order does not matter."""
    levels, after = shape.levels.to(queue.device), shape.after.to(queue.device)
    numbers = torch.arange(shape.places, device=queue.device) - shape.context + frame
    stepped = queue.clone()
    for seen, changed in shape.windows():
        clean = denoise(queue[seen], levels[seen], numbers[seen])
        inside = slice(changed.start - seen.start, changed.stop - seen.start)
        drawn = torch.stack([noise(int(numbers[p]), shape.places - p) for p in range(changed.start, changed.stop)]).to(queue)
        stepped[changed] = ddim(queue[changed], clean[inside], levels[changed], after[changed], shape.eta, drawn)
    return stepped


def ddim(x: Tensor, clean: Tensor, sigma: Tensor, after: Tensor, eta: float, noise: Tensor) -> Tensor:
    """One step from `sigma` to `after`, a level per frame `(f,)`, with DDIM's share of fresh noise."""
    fresh = eta * after * ((sigma**2 - after**2).clamp(min=0)).sqrt() / sigma
    kept = (after**2 - fresh**2).clamp(min=0).sqrt()
    direction = (x - clean) / rows(sigma, x)
    return clean + rows(kept, x) * direction + rows(fresh, x) * noise


def calls_per_frame(shape: Diagonal) -> int:
    """Model calls of one window that every finished frame costs."""
    return math.ceil(len(shape.sigmas) / (shape.window - shape.context))
