"""Node of the category Restyle that writes a video file from a video of any length."""

import time
from dataclasses import asdict, replace
from typing import Any

from ..hosts.comfyui.api import io
from ..hosts.comfyui.environment import made_with
from ..hosts.comfyui.jobs.job import Job, finished_earlier, settings_of, source_digest
from ..hosts.comfyui.jobs.restyle import Restyling
from ..hosts.comfyui.jobs.restyle_request import (
    AS_CONNECTED,
    COLOURS,
    HINTS,
    INVERSION,
    STARTS,
    RestyleInputs,
    RestyleRequest,
    hint_maker,
)  # fmt: skip
from ..hosts.comfyui.vae.chunked import ChunkedVae, ChunkOptions
from ..hosts.comfyui.vae.video import clip_of
from ..sampling.inversion import MOST_REFINEMENTS
from ..shots.journal import Journal, Sizes
from .checking import checked
from .inputs import chosen, own_id
from .jobs import file_inputs, needed, output_of, overlap_input, scene_cut_input, seed_input, to_a_file, window_input
from .schema import Schema
from .vae import clip_input


class RestyleVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeRestyleVideo",
            display_name="Restyle Video",
            category="Zoetrope/Restyle",
            description=(
                "Gives a video of any length another look, from file to file in constant memory: inverts it window by window "
                "and samples it with another prompt. After a stop or a crash, queue again to resume."
            ),
            inputs=[*_model_inputs(), *_sampling_inputs(), *_window_inputs(), *_hint_inputs()],
            **to_a_file(),
        )

    @classmethod
    @checked
    def execute(
        cls, model: Any, positive: Any, negative: Any, vae: Any, images: Any, start: str, denoise: float, seed: int, steps: int,
        cfg: float, fps: float, filename_prefix: str, source_prompt: Any = None, refine: int = 1, window: int = 16,
        overlap: int = 4, scene_cut: float = 0.3, match_colour: str = "off", grey_source: bool = False,
        hint: str = AS_CONNECTED, hints: Any = None, canny_low: float = 0.4, canny_high: float = 0.8,
    ) -> io.NodeOutput:  # fmt: skip
        start, match_colour = chosen("start", start, STARTS), chosen("match_colour", match_colour, COLOURS)
        request = RestyleRequest(
            start, denoise, steps, cfg, seed, refine, window, overlap, scene_cut, match_colour, grey_source
        )
        if start == INVERSION and source_prompt is None:
            raise ValueError(
                "source_prompt: start is 'inversion', which needs a prompt that describes the source video. Connect CLIP Text "
                "Encode with its description or with an empty text, or choose another start."
            )
        job = Job(own_id(cls), images, filename_prefix, fps)
        chunked_vae = ChunkedVae(needed("vae", vae), ChunkOptions(), job.node_progress.note)
        inputs = RestyleInputs(model, positive, negative, source_prompt, chunked_vae)
        conditions = {"positive": positive, "negative": negative, "source prompt": source_prompt}
        settings = settings_of(model, vae, conditions, "Restyle Video") | asdict(request)
        if chosen("hint", hint, HINTS) != AS_CONNECTED or hints is not None:
            frames = None if hints is None else clip_of(hints).frames
            inputs = replace(inputs, hints=frames, hint_of=hint_maker(hint, canny_low, canny_high))
            source = "" if hints is None else source_digest(hints)
            settings |= {"hint": hint, "hints": source, "canny": f"{canny_low:g} to {canny_high:g}"}
        return _run(job, inputs, request, settings, images)


def _run(job: Job, inputs: RestyleInputs, request: RestyleRequest, settings: dict[str, Any], images: Any) -> io.NodeOutput:
    of_latents = {name: value for name, value in settings.items() if name != "colours"}
    started, done = time.monotonic(), 0

    def journal(sizes: Sizes) -> Journal:
        return job.journal(sizes, of_latents, made_with(inputs.model, inputs.chunked_vae.vae))

    def progress(ticks: int) -> None:
        nonlocal done
        done, job.resumed = done + ticks, restyling.earlier_frames
        note = finished_earlier(job.resumed)
        job.node_progress.rounds(done, total, time.monotonic() - started, restyling.earlier_ticks, note)

    restyling = Restyling(inputs, request, journal, progress)
    total = restyling.ticks(job.clip.count)

    def made(frames: Any) -> Any:
        pictures = job.node_progress.previewed(restyling.pictures(frames))
        return pictures if request.colours == "off" else restyling.matched(pictures, clip_of(images).frames)

    finished = job.run(made, job.clip.count, settings, counted=False)
    restyling.remove_latents()
    return output_of(finished)


def _model_inputs() -> list[Any]:
    return [
        io.Model.Input("model", tooltip="SD1.x, SD2.x or SDXL checkpoint; steadiest with Apply Motion Module."),
        io.Conditioning.Input("positive", tooltip="Prompt for the new look. May have a ControlNet."),
        io.Conditioning.Input("negative", tooltip="Negative prompt. Unused if cfg is 1."),
        io.Vae.Input("vae", tooltip="VAE of the checkpoint."),
        clip_input("Source video, from Load Video, or its frames. A video is read frame by frame, with its sound."),
    ]


def _sampling_inputs() -> list[Any]:
    return [
        io.Combo.Input(
            "start", options=list(STARTS), default=INVERSION,
            tooltip=(
                "Latents to sample from. inversion: the source's own noise, keeps motion best, twice the time. same noise: one "
                "noise for all frames. noise by frame: plain video to video, needs a motion module."
            ),
        ),
        io.Float.Input(
            "denoise", default=1.0, min=0.01, max=1.0, step=0.01,
            tooltip="Share of the noise levels. Lower: closer to the source. For inversion 1, for noise about 0.4 to 0.8.",
        ),
        seed_input(),
        io.Int.Input("steps", default=25, min=1, max=1000, tooltip="Sampling steps (DDIM), and as many of the inversion."),
        io.Float.Input("cfg", default=7.0, min=0.0, max=100.0, step=0.1, tooltip="Guidance towards the new prompt. 1: none."),
        *file_inputs("zoetrope/restyle", "Playback rate of the new video. 0: that of the source."),
        io.Conditioning.Input(
            "source_prompt", optional=True,
            tooltip="Prompt that describes the source, or an empty one. Needed for inversion. May have a ControlNet.",
        ),
        io.Int.Input(
            "refine", default=1, min=0, max=MOST_REFINEMENTS, optional=True,
            tooltip="Fixed-point iterations per step of the inversion, for more of the source. Each takes as long as a step.",
        ),
    ]  # fmt: skip


def _window_inputs() -> list[Any]:
    return [
        window_input(16, 256, "Frames per window: the motion module's length, usually 16."),
        overlap_input(4),
        scene_cut_input("Windows end at cuts."),
        io.Combo.Input(
            "match_colour", options=list(COLOURS), default="off", optional=True,
            tooltip="Gives the result the source's colours, where only the texture is to change. steady: averaged over time.",
        ),
        io.Boolean.Input(
            "grey_source", default=False, optional=True,
            tooltip="Encode the source without its colours, so that the prompt sets them; allows a lower denoise.",
        ),
    ]  # fmt: skip


def _hint_inputs() -> list[Any]:
    threshold: dict[str, Any] = {"min": 0.01, "max": 0.99, "step": 0.01, "optional": True}
    return [
        io.Combo.Input(
            "hint", options=list(HINTS), default=AS_CONNECTED, optional=True,
            tooltip=(
                "Pictures of the ControlNet. as connected: of Apply ControlNet, or of hints; source: the source's frames; "
                "canny: edges of them, computed frame by frame."
            ),
        ),
        io.MultiType.Input(
            "hints", types=[io.Image, io.Video], optional=True,
            tooltip="Video of ControlNet pictures, as long as the source: depth, poses, lines. Read frame by frame.",
        ),
        io.Float.Input("canny_low", default=0.4, **threshold, tooltip="Lower threshold of canny."),
        io.Float.Input("canny_high", default=0.8, **threshold, tooltip="Upper threshold of canny."),
    ]  # fmt: skip


NODES: list[type[io.ComfyNode]] = [RestyleVideo]
