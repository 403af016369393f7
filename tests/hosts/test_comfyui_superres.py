"""Frames in between and larger pictures in the real ComfyUI, on the embedded model."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("inference")]


@pytest.fixture
def demo(tiny: Any) -> Any:
    from zoetrope.hosts.comfyui.loaders.demo import load_demo
    from zoetrope.hosts.comfyui.motion.apply import Settings, apply

    parts = load_demo()
    return parts, apply(parts.model, parts.motion, Settings())


@pytest.fixture
def large(tiny: Any) -> Any:
    from zoetrope.hosts.comfyui.loaders.demo_upscaler import load_upscaler_demo
    from zoetrope.hosts.comfyui.motion.apply import Settings, apply

    parts = load_upscaler_demo()
    return parts, apply(parts.model, parts.motion, Settings())


@pytest.fixture
def inference(tiny: Any) -> Any:
    with torch.inference_mode():
        yield
    tiny.unload()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of all UNet calls."""
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    seen: list[tuple[int, ...]] = []
    plain = UNetModel._forward

    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        seen.append(tuple(x.shape))
        return plain(self, x, *args, **kwargs)

    monkeypatch.setattr(UNetModel, "_forward", forward)
    return seen


def said(parts: Any, text: str) -> Any:
    return parts.clip.encode_from_tokens_scheduled(parts.clip.tokenize(text))


def world(frames: int, fps: float = 4, seed: int = 3, size: int = 64, **fixed: Any) -> Tensor:
    from zoetrope.demo.world import draw, film

    return film(draw(torch.Generator().manual_seed(seed), **{"motion": "moving right", **fixed}), frames, size, fps)


def fillers(demo: Any, prompt: str = "moving right at 16 fps") -> Any:
    from zoetrope.hosts.comfyui.jobs.interpolate import Fillers
    from zoetrope.hosts.comfyui.vae.chunked import Lens

    parts, model = demo
    words = said(parts, prompt)
    return Fillers(model, words, words, parts.motion, Lens(parts.vae))


def order(**more: Any) -> Any:
    from zoetrope.hosts.comfyui.jobs.interpolate import BetweenOrder

    return BetweenOrder(**{"factor": 4, "steps": 4, "seed": 5, **more})


def filled(demo: Any, keys: Tensor, prompt: str = "moving right at 16 fps", **more: Any) -> Tensor:
    from zoetrope.hosts.comfyui.jobs.interpolate import interpolate

    return torch.stack(list(interpolate(fillers(demo, prompt), iter(keys), order(**more))))


def test_key_frames_come_back_as_the_vae_shows_them(demo: Any) -> None:
    parts, _ = demo
    keys = world(6)
    out = filled(demo, keys)
    assert out.shape == (21, 3, 64, 64)
    shown = parts.vae.decode(parts.vae.encode(keys.movedim(1, -1))).movedim(-1, 1)
    assert (out[::4] - shown).abs().max() < 1e-4
    again = filled(demo, keys)
    assert torch.equal(out, again)
    kept = filled(demo, keys, originals=True)
    assert torch.equal(kept[::4], keys)
    assert torch.equal(kept[1::4], out[1::4])


def test_what_is_between_is_the_truth_rather_than_a_cross_fade(demo: Any) -> None:
    from zoetrope.video.quality.image_metrics import psnr

    truth = world(13, fps=8, shape="square", colour="red", background="black")
    out = filled(demo, truth[::4], "a red square moving right on black at 8 fps", steps=12)
    share = (torch.arange(13) % 4 / 4)[:, None, None, None]
    before, after = truth[::4].repeat_interleave(4, 0)[:13], truth[::4].roll(-1, 0).repeat_interleave(4, 0)[:13]
    fade = torch.lerp(before, after, share)
    middle = torch.arange(13) % 4 != 0
    assert psnr(out, truth)[middle].mean() > psnr(fade, truth)[middle].mean() + 2


def test_the_model_is_asked_once_per_window_and_step(demo: Any, counted: list[tuple[int, ...]]) -> None:
    filled(demo, world(9))  # 33 frames; windows of 13 that share 5
    assert len(counted) == 4 * 4
    assert {shape[0] for shape in counted} == {13}
    counted.clear()
    filled(demo, world(9), cfg=2.0)
    assert len(counted) == 2 * 4 * 4


def test_a_clip_without_an_end_takes_the_memory_of_a_few_windows(demo: Any) -> None:
    from itertools import islice

    from zoetrope.hosts.comfyui.jobs.interpolate import interpolate

    taken: list[int] = []
    picture = world(1)[0]

    def keys() -> Iterator[Tensor]:
        while True:
            taken.append(1)
            yield picture

    made = interpolate(fillers(demo), keys(), order(steps=2))
    ahead = [len(taken) - number // 4 for number, _ in enumerate(islice(made, 240))]
    assert max(ahead) <= 44
    assert max(ahead[120:]) <= max(ahead[:120])


def test_where_a_round_ends_changes_no_bit(demo: Any, large: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoetrope.hosts.comfyui.sampling import rounds as comfyui_stream

    keys, small = world(7), world(12, size=16)
    whole = filled(demo, keys), enlarged(large, small)
    monkeypatch.setattr(comfyui_stream, "ROUND", 5)
    assert torch.equal(filled(demo, keys), whole[0])
    assert torch.equal(enlarged(large, small), whole[1])


def test_cores_own_nodes_work_on_the_upscaler(large: Any) -> None:
    import comfy.sample
    from comfy_extras.nodes_sdupscale import SD_4XUpscale_Conditioning

    parts, model = large
    words = said(parts, "")
    made = SD_4XUpscale_Conditioning.execute(world(4, size=16).movedim(1, -1), words, words, 4.0, 0.1).result
    start = comfy.sample.prepare_noise(made[2]["samples"], 1)
    out = comfy.sample.sample(
        model, start, 2, 1.0, "euler", "normal", made[0], made[1], made[2]["samples"], disable_pbar=True, seed=11
    )
    assert out.shape == (4, 4, 16, 16)
    assert bool(out.isfinite().all())


def test_nothing_is_made_across_a_cut(demo: Any) -> None:
    first, second = world(3, background="black"), world(2, background="white")
    out = filled(demo, torch.cat([first, second]))
    assert out.shape[0] == 17
    assert torch.equal(out[8], out[9])
    assert torch.equal(out[8], out[11])
    assert out[11].mean() < 0.4
    assert out[12].mean() > 0.6
    alone = filled(demo, first)
    assert (out[:9] - alone).abs().max() < 1e-5
    through = filled(demo, torch.cat([first, second]), cut=0.0)
    assert not torch.equal(through[8], through[9])
    single = filled(demo, torch.cat([first[:1], second[:1], first[1:]]))  # a scene of a single frame
    assert (single[4] - second[0]).abs().max() < 1e-6
    assert torch.equal(single[4], single[7])


@pytest.mark.parametrize("keys", [2, 3])
def test_few_frames(demo: Any, keys: int) -> None:
    assert len(filled(demo, world(keys))) == 4 * (keys - 1) + 1


def test_odd_sizes_are_cut_about_the_middle_and_other_factors_work(demo: Any) -> None:
    keys = world(3, size=72)[:, :, :67, :70]
    assert filled(demo, keys, factor=3).shape == (7, 3, 64, 64)
    assert filled(demo, world(3), factor=15).shape[0] == 31
    assert filled(demo, world(3), factor=5, window=6).shape[0] == 11


def test_what_cannot_be_is_refused(demo: Any, tiny: Any, tmp_path: Any) -> None:
    from dataclasses import replace

    from zoetrope.hosts.comfyui.conditioning.frame_guide import apply_between

    with pytest.raises(ValueError, match="two key frames or more to fill in between, got 1"):
        filled(demo, world(1))
    with pytest.raises(ValueError, match="at most 15, because the model sees 16 frames at once, got 16"):
        filled(demo, world(3), factor=16)
    with pytest.raises(ValueError, match="factor: expected 2 or more"):
        filled(demo, world(3), factor=1)
    with pytest.raises(ValueError, match="steps: expected 1 to 1000, got 2000"):
        filled(demo, world(3), steps=2000)
    parts, model = demo
    report = replace(parts.motion.report, variant=replace(parts.motion.report.variant, guide=None))
    with pytest.raises(ValueError, match="which fills in no frames"):
        apply_between(model, replace(parts.motion, report=report), parts.vae, (8, 8))
    guided, _ = apply_between(model, parts.motion, parts.vae, (8, 8))
    with pytest.raises(ValueError, match="has a First/Last Frame Guide"):
        apply_between(guided, parts.motion, parts.vae, (8, 8))


def enlargers(large: Any, model: Any = None, vae: Any = None, tile: int = 0) -> Any:
    from zoetrope.hosts.comfyui.jobs.upscale import Enlargers
    from zoetrope.hosts.comfyui.vae.chunked import Lens, Way

    parts, with_motion = large
    words = said(parts, "")
    return Enlargers(model or with_motion, words, words, Lens(vae or parts.vae, Way(tile=4 * tile)))


def enlarged(large: Any, small: Tensor, model: Any = None, vae: Any = None, **more: Any) -> Tensor:
    from zoetrope.hosts.comfyui.jobs.upscale import UpscaleOrder, upscale

    settings = {"steps": 3, "cfg": 1.0, "seed": 5, **more}
    crew = enlargers(large, model, vae, settings.get("tile", 0))
    return torch.stack(list(upscale(crew, iter(small), UpscaleOrder(**settings))))


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


def test_tiles_are_seamless_and_take_less_at_once(large: Any, counted: list[tuple[int, ...]]) -> None:
    small = world(2, size=48)
    whole = enlarged(large, small, steps=6)
    counted.clear()
    tiled = enlarged(large, small, steps=6, tile=32)
    assert {shape[-1] for shape in counted} == {32}
    assert (whole - tiled).abs().mean() < 0.02


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
    from zoetrope.hosts.comfyui.jobs.upscale import UpscaleOrder, upscale

    list(upscale(enlargers(large), iter(frames), UpscaleOrder(steps=2, cfg=1.0)))


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
    with pytest.raises(ValueError, match="vae: the file it comes from holds none"):
        UpscaleVideo.execute(model, words, words, None, images, **{**told, "fps": 8.0})


def test_tiles_and_conditions_for_a_part_of_the_picture_are_refused(large: Any) -> None:
    from dataclasses import replace

    from zoetrope.hosts.comfyui.jobs.upscale import UpscaleOrder, upscale

    crew = enlargers(large, tile=16)
    masked = [[crew.positive[0][0], {**crew.positive[0][1], "mask": torch.ones(1, 32, 32)}]]
    with pytest.raises(ValueError, match="mask, area"):
        list(upscale(replace(crew, positive=masked), iter(world(1, size=32)), UpscaleOrder(steps=1, cfg=1.0, tile=16)))
