"""The Restyle shelf: a video in another look, without training."""

from typing import Any

from torch import Tensor

from ..hosts.comfyui.api import io
from ..hosts.comfyui.sampling import inversion
from .checking import checked
from .schema import Schema

MOST_REFINEMENTS = 3


class InvertVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeInvertVideo",
            display_name="Invert Video",
            category="Zoetrope/Restyle",
            description=(
                "DDIM inversion: the noise from which a deterministic sampler gives this clip again. Sample it with another "
                "prompt, without added noise, for another look with the same composition and motion."
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
        if not 0 <= refine <= MOST_REFINEMENTS:
            raise ValueError(f"refine: expected 0 to {MOST_REFINEMENTS}, got {refine}")
        return io.NodeOutput(inversion.invert(model, positive, latent, sigmas, refine))


NODES: list[type[io.ComfyNode]] = [InvertVideo]
