"""Nodes of the category Video: metrics, and loading parts of long files."""

from typing import Any

import torch

from ..hosts.comfyui.api import io, ui
from ..hosts.comfyui.vae import video as comfyui_clips
from ..hosts.comfyui.vae.metrics import MetricsRequest, metrics_of
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
                "Measures flicker, colour drift, sharpness, cuts and window seams of a clip, as a table and a plot; with a "
                "ground truth, errors as well. Files of any length are read frame by frame."
            ),
            inputs=[
                clip_input("Clip or video to measure."),
                io.MultiType.Input("images_2", types=[io.Image, io.Video], optional=True, tooltip="Second clip, to compare."),
                io.MultiType.Input(
                    "truth", types=[io.Image, io.Video], optional=True,
                    tooltip="Ground truth of the same length and size.",
                ),
                io.Int.Input(
                    "seam_every", default=0, min=0, max=10000, optional=True,
                    tooltip="Window stride in frames; reports how visible window seams are. 0: off.",
                ),
                io.Boolean.Input(
                    "flow", default=False, optional=True,
                    tooltip="Warping error, amount and evenness of motion along the optical flow. Needs OpenCV.",
                ),
                io.ClipVision.Input(
                    "clip_vision", optional=True, tooltip="Image encoder; adds the likeness of frames to each other."
                ),
                io.Image.Input("reference", optional=True, tooltip="Picture to compare all frames with; needs clip_vision."),
            ],
            outputs=[
                io.String.Output(display_name="table", tooltip="One row per metric, one column per clip."),
                io.Image.Output(display_name="plot", tooltip="Differences frame by frame, and the spectrum of the brightness."),
                io.String.Output(display_name="json", tooltip="All metrics as JSON."),
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, images: Any, images_2: Any = None, truth: Any = None, seam_every: int = 0, flow: bool = False,
        clip_vision: Any = None, reference: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        clips = {f"clip {number}": one for number, one in enumerate((images, images_2), 1) if one is not None}
        found = metrics_of(clips, MetricsRequest(truth, seam_every, flow, clip_vision, reference))
        return io.NodeOutput(found.table, found.plot, found.json, ui=ui.PreviewText(found.table))


class LoadVideoSegment(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLoadVideoSegment",
            display_name="Load Video Segment",
            category="Zoetrope/Video",
            description="Loads part of a video as images, so that a long file need not fit into memory.",
            inputs=[
                io.Video.Input("video", tooltip="From Load Video, Endless Shot, Upscale Video, ..."),
                io.Int.Input("first_frame", default=0, min=0, max=10_000_000, tooltip="First frame, counted from 0."),
                io.Int.Input("count", default=16, min=1, max=4096, tooltip="Number of frames; fewer if the video ends before."),
                io.Int.Input("every", default=1, min=1, max=10_000, tooltip="Frame step. 2: every second frame."),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="Loaded frames."),
                io.Float.Output(display_name="fps", tooltip="Frame rate of the loaded frames."),
            ],
        )

    @classmethod
    @checked
    def execute(cls, video: Any, first_frame: int, count: int, every: int) -> io.NodeOutput:
        frames, fps = comfyui_clips.segment(video, first_frame, count, every)
        return io.NodeOutput(torch.stack(frames), float(fps / every))


NODES: list[type[io.ComfyNode]] = [VideoMetrics, LoadVideoSegment]
