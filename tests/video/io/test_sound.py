"""Sound of all rates and numbers of channels, in place."""

from math import sqrt
from pathlib import Path

import pytest
import torch
from odd_files import X264, ffmpeg, onsets, still
from torch import Tensor
from zoetrope.video.io.mix import LAYOUTS, stereo
from zoetrope.video.io.read import Part, frames_of, sound_of
from zoetrope.video.io.sound import RATES, SAMPLES, accepted_rate, add_sound
from zoetrope.video.io.write import write_video

pytest.importorskip("av")
HALF = sqrt(0.5)


def tone(rate: int, seconds: float = 1.0, level: float = 0.4) -> Tensor:
    return (torch.sin(torch.arange(int(rate * seconds)) / rate * 440 * 6.28318) * level)[None]


def film(path: Path, frames: int = 8) -> Path:
    write_video(path, [torch.full((3, 32, 32), n / frames) for n in range(frames)], 8)
    return path


def loudness(wave: Tensor) -> list[float]:
    """Of the middle of each channel: the height of a sine of that power."""
    middle = wave[:, wave.shape[1] // 4 : wave.shape[1] * 3 // 4]
    return (middle.square().mean(1).sqrt() * sqrt(2)).tolist()


@pytest.mark.parametrize("rate", [192_000, 176_400, 96_000, 48_000, 44_100, 22_050, 12_345, 7_350, 4_000])
def test_any_rate_is_a_second_of_the_same_tone(tmp_path: Path, rate: int) -> None:
    path = film(tmp_path / "v.mp4")
    add_sound(path, tone(rate), rate)
    heard = sound_of(path)
    assert heard
    assert heard[1] == accepted_rate(rate) in RATES
    assert heard[0].shape[1] == pytest.approx(heard[1], abs=3 * SAMPLES), "whole blocks are written"
    assert loudness(heard[0]) == pytest.approx([0.4], abs=0.04)
    half = heard[0][0, : heard[1] // 2]
    assert float((half[:-1] * half[1:] < 0).sum()) == pytest.approx(440, abs=6), "waves of 440 Hz cross zero twice"
    assert len(list(frames_of(path))) == 8


def test_rates_are_changed_upwards_and_into_their_family() -> None:
    changed = {192_000: 48_000, 176_400: 44_100, 352_800: 44_100, 12_345: 16_000, 4_000: 7_350, 50_000: 64_000, 44_100: 44_100}
    assert {rate: accepted_rate(rate) for rate in changed} == changed


@pytest.mark.parametrize(
    ("channels", "place", "left", "right"),
    [
        (3, 2, HALF, HALF), (4, 2, HALF, 0), (4, 3, 0, HALF), (5, 2, HALF, HALF), (5, 3, HALF, 0), (6, 0, 1, 0), (6, 1, 0, 1),
        (6, 2, HALF, HALF), (6, 3, 0, 0), (6, 4, HALF, 0), (6, 5, 0, HALF), (7, 4, 0.5, 0.5), (8, 2, HALF, HALF),
        (8, 5, 0, HALF), (8, 6, HALF, 0), (8, 7, 0, HALF),
    ],
)  # fmt: skip
def test_channels_become_two_by_the_standard(channels: int, place: int, left: float, right: float) -> None:
    wave = torch.zeros(channels, 1)
    wave[place] = 0.5
    assert stereo(wave)[:, 0].tolist() == pytest.approx([left / 2, right / 2])


def test_a_sum_that_is_too_loud_is_quieter_as_a_whole() -> None:
    mixed = stereo(torch.ones(6, 4) * torch.tensor([1, 0.5, 0.25, 0]))
    assert mixed[0].tolist() == pytest.approx([1, 0.5, 0.25, 0])
    assert stereo(torch.ones(2, 4) * 1.5).max() == 1.5, "two channels are left alone"


@pytest.mark.parametrize("channels", LAYOUTS)
def test_every_number_of_channels_is_written(tmp_path: Path, channels: int) -> None:
    path = film(tmp_path / "v.mp4")
    add_sound(path, tone(48_000).repeat(channels, 1), 48_000)
    heard = sound_of(path)
    assert heard
    assert len(heard[0]) == min(2, channels)
    assert min(loudness(heard[0])) > 0.3
    assert heard[0].abs().max() < 1.2


@pytest.mark.parametrize(("layout", "place", "left"), [("5.1", 2, HALF), ("5.1(side)", 4, HALF), ("quad", 2, HALF)])
def test_speech_in_a_channel_of_a_file_stays(tmp_path: Path, layout: str, place: int, left: float) -> None:
    channels = {"quad": 4}.get(layout, 6)
    sounds = "|".join("0.4*sin(440*2*PI*t)" if n == place else "0" for n in range(channels))
    source = tmp_path / "many.mkv"
    tones = ("-f", "lavfi", "-i", f"aevalsrc={sounds}:c={layout}:s=48000:d=1")
    ffmpeg(*still(), *tones, *X264, "-c:a", "pcm_s16le", source)
    heard = sound_of(source)
    assert heard
    assert loudness(heard[0]) == pytest.approx([0.4 if n == place else 0 for n in range(channels)], abs=0.02)
    path = film(tmp_path / "v.mp4")
    add_sound(path, *heard)
    again = sound_of(path)
    assert again
    assert loudness(again[0])[0] == pytest.approx(0.4 * left, abs=0.03)


@pytest.mark.parametrize("kind", [torch.int16, torch.int32, torch.uint8, torch.float64, torch.float16])
def test_samples_of_any_kind_are_as_loud(tmp_path: Path, kind: torch.dtype) -> None:
    path, wave = film(tmp_path / "v.mp4"), tone(16_000)
    if kind == torch.uint8:
        wave = wave * 127 + 128
    elif not kind.is_floating_point:
        wave = wave.double() * torch.iinfo(kind).max
    add_sound(path, wave.to(kind), 16_000)
    heard = sound_of(path)
    assert heard
    assert loudness(heard[0]) == pytest.approx([0.4], abs=0.05)


def test_a_late_tone_is_late_in_the_new_file_and_in_a_part(tmp_path: Path) -> None:
    source, path = tmp_path / "late.mkv", tmp_path / "v.mp4"
    tones = ("-itsoffset", "1", "-f", "lavfi", "-i", "sine=frequency=440:duration=1")
    ffmpeg(*still(rate="25", seconds=2), *tones, *X264, "-map", "0:v", "-map", "1:a", "-c:a", "flac", source)
    heard = sound_of(source)
    assert heard
    write_video(path, frames_of(source), 25)
    add_sound(path, *heard)
    again, part, beyond = sound_of(path), sound_of(source, Part(0.5, 1)), sound_of(source, Part(1.5))
    assert again
    assert part
    assert beyond
    assert onsets(again[0][0].numpy(), again[1]) == pytest.approx([1.0], abs=0.03)
    assert onsets(part[0][0].numpy(), part[1]) == pytest.approx([0.5], abs=0.03)
    assert part[0].shape[1] == part[1]
    assert onsets(beyond[0][0].numpy(), beyond[1]) == [0]
