"""Global motion between two frames: an affine map, found by Lucas and Kanade's method with robust weights. Needs no OpenCV."""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from .warp import warped

COARSEST, FINEST, ROUNDS = 40, 480, 8
"""Least shorter side of the pyramid's smallest pictures, largest of those that are used, and iterations on each."""
TUKEY = 4.685
"""Residuals beyond this multiple of their spread have no weight."""
SHADING, BETTER = 17, 1.04
"""Side of the mean that is subtracted; factor on the smallest difference up to which a simpler motion is preferred."""
STILL = 1e-3
"""Change of a corner in pixels below which the iterations end."""


@dataclass(frozen=True)
class Motion:
    """Affine map from pixels of one frame to those of another: x + shift + slope @ (x - middle)."""

    shift: Tensor
    """Right and down in pixels, in the middle of the picture, `(2,)`."""
    slope: Tensor
    """`(2, 2)`."""

    def flow(self, size: tuple[int, int]) -> Tensor:
        """The motion of every pixel, `(2, h, w)`."""
        x, y = _grid(size)
        slope, shift = self.slope.to(x), self.shift.to(x)
        return torch.stack([shift[n] + slope[n, 0] * x + slope[n, 1] * y for n in range(2)])

    def then(self, other: "Motion") -> "Motion":
        """This motion, and after it another one."""
        shift = self.shift + other.shift + other.slope @ self.shift
        return Motion(shift, self.slope + other.slope + other.slope @ self.slope)

    def inverse(self) -> "Motion":
        """The motion back."""
        turned = torch.linalg.inv(torch.eye(2, dtype=self.slope.dtype) + self.slope)
        return Motion(-turned @ self.shift, turned - torch.eye(2, dtype=self.slope.dtype))


def still() -> Motion:
    return Motion(torch.zeros(2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64))


def global_motion(before: Tensor, after: Tensor, start: Motion | None = None) -> Motion:
    """Motion of most of the picture from `before` to `after`, `(3, h, w)` in [0, 1].

    Things that move otherwise, damage, and a change of exposure between the two frames do not disturb it.
    start   a first guess
    """
    pair = torch.stack([before.mean(0), after.mean(0)])[:, None].float()  # (2, 1, h, w)
    levels = [pair]
    while min(levels[-1].shape[-2:]) >= 2 * COARSEST:
        levels.append(F.avg_pool2d(levels[-1], 2))
    found = start or still()
    used = [(number, level) for number, level in enumerate(levels) if min(level.shape[-2:]) <= FINEST or level is levels[-1]]
    for number, level in reversed(used):
        shrunk = Motion(found.shift / 2**number, found.slope)
        refined = _refined(_detail(level), shrunk)
        found = Motion(refined.shift * 2**number, refined.slope)
    number, level = used[0]
    return _most_likely(_detail(level), [still(), found], 2**number)


def _most_likely(pair: Tensor, motions: list[Motion], scale: int) -> Motion:
    """The first of some motions that leaves about the smallest differences; so a blank picture does not move.

    Blurred first: interpolation blurs grain, which would make any motion by fractions of pixels look better.
    """
    pair = F.avg_pool2d(F.avg_pool2d(pair, 3, 1, 1), 3, 1, 1)
    size = (pair.shape[-2], pair.shape[-1])
    flows = torch.stack([Motion(one.shift / scale, one.slope).flow(size) for one in motions]).float()
    moved = warped(pair[1:].expand(len(motions), -1, -1, -1), flows)
    inside = (warped(torch.ones_like(moved), flows) > 0.999).float()
    apart = (pair[:1] - moved).abs()
    limit = 3 * apart[0].median() + 1e-4
    costs = (apart.clamp(max=limit) * inside).sum((1, 2, 3)) / inside.sum((1, 2, 3)).clamp_min(1)
    return next(one for one, cost in zip(motions, costs, strict=True) if cost <= costs.min() * BETTER)


def _refined(pair: Tensor, motion: Motion) -> Motion:
    first, second = pair[:1], pair[1:]
    size = (pair.shape[-2], pair.shape[-1])
    x, y = _grid(size)
    reach = torch.tensor([size[1] / 2, size[0] / 2], dtype=torch.float64)
    for _ in range(ROUNDS):
        flow = motion.flow(size)[None]
        moved = warped(second, flow)
        inside = warped(torch.ones_like(second), flow) > 0.999
        gradient = 0.5 * (_gradient(first) + _gradient(moved))  # (2, 1, h, w)
        gx, gy, here, there = (part.flatten() for part in (gradient[0], gradient[1], first, moved))
        columns = [gx, gx * x.flatten(), gx * y.flatten(), gy, gy * x.flatten(), gy * y.flatten(), -here, -torch.ones_like(gx)]
        found = _robust(torch.stack(columns, 1), here - there, inside.flatten())
        step = Motion(found[[0, 3]], torch.stack([found[[1, 2]], found[[4, 5]]]))
        motion = Motion(motion.shift + step.shift, motion.slope + step.slope)
        if float((step.shift.abs() + step.slope.abs() @ reach).max()) < STILL:
            break
    return motion


def _robust(columns: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """Least squares with Tukey's weights: columns `(n, k)` times the result is near the target `(n,)` for most rows."""
    columns, target = columns[inside].double(), target[inside].double()
    if len(target) < 4 * columns.shape[1]:
        return columns.new_zeros(columns.shape[1])
    weight, found = torch.ones_like(target), columns.new_zeros(columns.shape[1])
    scale = columns.square().mean(0).sqrt().clamp_min(1e-9)
    scaled = columns / scale
    for _ in range(3):
        normal = (scaled * weight[:, None]).T @ scaled
        normal = normal + 1e-6 * len(target) * torch.eye(len(normal), dtype=normal.dtype)
        found = torch.linalg.solve(normal, (scaled * weight[:, None]).T @ target)
        residual = target - scaled @ found
        spread = 1.4826 * residual.abs().median() + 1e-4
        weight = (1 - (residual / (TUKEY * spread)).square()).clamp_min(0).square()
    return found / scale


def _gradient(picture: Tensor) -> Tensor:
    """Central differences to the right and down of `(1, 1, h, w)`, `(2, 1, h, w)`."""
    padded = F.pad(picture, (1,) * 4, mode="replicate")[0]
    return 0.5 * torch.stack([padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2], padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]])


def _detail(pair: Tensor) -> Tensor:
    """A picture without grain (a binomial filter of 3 x 3) and without shading, which changes with flicker."""
    line = pair.new_tensor([0.25, 0.5, 0.25])
    kernel = rearrange(line[:, None] * line, "h w -> 1 1 h w")
    smooth = F.conv2d(F.pad(pair, (1,) * 4, mode="replicate"), kernel)
    return smooth - F.avg_pool2d(F.pad(smooth, (SHADING // 2,) * 4, mode="reflect"), SHADING, 1)


def _grid(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Coordinates from the middle of a picture, `(h, w)` each."""
    y, x = torch.meshgrid(torch.arange(size[0]) - (size[0] - 1) / 2, torch.arange(size[1]) - (size[1] - 1) / 2, indexing="ij")
    return x, y
