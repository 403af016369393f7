"""Nodes of the category VAE: encoding and decoding of clips in fixed windows, also from and to files; a study of VAEs."""

from itertools import chain
from typing import Any

from ..hosts.comfyui import progress as comfyui_progress
from ..hosts.comfyui.api import VideoFromFile, io, ui
from ..hosts.comfyui.output_path import output_place
from ..hosts.comfyui.vae import study as comfyui_study
from ..hosts.comfyui.vae import video as comfyui_clips
from ..hosts.comfyui.vae.chunked import ChunkedVae, ChunkOptions
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


def chunk_inputs() -> list[Any]:
    """Inputs for windows and tiles of a VAE."""
    return [
        io.Int.Input(
            "window", default=0, min=0, max=4096, optional=True,
            tooltip="Latent frames per window. 0: the VAE's default. Never depends on free memory.",
        ),
        io.Int.Input(
            "overlap", default=-1, min=-1, max=2048, optional=True,
            tooltip="Latent frames shared by neighbouring windows. -1: the VAE's default (0 for image VAEs).",
        ),
        io.Combo.Input(
            "blend", options=list(BLENDS), default="auto", optional=True,
            tooltip="Joining of overlapping windows: cross-fade, or cut in the middle. auto: the VAE's default.",
        ),
        io.Int.Input(
            "tile_size", default=0, min=0, max=8192, step=64, optional=True,
            tooltip="Tile size in pixels, blended, without tiling time. Saves memory on large frames. 0: no tiles.",
        ),
    ]  # fmt: skip


def chunked_of(vae: Any, window: int, overlap: int, blend: str, tile_size: int, node_id: Any) -> ChunkedVae:
    node_progress = comfyui_progress.NodeProgress(node_id, 0)
    return ChunkedVae(vae, ChunkOptions(window, overlap, BLENDS[chosen("blend", blend, BLENDS)], tile_size), node_progress.note)


class EncodeVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeEncodeVideo",
            display_name="Encode Video",
            category="Zoetrope/VAE",
            description=(
                "Encodes frames or a video file of any length to latents, in windows of a fixed size. Files are read frame by "
                "frame, at their average rate. Sizes that do not suit the VAE are cropped around the centre."
            ),
            inputs=[
                clip_input("Frames, in order, or a video from Load Video."),
                io.Vae.Input("vae", tooltip="The checkpoint's VAE, or one from Load Temporal VAE."),
                *chunk_inputs(),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="One latent per frame, or fewer if the VAE compresses time."),
                io.Audio.Output(display_name="audio", tooltip="Sound of the video, if any; for Decode Video to File."),
                io.Float.Output(display_name="fps", tooltip="Frame rate of the video; 0 for frames without a rate."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @checked
    def execute(
        cls, images: Any, vae: Any, window: int = 0, overlap: int = -1, blend: str = "auto", tile_size: int = 0
    ) -> io.NodeOutput:
        chunked_vae = chunked_of(vae, window, overlap, blend, tile_size, own_id(cls))
        clip = comfyui_clips.clip_of(images, all_of_it=True)
        samples = comfyui_clips.encode_all(clip.frames, clip.count, chunked_vae)
        return io.NodeOutput({"samples": samples}, clip.audio, float(clip.fps))


class DecodeVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeDecodeVideo",
            display_name="Decode Video",
            category="Zoetrope/VAE",
            description="Decodes latents to frames in windows of a fixed size: the same result on every machine.",
            inputs=[
                io.Latent.Input("samples", tooltip="Latents of a clip, from a sampler."),
                io.Vae.Input("vae", tooltip="The checkpoint's VAE, or one from Load Temporal VAE."),
                *chunk_inputs(),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="Decoded frames, for Create Video or any image node.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @checked
    def execute(
        cls, samples: dict[str, Any], vae: Any, window: int = 0, overlap: int = -1, blend: str = "auto", tile_size: int = 0
    ) -> io.NodeOutput:
        chunked_vae = chunked_of(vae, window, overlap, blend, tile_size, own_id(cls))
        return io.NodeOutput(comfyui_clips.decode_all(samples["samples"], chunked_vae))


class DecodeVideoToFile(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeDecodeVideoToFile",
            display_name="Decode Video to File",
            category="Zoetrope/VAE",
            description=(
                "Decodes latents straight to a video file, frame by frame: hours of video in the memory of one window. The "
                "file appears only when it is complete."
            ),
            inputs=[
                io.Latent.Input("samples", tooltip="Latents of a clip of any length."),
                io.Vae.Input("vae", tooltip="The checkpoint's VAE, or one from Load Temporal VAE."),
                io.Float.Input("fps", default=8.0, min=0.0, max=240.0, step=0.01, tooltip="Playback rate of the video."),
                io.String.Input("filename_prefix", default="zoetrope/video", tooltip="Folder and name in ComfyUI's output."),
                *chunk_inputs(),
                io.Audio.Input("audio", optional=True, tooltip="Sound for the video, cut to its length."),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="Video file. Save Video makes a copy.")],
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
            raise ValueError("fps: expected more than 0, got 0; the frames came without a frame rate, so type one in")
        sound = (audio["waveform"][0], int(audio["sample_rate"])) if audio else None
        if sound:
            check_sound(*sound)
        chunked_vae = chunked_of(vae, window, overlap, blend, tile_size, own_id(cls))
        total, frames = comfyui_clips.decoded(samples["samples"], chunked_vae)
        place = output_place(filename_prefix)
        path = Stage(place.folder, place.name, {}).fresh()
        node_progress = comfyui_progress.NodeProgress(own_id(cls), total)
        write_video(path, node_progress.counted(frames), fps)
        if sound:
            add_sound(path, *sound)
        node_progress.show_text("; ".join([f"{total} frames" if total > 1 else "1 frame", *chunked_vae.notes]))
        saved = ui.SavedResult(path.name, place.subfolder, io.FolderType.output)
        return io.NodeOutput(VideoFromFile(str(path)), ui=ui.PreviewVideo([saved]))


class VaeRoundTrip(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="ZoetropeVaeRoundTrip",
            display_name="VAE Round Trip",
            category="Zoetrope/VAE",
            description=(
                "Measures image quality and flicker of one to three VAEs: encodes and decodes a clip, also with frames "
                "dropped, repeated, blended, reversed or shuffled, and with time and height swapped."
            ),
            inputs=[
                clip_input("Clip, or a video from Load Video."),
                io.Vae.Input("vae", tooltip="First VAE."),
                io.String.Input(
                    "changes", multiline=True, default="\n".join(RESAMPLINGS),
                    tooltip=f"Time changes to test, one per line: {', '.join(RESAMPLINGS)}.",
                ),
                io.Int.Input("frames", default=32, min=2, max=512, tooltip="Frames to test, from the start of the clip."),
                io.Vae.Input("vae_2", optional=True, tooltip="Second VAE, to compare."),
                io.Vae.Input("vae_3", optional=True, tooltip="Third VAE, to compare."),
            ],
            outputs=[
                io.String.Output(display_name="table", tooltip="PSNR, SSIM, jump error and flicker of each VAE."),
                io.Image.Output(display_name="plot", tooltip="Chart of the table, and the jump error frame by frame."),
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
