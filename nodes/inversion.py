"""Nodes of the category Restyle that take a source video: inversion, optical flow."""

from typing import Any

from torch import Tensor

from ..hosts.comfyui.api import io
from ..hosts.comfyui.sampling import flow, inversion
from ..hosts.comfyui.sampling.flow import FlowSettings
from ..sampling.inversion import MOST_REFINEMENTS, check_refine
from ..video.frames.correspondence import SourceVideo
from ..video.frames.flow import has_flow
from .checking import checked
from .schema import Schema


class InvertVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeInvertVideo",
            display_name="Invert Video",
            category="Zoetrope/Restyle",
            description=(
                "DDIM inversion: the noise from which a deterministic sampler gives this clip again. Sample it with another "
                "prompt, without added noise, for another look that keeps the motion and much of the composition."
            ),
            inputs=[
                io.Model.Input("model", tooltip="The MODEL that samples afterwards, with its motion module and windows."),
                io.Conditioning.Input(
                    "positive", tooltip="Prompt that describes the clip as it is, or an empty one. May have ControlNets."
                ),
                io.Latent.Input("latent", tooltip="The clip to invert: Encode Video or VAE Encode, one latent per frame."),
                io.Sigmas.Input("sigmas", tooltip="Noise levels from a scheduler: the same as those of the sampler."),
                io.Int.Input(
                    "refine", default=0, min=0, max=MOST_REFINEMENTS,
                    tooltip="Fixed-point iterations per step, for an exact way back. Each takes as long as a step.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    display_name="latent",
                    tooltip="Inverted latent, for a sampler with added noise disabled and the same noise levels.",
                )
            ],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(cls, model: Any, positive: Any, latent: Any, sigmas: Tensor, refine: int) -> io.NodeOutput:
        check_refine(refine)
        return io.NodeOutput(inversion.invert(model, positive, latent, sigmas, refine))


class FollowFlow(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        share: dict[str, Any] = {"min": 0.0, "max": 1.0, "step": 0.01}
        return Schema(
            node_id="ZoetropeFollowFlow",
            display_name="Follow Flow",
            category="Zoetrope/Restyle",
            description=(
                "Optical flow of a source video carries the prediction of the first frame to the others, in the first steps, "
                "and its colours in the last ones (after Rerender-A-Video). Needs OpenCV."
            ),
            inputs=[
                io.Model.Input("model", tooltip="Any image or video model, before or after Sliding Windows."),
                io.Image.Input("images", tooltip="Frames of the source video, as many as the latent has."),
                io.Float.Input("start", default=0.0, tooltip="Fraction of sampling at which shapes start to follow.", **share),
                io.Float.Input("end", default=0.1, tooltip="Fraction of sampling at which shapes stop following.", **share),
                io.Float.Input(
                    "colours_from",
                    default=0.8,
                    tooltip="Fraction of sampling from which colours are matched. 1: never.",
                    **share,
                ),
                io.Float.Input(
                    "trust",
                    default=1.0,
                    tooltip="Weight of the first frame where the flow is trusted. 0: shapes are free.",
                    **share,
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="Model that follows the source video, for any sampler.")],
        )

    @classmethod
    @checked
    def execute(cls, model: Any, images: Tensor, start: float, end: float, colours_from: float, trust: float) -> io.NodeOutput:
        if not has_flow():
            raise ValueError("Follow Flow needs OpenCV: pip install opencv-python-headless, then restart ComfyUI")
        return io.NodeOutput(flow.follow(model, FlowSettings(SourceVideo(images), start, end, colours_from, trust)))


NODES: list[type[io.ComfyNode]] = [InvertVideo, FollowFlow]
