"""Nodes of the category Restore: film damage, its detection, and the restoration of old films."""

from dataclasses import asdict, fields, replace
from functools import partial
from typing import Any, cast

from ..hosts.comfyui.api import io, ui
from ..hosts.comfyui.environment import made_with
from ..hosts.comfyui.jobs.film import damaged_clip, detected_damage, masks_of, restoring
from ..hosts.comfyui.jobs.job import Job, settings_of
from ..hosts.comfyui.jobs.repaint import RepaintInputs, RepaintRequest, example_masks, repainting
from ..hosts.comfyui.jobs.resumable import Amount, ResumableJob
from ..hosts.comfyui.loaders import restoration_control
from ..hosts.comfyui.vae.chunked import ChunkedVae, ChunkOptions
from ..sampling.stream import calls_of
from ..sampling.windowing import WindowSpec
from ..video.damage.settings import PRESETS, FilmDamage
from ..video.restore.film import Found, RestoreSettings
from .checking import checked
from .files import CONTROLS, file_input, fingerprint, path_of
from .inputs import chosen, own_id
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
)
from .schema import Schema
from .vae import clip_input

DAMAGE: dict[str, str] = {
    "dust": "Dust and hairs, for one frame each.",
    "lines": "Vertical scratches that stay for many frames.",
    "blotches": "Stains of one frame.",
    "flicker": "Exposure that changes from frame to frame.",
    "weave": "Unsteady position of the picture in the gate.",
    "fading": "Low contrast, lifted black, a yellow cast.",
    "grain": "Film grain.",
    "blur": "Soft focus.",
    "bleed": "Colours that run along the rows, as on tape.",
    "compression": "JPEG artefacts.",
}
"""Input -> what it is."""


def sensitivity_input() -> Any:
    return io.Float.Input(
        "sensitivity", default=1.0, min=0.25, max=4.0, step=0.05, optional=True,
        tooltip="Of the detectors. Higher: fainter dust and lines, and more false ones.",
    )  # fmt: skip


class AddFilmDamage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        factor: dict[str, Any] = {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.05, "optional": True}
        return Schema(
            node_id="ZoetropeAddFilmDamage",
            display_name="Add Film Damage",
            category="Zoetrope/Restore",
            description=(
                "Makes a clip look like old film, tape or web video, with the exact mask of its dust and scratches: for the "
                "look, and to test and train restoration."
            ),
            inputs=[
                clip_input("Frames, or a video from Load Video. The result is in memory."),
                io.Combo.Input("preset", options=list(PRESETS), default="old film", tooltip="Amounts of each kind of damage."),
                io.Int.Input(
                    "seed", default=0, min=0, max=2**64 - 1, control_after_generate=False,
                    tooltip="Seed. A frame's damage depends on seed and frame number alone.",
                ),
                *(
                    io.Float.Input(name, **factor, tooltip=f"{what} Factor on the preset's amount; 0: none.")
                    for name, what in DAMAGE.items()
                ),
                io.Int.Input(
                    "first_frame", default=0, min=0, max=10_000_000, optional=True,
                    tooltip="Number of the first frame, so that parts of a film get the damage of the whole.",
                ),
                io.Float.Input(
                    "fps", default=0.0, min=0.0, max=480.0, step=0.01, optional=True,
                    tooltip="Playback rate of the video. 0: that of the source, or 24.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="Damaged frames."),
                io.Mask.Output(display_name="mask", tooltip="One mask per frame: dust, blotches and scratches, exactly."),
                io.Video.Output(display_name="video", tooltip="Damaged frames as a video, with the source's sound."),
            ],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, images: Any, preset: str, seed: int, first_frame: int = 0, fps: float = 0.0, **factors: float
    ) -> io.NodeOutput:
        known = {one.name for one in fields(FilmDamage)}
        if unknown := sorted(set(factors) - known):
            raise ValueError(f"the inputs do not fit this node: {', '.join(unknown)}; add the node again and reconnect it")
        amounts = PRESETS[chosen("preset", preset, PRESETS)].times(**factors)
        made = damaged_clip(images, amounts, seed, first_frame, fps)
        return io.NodeOutput(made.images, made.mask, made.video)


class DetectDamage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeDetectDamage",
            display_name="Detect Damage",
            category="Zoetrope/Restore",
            description=(
                "Finds dust and scratches of a film, as a mask per frame for Restore Film, inpainting or your own correction, "
                "and shows them in red."
            ),
            inputs=[
                clip_input("Frames, or a video from Load Video. The masks are in memory."),
                io.Boolean.Input("dust", default=True, tooltip="Find dust, hairs and blotches: what is in one frame only."),
                io.Boolean.Input("lines", default=True, tooltip="Find scratches: thin vertical lines that stay on the screen."),
                sensitivity_input(),
                io.Int.Input("grow", default=0, min=0, max=64, optional=True, tooltip="Pixels by which the masks are grown."),
                scene_cut_input("Frames are not compared across cuts."),
            ],
            outputs=[
                io.Mask.Output(display_name="mask", tooltip="One mask per frame."),
                io.Image.Output(display_name="overlay", tooltip="The frames with damage in red."),
                io.String.Output(display_name="report", tooltip="Share of pixels with dust and with lines."),
            ],
        )

    @classmethod
    @checked
    def execute(
        cls, images: Any, dust: bool, lines: bool, sensitivity: float = 1.0, grow: int = 0, scene_cut: float = 0.3
    ) -> io.NodeOutput:
        if not dust and not lines:
            raise ValueError("dust, lines: both are off, so there is nothing to find; switch one of them on")
        found = detected_damage(images, dust, lines, RestoreSettings(sensitivity=sensitivity, scene_cut=scene_cut), grow)
        return io.NodeOutput(found.mask, found.overlay, found.report, ui=cast(Any, ui.PreviewText(found.report)))


class RestoreFilm(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        strength: dict[str, Any] = {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05}
        return Schema(
            node_id="ZoetropeRestoreFilm",
            display_name="Restore Film",
            category="Zoetrope/Restore",
            description=(
                "Restores an old film without a model, from file to file in constant memory: steadies the picture, evens out "
                "flicker, and fills scratches and dust from the frames around. Sound is kept."
            ),
            inputs=[
                clip_input("The film, from Load Video, or its frames. A video is read frame by frame, with its sound."),
                io.Float.Input("weave", **strength, tooltip="Steadies the picture: share of the gate weave to remove. 0: off."),
                io.Float.Input("flicker", **strength, tooltip="Deflicker: share of the exposure changes to remove. 0: off."),
                io.Float.Input("lines", **strength, tooltip="Opacity of the repair of vertical scratches. 0: off."),
                io.Float.Input("dust", **strength, tooltip="Opacity of the repair of dust, hairs and blotches. 0: off."),
                *file_inputs("zoetrope/restored", "Playback rate of the new video. 0: that of the source."),
                io.Mask.Input(
                    "mask", optional=True,
                    tooltip="Damage to repair in place of what is found: one mask per frame, or one for all.",
                ),
                sensitivity_input(),
                io.Float.Input(
                    "most_damage", default=0.1, min=0.0, max=1.0, step=0.01, optional=True,
                    tooltip="Share of a frame above which found damage is a flash or splice, and is left as it is.",
                ),
                scene_cut_input("Scenes are restored apart."),
            ],
            **to_a_file(),
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, images: Any, weave: float, flicker: float, lines: float, dust: float, fps: float, filename_prefix: str,
        mask: Any = None, sensitivity: float = 1.0, most_damage: float = 0.1, scene_cut: float = 0.3,
    ) -> io.NodeOutput:  # fmt: skip
        settings = RestoreSettings(weave, flicker, lines, dust, sensitivity, most_damage, scene_cut)
        job, found = Job(own_id(cls), images, filename_prefix, fps), Found()
        recorded = {"node": "Restore Film", **asdict(settings), "mask": "" if mask is None else masks_of(mask)}
        made = job.run(restoring(settings, mask, found), job.clip.count, recorded)
        if found.frames:
            job.node_progress.note(f"{made.path.name}: {found}")
        return output_of(made)


class RepaintDamage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeRepaintDamage",
            display_name="Repaint Damage",
            category="Zoetrope/Restore",
            description=(
                "Inpaints damage of a film with any Stable Diffusion checkpoint and motion module, from file to file: blotches "
                "and tears that no other frame can fill. Undamaged pixels keep every bit."
            ),
            inputs=[
                io.Model.Input("model", tooltip="Checkpoint with the motion module applied; one for inpainting works as well."),
                io.Conditioning.Input("positive", tooltip="Prompt: what is in the film."),
                io.Conditioning.Input("negative", tooltip="Negative prompt. Unused if cfg is 1."),
                io.Vae.Input("vae", tooltip="VAE of the checkpoint."),
                clip_input("The film, from Load Video, or its frames. Best after Restore Film."),
                io.Mask.Input("mask", tooltip="Damage to repaint: one mask per frame, or one for all. From Detect Damage."),
                seed_input(),
                io.Int.Input("steps", default=20, min=1, max=1000, tooltip="Sampling steps (Euler)."),
                io.Float.Input("cfg", default=7.0, min=0.0, max=100.0, step=0.1, tooltip="Guidance. 1: none, half the time."),
                io.Float.Input(
                    "denoise", default=0.6, min=0.01, max=1.0, step=0.01,
                    tooltip="Freedom of the model. Low: near to what the frames around have there; 1: all new.",
                ),
                *file_inputs("zoetrope/repainted", "Playback rate of the new video. 0: that of the source."),
                window_input(16, 256, "Frames per window: the length the motion module was trained on."),
                overlap_input(4),
                io.Int.Input(
                    "feather", default=2, min=0, max=64, optional=True,
                    tooltip="Pixels inside the edge of the mask over which new pixels fade in.",
                ),
                io.Int.Input(
                    "grow_latent", default=1, min=0, max=16, optional=True,
                    tooltip="Latent pixels around the mask that are sampled too, for a seamless edge.",
                ),
                scene_cut_input("Windows do not span cuts."),
                plan_input(),
            ],
            **to_a_file(),
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, model: Any, positive: Any, negative: Any, vae: Any, images: Any, mask: Any, seed: int, steps: int, cfg: float,
        denoise: float, fps: float, filename_prefix: str, window: int = 16, overlap: int = 4, feather: int = 2,
        grow_latent: int = 1, scene_cut: float = 0.3, plan_only: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        request = RepaintRequest(steps, cfg, seed, denoise, window, overlap, feather, grow_latent, scene_cut)
        job = Job(own_id(cls), images, filename_prefix, fps)
        chunked_vae = ChunkedVae(needed("vae", vae), ChunkOptions(), job.node_progress.note)
        inputs, masks = RepaintInputs(model, positive, negative, chunked_vae), masks_of(mask)
        settings = settings_of(model, vae, {"positive": positive, "negative": negative}, "Repaint Damage")
        settings |= {**asdict(request), "mask": masks}
        resumable = ResumableJob(job, settings, ("feather",), made_with(model, vae))
        spec, count = WindowSpec(window, overlap), job.clip.count
        amount = Amount(count, calls_of(count, steps, spec), steps, max(window, 3))
        if plan_only:
            once = replace(request, steps=1)
            return plan_output(job, resumable.plan(partial(repainting, inputs, once, example_masks(masks)), amount).text())
        return output_of(resumable.run(partial(repainting, inputs, request, masks), amount))


class LoadRestorationControl(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeLoadRestorationControl",
            display_name="Load Restoration Control",
            category="Zoetrope/Restore",
            description=(
                "Loads DiffBIR, which restores pictures with Stable Diffusion 2.1: a ControlNet for core's Apply ControlNet, "
                "with the poor pictures as its image and the checkpoint's VAE."
            ),
            inputs=[file_input("control_net_name", CONTROLS, "A DiffBIR file in models/controlnet.")],
            outputs=[io.ControlNet.Output(display_name="control_net", tooltip="ControlNet, for Apply ControlNet.")],
        )

    @classmethod
    def fingerprint_inputs(cls, control_net_name: str | None = None) -> Any:
        return fingerprint(CONTROLS, control_net_name)

    @classmethod
    @checked
    def execute(cls, control_net_name: str) -> io.NodeOutput:
        return io.NodeOutput(restoration_control.load(path_of(CONTROLS, control_net_name)))


NODES: list[type[io.ComfyNode]] = [AddFilmDamage, DetectDamage, RestoreFilm, RepaintDamage, LoadRestorationControl]
