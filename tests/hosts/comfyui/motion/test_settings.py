"""Strength, amount, ranges, levels, LoRAs and longer clips in the real ComfyUI; wrong bases refused before sampling."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from layers import animatediff_file, motion_from, noise, own_motion
from safetensors.torch import save_file

pytestmark = pytest.mark.host


@pytest.fixture
def motion(tmp_path: Path, base: Any) -> Any:
    """A random module of our family at every site of the tiny UNet, trained frames 4, table of 16."""
    from zoetrope.hosts.comfyui.motion import apply as comfyui
    from zoetrope.hosts.comfyui.unet import unet_places

    module = own_motion(unet_places(base.model.diffusion_model).widths, seed=1)
    save_file({k: v.contiguous() for k, v in module.state_dict().items()}, tmp_path / "m.safetensors", {"zoetrope.frames": "4"})
    return comfyui.load(str(tmp_path / "m.safetensors"))


def test_a_list_or_mask_that_is_the_same_everywhere_is_the_number(tiny: Any, base: Any, motion: Any) -> None:
    for name in ("strength", "amount"):
        number = tiny.sample(tiny.applied(base, motion, **{name: 0.6}))
        for dial in (torch.full((4, 1, 1), 0.6), torch.full((1, 8, 8), 0.6), torch.full((4, 64, 64), 0.6)):
            out = tiny.sample(tiny.applied(base, motion, **{name: dial}))
            assert torch.allclose(out, number, atol=1e-4), (name, dial.shape)
    assert not torch.allclose(tiny.sample(tiny.applied(base, motion, amount=0.6)), tiny.sample(tiny.applied(base, motion)))


def test_strength_0_in_every_form_is_the_host_bit_for_bit(tiny: Any, base: Any, motion: Any) -> None:
    plain = tiny.sample(base)
    for settings in ({"strength": torch.zeros(4, 1, 1)}, {"levels": {"down": 0.0, "mid": 0.0, "up": 0.0}}):
        patched = tiny.applied(base, motion, own_schedule=False, **settings)
        assert torch.equal(tiny.sample(patched), plain), settings


def test_frames_without_strength_see_no_motion(tiny: Any, base: Any, motion: Any) -> None:
    half = torch.tensor([0.0, 0.0, 1.0, 1.0]).reshape(4, 1, 1)
    x, times, context = noise(4, 4, 8, 8), torch.full((4,), 500.0), noise(4, 7, 16)
    with torch.inference_mode():
        plain = tiny.call_unet(base, x, times, context)
        out = tiny.call_unet(tiny.applied(base, motion, strength=half), x, times, context)
        full = tiny.call_unet(tiny.applied(base, motion), x, times, context)
    assert torch.equal(out[:2], plain[:2])
    assert not torch.allclose(out[2:], plain[2:], atol=1e-3)
    assert not torch.equal(out[2:], full[2:])  # the others' keys come from frames without motion


def test_levels_multiply(tiny: Any, base: Any, motion: Any) -> None:
    same = tiny.sample(tiny.applied(base, motion, 0.5))
    assert torch.equal(tiny.sample(tiny.applied(base, motion, 1.0, levels={"down": 0.5, "mid": 0.5, "up": 0.5})), same)
    assert not torch.equal(tiny.sample(tiny.applied(base, motion, 1.0, levels={"down": 0.5})), same)


def test_start_and_end_are_shares_of_the_sampling(tiny: Any, base: Any, motion: Any) -> None:
    def sampled(**settings: Any) -> torch.Tensor:
        return tiny.sample(tiny.applied(base, motion, **settings), steps=4)

    plain, full = tiny.sample(base, steps=4), sampled()
    assert torch.equal(sampled(start=0.0, end=1.0), full)
    assert torch.equal(sampled(start=1.0, end=1.0), plain)
    assert torch.equal(sampled(start=0.0, end=0.0), plain)
    early, late = sampled(end=0.5), sampled(start=0.5)
    for out in (early, late):
        assert not torch.equal(out, full)
        assert not torch.equal(out, plain)
    with pytest.raises(ValueError, match="expected 0 <= start <= end <= 1, got 0.7 and 0.2"):
        sampled(start=0.7, end=0.2)


def test_a_range_counts_for_each_frame_by_itself(tiny: Any, base: Any, motion: Any) -> None:
    """One noise level per frame: those outside the range are as if their strength were 0."""
    patched = tiny.applied(base, motion, start=0.5)
    patched.pre_run()
    model = patched.model
    high, low = (float(model.model_sampling.percent_to_sigma(share)) for share in (0.1, 0.9))
    sigmas = torch.tensor([high, high, low, low])
    x, context = noise(4, 4, 8, 8) * 3, noise(4, 7, 16)

    def call(which: Any) -> torch.Tensor:
        tiny.load_unet(which)
        wrappers = {"wrappers": which.wrappers, "cond_or_uncond": [0], "sigmas": sigmas}
        options = {**which.model_options["transformer_options"], **wrappers}
        with torch.inference_mode():
            return model.apply_model(x, sigmas, c_crossattn=context, transformer_options=options)

    by_hand = tiny.applied(base, motion, strength=torch.tensor([0.0, 0.0, 1.0, 1.0]).reshape(4, 1, 1))
    assert torch.equal(call(patched), call(by_hand))


def test_longer_clips_are_refused_or_stretched_as_chosen(tiny: Any, base: Any, motion: Any) -> None:
    with pytest.raises(ValueError, match=r"16 frames, got a clip of 20.*longer_clips"):
        tiny.sample(tiny.applied(base, motion), frames=20)
    outputs = [tiny.sample(tiny.applied(base, motion, beyond=beyond), frames=20) for beyond in ("stretch", "repeat last")]
    assert all(out.isfinite().all() for out in outputs)
    assert not torch.equal(*outputs)
    same = [tiny.sample(tiny.applied(base, motion, beyond=beyond), frames=8) for beyond in ("refuse", "stretch", "repeat last")]
    assert torch.equal(same[0], same[1])
    assert torch.equal(same[0], same[2])


def test_a_list_for_the_batch_is_cut_to_its_clips(tiny: Any, base: Any, motion: Any) -> None:
    x, times, context = noise(8, 4, 8, 8), torch.full((8,), 500.0), noise(8, 7, 16)
    which = torch.tensor([0.0] * 4 + [1.0] * 4).reshape(8, 1, 1)
    with torch.inference_mode():
        plain = tiny.call_unet(base, x, times, context)
        out = tiny.call_unet(tiny.applied(base, motion, frames=4, strength=which), x, times, context)
        full = tiny.call_unet(tiny.applied(base, motion, frames=4), x, times, context)
    assert torch.equal(out[:4], plain[:4])
    assert torch.allclose(out[4:], full[4:], atol=1e-4, rtol=1e-4)


def test_one_file_chained_with_two_loras_runs_both(tiny: Any, base: Any, tmp_path: Path) -> None:
    """Pan for the first half, then zoom: the host patches weights in place, so one module cannot be both."""
    from zoetrope.hosts.comfyui.motion import apply as comfyui
    from zoetrope.models.motion.families.animatediff.lora import lora_from

    path = animatediff_file(tmp_path / "v3.safetensors")
    place = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor.to_v_lora"
    pan, zoom = (
        lora_from({f"{place}.down.weight": noise(4, 32, seed=s), f"{place}.up.weight": noise(32, 4, seed=s + 5)}, "l")
        for s in (1, 2)
    )
    shared = comfyui.load(str(path))
    chained = tiny.applied(tiny.applied(base, comfyui.with_lora(shared, pan, 1.0)), comfyui.with_lora(shared, zoom, 1.0))
    apart = base
    for lora in (pan, zoom):
        apart = tiny.applied(apart, comfyui.with_lora(comfyui.load(str(path)), lora, 1.0))
    both_zoom = tiny.applied(tiny.applied(base, comfyui.with_lora(shared, zoom, 1.0)), comfyui.with_lora(shared, zoom, 1.0))
    expected = tiny.sample(apart)
    assert torch.allclose(tiny.sample(chained), expected, rtol=1e-4, atol=1e-3)
    assert not torch.allclose(tiny.sample(both_zoom), expected, rtol=1e-3, atol=1e-2)


def test_full_precision_files_are_held_as_the_host_would_hold_them(tiny: Any, tmp_path: Path, monkeypatch: Any) -> None:
    import comfy.model_management
    from zoetrope.hosts.comfyui.motion import apply as comfyui

    path = str(animatediff_file(tmp_path / "v3.safetensors"))
    for chosen, expected in ((torch.float16, torch.float16), (torch.float32, torch.float32)):
        monkeypatch.setattr(comfy.model_management, "unet_dtype", lambda chosen=chosen, **_: chosen)
        module = comfyui.load(path).patcher.model
        assert {parameter.dtype for parameter in module.parameters()} == {expected}


def test_loras_of_two_models_do_not_mix(tiny: Any, base: Any, tmp_path: Path) -> None:
    """Two clones of one module with different LoRAs, and one without, interleaved: the host patches and unpatches."""
    from zoetrope.hosts.comfyui.motion import apply as comfyui
    from zoetrope.models.motion.families.animatediff.lora import lora_from, merged

    plain = comfyui.load(str(animatediff_file(tmp_path / "v3.safetensors")))
    place = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor.to_v_lora"
    lora = lora_from({f"{place}.down.weight": noise(4, 32), f"{place}.up.weight": noise(32, 4, seed=3)}, "l")
    strengths = (0.0, 0.8, -0.5)
    motions = [plain, *(comfyui.with_lora(plain, lora, strength) for strength in strengths[1:])]
    models = [tiny.applied(base, motion) for motion in motions]
    first = [tiny.sample(model) for model in models]
    assert not torch.allclose(first[0], first[1], atol=1e-4)
    assert not torch.allclose(first[1], first[2], atol=1e-4)
    for index in (2, 0, 1, 1, 0, 2):
        assert torch.equal(tiny.sample(models[index]), first[index]), index
    tiny.unload()  # the host patches weights in place while they are loaded
    for strength, out in zip(strengths, first, strict=True):
        ours = replace(plain, patcher=tiny.host_motion(merged(plain.patcher.model, lora, strength), plain.report).patcher)
        assert torch.allclose(tiny.sample(tiny.applied(base, ours)), out, rtol=1e-4, atol=1e-3)
    both = tiny.applied(base, comfyui.with_lora(motions[1], lora, 0.4))
    summed = tiny.applied(base, comfyui.with_lora(plain, lora, 1.2))
    assert torch.allclose(tiny.sample(both), tiny.sample(summed), rtol=1e-4, atol=1e-3)


def test_a_file_for_another_base_is_refused_before_sampling(tiny: Any, tmp_path: Path) -> None:
    """SD1.x and SD2.x have the same widths; only the text tells them apart."""
    from types import SimpleNamespace

    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from published_keys import animatediff

    with torch.device("meta"):
        unet = UNetModel(
            image_size=32, in_channels=4, out_channels=4, model_channels=320, num_res_blocks=[2] * 4, channel_mult=[1, 2, 4, 4],
            num_head_channels=64, use_spatial_transformer=True, context_dim=1024, legacy=False, use_checkpoint=False,
            use_linear_in_transformer=True, transformer_depth=[1] * 6 + [0] * 2, transformer_depth_output=[1] * 9 + [0] * 3,
            transformer_depth_middle=1,
        )  # fmt: skip
    model = SimpleNamespace(model=SimpleNamespace(diffusion_model=unet))
    with torch.device("meta"):
        motion = tiny.host_motion(*motion_from(animatediff("v3"), "v3_sd15_mm.ckpt"))
    with pytest.raises(ValueError, match=r"v3_sd15_mm.ckpt is AnimateDiff v3, made for SD1.x, but this MODEL is SD2.x. Load"):
        tiny.applied(model, motion)


def test_a_model_with_a_strength_by_frame_is_cloned(tiny: Any, base: Any, motion: Any) -> None:
    """The host deep-copies the options of a MODEL; the copy has the same values by absolute frame."""
    from zoetrope.nodes.parsing import strength_of

    patched = tiny.applied(base, motion, strength_of("strength", 1.0, "0: 0 / 2: 1", None))
    assert torch.equal(tiny.sample(patched.clone().clone()), tiny.sample(patched))
