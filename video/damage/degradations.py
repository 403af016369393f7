"""Second-order degradations of Real-ESRGAN (arXiv 2107.10833) on clips: parameters are drawn once per clip and walk from frame
to frame, as in RealBasicVSR (arXiv 2111.12704). For training pairs and for tests of upscalers.

Ranges and probabilities are those of Real-ESRGAN's x4plus training (BasicSR 8d56e3a), steps of the walk RealBasicVSR's. Video
codecs, which RealBasicVSR adds after each stage, are left out: there every frame depends on others.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from math import pi

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .chance import drawn
from .kernels import filtered, gaussian, generalised, plateau, sinc
from .medium import jpeg

SIDES, PADDED = (7, 9, 11, 13, 15, 17, 19, 21), 21
KINDS = ("isotropic", "anisotropic", "generalised isotropic", "generalised", "plateau isotropic", "plateau")
KIND_SHARES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
MODES = ("area", "bilinear", "bicubic")
SINC_SHARE, SECOND_BLUR, LAST_SINC, GREY_NOISE, GAUSSIAN_NOISE = 0.1, 0.8, 0.8, 0.4, 0.5


@dataclass(frozen=True)
class Range:
    """Range of a parameter, and the largest step from frame to frame."""

    low: float
    high: float
    step: float = 0.0

    def draw(self, random: np.random.Generator) -> float:
        return float(random.uniform(self.low, self.high))

    def walk(self, value: float, random: np.random.Generator) -> float:
        return float(np.clip(value + random.uniform(-self.step, self.step), self.low, self.high))


@dataclass(frozen=True)
class StageRanges:
    """Ranges of one stage: blur, resize, noise, JPEG."""

    sigma: Range
    resize: Range
    resize_shares: tuple[float, float, float]
    """Probabilities of enlarging, shrinking, and neither."""
    noise: Range
    """Standard deviation of Gaussian noise in levels of 255."""
    poisson: Range
    """Scale of Poisson noise."""
    jpeg: Range
    beta_gaussian: Range = field(default_factory=lambda: Range(0.5, 4, 0.05))
    beta_plateau: Range = field(default_factory=lambda: Range(1, 2, 0.1))


FIRST = StageRanges(
    Range(0.2, 3, 0.02), Range(0.15, 1.5, 0.015), (0.2, 0.7, 0.1), Range(1, 30, 0.1), Range(0.05, 3, 0.005), Range(30, 95, 3)
)  # fmt: skip
SECOND = StageRanges(
    Range(0.2, 1.5, 0.02), Range(0.3, 1.2, 0.03), (0.3, 0.4, 0.3), Range(1, 25, 0.1), Range(0.05, 2.5, 0.005), Range(30, 95, 3)
)  # fmt: skip
TURN, CUTOFF_STEP = Range(-pi, pi, pi / 10), pi / 50


@dataclass(frozen=True)
class Stage:
    """Parameters of one stage for one frame. The first group is fixed for a clip, the second walks."""

    kernel: str
    side: int
    mode: str
    gaussian_noise: bool
    grey_noise: bool

    sigma_x: float
    sigma_y: float
    turn: float
    beta: float
    cutoff: float
    resize: float
    noise: float
    jpeg: float


@dataclass(frozen=True)
class Degradation:
    """Parameters of both stages for one frame, and of the last step."""

    first: Stage
    second: Stage
    blurs_twice: bool
    last_sinc: Range
    last_side: int
    last_cutoff: float
    """0: no filter at the end."""
    last_mode: str
    jpeg_first: bool


def drawn_for_clip(seed: int) -> Degradation:
    """Parameters of a clip's first frame."""
    random = drawn(seed, "degradation")
    first, second = (_draw_stage(random, ranges) for ranges in (FIRST, SECOND))
    side, blurs_twice = int(random.choice(SIDES)), random.random() < SECOND_BLUR
    filters = random.random() < LAST_SINC
    cutoffs = Range(pi / 3, pi, CUTOFF_STEP)
    return Degradation(
        first, second, bool(blurs_twice), cutoffs, side, cutoffs.draw(random) if filters else 0.0, str(random.choice(MODES)),
        bool(random.random() < 0.5),
    )  # fmt: skip


def by_frame(seed: int) -> Iterator[Degradation]:
    """Yields the parameters of frames 0, 1, ... of a clip."""
    now, number = drawn_for_clip(seed), 0
    while True:
        yield now
        number += 1
        random = drawn(seed, "degradation walk", number)
        first, second = _walk(now.first, FIRST, random), _walk(now.second, SECOND, random)
        cutoff = now.last_sinc.walk(now.last_cutoff, random) if now.last_cutoff else 0.0
        now = replace(now, first=first, second=second, last_cutoff=cutoff)


def degraded(frames: Iterable[Tensor], seed: int, factor: int = 4, first: int = 0) -> Iterator[Tensor]:
    """Degrades frames `(3, h, w)` in [0, 1] to frames `(3, h // factor, w // factor)`.

    first   number of the first frame; a part of a clip is degraded as in the whole clip
    """
    parameters = by_frame(seed)
    for _ in range(first):
        next(parameters)
    for number, (frame, one) in enumerate(zip(frames, parameters, strict=False), first):
        yield degraded_frame(frame[:3], one, seed, number, factor)


def degraded_frame(frame: Tensor, one: Degradation, seed: int, number: int, factor: int) -> Tensor:
    height, width = frame.shape[1:]
    if min(height, width) < 2 * factor:
        raise ValueError(f"frames: expected {2 * factor}x{2 * factor} pixels or more, got {width}x{height}")
    size = (height // factor, width // factor)
    picture = filtered(frame[None].float(), kernel_of(one.first))[0]
    picture = _noisy_jpeg(_resized(picture, one.first, (height, width)), one.first, drawn(seed, "noise 1", number))
    if one.blurs_twice:
        picture = filtered(picture[None], kernel_of(one.second))[0]
    picture = _resized(picture, one.second, size)
    picture = _noisy(picture, one.second, drawn(seed, "noise 2", number))
    if one.jpeg_first:
        return _last(jpeg(picture, round(one.second.jpeg)), one, size).clamp(0, 1)
    return jpeg(_last(picture, one, size), round(one.second.jpeg))


def kernel_of(stage: Stage) -> Tensor:
    """Blur kernel of a stage, `(k, k)`."""
    x, y, turn, side = stage.sigma_x, stage.sigma_y, stage.turn, stage.side
    if stage.kernel == "sinc":
        return sinc(side, stage.cutoff, PADDED)
    if "isotropic" in stage.kernel.split():
        y, turn = x, 0.0
    if stage.kernel.startswith("generalised"):
        return generalised(side, x, y, turn, stage.beta)
    if stage.kernel.startswith("plateau"):
        return plateau(side, x, y, turn, stage.beta)
    return gaussian(side, x, y, turn)


def _draw_stage(random: np.random.Generator, ranges: StageRanges) -> Stage:
    kernel = "sinc" if random.random() < SINC_SHARE else str(random.choice(KINDS, p=KIND_SHARES))
    side = int(random.choice(SIDES))
    beta = ranges.beta_plateau if kernel.startswith("plateau") else ranges.beta_gaussian
    low, high = ranges.resize.low, ranges.resize.high
    way = random.choice(3, p=ranges.resize_shares)
    gaussian_noise = random.random() < GAUSSIAN_NOISE
    return Stage(
        kernel, side, str(random.choice(MODES)), bool(gaussian_noise), bool(random.random() < GREY_NOISE),
        ranges.sigma.draw(random), ranges.sigma.draw(random), TURN.draw(random), beta.draw(random),
        _cutoffs(side).draw(random), 1.0 if way == 2 else Range(*((1, high), (low, 1))[way]).draw(random),
        (ranges.noise if gaussian_noise else ranges.poisson).draw(random), ranges.jpeg.draw(random),
    )  # fmt: skip


def _cutoffs(side: int) -> Range:
    return Range(pi / 3 if side < 13 else pi / 5, pi, CUTOFF_STEP)


def _walk(stage: Stage, ranges: StageRanges, random: np.random.Generator) -> Stage:
    beta = ranges.beta_plateau if stage.kernel.startswith("plateau") else ranges.beta_gaussian
    noise = ranges.noise if stage.gaussian_noise else ranges.poisson
    return replace(
        stage,
        sigma_x=ranges.sigma.walk(stage.sigma_x, random),
        sigma_y=ranges.sigma.walk(stage.sigma_y, random),
        turn=TURN.walk(stage.turn, random),
        beta=beta.walk(stage.beta, random),
        cutoff=_cutoffs(stage.side).walk(stage.cutoff, random),
        resize=1.0 if stage.resize == 1.0 else ranges.resize.walk(stage.resize, random),
        noise=noise.walk(stage.noise, random),
        jpeg=ranges.jpeg.walk(stage.jpeg, random),
    )


def _resized(picture: Tensor, stage: Stage, size: tuple[int, int]) -> Tensor:
    """Scaled relative to `size`: the first stage's is the picture's, the second's that of the result."""
    sides = [max(2, round(side * stage.resize)) for side in size]
    return _to(picture, sides, stage.mode)


def _to(picture: Tensor, sides: list[int], mode: str) -> Tensor:
    return F.interpolate(picture[None], sides, mode=mode, **({} if mode == "area" else {"align_corners": False}))[0]


def _noisy(picture: Tensor, stage: Stage, random: np.random.Generator) -> Tensor:
    shape = (1 if stage.grey_noise else 3, *picture.shape[1:])
    if stage.gaussian_noise:
        noise = torch.from_numpy(random.standard_normal(shape, np.float32)) * (stage.noise / 255)
        return (picture + noise).clamp(0, 1)
    base = (picture.mean(0, keepdim=True) if stage.grey_noise else picture).clamp(0, 1)
    levels = 2.0 ** np.ceil(np.log2(max(2, len(torch.unique((base * 255).round())))))
    counts = torch.from_numpy(random.poisson(base.double().numpy() * levels).astype(np.float32)) / levels
    return (picture + (counts - base) * stage.noise).clamp(0, 1)


def _noisy_jpeg(picture: Tensor, stage: Stage, random: np.random.Generator) -> Tensor:
    return jpeg(_noisy(picture, stage, random), round(stage.jpeg))


def _last(picture: Tensor, one: Degradation, size: tuple[int, int]) -> Tensor:
    picture = _to(picture, list(size), one.last_mode)
    return filtered(picture[None], sinc(one.last_side, one.last_cutoff, PADDED))[0] if one.last_cutoff else picture


WALKING = tuple(one.name for one in fields(Stage))[5:]
"""Parameters that change from frame to frame."""
