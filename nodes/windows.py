"""Nodes of the category Long shot for custom graphs: the FIFO queue as a sampler, and context windows."""

from typing import Any

from ..hosts.comfyui.api import io
from ..hosts.comfyui.sampling import windows as comfyui_windows
from ..hosts.comfyui.sampling.fifo import FifoSampler
from ..sampling.queue import QueueSettings
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
                "FIFO-Diffusion as a sampler, for long shots in your own graphs: connect it to Sampler Custom Advanced. "
                "Returns all latents at once; Endless Shot writes to disk instead."
            ),
            inputs=[
                io.Int.Input("frames", default=96, min=1, max=100_000, tooltip="Frames to generate, regardless of the latent."),
                preset_input(),
                io.Combo.Input(
                    "noise_levels", options=list(cls.LEVELS), default=cls.LEVELS[0],
                    tooltip="Noise levels of the queue. from sigmas: those of the sampler node; published: FIFO-Diffusion's.",
                ),
                queue_input(),
                *by_frame_inputs(),
            ],
            outputs=[io.Sampler.Output(display_name="sampler", tooltip="Sampler, for Sampler Custom Advanced.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls,
        frames: int,
        preset: str,
        noise_levels: str,
        queue: QueueSettings | None = None,
        cfg_by_frame: str = "",
        strength_by_frame: str = "",
    ) -> io.NodeOutput:
        published = chosen("noise_levels", noise_levels, cls.LEVELS) == "published"
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
                "Context windows for clips longer than the motion module supports, with any sampler: every step runs in "
                "overlapping windows. The whole clip is in memory; for unlimited length use Endless Shot."
            ),
            inputs=[
                io.Model.Input("model", tooltip="Checkpoint with Apply Motion Module."),
                io.Int.Input("window", default=16, min=2, max=256, tooltip="Context length: frames per window."),
                io.Int.Input("overlap", default=4, min=0, max=255, tooltip="Frames shared by neighbouring windows."),
                io.Combo.Input(
                    "window_schedule", options=list(SCHEDULES), default="standard_static",
                    tooltip=(
                        "static: same windows at every step; uniform: moving; looped: also wrapping from end to start; moving "
                        "borders: no overlap, other borders at every step (VidToMe), for Merge Across Frames."
                    ),
                ),
                io.Combo.Input(
                    "fuse", options=list(FUSES), default="pyramid", optional=True,
                    tooltip="Blend weights of overlapping windows: pyramid favours the middle of each, flat is even.",
                ),
                io.Int.Input(
                    "stride", default=1, min=1, max=8, optional=True,
                    tooltip="Above 1: extra windows over every 2nd, 4th, ... frame (uniform and looped).",
                ),
                io.Boolean.Input("closed", default=False, optional=True, tooltip="Closed loop (looped only)."),
                io.Int.Input(
                    "border_seed", default=0, min=0, max=2**64 - 1, optional=True,
                    tooltip="Seed of the borders (moving borders only).",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="Model with context windows, for any sampler.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls,
        model: Any,
        window: int,
        overlap: int,
        window_schedule: str,
        fuse: str = "pyramid",
        stride: int = 1,
        closed: bool = False,
        border_seed: int = 0,
    ) -> io.NodeOutput:
        schedule, blend = chosen("window_schedule", window_schedule, SCHEDULES), chosen("fuse", fuse, FUSES)
        cut = Windows(schedule, window, overlap, stride, closed, blend, border_seed)
        return io.NodeOutput(comfyui_windows.in_windows(model, cut))


class LongShotNoise(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLongShotNoise",
            display_name="Long-Shot Noise",
            category="Zoetrope/Long shot",
            description=(
                "Noise for long clips in context windows (FreeNoise): later frames reuse the first window's noise in shuffled "
                "order, which keeps windows consistent. For Sampler Custom Advanced, with Sliding Windows."
            ),
            inputs=[
                io.Int.Input("seed", default=0, min=0, max=2**64 - 1, control_after_generate=True, tooltip="Noise seed."),
                io.Int.Input("window", default=16, min=2, max=256, tooltip="Same value as in Sliding Windows."),
                io.Int.Input("overlap", default=4, min=0, max=255, tooltip="Same value as in Sliding Windows."),
            ],
            outputs=[io.Noise.Output(display_name="noise", tooltip="Noise, for Sampler Custom Advanced.")],
        )

    @classmethod
    @checked
    def execute(cls, seed: int, window: int, overlap: int) -> io.NodeOutput:
        if overlap >= window:
            raise ValueError(f"overlap: expected 0 to {window - 1} (less than the window), got {overlap}")
        return io.NodeOutput(comfyui_windows.LongShotNoise(seed, window, overlap))


NODES: list[type[io.ComfyNode]] = [FifoSamplerNode, SlidingWindows, LongShotNoise]
