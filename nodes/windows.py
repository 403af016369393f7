"""Nodes of the category Long shot for custom graphs: the FIFO queue as a sampler, and context windows."""

from typing import Any

from ..hosts.comfyui.api import io
from ..hosts.comfyui.sampling import windows as comfyui_windows
from ..hosts.comfyui.sampling.fifo import FifoSampler
from ..hosts.comfyui.sampling.noise import FrequencyMix, SameNoise
from ..sampling.frequency import FILTERS, LowPass
from ..sampling.queue import PRESETS, QueueSettings
from ..sampling.windows import FUSES, SCHEDULES, Windows
from .checking import checked
from .inputs import chosen
from .schema import Schema
from .shot import by_frame_inputs, loop_input, preset_input, queue_input, schedules_of


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
                loop_input(),
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
        loop: bool = False,
    ) -> io.NodeOutput:
        published = chosen("noise_levels", noise_levels, cls.LEVELS) == "published"
        schedules = schedules_of(cfg_by_frame, strength_by_frame)
        settings = queue or chosen("preset", preset, PRESETS)
        return io.NodeOutput(FifoSampler(settings, frames, schedules, published, loop))


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


SHUFFLED, SAME, MIX = "shuffled", "same for all frames", "frequency mix"


class LongShotNoise(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLongShotNoise",
            display_name="Long-Shot Noise",
            category="Zoetrope/Long shot",
            description=(
                "Noise for clips, for Sampler Custom Advanced. shuffled (FreeNoise): long clips in context windows; same for "
                "all frames: restyled videos; frequency mix (FreeInit): a second pass with less flicker."
            ),
            inputs=[
                io.Int.Input("seed", default=0, min=0, max=2**64 - 1, control_after_generate=True, tooltip="Noise seed."),
                io.Int.Input("window", default=16, min=2, max=256, tooltip="Same value as in Sliding Windows."),
                io.Int.Input("overlap", default=4, min=0, max=255, tooltip="Same value as in Sliding Windows."),
                io.Combo.Input(
                    "mode", options=[SHUFFLED, SAME, MIX], default=SHUFFLED, optional=True,
                    tooltip="shuffled: later windows reorder the first one's noise. frequency mix: a second pass (FreeInit).",
                ),
                *frequency_inputs(),
            ],
            outputs=[io.Noise.Output(display_name="noise", tooltip="Noise, for Sampler Custom Advanced.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls,
        seed: int,
        window: int,
        overlap: int,
        mode: str = SHUFFLED,
        filter: str = "butterworth",
        order: int = 4,
        space_cutoff: float = 0.25,
        time_cutoff: float = 0.25,
        model: Any = None,
        previous: Any = None,
        first_noise: Any = None,
    ) -> io.NodeOutput:
        if overlap >= window:
            raise ValueError(f"overlap: expected 0 to {window - 1} (less than the window), got {overlap}")
        if chosen("mode", mode, (SHUFFLED, SAME, MIX)) == SAME:
            return io.NodeOutput(SameNoise(seed))
        shuffled = comfyui_windows.LongShotNoise(seed, window, overlap)
        if mode == SHUFFLED:
            return io.NodeOutput(shuffled)
        given = {"model": model, "previous": previous, "first_noise": first_noise}
        missing = [name for name, value in given.items() if value is None]
        if missing:
            raise ValueError(f"mode frequency mix needs {', '.join(missing)}: connect {'it' if len(missing) == 1 else 'them'}")
        low_pass = LowPass(filter, order, space_cutoff, time_cutoff)
        return io.NodeOutput(FrequencyMix(shuffled, first_noise, model, previous, low_pass))


def frequency_inputs() -> tuple[Any, ...]:
    """Inputs that count for the mode frequency mix alone."""
    share: dict[str, Any] = {"default": 0.25, "min": 0.0, "max": 1.0, "step": 0.01, "optional": True}
    what = "of the frequencies that come from the previous result; 1 is the highest frequency."
    return (
        io.Combo.Input(
            "filter", options=list(FILTERS), default="butterworth", optional=True, tooltip="frequency mix: low-pass filter."
        ),
        io.Int.Input(
            "order", default=4, min=1, max=64, optional=True, tooltip="frequency mix: steepness of the Butterworth filter."
        ),
        io.Float.Input("space_cutoff", tooltip=f"frequency mix: limit over height and width {what}", **share),
        io.Float.Input("time_cutoff", tooltip=f"frequency mix: limit over frames {what}", **share),
        io.Model.Input("model", optional=True, tooltip="frequency mix: the MODEL that samples."),
        io.Latent.Input("previous", optional=True, tooltip="frequency mix: latent that the previous pass gave."),
        io.Noise.Input("first_noise", optional=True, tooltip="frequency mix: noise of the first pass."),
    )


NODES: list[type[io.ComfyNode]] = [FifoSamplerNode, SlidingWindows, LongShotNoise]
