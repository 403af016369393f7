"""Node of the category Long shot: a live shot, whose frames enter while it runs."""

import os
import time
from typing import Any

from ..hosts.comfyui.api import VideoFromFile, io, ui
from ..hosts.comfyui.latents import side_of
from ..hosts.comfyui.live import shot as comfyui_live
from ..hosts.comfyui.live.guider import live_guider
from ..hosts.comfyui.live.host import ComfyLive, table_of
from ..hosts.comfyui.live.panel import LivePanel
from ..hosts.comfyui.live.places import input_place, output_folder
from ..hosts.comfyui.output_path import output_place
from ..hosts.comfyui.shot.inputs import ShotInputs
from ..hosts.comfyui.vae.video import stream_of
from ..sampling.live import GUIDANCE, Guidance, LiveLayout
from ..shots.folder import ShotFolder
from ..shots.live.host import LiveSettings
from .checking import checked
from .inputs import chosen, own_id, workflow_id
from .schema import Schema

KEEP, AT_ONCE = "keep the prompt", "new prompt at once"
GO_ON, NEW, NO_RECORD = "go on", "new shot", "without a record"
RECORDS = (GO_ON, NEW, NO_RECORD)
MOST_FRAMES = 10_000_000


def queue_inputs() -> list[Any]:
    return [
        io.Float.Input(
            "strength", default=0.5, min=0.02, max=1.0, step=0.01,
            tooltip="Noise added to the source: low keeps it, 1 replaces it.",
        ),
        io.Int.Input("levels", default=2, min=1, max=16, tooltip="Model calls that each frame takes part in."),
        io.Int.Input(
            "block", default=4, min=1, max=32,
            tooltip="Frames that enter and leave together. More are faster with motion layers, and come later.",
        ),
        io.Int.Input("context", default=4, min=0, max=31, tooltip="Finished frames that motion layers get in addition."),
        io.Combo.Input(
            "guidance", options=list(GUIDANCE), default=GUIDANCE[0],
            tooltip=(
                "off: the positive prompt alone; remembered: away from the source, or from the negative prompt's prediction "
                "when the frame entered; full: the negative prompt at each step, twice the time."
            ),
        ),
        io.Float.Input("guidance_scale", default=1.2, min=0.0, max=30.0, step=0.05, tooltip="Guidance scale. 1 is none."),
        io.Float.Input(
            "delta", default=1.0, min=0.0, max=1.0, step=0.05, tooltip="Share of the remembered prediction. Lower is softer."
        ),
    ]  # fmt: skip


def source_inputs() -> list[Any]:
    return [
        io.Video.Input("video", optional=True, tooltip="Source: a video file, from Load Video."),
        io.String.Input(
            "folder", default="", optional=True,
            tooltip="Source without a video: a folder in ComfyUI's input folder that another program writes pictures into.",
        ),
        io.Boolean.Input(
            "paced", default=False, optional=True,
            tooltip="Video at its own rate; frames that come too fast are dropped. Off: every frame is used.",
        ),
        io.Clip.Input("clip", optional=True, tooltip="Text encoder, for prompts that are changed while the shot runs."),
        io.String.Input(
            "control_file", default="", optional=True,
            tooltip="Text file in the input folder that may be changed while the shot runs: a prompt, a line strength: 0.6.",
        ),
        io.Combo.Input(
            "frames_in_queue", options=[KEEP, AT_ONCE], default=KEEP, optional=True,
            tooltip="Prompt of the frames that have entered already when the prompt is changed.",
        ),
        io.Boolean.Input(
            "same_noise", default=True, optional=True,
            tooltip="The same noise for every frame, so that a still picture stays still.",
        ),
        io.Float.Input(
            "similarity", default=0.0, min=0.0, max=0.999, step=0.001, optional=True,
            tooltip="Leaves out frames that are more similar than this to the one before, at random. 0: off. Published: 0.98.",
        ),
        io.Combo.Input(
            "record", options=list(RECORDS), default=GO_ON, optional=True,
            tooltip="go on: continues the newest shot with the same settings; new shot; without a record: no replay later.",
        ),
        io.String.Input(
            "replay", default="", optional=True,
            tooltip="Folder of a recorded live shot in the output folder, such as zoetrope/live_00001: computes it again.",
        ),
        io.Sigmas.Input("sigmas", optional=True, tooltip="Noise levels from a scheduler. Replaces strength and levels."),
    ]  # fmt: skip


class LiveShotNode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLiveShot",
            display_name="Live Shot",
            category="Zoetrope/Long shot",
            description=(
                "Gives frames another look while they arrive, with a bounded delay (StreamDiffusion's stream batch, with "
                "motion layers). Runs until the source ends or Interrupt. Queue again to go on."
            ),
            inputs=[
                io.Model.Input("model", tooltip="Checkpoint, with Apply Motion Module for less flicker, and a few-step LoRA."),
                io.Conditioning.Input("positive", tooltip="Prompt for the new look."),
                io.Conditioning.Input("negative", tooltip="Negative prompt, for guidance."),
                io.Vae.Input("vae", tooltip="VAE for source and result. TAESD is faster than the checkpoint's."),
                io.Int.Input("width", default=512, min=64, max=4096, step=8, tooltip="Width of the result."),
                io.Int.Input("height", default=512, min=64, max=4096, step=8, tooltip="Height of the result."),
                io.Int.Input(
                    "seed", default=0, min=0, max=2**64 - 1, control_after_generate=False,
                    tooltip="Noise seed. Stays fixed between runs, so that the shot can go on.",
                ),
                *queue_inputs(),
                io.Int.Input(
                    "frames", default=0, min=0, max=MOST_FRAMES,
                    tooltip="Frames after which it ends. 0: at the end of the source.",
                ),
                io.Float.Input(
                    "fps", default=0.0, min=0.0, max=240.0, step=0.01, tooltip="Playback rate. 0: that of the video, or 8."
                ),
                io.String.Input("filename_prefix", default="zoetrope/live", tooltip="Folder and name in ComfyUI's output."),
                *source_inputs(),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="Video file of the shot. Save Video makes a copy.")],
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> int:
        """A new value each time, because the source may have new frames."""
        return time.time_ns()

    @classmethod
    @checked
    def execute(
        cls, model: Any, positive: Any, negative: Any, vae: Any, width: int, height: int, seed: int, strength: float,
        levels: int, block: int, context: int, guidance: str, guidance_scale: float, delta: float, frames: int, fps: float,
        filename_prefix: str, video: Any = None, folder: str = "", paced: bool = False, clip: Any = None,
        control_file: str = "", frames_in_queue: str = KEEP, same_noise: bool = True, similarity: float = 0.0,
        record: str = GO_ON, replay: str = "", sigmas: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        chosen("record", record, RECORDS)
        at_once = chosen("frames_in_queue", frames_in_queue, (KEEP, AT_ONCE)) == AT_ONCE
        request = comfyui_live.LiveRequest(
            fps, frames, _file_of(video), input_place(folder, "folder") if folder.strip() and video is None else None, paced,
            input_place(control_file, "control_file") if control_file.strip() else None, at_once, similarity, record == NEW,
            record != NO_RECORD,
        )  # fmt: skip
        layout = LiveLayout(levels if sigmas is None else len(sigmas) - 1, block, context)
        settings = LiveSettings(
            layout, Guidance(guidance, guidance_scale, delta), table_of(model), strength, seed, same_noise,
            None if sigmas is None else sigmas.float().cpu(),
        )  # fmt: skip
        side, place = side_of(vae), output_place(filename_prefix)
        channels = model.model.latent_format.latent_channels
        inputs = ShotInputs(live_guider(model, positive, negative), vae, (channels, height // side, width // side))
        host = ComfyLive(inputs, layout, settings.levels(strength), seed, clip)
        panel, shots = LivePanel(own_id(cls), workflow_id(cls)), ShotFolder(place.folder, place.name)
        if replay.strip():
            made = comfyui_live.replay_live(inputs, settings, request, host, shots, output_folder(replay, "replay"), panel)
        else:
            made = comfyui_live.run_live(inputs, settings, request, host, shots, side, panel)
        subfolder = os.path.join(place.subfolder, made.video.parent.relative_to(place.folder))
        saved = ui.SavedResult(made.video.name, subfolder, io.FolderType.output)
        return io.NodeOutput(VideoFromFile(str(made.video)), ui=ui.PreviewVideo([saved]))


def _file_of(video: Any) -> Any:
    """The file of a VIDEO, or its bytes, and the part that is used; None without one."""
    if video is None:
        return None
    if not isinstance(video, VideoFromFile):
        raise ValueError("video: expected a video file, from Load Video; a live shot reads it while it runs")
    return stream_of(video)


NODES: list[type[io.ComfyNode]] = [LiveShotNode]
