"""The VAE shelf: clips to latents and back, a fixed number of frames at a time."""

from typing import Any

from comfy_api.latest import io

from ..hosts import comfyui_vae

CHUNK = 16


def chunk_input() -> Any:
    return io.Int.Input(
        "chunk",
        default=CHUNK,
        min=1,
        max=4096,
        tooltip="Frames per call of the VAE. Lower it when memory runs out; the result does not change.",
    )


class EncodeVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ZoetropeEncodeVideo",
            display_name="Encode Video",
            category="Zoetrope/VAE",
            description="Frames to latents, one latent per frame, in chunks of a fixed size: a clip of any length fits.",
            inputs=[
                io.Image.Input("images", tooltip="The frames, in order."),
                io.Vae.Input("vae", tooltip="The image checkpoint's VAE."),
                chunk_input(),
            ],
            outputs=[io.Latent.Output(display_name="latent", tooltip="One latent per frame.")],
        )

    @classmethod
    def execute(cls, images: Any, vae: Any, chunk: int) -> io.NodeOutput:
        return io.NodeOutput({"samples": comfyui_vae.encode_frames(vae, images, chunk)})


class DecodeVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ZoetropeDecodeVideo",
            display_name="Decode Video",
            category="Zoetrope/VAE",
            description="Latents to frames in chunks of a fixed size: a clip of any length fits. Connect it to Create Video.",
            inputs=[
                io.Latent.Input("samples", tooltip="One latent per frame, as a sampler gives them."),
                io.Vae.Input("vae", tooltip="The image checkpoint's VAE."),
                chunk_input(),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="The frames, in order.")],
        )

    @classmethod
    def execute(cls, samples: dict[str, Any], vae: Any, chunk: int) -> io.NodeOutput:
        return io.NodeOutput(comfyui_vae.decode_frames(vae, samples["samples"], chunk))


NODES: list[type[io.ComfyNode]] = [EncodeVideo, DecodeVideo]
