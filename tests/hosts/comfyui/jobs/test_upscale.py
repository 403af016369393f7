"""Upscale Video with the embedded upscaler, and stages that are found again."""

from typing import Any

import pytest
import torch
from demo_jobs import enlarged, enlargers, said, world
from torch import Tensor

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("inference")]


def test_large_pictures_are_the_small_ones_enlarged(large: Any) -> None:
    small = world(3, size=32)
    out = enlarged(large, small, steps=8)
    assert out.shape == (3, 3, 128, 128)
    truth = world(3, size=128)
    near = small.repeat_interleave(4, -1).repeat_interleave(4, -2)
    assert (out - truth).square().mean() < (near - truth).square().mean()
    assert torch.equal(out, enlarged(large, small, steps=8))
    assert not torch.equal(out, enlarged(large, small, steps=8, seed=6))
    assert not torch.equal(out, enlarged(large, small, steps=8, level=100))


def test_windows_are_run_once_and_one_noise_field_serves_all(large: Any, counted: list[tuple[int, ...]]) -> None:
    small = world(14, size=16)
    enlarged(large, small)
    assert len(counted) == 3 * 2  # 0 to 8 and 6 to 14, not once more
    assert {shape[:2] for shape in counted} == {(8, 7)}
    parts, _ = large
    whole = enlarged(large, small, model=parts.model, window=14, overlap=0)
    cut = enlarged(large, small, model=parts.model)  # frame by frame windows change nothing
    assert (whole - cut).abs().max() < 1e-4


@pytest.mark.one_host
def test_tiles_are_seamless_and_take_less_at_once(large: Any, counted: list[tuple[int, ...]]) -> None:
    small = world(2, size=48)
    whole = enlarged(large, small, steps=6)
    counted.clear()
    tiled = enlarged(large, small, steps=6, tile=32)
    assert {shape[-1] for shape in counted} == {32}
    assert (whole - tiled).abs().mean() < 0.02


@pytest.mark.one_host
def test_latents_follow_a_flow_where_asked(large: Any) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed: nothing to compute a flow with")
    small = world(9, fps=16, size=16)
    still = enlarged(large, small, steps=4)
    moved = enlarged(large, small, steps=4, flow=True)
    assert not torch.equal(still, moved)
    assert torch.equal(moved, enlarged(large, small, steps=4, flow=True))
    assert (still - moved).abs().mean() < 0.02


def test_odd_sizes_one_frame_and_no_colour_match(large: Any) -> None:
    small = world(1, size=40)[:, :, :37, :35]
    assert enlarged(large, small).shape == (1, 3, 148, 140)
    plain = enlarged(large, small, colours="off")
    assert not torch.equal(plain, enlarged(large, small))


def test_a_smaller_factor_reduces_the_frames_first_and_masked_damage_is_not_enlarged(large: Any) -> None:
    from zoetrope.hosts.comfyui.jobs.upscale import prepared

    clip = world(5, size=64)
    assert torch.equal(torch.stack(list(prepared(clip, 4.0, None))), clip)
    small = torch.stack(list(prepared(clip, 1.0, None)))
    assert torch.allclose(small, torch.nn.functional.avg_pool2d(clip, 4), atol=1e-6)
    assert enlarged(large, small).shape == clip.shape
    assert next(iter(prepared(clip, 2.5, None))).shape == (3, 40, 40)
    spoilt, masks = clip.clone(), torch.zeros(5, 64, 64)
    spoilt[2, :, 8:14, 40:46] = 0.0 if clip[2, :, 8:14, 40:46].mean() > 0.5 else 1.0
    masks[2, 8:14, 40:46] = 1
    repaired = torch.stack(list(prepared(spoilt, 4.0, masks)))
    assert (repaired[2] - clip[2]).square().mean() < 0.1 * (spoilt[2] - clip[2]).square().mean()
    assert torch.equal(repaired[masks[:, None].expand_as(clip) == 0], spoilt[masks[:, None].expand_as(clip) == 0])
    with pytest.raises(ValueError, match="factor: expected 1 to 4, got 5"):
        prepared(clip, 5.0, None)
    with pytest.raises(ValueError, match="factor: with 1 the frames are reduced to 10x10 pixels first, expected 16x16 or more"):
        list(prepared(world(1, size=40), 1.0, None))


def test_wrong_partners_are_refused(large: Any, demo: Any) -> None:
    small = world(2, size=16)
    parts, model = demo
    with pytest.raises(ValueError, match="needs a Stable Diffusion x4 upscaler"):
        enlarged(large, small, model=model)
    with pytest.raises(ValueError, match="needs the upscaler's own VAE, whose latents are 4 pixels wide; this one's are 8"):
        enlarged(large, small, vae=parts.vae)
    with pytest.raises(ValueError, match="noise_level: expected 0 to 350"):
        enlarged(large, small, level=351)
    with pytest.raises(ValueError, match="match_colour: expected steady, wavelet, adain, off"):
        enlarged(large, small, colours="sepia")
    with pytest.raises(ValueError, match="expected one frame or more, got none"):
        enlarged_none(large)
    mixed = [small[0], world(1, size=24)[0]]
    with pytest.raises(ValueError, match="frame 1: expected the size of the first"):
        enlarged_list(large, mixed)


def enlarged_none(large: Any) -> None:
    enlarged_list(large, [])


def enlarged_list(large: Any, frames: list[Tensor]) -> None:
    from zoetrope.hosts.comfyui.jobs.upscale import UpscaleRequest, upscale

    list(upscale(enlargers(large), iter(frames), UpscaleRequest(steps=2, cfg=1.0)))


@pytest.fixture
def output(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    import folder_paths

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    return tmp_path


def test_factor_1_hands_the_clip_on_as_a_file_without_alpha_and_odd_sides(demo: Any, output: Any) -> None:
    from films import read_video
    from zoetrope.nodes.superres import InterpolateFrames

    parts, model = demo
    words = said(parts, "")
    images = torch.cat([world(3, size=72), torch.ones(3, 1, 72, 72)], dim=1).movedim(1, -1)[:, :67, :70]
    told = {"seed": 1, "steps": 2, "cfg": 1.0, "fps": 8.0, "filename_prefix": "zoetrope/one"}
    InterpolateFrames.execute(model, words, words, parts.vae, parts.motion, images, factor=1, **told)
    frames, rate = read_video(output / "zoetrope" / "one_00001_.mp4")
    assert (tuple(frames.shape), rate) == ((3, 3, 64, 64), 8.0)


def test_a_stage_is_found_again_and_sound_counts(large: Any, output: Any) -> None:
    from fractions import Fraction

    from comfy_api.input_impl import VideoFromComponents
    from comfy_api.util import VideoComponents
    from zoetrope.nodes.superres import UpscaleVideo

    parts, model = large
    words = said(parts, "")
    told = {"seed": 1, "steps": 1, "cfg": 1.0, "noise_level": 20, "fps": 0.0, "filename_prefix": "zoetrope/up"}
    images = world(2, size=16).movedim(1, -1)

    def run(loud: float) -> None:
        audio = {"waveform": torch.full((1, 1, 8000), loud), "sample_rate": 44100}
        video = VideoFromComponents(VideoComponents(images=images, audio=audio, frame_rate=Fraction(8)))
        UpscaleVideo.execute(model, words, words, parts.vae, video, **told)

    for loud, files in ((0.1, 1), (0.1, 1), (0.2, 2)):
        run(loud)
        assert len(list((output / "zoetrope").glob("up_*.mp4"))) == files
    with pytest.raises(ValueError, match="vae: the loaded file contains none"):
        UpscaleVideo.execute(model, words, words, None, images, **{**told, "fps": 8.0})


def test_tiles_and_conditions_for_a_part_of_the_picture_are_refused(large: Any) -> None:
    from dataclasses import replace

    from zoetrope.hosts.comfyui.jobs.upscale import UpscaleRequest, upscale

    inputs = enlargers(large, tile=16)
    masked = [[inputs.positive[0][0], {**inputs.positive[0][1], "mask": torch.ones(1, 32, 32)}]]
    with pytest.raises(ValueError, match="mask, area"):
        list(upscale(replace(inputs, positive=masked), iter(world(1, size=32)), UpscaleRequest(steps=1, cfg=1.0, tile=16)))
