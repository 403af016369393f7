"""What is written says its colours, and its numbers agree; rates are exact; parts that are joined keep both."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from odd_files import X264, ffmpeg, still
from zoetrope.video.io.join import BrokenPart, join_videos
from zoetrope.video.io.read import facts_of, frames_of
from zoetrope.video.io.sound import add_sound
from zoetrope.video.io.write import write_video

av = pytest.importorskip("av")

COLOUR = (32, 192, 64)
KR_KB = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}
"""ITU-R BT.709-6 and BT.601-7."""


def flat(height: int, width: int, frames: int = 3) -> list[torch.Tensor]:
    return [torch.tensor(COLOUR)[:, None, None].expand(3, height, width) / 255] * frames


def tags(path: Path) -> tuple[int, ...]:
    with av.open(str(path)) as file:
        codec = file.streams.video[0].codec_context
        return codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range


def shown(path: Path) -> list[float]:
    """The first pixel as the tags say."""
    kr, kb = KR_KB[tags(path)[0]]
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
        y, u, v = (bytes(plane)[0] for plane in frame.planes)
    luma, blue, red = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
    return [255 * x for x in (r, (luma - kr * r - kb * b) / (1 - kr - kb), b)]


@pytest.mark.parametrize(("height", "width", "matrix"), [(720, 1280, 1), (578, 64, 1), (576, 720, 6), (48, 64, 6)])
def test_colours_are_written_with_their_tags(tmp_path: Path, height: int, width: int, matrix: int) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, flat(height, width), 8)
    assert tags(path) == (matrix, 1, 1, 1)
    assert shown(path) == pytest.approx(COLOUR, abs=2.5)
    assert (next(frames_of(path))[:, 5, 5] * 255).tolist() == pytest.approx(COLOUR, abs=5)
    add_sound(path, torch.zeros(1, 8000), 8000)
    assert tags(path) == (matrix, 1, 1, 1), "sound changes no tag"


@pytest.mark.parametrize("rate", [23.976, Fraction(30000, 1001), 12.5, 25 / 3, 0.5])
def test_rates_are_exact_in_the_file_with_sound_and_joined(tmp_path: Path, rate: float | Fraction) -> None:
    from zoetrope.video.io.rate import exact_rate

    def measured(path: Path) -> tuple[Fraction, Fraction]:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            return stream.average_rate, stream.duration * stream.time_base

    exact, parts = exact_rate(rate), [tmp_path / f"{n}.mp4" for n in range(3)]
    for part in parts:
        write_video(part, flat(32, 32, 4), rate, joinable=True)
        assert measured(part) == (exact, 4 / exact)
    add_sound(parts[0], torch.zeros(1, 8000), 8000)
    assert measured(parts[0]) == (exact, 4 / exact)
    write_video(parts[0], flat(32, 32, 4), rate, joinable=True)
    join_videos(parts, tmp_path / "all.mp4")
    assert measured(tmp_path / "all.mp4") == (exact, 12 / exact)
    assert tags(tmp_path / "all.mp4") == (6, 1, 1, 1)
    assert facts_of(tmp_path / "all.mp4").fps == exact
    with av.open(str(tmp_path / "all.mp4")) as file:
        stream = file.streams.video[0]
        moments = [frame.pts * stream.time_base for frame in file.decode(stream)]
    assert moments == [n / exact for n in range(12)]


def test_a_part_of_older_colours_is_made_again_not_joined(tmp_path: Path) -> None:
    """Version 0.1 wrote HD with the numbers of BT.601 and no tag: half a film would have other colours."""
    old, new = tmp_path / "old.mp4", tmp_path / "new.mp4"
    ffmpeg(*still("1280x720", "8", 0.5), *X264, "-bf", "0", old)
    write_video(new, flat(720, 1280, 4), 8, joinable=True)
    for parts in ([old, new], [new, old]):
        with pytest.raises(BrokenPart, match="its colour tags are those of an older version") as refused:
            join_videos(parts, tmp_path / "all.mp4")
        assert refused.value.part == old
    assert not (tmp_path / "all.mp4").exists()
