"""Consistent colours across tiles: group norms with statistics of the whole picture, from a small copy of it.

A GroupNorm averages over its input, so a tile of plain sky gets other colours than the sky of the whole picture, and
neighbouring tiles differ. A copy of the picture, small enough for one pass, has nearly the statistics of the large one (as in
pkuliyi2015's multidiffusion-upscaler). The mean of both statistics was the most reliable: docs/vae-and-time.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Statistics = tuple[Tensor, Tensor]
"""Mean and variance `(b, groups)` each."""
SHARE = 0.5
"""Weight of the whole picture's statistics; the tile's own have the remaining weight."""


class WholePicture:
    """Statistics of a network's group norms: recorded in a pass of the whole picture, used in passes of its tiles."""

    def __init__(self) -> None:
        self._taken: dict[nn.Module, list[Statistics]] = {}
        self._calls: dict[nn.Module, int] = {}

    @contextmanager
    def taken(self, network: nn.Module) -> Iterator[None]:
        """Records the statistics of a forward pass within the block, which is that of the small copy."""
        self._taken = {}
        with _hooked(network, self._take):
            yield

    @contextmanager
    def given(self, network: nn.Module) -> Iterator[None]:
        """Uses the recorded statistics in a forward pass within the block, which is that of a tile."""
        self._calls = {}
        with _hooked(network, self._give):
            yield

    def _take(self, norm: Any, arguments: tuple[Any, ...], out: Tensor) -> None:
        self._taken.setdefault(norm, []).append(_statistics(norm, arguments[0]))

    def _give(self, norm: Any, arguments: tuple[Any, ...], out: Tensor) -> Tensor:
        x, call = arguments[0], self._calls.get(norm, 0)
        self._calls[norm] = call + 1
        pairs = zip(_statistics(norm, x), self._taken[norm][call], strict=True)
        mixed = (tile + SHARE * (picture - tile) for tile, picture in pairs)
        mean, variance = (value.repeat_interleave(x.shape[1] // norm.num_groups, 1) for value in mixed)  # (b, c)
        scale = norm.weight.float() * torch.rsqrt(variance + norm.eps)
        shift = norm.bias.float() - mean * scale
        shape = (*mean.shape, *[1] * (x.ndim - 2))
        return torch.addcmul(shift.to(x.dtype).view(shape), x, scale.to(x.dtype).view(shape))


def _statistics(norm: Any, x: Tensor) -> Statistics:
    groups = x.float().reshape(x.shape[0], norm.num_groups, -1)
    return groups.mean(-1), groups.var(-1, unbiased=False)


@contextmanager
def _hooked(network: nn.Module, hook: Any) -> Iterator[None]:
    handles = [m.register_forward_hook(hook) for m in network.modules() if isinstance(m, nn.GroupNorm) and m.affine]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def small_copy(x: Tensor, side: int, unit: int) -> Tensor:
    """x `(..., h, w)` downscaled to fit into a tile of this side in the same proportions; its sides are multiples of `unit`."""
    h, w = x.shape[-2:]
    factor = min(1.0, side / max(h, w))
    size = tuple(max(unit, int(length * factor) // unit * unit) for length in (h, w))
    flat = F.interpolate(x.reshape(-1, 1, h, w), size=size, mode="nearest-exact")
    return flat.reshape(*x.shape[:-2], *size)
