"""The Motion shelf: temporal layers on a loaded checkpoint."""

from comfy_api.latest import io

from ..hosts import comfyui
from .types import Motion

SCHEDULES = ("from motion module", "keep the model's")


class ApplyMotionModule(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ZoetropeApplyMotionModule",
            display_name="Apply Motion Module",
            category="Zoetrope/Motion",
            description=(
                "Makes a video model of an image checkpoint: the batch of the latent becomes the frames of a clip. "
                "LoRA, ControlNet and every sampler work on the result as before."
            ),
            inputs=[
                io.Model.Input(
                    "model", tooltip="A Stable Diffusion checkpoint of the kind that the motion module was made for."
                ),
                Motion.Input("motion", tooltip="From Load Motion Module."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.01,
                    tooltip="How much motion changes: 0 gives the image model's own pictures, 1 the module as published.",
                ),
                io.Combo.Input(
                    "schedule",
                    options=list(SCHEDULES),
                    default=SCHEDULES[0],
                    tooltip=(
                        "Noise schedule to sample with. Motion modules were trained with one of their own, and look washed "
                        "out or noisy with another; keep the model's to stay closer to the still picture."
                    ),
                ),
                io.Int.Input(
                    "frames",
                    default=0,
                    min=0,
                    max=4096,
                    optional=True,
                    tooltip="Frames per clip. 0: the whole batch is one clip. 16 with a batch of 32 makes two clips at once.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The same checkpoint with motion.")],
        )

    @classmethod
    def execute(
        cls, model: object, motion: comfyui.HostMotion, strength: float, schedule: str, frames: int = 0
    ) -> io.NodeOutput:
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule: expected one of {', '.join(SCHEDULES)}, got {schedule!r}")
        return io.NodeOutput(comfyui.apply(model, motion, strength, frames, schedule == SCHEDULES[0]))


NODES: list[type[io.ComfyNode]] = [ApplyMotionModule]
