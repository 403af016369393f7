"""Nodes of the category Restyle: another look for a video, with an unchanged image checkpoint."""

from typing import Any, cast

from ..hosts.comfyui.api import io, ui
from ..hosts.comfyui.conditioning.merging import MergeSettings, merge_across_frames
from ..hosts.comfyui.conditioning.shared_attention import WHERE, SharedSettings, apply_shared
from ..models.edits.frame_table import FIRST_AND_PREVIOUS, PATTERNS, FrameTable
from .checking import checked
from .inputs import chosen, range_inputs, strength_input
from .parsing import read_levels, strength_of
from .schema import Schema


class LookAcrossFrames(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLookAcrossFrames",
            display_name="Look Across Frames",
            category="Zoetrope/Restyle",
            description=(
                "Cross-frame attention: every frame takes its colours and textures from other frames of the clip, without a "
                "motion module and without training. For video to video with any SD1.x, SD2.x or SDXL checkpoint."
            ),
            inputs=[*_which_frames(), *_where()],
            outputs=[
                io.Model.Output(display_name="model", tooltip="For any sampler; the latent batch is the clip."),
                io.String.Output(display_name="report", tooltip="How many self-attentions attend to other frames."),
            ],
        )

    @classmethod
    @checked
    def execute(
        cls, model: object, frames: str, where: str, strength: float, own_tokens: bool = False, every: int = 8, group: int = 4,
        seed: int = 0, start: float = 0.0, end: float = 1.0, controlnet: bool = False, levels: str = "",
        strength_by_frame: str = "", mask: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        settings = SharedSettings(
            FrameTable(chosen("frames", frames, PATTERNS), every, group, own_tokens, seed),
            where=chosen("where", where, WHERE),
            strength=strength_of("strength_by_frame", strength, strength_by_frame, mask),
            start=start,
            end=end,
            levels=read_levels(levels),
            controlnet=controlnet,
        )
        patched, line = apply_shared(model, settings)
        return io.NodeOutput(patched, line, ui=cast(Any, ui.PreviewText(line)))


def _which_frames() -> list[Any]:
    return [
        io.Model.Input("model", tooltip="Any SD1.x, SD2.x or SDXL checkpoint, with or without motion."),
        io.Combo.Input(
            "frames", options=list(PATTERNS), default=FIRST_AND_PREVIOUS,
            tooltip=(
                "Frames whose keys and values each frame attends to. first: steadiest, for short clips with little motion; "
                "first and previous: for most; every n-th, all: costlier, steadier; in long shots: previous or random groups."
            ),
        ),
        io.Combo.Input(
            "where", options=list(WHERE), default=WHERE[0],
            tooltip="Self-attentions that do so. up path: keeps more of each frame's own layout; finest level: only textures.",
        ),
        strength_input("0: each frame by itself; 1: as published. In between blends both, at double cost."),
        io.Boolean.Input(
            "own_tokens", default=False, optional=True,
            tooltip="Attend to the frame itself as well: closer to the source, less steady. Cheaper than a lower strength.",
        ),
        io.Int.Input("every", default=8, min=1, max=256, optional=True, tooltip="Distance of the keyframes in frames."),
        io.Int.Input("group", default=4, min=1, max=64, optional=True, tooltip="Frames in each of the random groups."),
        io.Int.Input(
            "seed", default=0, min=0, max=2**32 - 1, optional=True, control_after_generate=False,
            tooltip="Seed of the random groups.",
        ),
    ]  # fmt: skip


def _where() -> list[Any]:
    return [
        *range_inputs("cross-frame attention"),
        io.Boolean.Input(
            "controlnet", default=False, optional=True,
            tooltip="Do the same inside the ControlNets of the conditioning, as Text2Video-Zero does.",
        ),
        io.String.Input(
            "levels", default="", optional=True,
            tooltip="Strength by UNet level, such as `down: 0.5, mid: 1, up.3: 0`. Empty: as chosen by where.",
        ),
        io.String.Input(
            "strength_by_frame", default="", optional=True,
            tooltip="Strength by frame, multiplied with strength: `0: 1 / 48: 0.5 ~12`. Empty: the same for all.",
        ),
        io.Mask.Input("mask", optional=True, tooltip="Strength by area: one mask for all frames, or one per frame."),
    ]  # fmt: skip


class MergeAcrossFrames(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        share: dict[str, Any] = {"min": 0.0, "max": 1.0, "step": 0.01}
        return Schema(
            node_id="ZoetropeMergeAcrossFrames",
            display_name="Merge Across Frames",
            category="Zoetrope/Restyle",
            description=(
                "Consistent frames without training (VidToMe): similar tokens of different frames are one token in the "
                "self-attention, so the same things look the same. Fewer tokens also take less time."
            ),
            inputs=[
                io.Model.Input("model", tooltip="SD1.x, SD2.x or SDXL checkpoint, with or without motion."),
                io.Float.Input(
                    "local_merge_ratio", default=0.9, **share,
                    tooltip="Share of tokens that merge within a window. 0: none, attention to all frames at full length.",
                ),
                io.Float.Input(
                    "global_merge_ratio", default=0.8, **share,
                    tooltip="Share of tokens that merge with those of other windows in the same step. 0: windows share none.",
                ),
                io.Int.Input(
                    "levels", default=2, min=0, max=8,
                    tooltip="UNet levels with merging, counted from full resolution. SDXL's attention begins at 2. 0: off.",
                ),
                io.Int.Input(
                    "group", default=4, min=2, max=256,
                    tooltip="Group size: the tokens of each group of frames merge into those of one frame of it.",
                ),
                io.Int.Input(
                    "seed", default=0, min=0, max=2**64 - 1, control_after_generate=True,
                    tooltip="Seed of the frames that others merge into, which change at every step.",
                ),
                *range_inputs("merging"),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="Model with merged tokens, for any sampler and Sliding Windows."),
                io.String.Output(display_name="report", tooltip="How many self-attentions merge tokens."),
            ],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, model: object, local_merge_ratio: float, global_merge_ratio: float, levels: int, group: int, seed: int,
        start: float = 0.0, end: float = 1.0,
    ) -> io.NodeOutput:  # fmt: skip
        settings = MergeSettings(local_merge_ratio, global_merge_ratio, levels, group, seed, start, end)
        merged, text = merge_across_frames(model, settings)
        return io.NodeOutput(merged, text, ui=cast(Any, ui.PreviewText(text)))


NODES: list[type[io.ComfyNode]] = [LookAcrossFrames, MergeAcrossFrames]
