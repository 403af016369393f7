"""Predictions that follow the motion of a source video, in any sampler, window or queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ....sampling.follow import carried, statistics, with_statistics
from ....sampling.guidance import Interval
from ..call import COUNTED, FRAMES, TILE, clip_frames, levels_of, numbering, window_of
from ..patching import check_range


class Source(Protocol):
    """A video's frames, and which cell of one shows what a cell of another shows."""

    @property
    def images(self) -> Tensor:
        """Frames `(f, h, w, 3)`."""
        ...

    def cells(self, frame: int, anchor: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class FlowSettings:
    """Where predictions follow the source. Shares of the sampling are 0 at pure noise."""

    source: Source
    start: float
    end: float
    colours_from: float
    """From which share on frames get the colours of the first one; 1: never."""
    trust: float
    """Factor of the trust in the flow."""


def follow(model: Any, settings: FlowSettings) -> Any:
    """A clone of MODEL whose predicted clean latents follow the source video."""
    check_range(settings.start, settings.end)
    for name, value in (("colours_from", settings.colours_from), ("trust", settings.trust)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name}: expected 0 to 1, got {value:g}")
    patched = model.clone()
    patched.set_model_sampler_post_cfg_function(lambda args: _followed(args, settings))
    return patched


def _followed(args: dict[str, Any], settings: FlowSettings) -> Tensor:
    """The guided prediction `(f, c, h, w)`; the same tensor at steps that are left as they are."""
    clean, sigma_at = args["denoised"], args["model"].model_sampling.percent_to_sigma
    levels = levels_of(args["sigma"], clean)
    shapes = Interval(sigma_at(settings.end), sigma_at(settings.start)).holds(levels).cpu() & (settings.trust > 0)
    colours = Interval(0.0, sigma_at(settings.colours_from)).holds(levels).cpu() & (settings.colours_from < 1)
    if not bool((shapes | colours).any()):
        return clean
    options = args["model_options"].get("transformer_options", {})
    if TILE in options:
        raise ValueError(
            "Follow Flow works on whole frames, not on tiles; remove it from this MODEL, or tiles from the sampler"
        )
    numbers, length = numbering(options, len(clean))
    _check_length(settings.source, length)
    clips = zip(*(part.split(_clip(options, len(clean))) for part in (clean, shapes, colours)), strict=True)
    done, begun = [], 0
    for part, shape, colour in clips:
        done.append(_clip_followed(part, shape, colour, numbers[begun : begun + len(part)], settings))
        begun += len(part)
    return torch.cat(done)


def _clip_followed(clean: Tensor, shapes: Tensor, colours: Tensor, numbers: Sequence[int], settings: FlowSettings) -> Tensor:
    """The first frame stays as it is; frames that the source has not (a queue's lookahead) do too."""
    frames, size = len(settings.source.images), (clean.shape[2], clean.shape[3])
    known = torch.tensor([0 <= number < frames for number in numbers])
    if not bool(known[0]):
        return clean
    known[0] = False
    matched = (colours & known).to(clean.device).reshape(-1, 1, 1, 1)
    clean = torch.where(matched, with_statistics(clean, *statistics(clean[:1])), clean)
    acts = (shapes & known).tolist()
    if not any(acts):
        return clean
    pairs = [
        settings.source.cells(number if act else numbers[0], numbers[0], size)
        for number, act in zip(numbers, acts, strict=True)
    ]
    cells = torch.stack([cell for cell, _ in pairs]).to(clean.device, torch.int64)
    trust = torch.stack([held * act for (_, held), act in zip(pairs, acts, strict=True)])[:, None] * settings.trust
    return carried(clean, cells, trust)


def _clip(options: dict[str, Any], rows: int) -> int:
    """Rows of one clip: a batch without windows may hold several."""
    whole = (FRAMES in options and not options.get(COUNTED)) or bool(window_of(options))
    return rows if whole else clip_frames(options, rows)


def _check_length(source: Source, length: int | None) -> None:
    if length is not None and length > len(source.images):
        raise ValueError(
            f"images: the source video has {len(source.images)} frames, and the latent {length}; give both the same number"
        )
