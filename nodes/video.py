"""The Video shelf: what a clip is like in numbers, and parts of long files as frames."""

from typing import Any

import torch

from ..hosts.comfyui.api import io, ui
from ..hosts.comfyui.vae import study as comfyui_study
from ..hosts.comfyui.vae import video as comfyui_clips
from .checking import checked
from .schema import Schema
from .vae import clip_input


class VideoMetrics(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeVideoMetrics",
            display_name="Video Metrics",
            category="Zoetrope/Video",
            description=(
                "How much a clip flickers, drifts in colour and shows the seams of windows, as a table and a plot. With the "
                "truth beside it, errors. Files of any length are read frame by frame."
            ),
            inputs=[
                clip_input("The clip, or a video."),
                io.MultiType.Input("images_2", types=[io.Image, io.Video], optional=True, tooltip="Another to compare with."),
                io.MultiType.Input(
                    "truth", types=[io.Image, io.Video], optional=True,
                    tooltip="What they should look like, frame by frame, in the same size.",
                ),
                io.Int.Input(
                    "window", default=0, min=0, max=10000, optional=True,
                    tooltip="Windows met every so many frames: how much larger differences are there. 0: not asked.",
                ),
                io.Boolean.Input(
                    "flow", default=False, optional=True,
                    tooltip="Warping error: neighbours compared along OpenCV's optical flow, where OpenCV is installed.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="table", tooltip="One row per clip; in levels of 255 unless said otherwise."),
                io.Image.Output(display_name="plot", tooltip="Frame by frame, and the spectrum of the brightness."),
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, images: Any, images_2: Any = None, truth: Any = None, window: int = 0, flow: bool = False
    ) -> io.NodeOutput:
        clips = {f"clip {number}": one for number, one in enumerate((images, images_2), 1) if one is not None}
        found = comfyui_study.quality_of(clips, truth, window, flow)
        return io.NodeOutput(found.table, found.plot, ui=ui.PreviewText(found.table))


class LoadVideoSegment(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLoadVideoSegment",
            display_name="Load Video Segment",
            category="Zoetrope/Video",
            description="Some frames of a video as IMAGE: a long file need not fit into memory to be looked at.",
            inputs=[
                io.Video.Input("video", tooltip="From Load Video, Endless Shot, Upscale Video, ..."),
                io.Int.Input("start", default=0, min=0, max=10_000_000, tooltip="The first frame, counted from 0."),
                io.Int.Input("count", default=16, min=1, max=4096, tooltip="How many; fewer where the video ends."),
                io.Int.Input("every", default=1, min=1, max=10_000, tooltip="Only every so many frames."),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The frames."),
                io.Float.Output(display_name="fps", tooltip="Frames per second of what came out."),
            ],
        )

    @classmethod
    @checked
    def execute(cls, video: Any, start: int, count: int, every: int) -> io.NodeOutput:
        frames, fps = comfyui_clips.segment(video, start, count, every)
        return io.NodeOutput(torch.stack(frames), float(fps / every))


NODES: list[type[io.ComfyNode]] = [VideoMetrics, LoadVideoSegment]
