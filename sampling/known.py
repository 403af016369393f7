"""Frames of a queue whose latents are given: a clip that a shot continues, keyframes, the parts outside a mask, a loop's end.

At every step the given latents are put back, noised to the level of their places, so that the model generates the other frames
and parts to match (replacement, as in RePaint, arXiv 2201.09865, without its repetitions). Frames that come after the others,
keyframes and a loop's end, are given to the model without noise instead: in a queue later frames are noisier, so the frames
before them would be settled before these are recognisable. Finished frames have the given latents exactly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .layout import FifoLayout, Levels

CLEAN = 0.03
"""Noise level of a clean frame: Stable Diffusion's lowest is .0292."""

Noise = Callable[[int, int], Tensor]
"""`(frame, step) -> c h w`, standard normal. Step 0: the noise that a frame starts from; step k > 0: that added in step k."""


@dataclass(frozen=True)
class Known:
    """Given latents by frame number."""

    latents: Tensor
    """`(g, c, h, w)`"""
    numbers: Sequence[int]
    """Frame number of each, increasing."""
    masks: Tensor | None = None
    """`(g, 1, h, w)`: 0 where the given latent is kept, 1 where frames are generated, between them a blend; None: 0."""
    repeats: bool = False
    """Whether the last latent is also that of all later frames."""
    clean: bool = False
    """Whether the model gets frames that are given wholly without noise, at the level `level`."""
    level: float = CLEAN

    def restored(self, frames: Tensor, numbers: Tensor, levels: Levels, drawn: Callable[[Tensor], Tensor]) -> Tensor:
        """Frames `(f, c, h, w)` at these levels, with the given latents put back.

        numbers   of the frames `(f,)`
        drawn     numbers `(n,)` -> standard normal noise `(n, c, h, w)`
        """
        here, index = self._found(numbers)
        if not len(here):
            return frames
        kept = levels[here].noised(self.latents[index].to(frames), drawn(numbers[here]))
        return self._put(frames, here, kept if self.masks is None else torch.lerp(kept, *self._parts(frames, here, index)))

    def model_input(self, frames: Tensor, sigma: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Frames `(f, c, h, w)` and levels `(f,)` as the model gets them: without noise where they are given wholly."""
        here, index = self._found(numbers)
        if self.masks is not None:
            whole = self.masks[index].flatten(1).amax(1) == 0
            here, index = here[whole], index[whole]
        if not self.clean or not len(here):
            return frames, sigma
        return self._put(frames, here, self.latents[index].to(frames)), self._put(
            sigma, here, sigma.clamp(max=self.level)[here]
        )

    def exact(self, frames: Tensor, numbers: Tensor) -> Tensor:
        """Finished frames `(f, c, h, w)`, with the given latents where the mask is 0."""
        here, index = self._found(numbers)
        if not len(here):
            return frames
        kept = self.latents[index].to(frames)
        if self.masks is None:
            return self._put(frames, here, kept)
        generated, mask = self._parts(frames, here, index)
        return self._put(frames, here, torch.where(mask == 0, kept, generated))

    def _parts(self, frames: Tensor, here: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Generated frames and masks of the places `here`."""
        assert self.masks is not None
        generated = frames[here.to(frames.device)]
        return generated, self.masks[index].to(frames).expand_as(generated)

    def _found(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Places of the numbers for which a latent is given, and the index of each."""
        own = torch.as_tensor(list(self.numbers))
        index = torch.searchsorted(own, numbers.cpu().contiguous(), right=True) - 1
        given = (index >= 0) & ((own[index.clamp(min=0)] == numbers.cpu()) | (self.repeats & (index == len(own) - 1)))
        return given.nonzero().flatten(), index[given]

    @staticmethod
    def _put(frames: Tensor, here: Tensor, values: Tensor) -> Tensor:
        changed = frames.clone()
        changed[here.to(frames.device)] = values
        return changed


def before(latents: Tensor, level: float | None = None) -> Known:
    """A clip `(f, c, h, w)` that a shot continues: its frames are numbered -f to -1.

    level   at which the model gets them without noise, if it was trained so; None: noised to the level of their places
    """
    return Known(latents, range(-len(latents), 0), clean=level is not None, level=CLEAN if level is None else level)


def keyframes(latents: Tensor, numbers: Sequence[int], strength: float = 1.0, reach: int = 0) -> Known:
    """Pictures at frames of a shot.

    latents    `(k, c, h, w)`; numbers: frame of each, all different, 0 or above
    strength   1: the frame is the picture; 0: no influence
    reach      number of frames before and after that are drawn towards the picture, the less the farther away they are
    Where two reaches meet, a frame gets the nearer picture.
    Raises ValueError for values out of range, and for two pictures at one frame.
    """
    if len(numbers) != len(latents):
        raise ValueError(f"frames: expected {len(latents)} numbers, one for each picture, got {len(numbers)}")
    if min(numbers) < 0:
        raise ValueError(f"frames: expected 0 or above, got {min(numbers)}; a long shot has no last frame to count from")
    twice = sorted({number for number in numbers if list(numbers).count(number) > 1})
    if twice:
        raise ValueError(f"frames: expected one picture per frame, got two at frame {twice[0]}")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength: expected 0 to 1, got {strength:g}")
    nearest: dict[int, tuple[int, int]] = {}
    for index, number in enumerate(numbers):
        for frame in range(max(0, number - reach), number + reach + 1):
            nearest[frame] = min(nearest.get(frame, (reach + 1, -1)), (abs(frame - number), index))
    frames = sorted(nearest)
    shares = torch.tensor([strength * (1 - nearest[frame][0] / (reach + 1)) for frame in frames])
    shares = torch.where(torch.tensor([nearest[frame][0] == 0 for frame in frames]), strength, shares)
    chosen = latents[[nearest[frame][1] for frame in frames]]
    return Known(chosen, frames, (1 - shares).reshape(-1, 1, 1, 1).expand(-1, 1, *latents.shape[-2:]), clean=True)


@dataclass
class Loop:
    """A shot that ends where it begins: frame `frames` is frame 0 again.

    As soon as a first frame is finished, it is given for the frame of the same number after the end, as far as windows that
    also have frames before the end contain it.
    """

    frames: int
    window: int
    """Frames per window."""
    first: list[Tensor] = field(default_factory=list)
    """Finished frames `(c, h, w)` from 0 on, at most window - 1 of them; to resume a shot, those that are finished."""

    def __post_init__(self) -> None:
        if self.frames < self.window:
            raise ValueError(
                f"loop: expected {self.window} frames or more, as many as a window has, got {self.frames}. For a shorter "
                "loop use Sliding Windows with window_schedule looped and closed on"
            )

    def finish(self, frame: int, latents: Tensor) -> None:
        """Notes finished frames; frame: number of the first of them."""
        for number, latent in enumerate(latents, frame):
            if number == len(self.first) < self.window - 1:
                self.first.append(latent.cpu())

    def known(self) -> list[Known]:
        count = len(self.first)
        return [Known(torch.stack(self.first), range(self.frames, self.frames + count), clean=True)] if count else []

    def numbers(self, numbers: Tensor) -> Tensor:
        """Frame numbers that conditions are given for: those after the end are of the beginning."""
        return torch.where(numbers >= self.frames, numbers - self.frames, numbers)


def exact(known: Sequence[Known], finished: Tensor, frame: int) -> Tensor:
    """Finished frames `(b, c, h, w)` with all given latents. frame: number of the first."""
    for one in known:
        finished = one.exact(finished, torch.arange(frame, frame + len(finished)))
    return finished


def put_back(
    known: Sequence[Known], frames: Tensor, layout: FifoLayout, frame: int, drawn: Callable[[Tensor], Tensor]
) -> Tensor:
    """A queue after an iteration, with all given latents put back. frame: number at the first updated place."""
    numbers = torch.arange(layout.places) - layout.context + frame
    for one in known:
        frames = one.restored(frames, numbers, layout.after, drawn)
    return frames
