"""Metrics of a restyled clip of the procedural world, whose track and motion are known."""

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from zoetrope.demo.detector import detect
from zoetrope.demo.world import BACKGROUNDS, FPS, MOTIONS, Scene, centre

LEVELS = 255
VISIBLE = 1e-3
"""Least difference from the background of a pixel that belongs to the shape or to its trail."""


@dataclass(frozen=True)
class Figures:
    """Metrics of one clip."""

    colour: float
    """Share of frames with the colour of the prompt."""
    shape: float
    """Share of frames with the shape of the source."""
    direction: float
    """1 where the motion is that of the source, else 0."""
    position: float
    """Mean distance of the shape from the source's, in pixels."""
    warping: float
    """Mean absolute difference from the previous frame moved along the true motion, in levels of 255."""
    flicker: float
    """Mean absolute second difference along the true motion, in levels of 255."""
    second: float
    """Mean absolute second difference in place, in levels of 255; motion included."""


def figures(clip: Tensor, scene: Scene, goal: str, source: Tensor) -> Figures:
    """Measures a clip `(f, 3, h, w)` in [0, 1] whose source is a film of the scene. goal: the colour of the prompt."""
    found, size, count = detect(clip), clip.shape[-1], len(clip)
    apart = (found.track - centre(scene, torch.arange(count) / FPS) + 0.5) % 1 - 0.5
    step = torch.tensor(MOTIONS[scene.motion]) * scene.speed / FPS * size
    inked = (source - BACKGROUNDS[scene.background]).abs().amax(1, keepdim=True) > VISIBLE
    return Figures(
        colour=sum(colour == goal for colour in found.colours) / count,
        shape=sum(shape == scene.shape for shape in found.shapes) / count,
        direction=float(found.motion == scene.motion),
        position=float(apart.norm(dim=-1).mean()) * size,
        warping=_along(clip, inked, step, (1.0, -1.0)),
        flicker=_along(clip, inked, step, (1.0, -2.0, 1.0)),
        second=float((clip[2:] - 2 * clip[1:-1] + clip[:-2]).abs().mean()) * LEVELS,
    )


def _along(clip: Tensor, inked: Tensor, step: Tensor, weights: Sequence[float]) -> float:
    """Mean absolute weighted sum of each frame and those before it, moved along the true motion to the frame.

    Shape and trail move by `step` pixels per frame, the background stands still; pixels that they uncover are left out.
    weights: of the frame, of the one before, and so on
    """
    count = len(clip) - len(weights) + 1
    frames = [clip[len(weights) - 1 - back :][:count] for back in range(len(weights))]
    inks = [inked[len(weights) - 1 - back :][:count] for back in range(len(weights))]
    moving = sum(weight * moved(frame, back * step) for back, (weight, frame) in enumerate(zip(weights, frames, strict=True)))
    still = sum(weight * frame for weight, frame in zip(weights, frames, strict=True))
    on, off = inks[0], ~torch.stack(inks).any(0)
    assert isinstance(moving, Tensor)
    assert isinstance(still, Tensor)
    error = torch.where(on, moving, still).abs().mean(1, keepdim=True)
    return float(error[on | off].mean()) * LEVELS


def moved(pictures: Tensor, step: Tensor) -> Tensor:
    """Pictures `(f, c, h, w)` moved by (x, y) pixels on the torus, bilinear."""
    for axis, length in ((-1, float(step[0])), (-2, float(step[1]))):
        whole = int(length // 1)
        part = length - whole
        pictures = (1 - part) * pictures.roll(whole, axis) + part * pictures.roll(whole + 1, axis)
    return pictures


HEAD = (
    "| recipe | denoise | colour | shape | direction | position px | warping error | flicker | second difference ÷ truth's |\n"
    "|---|" + "---:|" * 8
)


def row(name: str, denoise: str, clips: Sequence[Figures], truth: Sequence[Figures]) -> str:
    """A row of the table: means over clips; the second difference as a ratio of sums, because still scenes have none."""
    mean = {key: statistics.mean(getattr(one, key) for one in clips) for key in Figures.__dataclass_fields__}
    second = mean["second"] / statistics.mean(one.second for one in truth)
    shares = f"{mean['colour']:.3f} | {mean['shape']:.3f} | {mean['direction']:.2f}"
    errors = f"{mean['position']:.1f} | {mean['warping']:.2f} | {mean['flicker']:.2f} | {second:.2f}"
    return f"| {name} | {denoise} | {shares} | {errors} |"


def below(
    clips: Mapping[str, Sequence[Figures]], base: str, metric: str, resamples: int = 4000
) -> dict[str, tuple[float, ...]]:
    """By recipe: share by which a metric is below that of the recipe `base`, and its 95 % interval (bootstrap over scenes)."""
    draw = random.Random(0)
    count = len(clips[base])
    picks = [draw.choices(range(count), k=count) for _ in range(resamples)]

    def share(rows: Sequence[Figures], pick: Sequence[int]) -> float:
        mine, theirs = (sum(getattr(of[index], metric) for index in pick) for of in (rows, clips[base]))
        return 1 - mine / theirs

    found = {}
    for name, rows in clips.items():
        shares = sorted(share(rows, pick) for pick in picks)
        found[name] = (share(rows, range(count)), shares[int(0.025 * resamples)], shares[int(0.975 * resamples)])
    return found
