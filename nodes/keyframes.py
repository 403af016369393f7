"""Node of the category Long shot: pictures at frames of an Endless Shot."""

from typing import Any

from ..hosts.comfyui.api import io
from ..hosts.comfyui.sampling.known import Keyframes
from ..video.frames.images import as_images
from .checking import checked
from .parsing import read_frames
from .schema import Schema
from .types import KeyframesType


class KeyframesNode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeKeyframes",
            display_name="Keyframes",
            category="Zoetrope/Long shot",
            description=(
                "Pictures at frames of an Endless Shot, with any checkpoint and motion module: the shot passes through each "
                "picture at its frame."
            ),
            inputs=[
                io.Image.Input("images", tooltip="Pictures, as a batch, scaled to the shot and cropped at the centre."),
                io.String.Input("frames", default="0", tooltip="Frame number of each picture. Example: 0, 48, 95."),
                io.Float.Input(
                    "strength", default=1.0, min=0.0, max=1.0, step=0.01,
                    tooltip="Weight of the pictures. 1: the frame is the picture; below: a blend; 0: no influence.",
                ),
                io.Int.Input(
                    "reach", default=0, min=0, max=256,
                    tooltip="Frames before and after that are drawn towards the picture.",
                ),
            ],
            outputs=[KeyframesType.Output(display_name="keyframes", tooltip="For Endless Shot.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(cls, images: Any, frames: str, strength: float, reach: int) -> io.NodeOutput:
        return io.NodeOutput(Keyframes(as_images(images)[..., :3], read_frames(frames, "frames"), strength, reach))


NODES: list[type[io.ComfyNode]] = [KeyframesNode]
