"""Nodes of the category Temporal SR: frame interpolation, video upscaling, colour matching."""

from dataclasses import asdict, replace
from functools import partial
from typing import Any

from torch import Tensor

from ..hosts.comfyui.api import io
from ..hosts.comfyui.environment import made_with
from ..hosts.comfyui.jobs.film import masks_of
from ..hosts.comfyui.jobs.interpolate import InterpolationInputs, InterpolationRequest, interpolate, plan_for
from ..hosts.comfyui.jobs.job import Job, coloured, of_motion, settings_of
from ..hosts.comfyui.jobs.resumable import Amount, ResumableJob
from ..hosts.comfyui.jobs.unfinished import Unfinished
from ..hosts.comfyui.jobs.upscale import COLOURS, TIMES, UpscaleInputs, UpscaleRequest, prepared, upscale
from ..hosts.comfyui.loaders.upscaler import load_upscaler
from ..hosts.comfyui.motion import apply as comfyui
from ..hosts.comfyui.vae.chunked import ChunkedVae, ChunkOptions
from ..hosts.comfyui.vae.video import fitted
from ..sampling.stream import calls_of
from ..sampling.windowing import WindowSpec
from ..video.frames.colour import MATCHES
from .checking import checked
from .files import VIDEO, file_input, fingerprint, path_of
from .inputs import chosen, own_id, strength_input
from .jobs import (
    file_inputs,
    needed,
    output_of,
    overlap_input,
    plan_input,
    plan_output,
    scene_cut_input,
    seed_input,
    to_a_file,
    window_input,
)  # fmt: skip
from .schema import Schema
from .types import Motion
from .vae import clip_input


class LoadVideoUpscaler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLoadVideoUpscaler",
            display_name="Load Video Upscaler",
            category="Zoetrope/Load",
            description=(
                "Loads Upscale-A-Video, LaVie's VSR or any Stable Diffusion x4 upscaler (frame by frame), as a whole "
                "checkpoint or UNet only, in the authors' or diffusers' layout. The type is detected from the file's contents."
            ),
            inputs=[
                file_input("upscaler_name", VIDEO, "A file in models/checkpoints, diffusion_models or zoetrope_video."),
                strength_input("Strength of the temporal layers. 0: image upscaler only, frame by frame.", optional=True),
                io.Clip.Input("clip", optional=True, tooltip="Text encoder (SD2.x) to use if the file contains none."),
                io.Vae.Input("vae", optional=True, tooltip="VAE (of an x4 upscaler) to use if the file contains none."),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="Upscaler, for Upscale Video or core's samplers."),
                io.Clip.Output(display_name="clip", tooltip="The file's text encoder, or the connected one."),
                io.Vae.Output(display_name="vae", tooltip="The file's VAE, or the connected one."),
                Motion.Output(display_name="motion", tooltip="Temporal layers alone, for another x4 upscaler. May be empty."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, upscaler_name: str | None = None, **settings: Any) -> Any:
        return [fingerprint(VIDEO, upscaler_name), settings.get("strength")]

    @classmethod
    @checked
    def execute(cls, upscaler_name: str, strength: float = 1.0, clip: Any = None, vae: Any = None) -> io.NodeOutput:
        loaded = load_upscaler(path_of(VIDEO, upscaler_name), comfyui.Settings(strength=strength))
        return io.NodeOutput(loaded.model, *loaded.clip_and_vae(clip, vae), loaded.motion)


class InterpolateFrames(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeInterpolateFrames",
            display_name="Interpolate Frames",
            category="Zoetrope/Temporal SR",
            description=(
                "Generates new frames between the input frames with a video model: real motion where warping would tear, "
                "steered by the prompt. Any length, straight to a file. The latents of the input frames stay unchanged."
            ),
            inputs=[
                io.Model.Input("model", tooltip="Checkpoint with the motion module applied, or Load Video Checkpoint."),
                io.Conditioning.Input("positive", tooltip="Prompt: what is in the clip and how it moves."),
                io.Conditioning.Input("negative", tooltip="Negative prompt. Unused if cfg is 1."),
                io.Vae.Input("vae", tooltip="VAE of the checkpoint, to encode the input frames and decode the result."),
                Motion.Input(
                    "motion", tooltip="Motion module of the model; each family takes input frames in its own way."
                ),
                clip_input("Input frames, in order, or a video from Load Video, Endless Shot, ..."),
                io.Int.Input("factor", default=4, min=1, max=240, tooltip="Frame rate multiplier. 4: 3 new frames per gap."),
                seed_input(),
                io.Int.Input("steps", default=20, min=1, max=1000, tooltip="Sampling steps (DDIM)."),
                io.Float.Input("cfg", default=1.0, min=0.0, max=100.0, step=0.1, tooltip="Guidance. 1: none, half the time."),
                *file_inputs("zoetrope/between", "Playback rate of the new video. 0: factor times that of the input."),
                window_input(0, 1024, "Frames per window. 0: the length the model was trained on."),
                io.Int.Input(
                    "shared_steps", default=1, min=0, max=64, optional=True,
                    tooltip="Overlap of neighbouring windows, in gaps between input frames; blended. 0: none.",
                ),
                scene_cut_input("Nothing is generated across cuts."),
                io.Boolean.Input(
                    "keep_pictures", default=False, optional=True,
                    tooltip="Return the input frames unchanged instead of their VAE reconstruction.",
                ),
                plan_input(),
                io.Boolean.Input(
                    "loop", default=False, optional=True,
                    tooltip="Closed loop: new frames also between the last input frame and the first.",
                ),
            ],
            **to_a_file(),
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, model: Any, positive: Any, negative: Any, vae: Any, motion: Any, images: Any, factor: int, seed: int, steps: int,
        cfg: float, fps: float, filename_prefix: str, window: int = 0, shared_steps: int = 1, scene_cut: float = 0.3,
        keep_pictures: bool = False, plan_only: bool = False, loop: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        request = InterpolationRequest(factor, steps, cfg, seed, window, shared_steps, scene_cut, keep_pictures, loop)
        job = Job(own_id(cls), images, filename_prefix, fps, factor)
        chunked_vae = ChunkedVae(needed("vae", vae), ChunkOptions(), job.node_progress.note)
        if factor == 1 and plan_only:
            return plan_output(job, "factor is 1: frames are written as they are, nothing is sampled")
        if factor == 1:
            settings = {"node": "Interpolate Frames", "factor": 1, "side": chunked_vae.side}
            return output_of(job.run(lambda frames: (fitted(frame, chunked_vae) for frame in frames), job.clip.count, settings))
        plan = plan_for(needed("motion", motion), request)
        inputs = InterpolationInputs(model, positive, negative, motion, chunked_vae)
        settings = settings_of(model, vae, {"positive": positive, "negative": negative}, "Interpolate Frames")
        settings |= {**request.settings(), **of_motion(motion)}
        resumable = ResumableJob(job, settings, ("originals",), made_with(model, vae))
        frames = request.frames(job.clip.count, plan)
        amount = Amount(frames, calls_of(frames, steps, plan.cut), steps, plan.steps + 1)

        def make(source: Any, run: Unfinished, **changes: Any) -> Any:
            return interpolate(inputs, source, replace(request, **changes), run)

        if plan_only:
            return plan_output(job, resumable.plan(partial(make, steps=1, cut=0.0), amount).text())
        return output_of(resumable.run(make, amount))


class UpscaleVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeUpscaleVideo",
            display_name="Upscale Video",
            category="Zoetrope/Temporal SR",
            description=(
                "Enlarges a video up to four times with a Stable Diffusion x4 upscaler, from file to file. "
                "Overlapping windows share one noise field; temporal layers reduce flicker."
            ),
            inputs=[
                io.Model.Input("model", tooltip="From Load Video Upscaler or Load Demo Upscaler."),
                io.Conditioning.Input("positive", tooltip="Prompt: what is in the clip, and the quality you want."),
                io.Conditioning.Input("negative", tooltip="Negative prompt. Unused if cfg is 1."),
                io.Vae.Input("vae", tooltip="The upscaler's own, or Upscale-A-Video's from Load Temporal VAE."),
                clip_input("Frames, in order, or a video from Load Video, Interpolate Frames, Endless Shot, ..."),
                seed_input(),
                io.Int.Input("steps", default=20, min=1, max=1000, tooltip="Sampling steps (DDIM)."),
                io.Float.Input("cfg", default=4.0, min=0.0, max=100.0, step=0.1, tooltip="Guidance. 1: none, half the time."),
                io.Int.Input(
                    "noise_level", default=20, min=0, max=999,
                    tooltip="Noise on the input; more invents more detail. 20: faithful, 50: as LaVie, 120: for poor video.",
                ),
                *file_inputs("zoetrope/large", "Playback rate of the new video. 0: that of the input."),
                window_input(8, 256, "Frames per window."),
                overlap_input(2),
                io.Int.Input(
                    "tile_size", default=0, min=0, max=4096, step=8, optional=True,
                    tooltip="Tile size in input pixels, blended. Saves memory on large frames. 0: no tiles.",
                ),
                io.Combo.Input(
                    "match_colour", options=list(COLOURS), default=COLOURS[0], optional=True,
                    tooltip="Correction of colour drift to the input's colours. steady: averaged over time, against flicker.",
                ),
                io.Boolean.Input(
                    "follow_flow", default=False, optional=True,
                    tooltip="Carry detail along the motion in late steps (Upscale-A-Video). Needs OpenCV.",
                ),
                plan_input(),
                io.Float.Input(
                    "factor", default=4.0, min=1.0, max=4.0, step=0.25, optional=True,
                    tooltip="Size of the new video. Below 4 the input is reduced first. 1: the input's size, to restore it.",
                ),
                io.Mask.Input(
                    "mask", optional=True,
                    tooltip="Damage, one mask per frame or one for all: filled from the frames around, so it is not enlarged.",
                ),
            ],
            **to_a_file(),
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, model: Any, positive: Any, negative: Any, vae: Any, images: Any, seed: int, steps: int, cfg: float,
        noise_level: int, fps: float, filename_prefix: str, window: int = 8, overlap: int = 2, tile_size: int = 0,
        match_colour: str = COLOURS[0], follow_flow: bool = False, plan_only: bool = False, factor: float = 4.0,
        mask: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        chosen("match_colour", match_colour, COLOURS)
        request = UpscaleRequest(steps, cfg, seed, noise_level, window, overlap, tile_size, match_colour, follow_flow)
        job = Job(own_id(cls), images, filename_prefix, fps)
        chunked_vae = ChunkedVae(needed("vae", vae), ChunkOptions(tile=4 * tile_size), job.node_progress.note)
        inputs = UpscaleInputs(model, positive, negative, chunked_vae)
        settings = settings_of(model, vae, {"positive": positive, "negative": negative}, "Upscale Video")
        settings |= {**asdict(request), **({} if factor == TIMES else {"factor": factor})}
        masks = None if mask is None else masks_of(mask)
        settings |= {} if masks is None else {"mask": masks}
        resumable = ResumableJob(job, settings, ("colours",), made_with(model, vae))
        amount = Amount(job.clip.count, calls_of(job.clip.count, steps, WindowSpec(window, overlap)), steps, window)

        def make(source: Any, run: Unfinished, **changes: Any) -> Any:
            frames = prepared(source, factor, None if plan_only else masks)  # a plan reads a few frames only
            return upscale(inputs, frames, replace(request, **changes), run)

        if plan_only:
            return plan_output(job, resumable.plan(partial(make, steps=1), amount).text())
        return output_of(resumable.run(make, amount))


class MatchColour(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeMatchColour",
            display_name="Match Colour",
            category="Zoetrope/Temporal SR",
            description="Gives frames the colours of reference frames and keeps their detail. Corrects colour drift.",
            inputs=[
                io.Image.Input("images", tooltip="Frames to correct."),
                io.Image.Input("reference", tooltip="Frames with the wanted colours. If fewer, the last one repeats."),
                io.Combo.Input(
                    "method", options=list(MATCHES), default="wavelet",
                    tooltip="wavelet: local, coarse colours only. adain: mean and spread of the whole image.",
                ),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="Frames in the reference's colours.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(cls, images: Tensor, reference: Tensor, method: str) -> io.NodeOutput:
        return io.NodeOutput(coloured(images, reference, chosen("method", method, MATCHES)))


NODES: list[type[io.ComfyNode]] = [LoadVideoUpscaler, InterpolateFrames, UpscaleVideo, MatchColour]
