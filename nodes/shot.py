"""Nodes of the category Long shot: shots of any length, written to disk while they are sampled."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import folder_paths

from ..hosts.comfyui.api import VideoFromFile, io, ui
from ..hosts.comfyui.conditioning import timeline as comfyui_timeline
from ..hosts.comfyui.output_path import output_place
from ..hosts.comfyui.sampling.guider import guider_of
from ..hosts.comfyui.sampling.layouts import presets_for
from ..hosts.comfyui.shot import filmstrip as comfyui_strip
from ..hosts.comfyui.shot import plan as comfyui_plan
from ..hosts.comfyui.shot import shot as comfyui_shot
from ..sampling.queue import PRESETS, STARTS, QueueSettings, Schedules
from ..sampling.tail import CoherentTail
from ..sampling.timeline import Numbers, read_numbers, read_timeline
from ..shots.folder import ShotFolder
from .checking import checked
from .inputs import chosen, own_id, workflow_id
from .schema import Schema
from .types import AnchorType, KeyframesType, QueueType

MOST_FRAMES = 10_000_000


def by_frame_inputs() -> list[Any]:
    cfg = (
        "Guidance scale by frame. Example: 0: 7 / 48: 3 ~12 is 7 up to frame 48, then falls to 3 over 12 frames. "
        "Empty: cfg throughout."
    )
    strength = "Multiplier of motion strength by frame. Example: 0: 1 / 48: 0.5 ~12. Empty: 1 throughout."
    return [
        io.String.Input("cfg_by_frame", default="", optional=True, tooltip=cfg),
        io.String.Input("strength_by_frame", default="", optional=True, tooltip=strength),
    ]


def schedules_of(cfg_by_frame: str, strength_by_frame: str) -> Schedules:
    def read(text: str, name: str, high: float) -> Numbers | None:
        return read_numbers(text, name, 0, high) if text.strip() else None

    return Schedules(read(cfg_by_frame, "cfg_by_frame", 100), read(strength_by_frame, "strength_by_frame", 2))


def queue_of(preset: str, queue: QueueSettings | None, model: Any) -> QueueSettings:
    return queue or presets_for(model)[chosen("preset", preset, PRESETS)]


def preset_input() -> Any:
    return io.Combo.Input(
        "preset",
        options=list(PRESETS),
        default="recommended",
        tooltip=(
            "Queue preset. recommended: 2 context frames per window, moving window borders; paper: as in the FIFO-Diffusion "
            "paper, half of each window is context, takes twice as long; fast: no context frames."
        ),
    )


def queue_input() -> Any:
    return QueueType.Input("queue", optional=True, tooltip="Custom queue, from Queue Settings. Replaces the preset.")


def sigmas_input() -> Any:
    return io.Sigmas.Input("sigmas", optional=True, tooltip="Noise levels from a scheduler. Not connected: the published ones.")


def loop_input() -> Any:
    return io.Boolean.Input(
        "loop", default=False, optional=True,
        tooltip="Closed loop: the last frame leads back to the first. The length is then fixed.",
    )  # fmt: skip


def shot_inputs() -> list[Any]:
    """Inputs that Endless Shot and Shot Plan share."""
    return [
        io.Model.Input("model", tooltip="Video model: of Apply Motion Module or Load Video Checkpoint, or Wan, LTX-Video."),
        io.Conditioning.Input("positive", tooltip="Prompt for the shot. Use Prompt Timeline to change it by frame."),
        io.Conditioning.Input("negative", tooltip="Negative prompt."),
        io.Vae.Input("vae", tooltip="VAE that decodes the finished frames. A temporal VAE gives less flicker."),
        io.Latent.Input(
            "latent",
            tooltip=(
                "An empty latent sets the size. Latents of a clip or shot are continued; with a noise mask (Set Latent Noise "
                "Mask) they are the first frames, kept outside the mask."
            ),
        ),
        io.Int.Input(
            "frames", default=96, min=1, max=MOST_FRAMES, tooltip="Length of the shot. Raise it later to extend the shot."
        ),
        io.Float.Input("cfg", default=7.0, min=0.0, max=100.0, step=0.1, tooltip="Guidance scale."),
        preset_input(),
    ]


class EndlessShot(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        model, positive, negative, vae, latent, frames, cfg, preset = shot_inputs()
        return Schema(
            node_id="ZoetropeEndlessShot",
            display_name="Endless Shot",
            category="Zoetrope/Long shot",
            description=(
                "Generates a shot of any length in constant memory (FIFO-Diffusion) and writes the video while sampling. After "
                "a stop or a crash, queue the same workflow again to resume at the same frame."
            ),
            inputs=[
                model, positive, negative, vae, latent,
                io.Int.Input(
                    "seed", default=0, min=0, max=2**64 - 1, control_after_generate=False,
                    tooltip="Noise seed. Stays fixed between runs, so that the shot can be resumed.",
                ),
                frames,
                io.Float.Input("fps", default=8.0, min=0.1, max=240.0, step=0.01, tooltip="Playback rate of the video."),
                cfg, preset,
                io.String.Input("filename_prefix", default="zoetrope/shot", tooltip="Folder and name in ComfyUI's output."),
                queue_input(),
                sigmas_input(),
                *by_frame_inputs(),
                io.Guider.Input(
                    "guider", optional=True, tooltip="Custom guider. Replaces model, positive, negative and cfg."
                ),
                KeyframesType.Input("keyframes", optional=True, tooltip="Pictures at frames of the shot, from Keyframes."),
                loop_input(),
                AnchorType.Input("anchor", optional=True, tooltip="Image prompt from the shot's own frames, from Shot Anchor."),
            ],
            outputs=[
                io.Video.Output(display_name="video", tooltip="Video file of the shot. Save Video makes a copy."),
                io.Latent.Output(display_name="last_latents", tooltip="Last latents, for another Endless Shot to continue."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, model: Any, positive: Any, negative: Any, vae: Any, latent: Any, seed: int, frames: int, fps: float, cfg: float,
        preset: str, filename_prefix: str, queue: QueueSettings | None = None, sigmas: Any = None, cfg_by_frame: str = "",
        strength_by_frame: str = "", guider: Any = None, keyframes: Any = None, loop: bool = False,
        anchor: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        place = output_place(filename_prefix)
        inputs, request = comfyui_shot.prepare(guider or guider_of(model, positive, negative, cfg), vae, latent)
        request = replace(
            request, frames=frames, fps=fps, seed=seed, queue=queue_of(preset, queue, inputs.model), sigmas=sigmas,
            schedules=schedules_of(cfg_by_frame, strength_by_frame), keyframes=keyframes, loop=loop, anchor=anchor,
        )  # fmt: skip
        strip = comfyui_strip.Filmstrip(own_id(cls), workflow_id(cls), frames)
        shot, reason = comfyui_shot.make_shot(inputs, request, ShotFolder(place.folder, place.name), strip)
        strip.closing(shot.message(frames, reason))
        subfolder = os.path.join(place.subfolder, shot.video.parent.relative_to(place.folder))
        saved = ui.SavedResult(shot.video.name, subfolder, io.FolderType.output)
        return io.NodeOutput(
            VideoFromFile(str(shot.video)), {"samples": inputs.samples(shot.latents)}, ui=ui.PreviewVideo([saved])
        )


class ShotPlan(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeShotPlan",
            display_name="Shot Plan",
            category="Zoetrope/Long shot",
            description=(
                "Estimates time, memory and disk space of an Endless Shot before it runs, from a few timed calls of this model "
                "at this size. If memory or disk space is too small, the plan names the setting to lower."
            ),
            inputs=[*shot_inputs(), queue_input(), sigmas_input()],
            outputs=[io.String.Output(display_name="plan", tooltip="The estimate as text.")],
            is_output_node=True,
        )

    @classmethod
    @checked
    def execute(
        cls, model: Any, positive: Any, negative: Any, vae: Any, latent: Any, frames: int, cfg: float, preset: str,
        queue: QueueSettings | None = None, sigmas: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        inputs, request = comfyui_shot.prepare(guider_of(model, positive, negative, cfg), vae, latent)
        request = replace(request, frames=frames, queue=queue_of(preset, queue, inputs.model), sigmas=sigmas)
        plan = comfyui_plan.plan(inputs, request, Path(folder_paths.get_output_directory()))
        return io.NodeOutput(plan.text(), ui={"text": (plan.text(),), "zoetrope_plan": [plan.figures()]})


class QueueSettingsNode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        default = QueueSettings()
        return Schema(
            node_id="ZoetropeQueueSettings",
            display_name="Queue Settings",
            category="Zoetrope/Long shot",
            description="Details of a long shot's queue: windows, context, added noise. Without this node the preset applies.",
            inputs=[
                io.Int.Input("window", default=default.window, min=2, max=256, tooltip="Frames per window."),
                io.Int.Input(
                    "partitions", default=default.partitions, min=1, max=64,
                    tooltip="Windows in the queue. Each frame takes window * partitions steps. Ignored if sigmas is connected.",
                ),
                io.Int.Input(
                    "context", default=default.context, min=0, max=255,
                    tooltip="Less noisy frames per window that the model uses but does not update. Paper: half of the window.",
                ),
                io.Int.Input(
                    "shift", default=default.shift, min=0, max=255,
                    tooltip="Frames by which the window borders move with each finished frame. 0: fixed borders, as published.",
                ),
                io.Float.Input(
                    "eta", default=default.eta, min=0.0, max=1.0, step=0.01,
                    tooltip="Noise added at every step (DDIM eta): 1 as published, 0 none.",
                ),
                io.Int.Input(
                    "windows_per_call", default=default.windows_per_call, min=1, max=64,
                    tooltip="Windows per model call. More is faster on a large GPU, but needs more memory.",
                ),
                io.Combo.Input(
                    "initial_queue", options=list(STARTS), default=STARTS[0],
                    tooltip="Initial content of the queue. base clip: an ordinary clip; noise: pure noise, longer warm-up.",
                ),
                io.Float.Input(
                    "coherent_tail", default=default.coherent_tail, min=0.0, max=1.0, step=0.01, optional=True,
                    tooltip="Share of a new frame's coarse noise taken from the frame before it. 0: none, 1: all.",
                ),
                io.Int.Input(
                    "block", default=default.block, min=1, max=64, optional=True,
                    tooltip="Frames that share a noise level and leave together. 2: half the time, half the steps per frame.",
                ),
            ],
            outputs=[QueueType.Output(display_name="queue", tooltip="For Endless Shot, FIFO Sampler and Shot Plan.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, window: int, partitions: int, context: int, shift: int, eta: float, windows_per_call: int, initial_queue: str,
        coherent_tail: float = 0.0, block: int = 1,
    ) -> io.NodeOutput:  # fmt: skip
        chosen("initial_queue", initial_queue, STARTS)
        if context > window // 2:
            raise ValueError(f"context: expected 0 to half of the window ({window // 2}), got {context}")
        if shift >= window - context:
            raise ValueError(f"shift: expected 0 to {window - context - 1} (window - context - 1), got {shift}")
        if window * partitions % block:
            raise ValueError(f"block: expected a divisor of window * partitions ({window} * {partitions}), got {block}")
        CoherentTail(coherent_tail)  # checks the range
        return io.NodeOutput(
            QueueSettings(window, partitions, context, shift, eta, windows_per_call, initial_queue, coherent_tail, block)
        )


class PromptTimeline(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropePromptTimeline",
            display_name="Prompt Timeline",
            category="Zoetrope/Long shot",
            description=(
                "Prompt travel: prompts by frame. Example: 0: a red circle / 48: a blue square ~12 changes at frame 48 with a "
                "cross-fade of 12 frames. Write one entry per line, or put a slash with spaces around it between entries."
            ),
            inputs=[
                io.Clip.Input("clip", tooltip="Text encoder of the checkpoint."),
                io.String.Input(
                    "text", multiline=True, default="0: a red circle / 48: a blue square ~12",
                    tooltip="Entries: frame: prompt ~cross-fade, or a prompt without a frame. always: text is appended to all.",
                ),
                io.Int.Input(
                    "clip_frames", default=16, min=1, max=4096, optional=True,
                    tooltip="Length of the clip, for ordinary samplers (KSampler). Ignored in long shots.",
                ),
            ],
            outputs=[io.Conditioning.Output(display_name="conditioning", tooltip="Prompts, for Endless Shot or a sampler.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(cls, clip: Any, text: str, clip_frames: int = 16) -> io.NodeOutput:
        return io.NodeOutput(comfyui_timeline.encode_timeline(clip, read_timeline(text, "text"), clip_frames))


NODES: list[type[io.ComfyNode]] = [EndlessShot, PromptTimeline, QueueSettingsNode, ShotPlan]
