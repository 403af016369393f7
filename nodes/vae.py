"""The VAE shelf: clips to latents and back in fixed windows, to and from files as well; a study of what time does to a VAE."""

from itertools import chain
from typing import Any

from ..hosts.comfyui import progress as comfyui_progress
from ..hosts.comfyui.api import VideoFromFile, io, ui
from ..hosts.comfyui.output_path import output_place
from ..hosts.comfyui.vae import study as comfyui_study
from ..hosts.comfyui.vae import video as comfyui_clips
from ..hosts.comfyui.vae.chunked import Lens, Way
from ..shots.cache import Stage
from ..video.io.sound import add_sound, check_sound
from ..video.io.write import write_video
from ..video.quality.resampling import RESAMPLINGS
from .checking import checked
from .inputs import chosen, own_id
from .schema import Schema

BLENDS: dict[str, bool | None] = {"auto": None, "cross-fade": True, "cut": False}


def clip_input(tooltip: str) -> Any:
    return io.MultiType.Input("images", types=[io.Image, io.Video], tooltip=tooltip)


def way_inputs() -> list[Any]:
    """How a long clip is cut, for every node that sends one through a VAE."""
    return [
        io.Int.Input(
            "window", default=0, min=0, max=4096, optional=True,
            tooltip="Latents that the VAE sees at once. 0: what suits the VAE. It never depends on free memory.",
        ),
        io.Int.Input(
            "overlap", default=-1, min=-1, max=2048, optional=True,
            tooltip="Latents that neighbouring windows share. -1: what suits the VAE (none for image VAEs).",
        ),
        io.Combo.Input(
            "blend", options=list(BLENDS), default="auto", optional=True,
            tooltip="Frames that two windows made: cross-faded, or cut in the middle. auto: what suits the VAE.",
        ),
        io.Int.Input(
            "tile_size", default=0, min=0, max=8192, step=64, optional=True,
            tooltip="Pixels per tile and side, blended, time kept whole: less memory for large pictures. 0: whole pictures.",
        ),
    ]  # fmt: skip


def lens_of(vae: Any, window: int, overlap: int, blend: str, tile_size: int, node_id: Any) -> Lens:
    teller = comfyui_progress.Teller(node_id, 0)
    return Lens(vae, Way(window, overlap, BLENDS[chosen("blend", blend, BLENDS)], tile_size), teller.note)


class EncodeVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeEncodeVideo",
            display_name="Encode Video",
            category="Zoetrope/VAE",
            description=(
                "Frames or a video file to latents, in windows of a fixed size: a clip of any length fits. Files are read "
                "frame by frame, at their average rate. Sides that the VAE cannot take are cut about the middle."
            ),
            inputs=[
                clip_input("The frames, in order, or a video from Load Video."),
                io.Vae.Input("vae", tooltip="The checkpoint's VAE, or one from Load Temporal VAE."),
                *way_inputs(),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="One latent per frame, or fewer where the VAE squeezes time."),
                io.Audio.Output(display_name="audio", tooltip="The video's sound, if it has any; for Decode Video to File."),
                io.Float.Output(display_name="fps", tooltip="The video's frames per second; 0 for frames without a rate."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @checked
    def execute(
        cls, images: Any, vae: Any, window: int = 0, overlap: int = -1, blend: str = "auto", tile_size: int = 0
    ) -> io.NodeOutput:
        lens = lens_of(vae, window, overlap, blend, tile_size, own_id(cls))
        clip = comfyui_clips.clip_of(images, all_of_it=True)
        samples = comfyui_clips.encode_all(clip.frames, clip.count, lens)
        return io.NodeOutput({"samples": samples}, clip.audio, float(clip.fps))


class DecodeVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeDecodeVideo",
            display_name="Decode Video",
            category="Zoetrope/VAE",
            description="Latents to frames in windows of a fixed size: the same on every machine. Connect it to Create Video.",
            inputs=[
                io.Latent.Input("samples", tooltip="Latents of a clip, as a sampler gives them."),
                io.Vae.Input("vae", tooltip="The checkpoint's VAE, or one from Load Temporal VAE."),
                *way_inputs(),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="The frames, in order.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @checked
    def execute(
        cls, samples: dict[str, Any], vae: Any, window: int = 0, overlap: int = -1, blend: str = "auto", tile_size: int = 0
    ) -> io.NodeOutput:
        lens = lens_of(vae, window, overlap, blend, tile_size, own_id(cls))
        return io.NodeOutput(comfyui_clips.decode_all(samples["samples"], lens))


class DecodeVideoToFile(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeDecodeVideoToFile",
            display_name="Decode Video to File",
            category="Zoetrope/VAE",
            description=(
                "Latents straight to a video file, frame by frame: hours of video in the memory of one window. The file "
                "appears whole or not at all."
            ),
            inputs=[
                io.Latent.Input("samples", tooltip="Latents of a clip of any length."),
                io.Vae.Input("vae", tooltip="The checkpoint's VAE, or one from Load Temporal VAE."),
                io.Float.Input("fps", default=8.0, min=0.0, max=240.0, step=0.01, tooltip="Frames per second of the video."),
                io.String.Input("filename_prefix", default="zoetrope/video", tooltip="Folder and name below ComfyUI's output."),
                *way_inputs(),
                io.Audio.Input("audio", optional=True, tooltip="Sound for the video, cut to its length."),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="The file; Save Video copies it.")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    @checked
    def execute(
        cls, samples: dict[str, Any], vae: Any, fps: float, filename_prefix: str, window: int = 0, overlap: int = -1,
        blend: str = "auto", tile_size: int = 0, audio: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        if fps <= 0:
            raise ValueError("fps: expected more than 0, got 0; frames that came without a rate need one: type it in")
        sound = (audio["waveform"][0], int(audio["sample_rate"])) if audio else None
        if sound:
            check_sound(*sound)
        lens = lens_of(vae, window, overlap, blend, tile_size, own_id(cls))
        total, frames = comfyui_clips.decoded(samples["samples"], lens)
        place = output_place(filename_prefix)
        path = Stage(place.folder, place.name, {}).fresh()
        teller = comfyui_progress.Teller(own_id(cls), total)
        write_video(path, teller.watched(frames), fps)
        if sound:
            add_sound(path, *sound)
        teller.say("; ".join([f"{total} frames" if total > 1 else "1 frame", *lens.notes]))
        shown = ui.SavedResult(path.name, place.subfolder, io.FolderType.output)
        return io.NodeOutput(VideoFromFile(str(path)), ui=ui.PreviewVideo([shown]))


class VaeRoundTrip(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeVaeRoundTrip",
            display_name="VAE Round Trip",
            category="Zoetrope/VAE",
            description=(
                "What a VAE makes of a clip, and of the same clip with time changed: frames dropped, repeated, blended, "
                "reversed, shuffled, time and height exchanged. Measures picture and flicker of one to three VAEs."
            ),
            inputs=[
                clip_input("The clip, or a video from Load Video."),
                io.Vae.Input("vae", tooltip="The first VAE."),
                io.String.Input(
                    "changes", multiline=True, default="\n".join(RESAMPLINGS),
                    tooltip=f"What to do to time, one per line: {', '.join(RESAMPLINGS)}.",
                ),
                io.Int.Input("frames", default=32, min=2, max=512, tooltip="Only so many frames of the clip are studied."),
                io.Vae.Input("vae_2", optional=True, tooltip="Another VAE to compare with."),
                io.Vae.Input("vae_3", optional=True, tooltip="A third one."),
            ],
            outputs=[
                io.String.Output(display_name="table", tooltip="PSNR, SSIM, error of neighbour differences, flicker."),
                io.Image.Output(display_name="plot", tooltip="The same as a picture, and the error of flicker frame by frame."),
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    @checked
    def execute(cls, images: Any, vae: Any, changes: str, frames: int, vae_2: Any = None, vae_3: Any = None) -> io.NodeOutput:
        vaes = {f"VAE {number}": one for number, one in enumerate((vae, vae_2, vae_3), 1) if one is not None}
        names = [line.strip() for line in chain.from_iterable(row.split(",") for row in changes.splitlines()) if line.strip()]
        found = comfyui_study.study_of(comfyui_clips.clip_of(images), vaes, names, frames)
        return io.NodeOutput(found.table, found.plot, ui=ui.PreviewText(found.table))


NODES: list[type[io.ComfyNode]] = [EncodeVideo, DecodeVideo, DecodeVideoToFile, VaeRoundTrip]
