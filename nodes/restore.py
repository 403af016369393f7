"""Nodes of the category Restore: film damage, its detection, and the restoration of old films."""

from dataclasses import asdict, fields
from typing import Any, cast

from ..hosts.comfyui.api import io, ui
from ..hosts.comfyui.jobs.film import damaged_clip, detected_damage, masks_of, restoring
from ..hosts.comfyui.jobs.job import Job
from ..video.damage.settings import PRESETS, FilmDamage
from ..video.restore.film import Found, RestoreSettings
from .checking import checked
from .inputs import chosen, own_id
from .jobs import file_inputs, output_of, scene_cut_input, to_a_file
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


NODES: list[type[io.ComfyNode]] = [AddFilmDamage, DetectDamage, RestoreFilm]
