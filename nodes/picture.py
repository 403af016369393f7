"""The Image to video shelf: pictures as prompts, as given frames, and as a SparseCtrl's hints."""

from typing import Any

from ..hosts.comfyui.api import io
from ..hosts.comfyui.conditioning import frame_guide as comfyui_guide
from ..hosts.comfyui.conditioning import image_prompt as comfyui_picture
from ..hosts.comfyui.conditioning import sparsectrl as comfyui_sparsectrl
from ..hosts.comfyui.motion import apply as comfyui
from ..models.motion.frame_guide import AFFINITIES
from ..sampling.timeline import read_numbers
from .checking import checked
from .files import CONTROLS, PROJECTORS, file_input, fingerprint, path_of
from .inputs import chosen, range_inputs, strength_input
from .parsing import read_levels
from .schema import Schema
from .types import Motion, Projector


class LoadImageProjector(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLoadImageProjector",
            display_name="Load Image Projector",
            category="Zoetrope/Load",
            description=(
                "What turns a picture into a prompt: IP-Adapter (plain and plus, SD1.x and SDXL), and the ones inside "
                "VideoCrafter1 I2V and DynamiCrafter checkpoints. Known by its keys."
            ),
            inputs=[
                file_input("projector_name", PROJECTORS, "A file in models/ipadapter, checkpoints or zoetrope_projector."),
            ],
            outputs=[
                Projector.Output(display_name="projector", tooltip="For Image Prompt."),
                io.String.Output(display_name="report", tooltip="What it is, and which CLIP-Vision it was trained with."),
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
        start, end = range_inputs("the picture")
        return Schema(
            node_id="ZoetropeImagePrompt",
            display_name="Image Prompt",
            category="Zoetrope/Image to video",
            description=(
                "Says with a picture what words cannot: every frame looks at it beside the text. It tells what there is, not "
                "where: for an exact first frame add First/Last Frame Guide. Several may follow each other."
            ),
            inputs=[
                io.Model.Input("model", tooltip="Any checkpoint that the projector was made for, with motion or without."),
                Projector.Input("projector", tooltip="From Load Image Projector, Load Video Checkpoint or Load Demo Model."),
                io.ClipVision.Input("clip_vision", tooltip="The image encoder that the projector was trained with."),
                io.Image.Input("image", tooltip="The picture; of several, batch says what they are. Alpha is left out."),
                strength_input("How much the picture counts beside the text: 0 not at all, 1 as trained."),
                start, end,
                io.String.Input(
                    "strength_by_frame", default="", optional=True,
                    tooltip="Factor of the strength by frame, for example 0: 1 / 48: 0 ~12: fades from 48 on, gone at 60.",
                ),
                io.Combo.Input(
                    "batch", options=list(comfyui_picture.BATCHES), default=comfyui_picture.TOGETHER, optional=True,
                    tooltip=(
                        "Several pictures: together, each frame looks at all; average, at their mean; one after another, they "
                        "are shared out over the clip (in long shots, one per frame)."
                    ),
                ),
                io.String.Input(
                    "levels", default="", optional=True,
                    tooltip="Factor of the strength per level of the UNet, such as: down: 0.5, mid: 0, up.1: 1. Empty: all 1.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The same checkpoint, looking at the picture.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, model: Any, projector: comfyui_picture.HostProjector, clip_vision: Any, image: Any, strength: float,
        start: float = 0.0, end: float = 1.0, strength_by_frame: str = "", batch: str = comfyui_picture.TOGETHER,
        levels: str = "",
    ) -> io.NodeOutput:  # fmt: skip
        if projector is None:
            raise ValueError("projector: there is none in this checkpoint; it takes no pictures. Connect Load Image Projector.")
        by_frame = read_numbers(strength_by_frame, "strength_by_frame", 0, 4) if strength_by_frame.strip() else None
        settings = comfyui_picture.PictureSettings(
            strength, start, end, chosen("batch", batch, comfyui_picture.BATCHES), by_frame, read_levels(levels)
        )
        return io.NodeOutput(comfyui_picture.apply_picture(model, projector, clip_vision, image, settings))


class FirstLastFrameGuide(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        start, end = range_inputs("the guide")
        return Schema(
            node_id="ZoetropeFirstLastFrameGuide",
            display_name="First/Last Frame Guide",
            category="Zoetrope/Image to video",
            description=(
                "Begins a clip with a picture, ends it with one, or both. Works with motion modules that were trained for it: "
                "PIA, AnimateLCM-I2V, DynamiCrafter 512 and 1024, SEINE, and Zoetrope's own."
            ),
            inputs=[
                io.Model.Input("model", tooltip="The model with this motion module applied."),
                Motion.Input("motion", tooltip="The same motion module; it knows how it is shown pictures."),
                io.Vae.Input("vae", tooltip="Encodes the pictures."),
                io.Latent.Input("latent", tooltip="The latent that is sampled: pictures are scaled and cut to its size."),
                io.Image.Input("first", optional=True, tooltip="The first frame; of several pictures, the first frames."),
                io.Image.Input("last", optional=True, tooltip="The last frame; of several pictures, the last frames."),
                strength_input("How much the pictures count: 0 not at all, 1 as trained.", optional=True),
                start, end,
                io.Combo.Input(
                    "affinity", options=list(AFFINITIES), default=next(iter(AFFINITIES)), optional=True,
                    tooltip="PIA only: how alike frames stay to the picture, its published levels.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="For a sampler or Endless Shot.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, model: Any, motion: comfyui.HostMotion, vae: Any, latent: Any, first: Any = None, last: Any = None,
        strength: float = 1.0, start: float = 0.0, end: float = 1.0, affinity: str = "small motion",
    ) -> io.NodeOutput:  # fmt: skip
        settings = comfyui_guide.GuideSettings(strength, start, end, chosen("affinity", affinity, AFFINITIES))
        pictures = comfyui_guide.Pictures(first, last)
        return io.NodeOutput(comfyui_guide.apply_guide(model, motion, vae, latent["samples"], pictures, settings))


class LoadSparseCtrl(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLoadSparseCtrl",
            display_name="Load SparseCtrl",
            category="Zoetrope/Image to video",
            description=(
                "SparseCtrl for AnimateDiff v3, RGB and scribble: a few pictures or drawings say what certain frames look like."
                " Connect it to core's Apply ControlNet, with the pictures as its image; RGB needs the VAE there."
            ),
            inputs=[
                file_input("control_net_name", CONTROLS, "A SparseCtrl file in models/controlnet."),
                io.String.Input(
                    "frames", default="",
                    tooltip="Frames of the pictures, in their order: 0, 8, 15 (-1 is the last). Empty: evenly over the clip.",
                ),
            ],
            outputs=[io.ControlNet.Output(display_name="control_net", tooltip="For Apply ControlNet.")],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, control_net_name: str | None = None, **settings: Any) -> Any:
        return [fingerprint(CONTROLS, control_net_name), settings.get("frames")]

    @classmethod
    @checked
    def execute(cls, control_net_name: str, frames: str) -> io.NodeOutput:
        return io.NodeOutput(comfyui_sparsectrl.load(path_of(CONTROLS, control_net_name), frames))


NODES: list[type[io.ComfyNode]] = [LoadImageProjector, ImagePrompt, FirstLastFrameGuide, LoadSparseCtrl]
