"""FIFO-Diffusion's queue: endless video at constant memory (Kim et al., NeurIPS 2024, arXiv 2405.11473).

Frames are in a queue, each one step noisier than the one before it. An iteration takes one step at every place, removes the
clean head, moves all frames up by one and adds pure noise at the tail. The model processes windows of f neighbours, so every
window has f noise levels (diagonal denoising, section 4.1); n windows side by side have n*f levels (latent partitioning, 4.2);
a window may include `context` frames that are cleaner than those it updates (lookahead denoising, 4.3: f/2); and
the borders between windows may move with each iteration, so that no frame is at a border repeatedly (`shift`, not published).

Latents are scale * clean + sigma * noise: scale 1 as in k-diffusion and ComfyUI, 1 - sigma in flow models. Frames may share a
level in blocks, which enter and leave together (not published). A model is any function of the type `Denoiser`.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from .diffusion import rows
from .known import Known, Loop, Noise, exact, put_back
from .layout import FifoLayout, Levels
from .tail import CoherentTail

Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`(x (r f, c, h, w), sigma (r f,), frame (r f,)) -> clean (r f, c, h, w)`: r windows of f frames in one call;
frame: absolute frame numbers, negative during warm-up."""


BASE = 1 << 32
"""Number of the base clip's first noise step: far above those of the queue, so that the two share no noise."""


@torch.inference_mode()
def base_clip(denoise: Denoiser, layout: FifoLayout, noise: Noise) -> Tensor:
    """Samples an ordinary clip of one window `(f, c, h, w)` with the queue's noise levels: the start of a shot."""
    *_, clip = base_steps(denoise, layout, noise)
    return clip


def base_steps(denoise: Denoiser, layout: FifoLayout, noise: Noise, known: Sequence[Known] = ()) -> Iterator[Tensor]:
    """Samples the clip of `base_clip` and yields it after each step. known: given latents of its frames."""
    frames = torch.arange(layout.window)
    x = layout.entering * _drawn(noise, frames, BASE).to(layout.sigmas)
    for step in range(1, len(layout.sigmas) + 1):
        now, after = (layout.steps[-step - part].expand(layout.window).to(x) for part in (0, 1))
        given, sigma = x, now.sigma
        for one in known:
            given, sigma = one.model_input(given, sigma, frames)
        clean = denoise(given, sigma, frames.to(x.device)).to(x)
        x = ddim(x, clean, now, after, layout.eta, _drawn(noise, frames, BASE + step).to(x))
        for one in known:
            x = one.restored(x, frames, after, lambda numbers: _drawn(noise, numbers, BASE))
        yield x


def queue_of(clip: Tensor, layout: FifoLayout, noise: Noise, number: int = 0) -> Tensor:
    """Makes a queue from finished frames `(f, c, h, w)` by adding noise; copies of the first frame fill the places before them.

    number   number of the clip's first frame: 0 for a shot that begins with the clip, -f for one that continues it. For a
             queue of noise, whose frames are warm-up, pass one frame of zeros and number -1.
    """
    numbers = torch.arange(layout.places) - layout.context - (layout.updated - len(clip))
    clean = clip[numbers.clamp(min=0, max=len(clip) - 1).to(clip.device)]
    return layout.levels.noised(clean, _drawn(noise, numbers + number, 0))


def first_frame(clip: Tensor, layout: FifoLayout, number: int = 0) -> int:
    """Number of the first frame that `queue_of(clip, ...)` finishes; negative during warm-up.

    For a clip longer than the queue it is above `number`; the frames before it are finished already.
    """
    return number + len(clip) - layout.updated


@torch.inference_mode()
def run(
    denoise: Denoiser,
    queue: Tensor,
    layout: FifoLayout,
    noise: Noise,
    frame: int,
    together: int = 1,
    known: Sequence[Known] = (),
    tail: CoherentTail | None = None,
    loop: Loop | None = None,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yields (number of the first frame, clean latents of the block `(b, c, h, w)`, queue for the next iteration) without end.

    queue      `(places, c, h, w)`; to resume a shot, the last one that was yielded
    frame      number of the frame at the first updated place
    together   windows per model call: more is faster on a GPU; frames differ by rounding only
    known      given latents: of frames before frame 0 that the shot continues, of keyframes, of parts outside a mask
    tail       share of an entering frame's noise that comes from the frame before it; None: none
    loop       end of the shot that meets its beginning; None: it has no end
    Raises ValueError for a tail with a layout of scaled clean frames: pure noise has no share of a frame.
    """
    if tail and layout.clean_scales is not None:
        raise ValueError("coherent_tail: expected 0 for a flow model, whose frames enter as pure noise")
    block = layout.block
    with ThreadPoolExecutor(1) as executor:  # noise is drawn on the CPU while the model works
        pending = executor.submit(step_noise, layout, noise, frame)
        while True:
            drawn, pending = pending.result(), executor.submit(step_noise, layout, noise, frame + block)
            here = [*known, *(loop.known() if loop else [])]
            queue = iterate(denoise, queue, layout, drawn, frame, together, here, loop.numbers if loop else None)
            queue = put_back(here, queue, layout, frame, lambda numbers: _drawn(noise, numbers, 0))
            finished = exact(here, queue[layout.context : layout.context + block].clone(), frame)
            if loop:
                loop.finish(frame, finished)
            queue = torch.cat([queue[block:], _entering(queue[-1], layout, noise, frame + layout.updated, tail)])
            yield frame, finished, queue
            frame += block


def _entering(last: Tensor, layout: FifoLayout, noise: Noise, first: int, tail: CoherentTail | None) -> Tensor:
    """The block that enters `(b, c, h, w)`. last: frame at the last place, after the iteration; first: number of a frame."""
    levels, numbers = (float(layout.after.sigma[-1]), float(layout.sigmas[-1])), range(first, first + layout.block)
    drawn = torch.stack([tail.entering(last, levels, noise, number) if tail else noise(number, 0) for number in numbers])
    return layout.entering.to(last) * drawn.to(last)


def iterate(
    denoise: Denoiser,
    queue: Tensor,
    layout: FifoLayout,
    drawn: Tensor | None,
    frame: int,
    together: int = 1,
    known: Sequence[Known] = (),
    numbered: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Takes one step at every place; all windows get the queue from before the step.

    drawn      noise from `step_noise`
    known      given latents, some of which the model gets without noise
    numbered   changes the frame numbers that the model gets
    """
    levels, after = layout.levels.to(queue), layout.after.to(queue)
    numbers = torch.arange(layout.places, device=queue.device) - layout.context + frame
    given, sigmas, stepped = queue, levels.sigma, queue.clone()
    for one in known:
        given, sigmas = one.model_input(given, sigmas, numbers)
    numbers = numbered(numbers) if numbered else numbers
    drawn = None if drawn is None else torch.cat([queue[: layout.context], drawn.to(queue)])
    windows = layout.windows(frame)
    for first in range(0, len(windows), together):
        group = windows[first : first + together]
        x, sigma, frames = (torch.cat([values[inputs] for inputs, _ in group]) for values in (given, sigmas, numbers))
        for (inputs, updated), clean in zip(group, denoise(x, sigma, frames).to(x).split(layout.window), strict=True):
            inside = slice(updated.start - inputs.start, updated.stop - inputs.start)
            fresh = None if drawn is None else drawn[updated]
            stepped[updated] = ddim(queue[updated], clean[inside], levels[updated], after[updated], layout.eta, fresh)
    return stepped


def step_noise(layout: FifoLayout, noise: Noise, frame: int) -> Tensor | None:
    """New noise for every updated place `(places, c, h, w)`; None where eta is 0."""
    if layout.eta == 0:
        return None
    return torch.stack([noise(frame + place, layout.step(place)) for place in range(layout.updated)])


def _drawn(noise: Noise, frames: Tensor, step: int) -> Tensor:
    return torch.stack([noise(int(frame), step) for frame in frames])


def ddim(x: Tensor, clean: Tensor, now: Levels, after: Levels, eta: float, noise: Tensor | None) -> Tensor:
    """One DDIM step of frames `(f, ...)` from the levels `now` to `after`. noise: the new noise; None where eta is 0.

    With sigma / scale in place of sigma the formula is the published one; multiplied out, it also holds for scale 0.
    """
    sigma = now.sigma * after.scale
    fresh = eta * after.sigma * ((sigma**2 - (after.sigma * now.scale) ** 2).clamp(min=0)).sqrt() / sigma
    kept = (after.sigma**2 - fresh**2).clamp(min=0).sqrt()
    direction = (x - rows(now.scale, x) * clean) / rows(now.sigma, x)
    stepped = rows(after.scale, x) * clean + rows(kept, x) * direction
    return stepped if noise is None else stepped + rows(fresh, x) * noise
