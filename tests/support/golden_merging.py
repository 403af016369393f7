"""Calls of the golden files of VidToMe as inputs of our edit."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from zoetrope.models.edits.merging import MergeInputs, OtherWindows

LEVELS = ("down.0.0", "down.1.0", "up.1.0", "up.1.1", "up.2.0", "up.2.1")
FIRST_TWO_LEVELS = {f"{level}.attention.0" for level in LEVELS}
"""Self-attentions of the golden UNet that merge."""


def draws_of(frames_drawn: Tensor, frames: int, group: int) -> list[float]:
    """Numbers in [0, 1) that choose these frames, one per pass."""
    found = []
    for frame in frames_drawn.tolist():
        stride = min(group, frames)
        found.append((frame + 0.5) / stride)
        frames = len(range(frame, frames, stride)) if frame >= 0 else 1
    return found


def merge_inputs(
    tensors: dict[str, Tensor], name: str, frames: int, c: dict[str, Any], size: tuple[int, int], before: Any, now: Any
) -> MergeInputs:
    """Inputs of one call, with the draws that the file recorded."""
    halves = c.get("halves", 2)
    into_before = tensors[f"{name}.coin"].item() > c["global_rand"]
    parts = tuple((half,) for half in range(halves))
    others = OtherWindows(before, now, parts, c["global_merge_ratio"], into_before)
    group, aligned = c["target_stride"], c["align_batch"]
    draws = draws_of(tensors[f"{name}.frame_drawn"], frames, group)
    ratio = c["local_merge_ratio"]
    return MergeInputs(frames, halves * frames, size, draws, ratio, group, aligned=aligned, others=others)


def unet_calls(tensors: dict[str, Tensor], c: dict[str, Any]) -> Iterator[tuple[str, MergeInputs, list[Tensor]]]:
    """(name, inputs of the edit, arguments of the UNet) of each call, window by window and step by step."""
    for step in range(c["steps"]):
        before: dict[Any, Tensor] = {}
        for window, frames in enumerate(c["chunk_lengths"]):
            name, now = f"s{step}.k{window}", {}
            arguments = [tensors[f"in.{name}.{one}"] for one in ("sample", "timestep", "encoder_hidden_states")]
            size = (arguments[0].shape[-2], arguments[0].shape[-1])
            yield name, merge_inputs(tensors, f"in.{name}", frames, c, size, before, now), arguments
            before = now
