"""Nodes of the category Load: files from the model folders, and the embedded models."""

from typing import Any

from ..hosts.comfyui.api import io
from ..hosts.comfyui.loaders import checkpoint as comfyui_checkpoint
from ..hosts.comfyui.loaders import demo as comfyui_demo
from ..hosts.comfyui.loaders import demo_upscaler as comfyui_upscaler_demo
from ..hosts.comfyui.motion import apply as comfyui
from ..hosts.comfyui.vae import from_file as comfyui_vae_file
from .checking import checked
from .files import MOTION, VAES, VIDEO, file_input, fingerprint, path_of
from .inputs import SCALES, conditioning_fps_input, is_scaled, scale_input, strength_input
from .schema import Schema
from .types import Motion, Projector


class LoadMotionModule(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLoadMotionModule",
            display_name="Load Motion Module",
            category="Zoetrope/Load",
            description=(
                "Loads a motion module of any supported family: AnimateDiff, AnimateLCM, PIA, Hotshot-XL and more. The type is "
                "detected from the file's contents, not its name. From a whole video checkpoint only the temporal layers load."
            ),
            inputs=[
                file_input("motion_name", MOTION, "A motion module in models/animatediff_models or models/zoetrope_motion."),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="Motion module, for Apply Motion Module.")],
        )

    @classmethod
    def fingerprint_inputs(cls, motion_name: str | None = None) -> Any:
        return fingerprint(MOTION, motion_name)

    @classmethod
    @checked
    def execute(cls, motion_name: str) -> io.NodeOutput:
        return io.NodeOutput(comfyui.load(path_of(MOTION, motion_name)))


class LoadVideoCheckpoint(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLoadVideoCheckpoint",
            display_name="Load Video Checkpoint",
            category="Zoetrope/Load",
            description=(
                "Loads a whole video model (VideoCrafter, DynamiCrafter, ModelScope, ZeroScope, LaVie, SEINE, LVDM): its image "
                "UNet with the temporal layers applied, plus CLIP and VAE if the file contains them."
            ),
            inputs=[
                file_input("checkpoint_name", VIDEO, "A file in models/checkpoints, diffusion_models or zoetrope_video."),
                strength_input(
                    "Strength of the temporal layers. 0: image model only, to be followed by Apply Motion Module.",
                    optional=True,
                ),
                conditioning_fps_input(optional=True),
                scale_input(optional=True),
                io.Clip.Input("clip", optional=True, tooltip="Text encoder to use if the file contains none."),
                io.Vae.Input("vae", optional=True, tooltip="VAE to use if the file contains none."),
                io.Float.Input(
                    "guidance_rescale", default=-1.0, min=-1.0, max=1.0, step=0.05, optional=True,
                    tooltip="Reduces burnt colours at high cfg. -1: as published (0.7 for DynamiCrafter 512, 1024), 0: off.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="Video model, for a sampler."),
                io.Clip.Output(display_name="clip", tooltip="The file's text encoder, or the connected one."),
                io.Vae.Output(display_name="vae", tooltip="The file's VAE, or the connected one."),
                Motion.Output(display_name="motion", tooltip="Temporal layers alone, for another checkpoint or a report."),
                Projector.Output(
                    display_name="projector", tooltip="For Image Prompt. Only VideoCrafter1 I2V and DynamiCrafter have one."
                ),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, checkpoint_name: str | None = None, **settings: Any) -> Any:
        return [
            fingerprint(VIDEO, checkpoint_name),
            *(settings.get(name) for name in ("strength", "conditioning_fps", "scaled_latents", "guidance_rescale")),
        ]

    @classmethod
    @checked
    def execute(
        cls, checkpoint_name: str, strength: float = 1.0, conditioning_fps: float = 0.0, scaled_latents: str = SCALES[0],
        clip: Any = None,
        vae: Any = None, guidance_rescale: float = -1.0,
    ) -> io.NodeOutput:  # fmt: skip
        settings = comfyui.Settings(strength=strength, fps=conditioning_fps, scaled=is_scaled(scaled_latents))
        rescale = None if guidance_rescale < 0 else guidance_rescale
        loaded = comfyui_checkpoint.load_checkpoint(path_of(VIDEO, checkpoint_name), settings, rescale)
        return io.NodeOutput(loaded.model, *loaded.clip_and_vae(clip, vae), loaded.motion, loaded.projector)


class LoadTemporalVae(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLoadTemporalVae",
            display_name="Load Temporal VAE",
            category="Zoetrope/Load",
            description=(
                "Loads a VAE that processes several frames together, for less flicker: Stable Video Diffusion's decoder (for "
                "SD 1.x and 2.x as well), Upscale-A-Video, LVDM, CV-VAE, Open-Sora 1.2. Also loads image VAEs."
            ),
            inputs=[file_input("vae_name", VAES, "A VAE or a whole checkpoint in models/vae, checkpoints or zoetrope_vae.")],
            outputs=[
                io.Vae.Output(display_name="vae", tooltip="VAE, for Decode Video and any other node that takes one."),
                io.String.Output(display_name="report", tooltip="Type and size of the VAE, as text."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, vae_name: str | None = None) -> Any:
        return fingerprint(VAES, vae_name)

    @classmethod
    @checked
    def execute(cls, vae_name: str) -> io.NodeOutput:
        vae = comfyui_vae_file.load_temporal_vae(path_of(VAES, vae_name))
        return io.NodeOutput(vae, vae.loaded.report)


class LoadDemoModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLoadDemoModel",
            display_name="Load Demo Model",
            category="Zoetrope/Load",
            description=(
                "Loads the tiny text-to-video model included in Zoetrope; no download. Makes clips of one coloured shape, for "
                "example: a red circle moving right on black at 8 fps. 64x64 pixels, 16 frames."
            ),
            inputs=[],
            outputs=[
                io.Model.Output(display_name="model", tooltip="Image model; add motion with Apply Motion Module."),
                io.Clip.Output(
                    display_name="clip",
                    tooltip="Text encoder for colours, shapes, directions and backgrounds; word list on the help page.",
                ),
                io.Vae.Output(display_name="vae", tooltip="VAE, for Decode Video and Encode Video."),
                Motion.Output(display_name="motion", tooltip="Motion module, for Apply Motion Module."),
                io.Vae.Output(
                    display_name="temporal_vae",
                    tooltip="VAE that decodes neighbouring frames together: less flicker.",
                ),
                Projector.Output(display_name="projector", tooltip="Image projector, for Image Prompt."),
                io.ClipVision.Output(display_name="clip_vision", tooltip="Image encoder that belongs to the projector."),
            ],
        )

    @classmethod
    @checked
    def execute(cls) -> io.NodeOutput:
        demo = comfyui_demo.load_demo()
        return io.NodeOutput(demo.model, demo.clip, demo.vae, demo.motion, demo.temporal_vae, demo.projector, demo.clip_vision)


class LoadDemoUpscaler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLoadDemoUpscaler",
            display_name="Load Demo Upscaler",
            category="Zoetrope/Load",
            description=(
                "Loads the tiny x4 upscaler included in Zoetrope; no download. Enlarges clips of the demo model to four times "
                "the width and height, with temporal layers for less flicker."
            ),
            inputs=[
                strength_input("Strength of the temporal layers. 0: image upscaler only, frame by frame.", optional=True),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="Upscaler, for Upscale Video."),
                io.Clip.Output(display_name="clip", tooltip="Text encoder; an empty prompt is enough."),
                io.Vae.Output(display_name="vae", tooltip="The upscaler's own VAE, for Upscale Video."),
                Motion.Output(display_name="motion", tooltip="The temporal layers alone."),
            ],
        )

    @classmethod
    @checked
    def execute(cls, strength: float = 1.0) -> io.NodeOutput:
        demo = comfyui_upscaler_demo.load_upscaler_demo()
        model = comfyui.apply(demo.model, demo.motion, comfyui.Settings(strength=strength))
        return io.NodeOutput(model, demo.clip, demo.vae, demo.motion)


NODES: list[type[io.ComfyNode]] = [LoadMotionModule, LoadVideoCheckpoint, LoadTemporalVae, LoadDemoModel, LoadDemoUpscaler]
