"""The Long shot shelf, for graphs of one's own: the FIFO queue as a sampler, and overlapping windows as the other way."""

from typing import Any

from ..hosts.comfyui.api import io
from ..hosts.comfyui.sampling import windows as comfyui_windows
from ..hosts.comfyui.sampling.fifo import FifoSampler
from ..sampling.queue import Queue
from ..sampling.windows import FUSES, SCHEDULES, Windows
from .checking import checked
from .inputs import chosen
from .schema import Schema
from .shot import by_frame_inputs, preset_input, queue_input, queue_of, schedules_of


class FifoSamplerNode(io.ComfyNode):
    LEVELS = ("from sigmas", "published")

    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeFifoSampler",
            display_name="FIFO Sampler",
            category="Zoetrope/Long shot",
            description=(
                "Long shots in graphs of your own: connect it to Sampler Custom Advanced. All latents come out at once; "
                "Endless Shot writes to disk instead."
            ),
            inputs=[
                io.Int.Input("frames", default=96, min=1, max=100_000, tooltip="Frames to make; the latent may have fewer."),
                preset_input(),
                io.Combo.Input(
                    "levels", options=list(cls.LEVELS), default=cls.LEVELS[0],
                    tooltip="Noise levels: the sigmas of the sampler node (a place in the queue each), or the published ones.",
                ),
                queue_input(),
                *by_frame_inputs(),
            ],
            outputs=[io.Sampler.Output(display_name="sampler", tooltip="For Sampler Custom Advanced.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls,
        frames: int,
        preset: str,
        levels: str,
        queue: Queue | None = None,
        cfg_by_frame: str = "",
        strength_by_frame: str = "",
    ) -> io.NodeOutput:
        published = chosen("levels", levels, cls.LEVELS) == "published"
        schedules = schedules_of(cfg_by_frame, strength_by_frame)
        return io.NodeOutput(FifoSampler(queue_of(preset, queue), frames, schedules, published))


class SlidingWindows(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeSlidingWindows",
            display_name="Sliding Windows",
            category="Zoetrope/Long shot",
            description=(
                "Clips longer than the motion module can see, with any sampler: every step in overlapping windows. The whole "
                "clip is in memory at once; for shots without an end use Endless Shot."
            ),
            inputs=[
                io.Model.Input("model", tooltip="A checkpoint with Apply Motion Module."),
                io.Int.Input("window", default=16, min=2, max=256, tooltip="Frames that the model sees at once."),
                io.Int.Input("overlap", default=4, min=0, max=255, tooltip="Frames that neighbouring windows share."),
                io.Combo.Input(
                    "schedule", options=list(SCHEDULES), default="standard_static",
                    tooltip="static: the same windows at every step; uniform: they move; looped: the end leads to the start.",
                ),
                io.Combo.Input(
                    "fuse", options=list(FUSES), default="pyramid", optional=True,
                    tooltip="How much each frame of a window counts.",
                ),
                io.Int.Input(
                    "stride", default=1, min=1, max=8, optional=True,
                    tooltip="More than 1: windows of frames further apart as well (uniform and looped).",
                ),
                io.Boolean.Input("closed", default=False, optional=True, tooltip="Looped: the clip is a loop."),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="For any sampler.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, model: Any, window: int, overlap: int, schedule: str, fuse: str = "pyramid", stride: int = 1, closed: bool = False
    ) -> io.NodeOutput:
        cut = Windows(chosen("schedule", schedule, SCHEDULES), window, overlap, stride, closed, chosen("fuse", fuse, FUSES))
        return io.NodeOutput(comfyui_windows.in_windows(model, cut))


class LongShotNoise(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLongShotNoise",
            display_name="Long-Shot Noise",
            category="Zoetrope/Long shot",
            description=(
                "Noise for long clips in windows (FreeNoise): frames after the first window get that window's noise in another "
                "order, so that what windows make of it belongs together. For Sampler Custom Advanced, with Sliding Windows."
            ),
            inputs=[
                io.Int.Input("seed", default=0, min=0, max=2**64 - 1, control_after_generate=True, tooltip="Of the noise."),
                io.Int.Input("window", default=16, min=2, max=256, tooltip="As in Sliding Windows."),
                io.Int.Input("overlap", default=4, min=0, max=255, tooltip="As in Sliding Windows."),
            ],
            outputs=[io.Noise.Output(display_name="noise", tooltip="For Sampler Custom Advanced.")],
        )

    @classmethod
    @checked
    def execute(cls, seed: int, window: int, overlap: int) -> io.NodeOutput:
        if overlap >= window:
            raise ValueError(f"overlap: expected 0 to {window - 1} (less than the window), got {overlap}")
        return io.NodeOutput(comfyui_windows.LongShotNoise(seed, window, overlap))


NODES: list[type[io.ComfyNode]] = [FifoSamplerNode, SlidingWindows, LongShotNoise]
