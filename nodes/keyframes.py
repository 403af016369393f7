"""Nodes of the category Long shot: pictures at frames of an Endless Shot, and its own frames as an image prompt."""

from typing import Any

from ..hosts.comfyui.api import io
from ..hosts.comfyui.conditioning.anchor import Anchor, AnchorSettings
from ..hosts.comfyui.sampling.known import Keyframes
from ..video.frames.images import as_images
from .checking import checked
from .inputs import strength_input
from .parsing import read_frames
from .picture import check_projector, image_strengths, image_strengths_input
from .schema import Schema
from .types import AnchorType, KeyframesType, Projector


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


class AnchorNode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeAnchor",
            display_name="Shot Anchor",
            category="Zoetrope/Long shot",
            description=(
                "Keeps the content of an Endless Shot: its first frames become an image prompt for all later ones, beside "
                "the text."
            ),
            inputs=[
                Projector.Input("projector", tooltip="From Load Image Projector, Load Video Checkpoint or Load Demo Model."),
                io.ClipVision.Input("clip_vision", tooltip="Image encoder that the projector was trained with."),
                strength_input("Weight of the frames beside the text: 0 off, 1 as trained."),
                io.Int.Input("frame", default=0, min=0, max=1_000_000, tooltip="Number of the first frame that is used."),
                io.Int.Input("frames", default=4, min=1, max=16, tooltip="Number of frames whose image prompts are averaged."),
                io.Float.Input(
                    "refresh", default=0.0, min=0.0, max=1.0, step=0.01,
                    tooltip="Weight of each newer part of 16 frames in a moving average. 0: only the frames chosen above.",
                ),
                image_strengths_input(),
            ],
            outputs=[AnchorType.Output(display_name="anchor", tooltip="For Endless Shot.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, projector: Any, clip_vision: Any, strength: float, frame: int, frames: int, refresh: float,
        strength_by_frame: str = "",
    ) -> io.NodeOutput:  # fmt: skip
        check_projector(projector)
        by_frame = image_strengths(strength_by_frame)
        return io.NodeOutput(Anchor(projector, clip_vision, AnchorSettings(strength, frame, frames, refresh, by_frame)))


NODES: list[type[io.ComfyNode]] = [KeyframesNode, AnchorNode]
