"""Study of autoencoders: round trips of a clip with changes of time, as figures and a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .image_metrics import flicker, jump_error, psnr, ssim
from .resampling import resampled

RoundTrip = Callable[[Tensor], Tensor]
"""Encodes and decodes a clip `(f, 3, h, w)` in [0, 1]; the result is as long or longer."""
LEVELS = 255


@dataclass(frozen=True)
class Result:
    """Metrics of one autoencoder with one change of time."""

    vae: str
    change: str
    psnr: float
    ssim: float
    jumps: Tensor
    """Error of neighbour differences `(f - 1,)`, in levels of 255."""
    flicker: float
    """Mean difference of neighbouring frames of the output, in levels of 255; motion included."""
    truth: float
    """The same of the input."""

    @property
    def jump(self) -> float:
        """Mean of `jumps`."""
        return float(self.jumps.mean()) if len(self.jumps) else 0.0


def study(clip: Tensor, vaes: Mapping[str, tuple[RoundTrip, int]], changes: Sequence[str]) -> list[Result]:
    """Runs every change of time through every autoencoder.

    vaes   name -> (round trip, pixels per latent and side)
    Raises ValueError for no changes, unknown ones, and clips of one frame.
    """
    if len(clip) < 2:
        raise ValueError(f"expected a clip of 2 frames or more, got {len(clip)}: a single frame has no motion")
    if not changes:
        raise ValueError("changes: expected one or more, one per line; 'as it is' measures the VAE alone")
    results = []
    for change in changes:
        for name, (trip, side) in vaes.items():
            truth = resampled(clip, change, side)
            results.append(compare(name, change, trip(truth)[: len(truth)].clamp(0, 1), truth))
    return results


def compare(vae: str, change: str, out: Tensor, truth: Tensor) -> Result:
    """Metrics of a round trip's output `(f, 3, h, w)` against its input."""
    return Result(
        vae, change, float(psnr(out, truth).mean()), float(ssim(out, truth).mean()), jump_error(out, truth) * LEVELS,
        float(flicker(out).mean()) * LEVELS, float(flicker(truth).mean()) * LEVELS,
    )  # fmt: skip


def table_of(results: Sequence[Result]) -> str:
    """A table in Markdown; one row per change and autoencoder."""
    several = len({result.vae for result in results}) > 1
    head = ["change of time", *(["VAE"] if several else []), "PSNR dB", "SSIM", "jump error", "flicker out", "flicker in"]
    lines = [head, ["---"] * (2 if several else 1) + ["---:"] * 5]
    for r in results:
        names = [r.change, *([r.vae] if several else [])]
        lines.append([*names, f"{r.psnr:.2f}", f"{r.ssim:.4f}", f"{r.jump:.2f}", f"{r.flicker:.2f}", f"{r.truth:.2f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def averaged(results: Sequence[Sequence[Result]]) -> list[Result]:
    """Averages studies of several clips, row by row; metrics per frame up to the length of the shortest clip."""
    means = []
    for rows in zip(*results, strict=True):
        length = min(len(row.jumps) for row in rows)
        figures = torch.tensor([[row.psnr, row.ssim, row.flicker, row.truth] for row in rows]).mean(0).tolist()
        jumps = torch.stack([row.jumps[:length] for row in rows]).mean(0)
        means.append(Result(rows[0].vae, rows[0].change, figures[0], figures[1], jumps, figures[2], figures[3]))
    return means
