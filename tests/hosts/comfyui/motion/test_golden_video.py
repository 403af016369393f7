"""Whole video UNets of the original codes in the host's own UNet, and every kind of layer."""

from pathlib import Path
from typing import Any

import golden
import golden_video
import parity
import pytest
import torch
from video_units import unet_with_motion

pytestmark = pytest.mark.host


@pytest.mark.parametrize("path", golden_video.parameters())
@torch.inference_mode()
def test_whole_unet_gives_the_reference_output(tiny: Any, path: Path) -> None:
    case = golden_video.read(path)
    base, motion = unet_with_motion(tiny, case)
    arguments = (case.sample, case.timesteps.float(), case.context)
    plain = tiny.call_unet(base, *arguments, classes=case.classes)
    out = tiny.call_unet(tiny.applied(base, motion, 1.0, case.frames), *arguments, classes=case.classes)
    error = (out - case.output).abs().max().item()
    assert parity.within(case.opened.report.title, path.stem, tiny.NAME, error, case.tolerance)
    chunks = case.sample.shape[0] // case.frames  # the clips as conditional and unconditional parts of a batch
    out = tiny.call_unet(tiny.applied(base, motion), *arguments, chunks=chunks, classes=case.classes)
    assert (out - case.output).abs().max() <= case.tolerance
    off = tiny.applied(base, motion, 0.0)
    assert torch.equal(tiny.call_unet(off, *arguments, classes=case.classes), plain)
    assert torch.equal(tiny.call_unet(base, *arguments, classes=case.classes), plain)
    tiny.unload()
    assert tiny.hooks_in(base) == 0


def test_two_modules_that_both_want_norms_over_the_clip_fold_once(tiny: Any) -> None:
    """Chained modules share the UNet's norms; the second finds them folded and leaves them alone."""
    parameters = golden.borrow("lavie_base_unet*")
    if parameters[0].values[0] is None:
        pytest.skip("no golden LaVie UNet here")
    case = golden_video.read(parameters[0].values[0])
    base, motion = unet_with_motion(tiny, case)
    with torch.inference_mode():
        twice = tiny.applied(tiny.applied(base, motion, 1.0, case.frames), motion, 1e-9, case.frames)
        out = tiny.call_unet(twice, case.sample, case.timesteps.float(), case.context)
    assert (out - case.output).abs().max() <= case.tolerance


@torch.inference_mode()
def test_every_kind_of_layer_interleaves_bit_stably_and_leaves_the_base_clean(tiny: Any) -> None:
    """VideoCrafter: pictures, and rows of the time embedding, with a sampling object of its own; SVD: tokens and alphas."""
    found = [p for p in golden.borrow("unet_videocrafter2*", "modelscope_unet_original*") if p.values[0] is not None]
    if not found:
        pytest.skip("no golden video UNets here")
    for parameter in found:
        case = golden_video.read(parameter.values[0])
        width = case.context.shape[-1]
        base, motion = unet_with_motion(tiny, case)
        weights = {key: value.clone() for key, value in base.model.state_dict().items()}
        models = [base, tiny.applied(base, motion), tiny.applied(base, motion, 0.5, fps=7.0)]
        prompts = {"positive": tiny.text(width=width), "negative": tiny.text(seed=2, width=width)}
        first = [tiny.sample(model, frames=8, **prompts) for model in models]
        assert not torch.allclose(first[1], first[2], atol=1e-3)
        for index in (2, 0, 1, 0, 2):
            assert torch.equal(tiny.sample(models[index], frames=8, **prompts), first[index]), index
        tiny.unload()
        assert tiny.hooks_in(base) == 0
        assert all(torch.equal(value, weights[key]) for key, value in base.model.state_dict().items())


@torch.inference_mode()
def test_layers_inside_a_block_live_with_attention_patches_of_other_packs(tiny: Any) -> None:
    """IP-Adapters replace text attention and other packs patch around it: LaVie's layer sees what comes out of them."""
    from comfy.ldm.modules.attention import optimized_attention

    parameters = golden.borrow("lavie_base_unet*")
    if parameters[0].values[0] is None:
        pytest.skip("no golden LaVie UNet here")
    case = golden_video.read(parameters[0].values[0])
    base, motion = unet_with_motion(tiny, case)
    patched = tiny.applied(base, motion, 1.0, case.frames)
    arguments = (case.sample, case.timesteps.float(), case.context)

    def same(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, extra: Any) -> torch.Tensor:
        return optimized_attention(q, k, v, extra["n_heads"])

    replaced = patched.clone()
    for place in (("input", 1), ("middle", 0), ("output", 2), ("output", 3)):
        replaced.set_model_attn2_replace(same, *place)
    assert (tiny.call_unet(replaced, *arguments) - case.output).abs().max() <= case.tolerance
    doubled = patched.clone()
    doubled.set_model_attn2_output_patch(lambda n, extra: 2 * n)
    alone = base.clone()
    alone.set_model_attn2_output_patch(lambda n, extra: 2 * n)
    moved = tiny.call_unet(doubled, *arguments)
    assert (moved - case.output).abs().max() > 100 * case.tolerance
    off = tiny.applied(alone, motion, 0.0)
    assert torch.equal(tiny.call_unet(off, *arguments), tiny.call_unet(alone, *arguments))


@pytest.mark.parametrize("path", golden.borrow("unet_per_frame_timesteps*"))
@torch.inference_mode()
def test_every_frame_may_have_a_noise_level_of_its_own(tiny: Any, path: Path) -> None:
    tensors, _ = golden.read(path)
    case = golden_video.read(golden.sibling(path, path.stem, "unet_videocrafter2"))
    base, motion = unet_with_motion(tiny, case)
    frames = tensors["x"].shape[2]
    patched = tiny.applied(base, motion, fps=tensors["fps"].float().item())
    x = tensors["x"][0].transpose(0, 1).contiguous()  # (f, c, h, w)
    context = tensors["context"].expand(frames, -1, -1)
    out = tiny.call_unet(patched, x, tensors["timesteps"].flatten().float(), context)
    error = (out - tensors["y"][0].transpose(0, 1)).abs().max().item()
    assert parity.within(case.opened.report.title, f"{path.stem} y", tiny.NAME, error, 1e-4)
