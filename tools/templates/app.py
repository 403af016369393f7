"""Inputs and outputs of a workflow in App mode."""

from collections.abc import Iterator
from typing import Any

from .drawing import Link, Node, Workflow, all_nodes

INPUTS = (
    ("LoadImage", "image"), ("LoadVideo", "file"),
    ("CLIPTextEncode", "text"), ("ZoetropePromptTimeline", "text"),
    ("ZoetropeLoraByFrame", "by_frame"), ("BasicScheduler", "denoise"),
    ("ZoetropeApplyMotionLora", "strength"), ("ZoetropeImagePrompt", "strength"), ("KSampler", "denoise"),
    ("EmptyLatentImage", "batch_size"), ("ZoetropeEndlessShot", "frames"), ("ZoetropeFifoSampler", "frames"),
    ("ZoetropeShotPlan", "frames"), ("ZoetropeInterpolateFrames", "factor"),
    ("KSampler", "seed"), ("ZoetropeEndlessShot", "seed"), ("RandomNoise", "noise_seed"), ("ZoetropeLongShotNoise", "seed"),
    ("ZoetropeUpscaleVideo", "seed"), ("ZoetropeRestyleVideo", "denoise"), ("ZoetropeRestyleVideo", "seed"),
    ("ZoetropeAddFilmDamage", "preset"), ("ZoetropeAddFilmDamage", "seed"), ("ZoetropeRestoreFilm", "weave"),
    ("ZoetropeRestoreFilm", "flicker"), ("ZoetropeRestoreFilm", "lines"), ("ZoetropeRestoreFilm", "dust"),
    ("ZoetropeRepaintDamage", "denoise"), ("ZoetropeRepaintDamage", "seed"), ("LoraLoader", "strength_model"),
    ("CheckpointLoaderSimple", "ckpt_name"), ("ZoetropeLoadVideoCheckpoint", "checkpoint_name"),
    ("ZoetropeLoadMotionModule", "motion_name"), ("ZoetropeApplyMotionLora", "lora_name"), ("ZoetropeLoraByFrame", "lora_name"),
    ("ZoetropeLoadVideoUpscaler", "upscaler_name"), ("CLIPLoader", "clip_name"), ("VAELoader", "vae_name"), ("UNETLoader", "unet_name"),
    ("ZoetropeLoadTemporalVae", "vae_name"), ("ZoetropeLoadImageProjector", "projector_name"),
    ("CLIPVisionLoader", "clip_name"), ("ControlNetLoader", "control_net_name"),
    ("ZoetropeLoadSparseCtrl", "control_net_name"), ("ZoetropeLoadRestorationControl", "control_net_name"),
    ("LoraLoader", "lora_name"), ("FrameInterpolationModelLoader", "model_name"),
)  # fmt: skip
"""Node type and widget, in the order of the app: pictures, words, amounts, frames, seeds, files."""
FILMS = (
    "SaveVideo", "ZoetropeDecodeVideoToFile", "ZoetropeEndlessShot", "ZoetropeInterpolateFrames", "ZoetropeUpscaleVideo",
    "ZoetropeRestyleVideo", "ZoetropeRestoreFilm", "ZoetropeRepaintDamage",
)  # fmt: skip
CONTINUED_BY = (*FILMS[2:], "ZoetropeLoadVideoSegment", "GetVideoComponents")
"""Node types whose input videos are intermediate results."""


def linear_data(workflow: Workflow) -> dict[str, Any]:
    """Inputs and outputs in App mode, the value of `extra.linearData`."""
    ids = {one.key: number for number, one in enumerate(all_nodes(workflow), 1)}
    nodes = all_nodes(workflow)
    inputs = [[ids[one.key], widget] for kind, widget in INPUTS for one in nodes if one.type == kind and _changes(one, widget)]
    outputs = [ids[one.key] for one in (*_films(nodes), *(one for one in nodes if one.type == "PreviewImage"))]
    return {"inputs": inputs, "outputs": outputs or [ids[one.key] for one in nodes if one.type == "ZoetropeShotPlan"]}


def _films(nodes: list[Node]) -> Iterator[Node]:
    for one in nodes:
        goals = [other for other in nodes for given in other.inputs.values()
                 if isinstance(given, Link) and given.source.partition(".")[0] == one.key]  # fmt: skip
        if one.type in FILMS and not any(goal.type in CONTINUED_BY for goal in goals):
            yield one


def _changes(one: Node, widget: str) -> bool:
    """Whether a widget is in App mode: without a link, not empty, and not at its neutral value."""
    given = one.inputs.get(widget)
    if isinstance(given, Link) or (widget == "text" and not given):
        return False
    if widget == "batch_size":
        return given != 1
    return not (widget == "denoise" and given in (None, 1.0)) and not (widget == "strength" and given is None)
