"""Reading of IMAGE and VIDEO frame by frame, and conversion of LATENT to IMAGE and back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

import comfy.utils
import torch
from einops import rearrange
from torch import Tensor

from ....video.frames.images import as_images
from ....video.io.read import Part, check_whole, facts_of, frames_of, sound_of
from ..api import VideoFromFile
from .chunked import ChunkedVae


@dataclass(frozen=True)
class InputClip:
    """An IMAGE or VIDEO as an iterable of frames."""

    frames: Iterable[Tensor]
    """`(3 or 4, h, w)` in [0, 1], one at a time."""
    count: int
    """Number of frames, for a file approximate."""
    fps: Fraction
    """Frames per second; 0 if unknown."""
    audio: dict[str, Any] | None
    """The host's AUDIO; None where there is none."""


def clip_of(images: Any, all_of_it: bool = False) -> InputClip:
    """Opens an IMAGE `(f, h, w, c)`, or a VIDEO, which is read frame by frame. Raises ValueError for a broken file.

    all_of_it   whether to raise for a truncated file before its first frame is read
    """
    if isinstance(images, Tensor):
        images = as_images(images)
        frames = (rearrange(picture.cpu(), "h w c -> c h w") for picture in images)
        return InputClip(frames, len(images), Fraction(0), None)
    if not isinstance(images, VideoFromFile):
        parts = images.get_components()
        clip = clip_of(parts.images)
        return InputClip(clip.frames, clip.count, Fraction(parts.frame_rate).limit_denominator(100_000), parts.audio)
    source, part = stream_of(images)
    if all_of_it and not part.seconds:
        check_whole(source)
    facts, sound = facts_of(source, part), sound_of(source, part)
    audio = {"waveform": sound[0][None], "sample_rate": sound[1]} if sound else None
    return InputClip(frames_of(source, part), facts.frames, facts.fps, audio)


def stream_of(video: Any) -> tuple[Any, Part]:
    """The file of a VIDEO (a path, or bytes in memory), and its part that is used."""
    trimmed = getattr(video, "get_active_trim_window", None)
    return video.get_stream_source(), Part(*trimmed()) if trimmed else Part()


def segment(images: Any, start: int, count: int, every: int) -> tuple[list[Tensor], Fraction]:
    """Every `every`-th of `count` frames `(h, w, 3)` from `start`, and the clip's fps. Raises ValueError for a shorter clip."""
    clip = clip_of(images)
    frames = [rearrange(frame[:3], "c h w -> h w c") for frame in islice(clip.frames, start, start + count * every, every)]
    if not frames:
        raise ValueError(f"first_frame: expected a frame of the video, which has about {clip.count}, got {start}")
    return frames, clip.fps


def clips_of(samples: Any, chunked_vae: ChunkedVae) -> list[Tensor]:
    """The clips of a LATENT, each `(n, c, h, w)`. Raises ValueError for latents that are not this VAE's."""
    if not isinstance(samples, Tensor) or getattr(samples, "is_nested", False):
        raise ValueError("these latents are nested (picture and sound); separate them first")
    channels = chunked_vae.vae.latent_channels
    if samples.ndim == 5 and samples.shape[2] == 1 and not chunked_vae.squeezes:
        samples = rearrange(samples, "f c 1 h w -> f c h w")  # an image VAE of either kind
    if samples.ndim == 5 and chunked_vae.squeezes:
        clips = [rearrange(clip, "c n h w -> n c h w") for clip in samples]
    elif samples.ndim == 4 and not chunked_vae.squeezes:
        clips = [samples]
    else:
        kind = "clips (b, c, t, h, w) with compressed time" if chunked_vae.squeezes else "one latent per frame (f, c, h, w)"
        raise ValueError(
            f"expected latents of this VAE, {kind}, got {tuple(samples.shape)}; connect the VAE they were made for"
        )
    if samples.shape[1] != channels:
        raise ValueError(
            f"expected latents of {channels} channels, got {samples.shape[1]}: they are another model's; connect its VAE"
        )
    if not samples.numel():
        raise ValueError("expected one latent or more, got none")
    return clips


def decoded(samples: Any, chunked_vae: ChunkedVae, node_id: Any = None) -> tuple[int, Iterator[Tensor]]:
    """The number of frames of a LATENT, and the decoded frames `(3, h, w)`, one at a time, with a progress bar."""
    clips = clips_of(samples, chunked_vae)
    total = sum(chunked_vae.ratio.frames(len(clip)) for clip in clips)
    return total, _counted((frame for clip in clips for frame in chunked_vae.decode(clip)), total, node_id)


def decode_all(samples: Any, chunked_vae: ChunkedVae) -> Tensor:
    """Decodes latents to an IMAGE `(f, h, w, 3)`."""
    total, frames = decoded(samples, chunked_vae)
    return _collected(frames, total, "c h w -> h w c")


def encode_all(frames: Iterable[Tensor], count: int, chunked_vae: ChunkedVae) -> Tensor:
    """Encodes frames `(3, h, w)` to a LATENT's samples `(f, c, h, w)`, or `(1, c, t, h, w)` where the VAE compresses time.

    count   expected number of frames, for the progress bar
    Raises ValueError for no frames.
    """
    latents = list(chunked_vae.encode(_counted((fitted(frame, chunked_vae) for frame in frames), count)))
    if not latents:
        raise ValueError("expected one frame or more, got none")
    clip = torch.stack(latents)
    if chunked_vae.vae.latent_dim == 2:
        return clip
    return rearrange(clip, "n c h w -> 1 c n h w" if chunked_vae.squeezes else "n c h w -> n c 1 h w")


def fitted(frame: Tensor, chunked_vae: ChunkedVae) -> Tensor:
    """A frame without alpha, cropped at the centre to multiples of the VAE's `side`, as core does."""
    h, w = (side - side % chunked_vae.side for side in frame.shape[-2:])
    if not h or not w:
        raise ValueError(
            f"this VAE takes pictures of {chunked_vae.side}x{chunked_vae.side} pixels or more, "
            f"got {frame.shape[2]}x{frame.shape[1]}"
        )
    top, left = ((side - cut) // 2 for side, cut in zip(frame.shape[-2:], (h, w), strict=True))
    if (h, w) != tuple(frame.shape[-2:]):
        chunked_vae.note(
            f"cropped from {frame.shape[2]}x{frame.shape[1]} to {w}x{h} pixels, multiples of {chunked_vae.side}, at the centre"
        )
    return frame[:3, top : top + h, left : left + w]


def _counted(frames: Iterable[Tensor], total: int, node_id: Any = None) -> Iterator[Tensor]:
    bar = comfy.utils.ProgressBar(max(1, total), node_id=node_id)
    for frame in frames:
        yield frame
        bar.update(1)


def _collected(frames: Iterator[Tensor], total: int, pattern: str) -> Tensor:
    result = None
    for number, frame in enumerate(frames):
        picture = rearrange(frame, pattern)
        if result is None:
            result = torch.empty(total, *picture.shape)
        result[number] = picture
    assert result is not None, "clips_of raises for empty latents"
    return result
