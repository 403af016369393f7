"""Nodes of the category Restyle: LoRAs of image models by frame."""

from typing import Any

from ..hosts.comfyui.api import io
from ..hosts.comfyui.conditioning.lora_by_frame import LoraSettings, apply_lora
from ..hosts.comfyui.loaders.lora import load as load_lora
from .checking import checked
from .files import IMAGE_LORA, file_input, fingerprint, path_of
from .inputs import range_inputs
from .parsing import strength_of
from .schema import Schema


class LoraByFrame(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLoraByFrame",
            display_name="LoRA by Frame",
            category="Zoetrope/Restyle",
            description=(
                "Applies a LoRA of an image model with a strength by frame or by mask: a style that fades in, or is in one "
                "area only. At a constant strength it gives the same images as core's Load LoRA. Can be chained."
            ),
            inputs=[
                io.Model.Input("model", tooltip="SD1.x, SD2.x or SDXL checkpoint, with or without motion."),
                file_input("lora_name", IMAGE_LORA, "A LoRA in models/loras, made for the base model of this checkpoint."),
                io.Float.Input(
                    "strength", default=1.0, min=-10.0, max=10.0, step=0.01,
                    tooltip="LoRA strength: 0 off, 1 as trained. Below 0 reverses the effect.",
                ),
                io.String.Input(
                    "by_frame", default="", optional=True,
                    tooltip=(
                        "Multiplier of strength by frame. 0: 0 / 48: 1 ~12 is off up to frame 48 and at full strength from "
                        "frame 60. A plain list such as 0, 1 is spread over the clip. Empty: 1."
                    ),
                ),
                *range_inputs("the LoRA"),
                io.Mask.Input(
                    "mask", optional=True,
                    tooltip="Area where the LoRA applies. White: full, black: none. One mask for the clip, or one per frame.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="Model with the LoRA, for any sampler and for long shots."),
                io.String.Output(display_name="report", tooltip="Layers that the LoRA changes, and keys that have no effect."),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, lora_name: str | None = None, **settings: Any) -> Any:
        plain = [settings.get(name) for name in ("strength", "by_frame", "start", "end")]
        return [fingerprint(IMAGE_LORA, lora_name), *plain]

    @classmethod
    @checked
    def execute(
        cls, model: Any, lora_name: str, strength: float, by_frame: str = "", start: float = 0.0, end: float = 1.0,
        mask: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        settings = LoraSettings(strength_of("by_frame", strength, by_frame, mask), start, end)
        lora = load_lora(path_of(IMAGE_LORA, lora_name), model)
        return io.NodeOutput(apply_lora(model, lora, settings), lora.report)


NODES: list[type[io.ComfyNode]] = [LoraByFrame]
