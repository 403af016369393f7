"""The Restyle category: a video in another look, with the image checkpoint that is loaded, without training."""

from typing import Any, cast

from ..hosts.comfyui.api import io, ui
from ..hosts.comfyui.conditioning.merging import MergeSettings, merge_across_frames
from .checking import checked
from .inputs import range_inputs
from .schema import Schema


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


NODES: list[type[io.ComfyNode]] = [MergeAcrossFrames]
