"""Interpolate Frames with the embedded model."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from demo_jobs import enlarged, fillers, said, world
from torch import Tensor

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("inference")]


def request(**more: Any) -> Any:
    from zoetrope.hosts.comfyui.jobs.interpolate import InterpolationRequest

    return InterpolationRequest(**{"factor": 4, "steps": 4, "seed": 5, **more})


def filled(demo: Any, keys: Tensor, prompt: str = "moving right at 16 fps", **more: Any) -> Tensor:
    from zoetrope.hosts.comfyui.jobs.interpolate import interpolate

    return torch.stack(list(interpolate(fillers(demo, prompt), iter(keys), request(**more))))


@pytest.mark.one_host
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


def test_a_closed_loop_is_filled_up_to_its_first_frame(demo: Any) -> None:
    """At half a picture width a second and 8 fps the shape is back where it began after 16 frames."""
    from zoetrope.video.quality.image_metrics import psnr

    truth = world(16, fps=8, shape="square", colour="red", background="black", speed=0.5)
    keys, prompt = truth[::4], "a red square moving right on black at 8 fps"
    out = filled(demo, keys, prompt, steps=12, loop=True)
    assert out.shape == truth.shape
    again = torch.cat([keys, keys])[: 4 + 3]  # a window of 16 frames has four keys, three steps apart
    assert torch.equal(out, filled(demo, again, prompt, steps=12)[:16])
    share = torch.tensor([1, 2, 3])[:, None, None, None] / 4
    fade = torch.lerp(keys[3:].expand(3, -1, -1, -1), keys[:1].expand(3, -1, -1, -1), share)
    assert psnr(out[13:], truth[13:]).mean() > psnr(fade, truth[13:]).mean() + 2
    with pytest.raises(ValueError, match="expected two key frames or more"):
        filled(demo, keys[:1], prompt, loop=True)


@pytest.mark.one_host
def test_the_model_is_asked_once_per_window_and_step(demo: Any, counted: list[tuple[int, ...]]) -> None:
    filled(demo, world(9))  # 33 frames; windows of 13 that share 5
    assert len(counted) == 4 * 4
    assert {shape[0] for shape in counted} == {13}
    counted.clear()
    filled(demo, world(9), cfg=2.0)
    assert len(counted) == (2 * 2 + 2) * 4, "the demo model is guided in the first two of four steps"


@pytest.mark.one_host
def test_a_clip_without_an_end_takes_the_memory_of_a_few_windows(demo: Any) -> None:
    from itertools import islice

    from zoetrope.hosts.comfyui.jobs.interpolate import interpolate

    taken: list[int] = []
    picture = world(1)[0]

    def keys() -> Iterator[Tensor]:
        while True:
            taken.append(1)
            yield picture

    made = interpolate(fillers(demo), keys(), request(steps=1))
    ahead = [len(taken) - number // 4 for number, _ in enumerate(islice(made, 160))]
    assert max(ahead) <= 44
    assert max(ahead[80:]) <= max(ahead[:80])


@pytest.mark.one_host
def test_where_a_round_ends_changes_no_bit(demo: Any, large: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoetrope.hosts.comfyui.jobs import unfinished

    keys, small = world(7), world(12, size=16)
    whole = filled(demo, keys), enlarged(large, small)
    monkeypatch.setattr(unfinished, "WINDOWS", 1)
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


@pytest.mark.one_host
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


@pytest.mark.one_host
def test_odd_sizes_are_cut_about_the_middle_and_other_factors_work(demo: Any) -> None:
    keys = world(3, size=72)[:, :, :67, :70]
    assert filled(demo, keys, factor=3).shape == (7, 3, 64, 64)
    assert filled(demo, world(3), factor=15).shape[0] == 31
    assert filled(demo, world(3), factor=5, window=6).shape[0] == 11


def test_what_cannot_be_is_refused(demo: Any, tiny: Any, tmp_path: Any) -> None:
    from dataclasses import replace

    from zoetrope.hosts.comfyui.conditioning.frame_guide import apply_keyframes

    with pytest.raises(ValueError, match="two key frames or more to fill in between, got 1"):
        filled(demo, world(1))
    with pytest.raises(ValueError, match="at most 15, because a window has 16 frames, got 16"):
        filled(demo, world(3), factor=16)
    with pytest.raises(ValueError, match="factor: expected 2 or more"):
        filled(demo, world(3), factor=1)
    with pytest.raises(ValueError, match="steps: expected 1 to 1000, got 2000"):
        filled(demo, world(3), steps=2000)
    parts, model = demo
    report = replace(parts.motion.report, variant=replace(parts.motion.report.variant, guide=None))
    with pytest.raises(ValueError, match="which fills in no frames"):
        apply_keyframes(model, replace(parts.motion, report=report), parts.vae, (8, 8))
    guided, _ = apply_keyframes(model, parts.motion, parts.vae, (8, 8))
    with pytest.raises(ValueError, match="has a First/Last Frame Guide"):
        apply_keyframes(guided, parts.motion, parts.vae, (8, 8))
