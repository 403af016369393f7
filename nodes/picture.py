"""Nodes of the category Image to video: image prompts, given frames, SparseCtrl."""

from typing import Any

from ..hosts.comfyui.api import io
from ..hosts.comfyui.conditioning import frame_guide as comfyui_guide
from ..hosts.comfyui.conditioning import image_prompt as comfyui_picture
from ..hosts.comfyui.conditioning import sparsectrl as comfyui_sparsectrl
from ..hosts.comfyui.motion import apply as comfyui
from ..models.motion.frame_guide import AFFINITIES
from ..sampling.timeline import Numbers, read_numbers
from .checking import checked
from .files import CONTROLS, PROJECTORS, file_input, fingerprint, path_of
from .inputs import chosen, range_inputs, strength_input
from .parsing import read_levels
from .schema import Schema
from .types import Motion, Projector


def check_projector(projector: Any) -> None:
    """Raises ValueError for None, which loaders output for checkpoints without an image projector."""
    if projector is None:
        raise ValueError("projector: the connected checkpoint has no image projector; connect Load Image Projector")


def image_strengths(text: str) -> Numbers | None:
    """Factors of an image prompt's strength by frame, from the text of an input; None for an empty one."""
    return read_numbers(text, "strength_by_frame", 0, 4) if text.strip() else None


def image_strengths_input() -> Any:
    return io.String.Input(
        "strength_by_frame", default="", optional=True,
        tooltip="Multiplier of strength by frame. 0: 1 / 48: 0 ~12 fades out from frame 48 to frame 60. Empty: 1.",
    )  # fmt: skip


class LoadImageProjector(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLoadImageProjector",
            display_name="Load Image Projector",
            category="Zoetrope/Load",
            description=(
                "Loads the network that turns an image into a prompt: IP-Adapter (plain and plus, SD1.x and SDXL), or the one "
                "inside a VideoCrafter1 I2V or DynamiCrafter checkpoint. The type is detected from the file's contents."
            ),
            inputs=[
                file_input("projector_name", PROJECTORS, "A file in models/ipadapter, checkpoints or zoetrope_projector."),
            ],
            outputs=[
                Projector.Output(display_name="projector", tooltip="Image projector, for Image Prompt."),
                io.String.Output(display_name="report", tooltip="Type of the projector and the CLIP-Vision it needs, as text."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, projector_name: str | None = None) -> Any:
        return fingerprint(PROJECTORS, projector_name)

    @classmethod
    @checked
    def execute(cls, projector_name: str) -> io.NodeOutput:
        projector = comfyui_picture.load(path_of(PROJECTORS, projector_name))
        return io.NodeOutput(projector, projector.loaded.report)


class ImagePrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        start, end = range_inputs("the image")
        return Schema(
            node_id="ZoetropeImagePrompt",
            display_name="Image Prompt",
            category="Zoetrope/Image to video",
            description=(
                "Uses an image as a prompt beside the text: its content, look and colours appear in every frame. It fixes no "
                "positions; for an exact first frame add First/Last Frame Guide. Can be chained."
            ),
            inputs=[
                io.Model.Input("model", tooltip="Any checkpoint that the projector was made for, with or without motion."),
                Projector.Input("projector", tooltip="From Load Image Projector, Load Video Checkpoint or Load Demo Model."),
                io.ClipVision.Input("clip_vision", tooltip="Image encoder that the projector was trained with."),
                io.Image.Input("image", tooltip="Image to use as a prompt. For several, see batch. Alpha is ignored."),
                strength_input("Weight of the image beside the text: 0 off, 1 as trained."),
                start, end,
                image_strengths_input(),
                io.Combo.Input(
                    "batch", options=list(comfyui_picture.BATCHES), default=comfyui_picture.TOGETHER, optional=True,
                    tooltip=(
                        "Use of several images. together: all in every frame; average: their mean; one after another: spread "
                        "over the clip (in long shots, one per frame)."
                    ),
                ),
                io.String.Input(
                    "levels", default="", optional=True,
                    tooltip="Multiplier of strength per UNet level, for example: down: 0.5, mid: 0, up.1: 1. Empty: 1.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="Checkpoint with the image prompt.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, model: Any, projector: comfyui_picture.HostProjector, clip_vision: Any, image: Any, strength: float,
        start: float = 0.0, end: float = 1.0, strength_by_frame: str = "", batch: str = comfyui_picture.TOGETHER,
        levels: str = "",
    ) -> io.NodeOutput:  # fmt: skip
        check_projector(projector)
        by_frame = image_strengths(strength_by_frame)
        settings = comfyui_picture.ImagePromptSettings(
            strength, start, end, chosen("batch", batch, comfyui_picture.BATCHES), by_frame, read_levels(levels)
        )
        return io.NodeOutput(comfyui_picture.apply_image_prompt(model, projector, clip_vision, image, settings))


class FirstLastFrameGuide(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        start, end = range_inputs("the guide")
        return Schema(
            node_id="ZoetropeFirstLastFrameGuide",
            display_name="First/Last Frame Guide",
            category="Zoetrope/Image to video",
            description=(
                "Image to video: starts a clip from an image, ends it on one, or both. Needs a motion module trained for this: "
                "PIA, AnimateLCM-I2V, DynamiCrafter 512 and 1024, SEINE, or the demo model's."
            ),
            inputs=[
                io.Model.Input("model", tooltip="Model with the motion module applied."),
                Motion.Input("motion", tooltip="The same motion module; each family takes images in its own way."),
                io.Vae.Input("vae", tooltip="VAE to encode the images with."),
                io.Latent.Input("latent", tooltip="Latent to be sampled; images are scaled and cropped to its size."),
                io.Image.Input("first", optional=True, tooltip="First frame. Several images: the first frames."),
                io.Image.Input("last", optional=True, tooltip="Last frame. Several images: the last frames."),
                strength_input("Weight of the images: 0 off, 1 as trained.", optional=True),
                start, end,
                io.Combo.Input(
                    "affinity", options=list(AFFINITIES), default=next(iter(AFFINITIES)), optional=True,
                    tooltip="PIA only: similarity of the frames to the image, in PIA's own presets.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="Guided model, for a sampler or Endless Shot.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, model: Any, motion: comfyui.HostMotion, vae: Any, latent: Any, first: Any = None, last: Any = None,
        strength: float = 1.0, start: float = 0.0, end: float = 1.0, affinity: str = "small motion",
    ) -> io.NodeOutput:  # fmt: skip
        settings = comfyui_guide.GuideSettings(strength, start, end, chosen("affinity", affinity, AFFINITIES))
        pictures = comfyui_guide.GuideImages(first, last)
        return io.NodeOutput(comfyui_guide.apply_guide(model, motion, vae, latent["samples"], pictures, settings))


class LoadSparseCtrl(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLoadSparseCtrl",
            display_name="Load SparseCtrl",
            category="Zoetrope/Image to video",
            description=(
                "Loads SparseCtrl for AnimateDiff v3 (RGB or scribble): a few images or drawings set the look of certain "
                "frames. Connect it to core's Apply ControlNet together with the images; RGB also needs the VAE there."
            ),
            inputs=[
                file_input("control_net_name", CONTROLS, "A SparseCtrl file in models/controlnet."),
                io.String.Input(
                    "frames", default="",
                    tooltip="Frame number of each image, in order: 0, 8, 15 (-1: last frame). Empty: spread over the clip.",
                ),
            ],
            outputs=[io.ControlNet.Output(display_name="control_net", tooltip="ControlNet, for Apply ControlNet.")],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, control_net_name: str | None = None, **settings: Any) -> Any:
        return [fingerprint(CONTROLS, control_net_name), settings.get("frames")]

    @classmethod
    @checked
    def execute(cls, control_net_name: str, frames: str) -> io.NodeOutput:
        return io.NodeOutput(comfyui_sparsectrl.load(path_of(CONTROLS, control_net_name), frames))


NODES: list[type[io.ComfyNode]] = [LoadImageProjector, ImagePrompt, FirstLastFrameGuide, LoadSparseCtrl]
