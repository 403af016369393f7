"""Nodes of the category Motion: temporal layers on a loaded checkpoint."""

from dataclasses import replace
from typing import Any, cast

from ..hosts.comfyui.api import io, ui
from ..hosts.comfyui.conditioning.guidance_interval import limited
from ..hosts.comfyui.motion import apply as comfyui
from ..hosts.comfyui.motion.schedule import FAMILY, MODEL
from ..models.layers.positions import Beyond
from ..models.motion.families.animatediff.lora import load_lora
from ..models.motion.report import sha256
from ..sampling.schedule import NAMED
from .checking import checked
from .files import LORA, file_input, fingerprint, path_of
from .inputs import chosen, conditioning_fps_input, is_scaled, range_inputs, scale_input, strength_input
from .parsing import read_levels, strength_of
from .schema import Schema
from .types import Motion, Settings

SCHEDULES = (FAMILY, MODEL, *(name for name, sigmas in NAMED.items() if len(sigmas) == 1000))
LONGER: dict[str, Beyond] = {"refuse": "refuse", "stretch positions": "stretch", "repeat the last position": "repeat last"}


class ApplyMotionModule(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeApplyMotionModule",
            display_name="Apply Motion Module",
            category="Zoetrope/Motion",
            description=(
                "Turns an image checkpoint into a video model: the latent batch becomes the frames of a clip. "
                "LoRA, ControlNet and every sampler work as before. Can be chained."
            ),
            inputs=[*_required(), *_numbers()],
            outputs=[io.Model.Output(display_name="model", tooltip="The same checkpoint with motion.")],
        )

    @classmethod
    @checked
    def execute(
        cls, model: object, motion: comfyui.HostMotion, strength: float, schedule: str, frames: int = 0, amount: float = 1.0,
        start: float = 0.0, end: float = 1.0, settings: comfyui.Settings | None = None,
    ) -> io.NodeOutput:  # fmt: skip
        details = settings or comfyui.Settings()
        merged = replace(
            details,
            strength=details.strength * strength,
            amount=details.amount * amount,
            schedule=chosen("schedule", schedule, SCHEDULES),
            frames=frames,
            start=start,
            end=end,
        )
        return io.NodeOutput(comfyui.apply(model, motion, merged))


class MotionSettings(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeMotionSettings",
            display_name="Motion Settings",
            category="Zoetrope/Motion",
            description=(
                "Fine control for Apply Motion Module: strength and amount by frame, area and UNet level, longer clips, frame "
                "rate. Without this node the module runs as its authors published it."
            ),
            inputs=[*_frames(), *_per_frame()],
            outputs=[Settings.Output(display_name="settings", tooltip="Fine control, for Apply Motion Module.")],
        )

    @classmethod
    @checked
    def execute(
        cls, longer_clips: str, conditioning_fps: float, levels: str, strength_per_frame: str, amount_per_frame: str,
        scaled_latents: str,
        strength_mask: Any = None, amount_mask: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        settings = comfyui.Settings(
            strength=strength_of("strength_per_frame", 1.0, strength_per_frame, strength_mask),
            amount=strength_of("amount_per_frame", 1.0, amount_per_frame, None),
            amount_mask=amount_mask,
            levels=read_levels(levels),
            beyond=LONGER[chosen("longer_clips", longer_clips, LONGER)],
            fps=conditioning_fps,
            scaled=is_scaled(scaled_latents),
        )
        return io.NodeOutput(settings)


def _required() -> list[Any]:
    return [
        io.Model.Input("model", tooltip="Stable Diffusion checkpoint of the type the motion module was made for."),
        Motion.Input("motion", tooltip="From Load Motion Module."),
        strength_input("Strength of the motion module: 0 is the image model alone, 1 the module as published."),
        io.Combo.Input(
            "schedule",
            options=list(SCHEDULES),
            default=SCHEDULES[0],
            tooltip=(
                "Noise schedule for sampling. Motion modules look washed out or noisy with one they were not trained on. "
                "keep the model's: closer to the still image, often with less motion."
            ),
        ),
    ]


def _numbers() -> list[Any]:
    return [
        io.Int.Input(
            "frames",
            default=0,
            min=0,
            max=4096,
            optional=True,
            tooltip="Frames per clip. 0: the whole batch is one clip. 16 with a batch of 32: two clips at once.",
        ),
        io.Float.Input(
            "amount",
            default=1.0,
            min=0.0,
            max=3.0,
            step=0.01,
            optional=True,
            tooltip="Motion scale: above 1 more motion, below 1 less, at the same strength. Scales the temporal attention.",
        ),
        *range_inputs("motion"),
        Settings.Input("settings", optional=True, tooltip="Fine control, from Motion Settings."),
    ]


def _frames() -> list[Any]:
    return [
        io.Combo.Input(
            "longer_clips",
            options=list(LONGER),
            default="refuse",
            tooltip=(
                "Handling of clips longer than the module supports. refuse: error; stretch positions: slower motion; "
                "repeat the last position: motion comes to rest. Modules are not trained for the last two."
            ),
        ),
        conditioning_fps_input(),
        io.String.Input(
            "levels",
            default="",
            tooltip="Multiplier of strength per UNet level, for example: down: 0.5, mid: 0, up.3: 1. Empty: 1 everywhere.",
        ),
    ]


def _per_frame() -> list[Any]:
    lists = (
        "0: 1 / 48: 0.5 ~12 starts at 1 and falls to 0.5 from frame 48 to frame 60. A plain list such as 0, 1 has a number per "
        "frame; fewer numbers than frames are spread evenly over each clip. Empty: 1."
    )
    mask = "White: full, black: none. One mask for the clip, or one per frame."
    return [
        io.String.Input("strength_per_frame", default="", tooltip=f"Multiplier of strength by frame. {lists}"),
        io.String.Input("amount_per_frame", default="", tooltip=f"Multiplier of amount by frame. {lists}"),
        scale_input(),
        io.Mask.Input("strength_mask", optional=True, tooltip=f"Area where motion applies. {mask}"),
        io.Mask.Input(
            "amount_mask",
            optional=True,
            tooltip="Area where amount applies. White: amount, black: 1, as trained. One mask for the clip, or one per frame.",
        ),
    ]


class ApplyMotionLora(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeApplyMotionLora",
            display_name="Apply Motion LoRA",
            category="Zoetrope/Motion",
            description=(
                "Adds a motion LoRA to a motion module: a camera move or a style of motion. v3's domain adapter is an image "
                "LoRA and is applied to the image model together with the module. Can be chained."
            ),
            inputs=[
                Motion.Input("motion", tooltip="From Load Motion Module, or another Apply Motion LoRA."),
                file_input(
                    "lora_name", LORA, "A motion LoRA in models/animatediff_motion_lora or models/zoetrope_motion_lora."
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-4.0,
                    max=4.0,
                    step=0.01,
                    tooltip="LoRA strength: 1 as trained. Below 0 reverses the move.",
                ),
                io.String.Input(
                    "strength_by_frame",
                    default="",
                    optional=True,
                    tooltip=(
                        "Multiplier of strength by frame. 0: 0 / 48: 1 ~12 is off up to frame 48 and at full strength from "
                        "frame 60. A plain list such as 0, 1 is spread over the clip. Empty: 1."
                    ),
                ),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="Motion module with the LoRA.")],
        )

    @classmethod
    def fingerprint_inputs(cls, lora_name: str | None = None, **settings: Any) -> Any:
        return [fingerprint(LORA, lora_name), settings.get("strength"), settings.get("strength_by_frame", "")]

    @classmethod
    @checked
    def execute(cls, motion: comfyui.HostMotion, lora_name: str, strength: float, strength_by_frame: str = "") -> io.NodeOutput:
        by_frame = strength_of("strength_by_frame", strength, strength_by_frame, None)
        return io.NodeOutput(comfyui.with_lora(motion, load_lora(path_of(LORA, lora_name)), by_frame))


class MotionReport(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeMotionReport",
            display_name="Motion Report",
            category="Zoetrope/Motion",
            description="Describes a motion module: family, trained frames, matching checkpoints, schedule, size, SHA-256.",
            inputs=[Motion.Input("motion", tooltip="From Load Motion Module or Load Video Checkpoint.")],
            outputs=[io.String.Output(display_name="report", tooltip="The report as text.")],
            is_output_node=True,
        )

    @classmethod
    @checked
    def execute(cls, motion: comfyui.HostMotion) -> io.NodeOutput:
        text = f"{motion.report.text()}\nsha256      {sha256(motion.path)}"
        return io.NodeOutput(text, ui=cast(Any, ui.PreviewText(text)))


class GuidanceInterval(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        share: dict[str, Any] = {"min": 0.0, "max": 1.0, "step": 0.005}
        return Schema(
            node_id="ZoetropeGuidanceInterval",
            display_name="Guidance Interval",
            category="Zoetrope/Motion",
            description=(
                "Classifier-free guidance (cfg) in a part of the sampling only: fewer burnt colours and hard outlines, and "
                "steps outside take half the time, because the negative prompt is not computed there."
            ),
            inputs=[
                io.Model.Input("model", tooltip="Any checkpoint, with or without motion."),
                io.Float.Input("start", default=0.19, tooltip="Share of the sampling at which guidance begins.", **share),
                io.Float.Input("end", default=0.88, tooltip="Share of the sampling at which guidance ends.", **share),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="For any sampler, and for long shots.")],
        )

    @classmethod
    @checked
    def execute(cls, model: object, start: float, end: float) -> io.NodeOutput:
        return io.NodeOutput(limited(model, start, end))


NODES: list[type[io.ComfyNode]] = [ApplyMotionModule, MotionSettings, ApplyMotionLora, MotionReport, GuidanceInterval]
