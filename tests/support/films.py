"""Video files as people have them: odd sizes, uneven rates, sound."""

from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import torch
from einops import rearrange
from torch import Tensor


def film_at(path: Path, moments: list[int], size: tuple[int, int] = (70, 46), rate: int = 24, sound: bool = False) -> Path:
    """A video whose frame n is grey level 8 * n, shown from the given ticks (of 1/1000 s) on; odd sizes need 4:4:4."""
    import av

    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=rate, options={"crf": "1", "bf": "0"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p" if size[0] % 2 == 0 and size[1] % 2 == 0 else "yuv444p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        tone = target.add_stream("aac", rate=8000, layout="mono") if sound else None
        for number, moment in enumerate(moments):
            picture = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 8 * number, np.uint8), format="rgb24")
            picture.pts, picture.time_base = moment, Fraction(1, 1000)
            target.mux(stream.encode(picture))
        target.mux(stream.encode(None))
        if tone:
            wave = np.sin(np.arange(8000) * 2 * np.pi * 440 / 8000).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, 0
            target.mux(tone.encode(frame))
            target.mux(tone.encode(None))
    return path


def read_video(path: str | Path) -> tuple[Tensor, float]:
    """Frames `(f, 3, h, w)` in [0, 1] and the frame rate of a video that fits into memory."""
    reader = imageio_ffmpeg.read_frames(str(path))
    try:
        about = next(reader)
        w, h = about["size"]
        raw = [torch.frombuffer(bytearray(frame), dtype=torch.uint8) for frame in reader]
    finally:
        reader.close()
    return rearrange(torch.stack(raw), "f (h w c) -> f c h w", h=h, w=w, c=3) / 255, float(about["fps"])
