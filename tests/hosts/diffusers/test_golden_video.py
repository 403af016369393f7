"""Whole video UNets of the original codes, as diffusers' image UNet with our temporal layers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import golden
import golden_video
import parity
import pytest
import torch
from einops import rearrange
from layers import as_diffusers, diffusers_unet, noise
from zoetrope.hosts.diffusers.motion import motion_in
from zoetrope.models.motion.module import MotionModule


def unet_of(case: golden_video.VideoCase) -> Any:
    unet = diffusers_unet(case.layout)
    unet.load_state_dict(as_diffusers(case.spatial, unet))
    return unet


def call(unet: Any, case: golden_video.VideoCase) -> torch.Tensor:
    return unet(case.sample, case.timesteps, case.context, class_labels=case.classes).sample


@pytest.mark.parametrize("path", golden_video.parameters())
@torch.inference_mode()
def test_whole_unet_gives_the_reference_output(path: Path) -> None:
    case = golden_video.read(path)
    unet = unet_of(case)
    plain = call(unet, case)
    with motion_in(unet, case.opened.motion, frames=case.frames):
        out = call(unet, case)
    error = (out - case.output).abs().max().item()
    assert parity.within(case.opened.report.title, path.stem, "diffusers", error, case.tolerance)
    with motion_in(unet, case.opened.motion, frames=case.frames, strength=0.0):
        assert torch.equal(call(unet, case), plain)
    assert (plain - case.output).abs().max() > 10 * case.tolerance


VIDEOCRAFTER = golden.borrow("unet_videocrafter2*", "unet_videocrafter1_t2v*")


@pytest.mark.parametrize("path", VIDEOCRAFTER)
@torch.inference_mode()
def test_each_part_of_videocrafter_does_what_the_reference_says(path: Path) -> None:
    """The reference with its temporal layers bypassed in turn; every clip of the batch has a frame rate of its own."""
    tensors, _ = golden.read(path)
    case = golden_video.read(path)
    unet, motion = unet_of(case), case.opened.motion
    everywhere = {"input": 0.0, "down": 0.0, "mid": 0.0, "up": 0.0}

    def without(kind: str) -> MotionModule:
        layers = {site: motion.layer(site) for site in motion.widths if not site.endswith(kind)}
        return MotionModule({s: v for s, v in layers.items() if kind != "attention" or s != "input"}, None)

    def error(key: str, clip: int, module: MotionModule = motion, **more: Any) -> float:
        rows = slice(clip * case.frames, (clip + 1) * case.frames)
        one = replace(case, sample=case.sample[rows], timesteps=case.timesteps[rows], context=case.context[rows])
        with motion_in(unet, module, frames=case.frames, fps=tensors["fps"][clip].item(), **more):
            return (call(unet, one) - rearrange(tensors[key][clip], "c f h w -> f c h w")).abs().max().item()

    for clip in range(len(tensors["fps"])):
        assert error("y", clip) < 1e-4
        assert error("y_spatial_only_no_fps", clip, strength=0.0) < 1e-4
        assert error("y_spatial_only", clip, levels=everywhere) < 1e-4
        assert error("y_no_temporal_attn", clip, without("attention")) < 1e-4
        if "y_no_temporal_conv" in tensors:
            assert error("y_no_temporal_conv", clip, without("resnet")) < 1e-4


@pytest.mark.parametrize("path", golden.borrow("lavie_base_unet*"))
@torch.inference_mode()
def test_norms_over_the_clip_are_part_of_the_module(path: Path) -> None:
    """Without them LaVie is far from LaVie; frames of one clip then no longer see each other in the norms."""
    case = golden_video.read(path)
    unet, motion = unet_of(case), case.opened.motion
    alone = MotionModule({site: motion.layer(site) for site in motion.widths}, None)
    with motion_in(unet, alone, frames=case.frames):
        assert (call(unet, case) - case.output).abs().max() > 100 * case.tolerance


@pytest.mark.parametrize("path", golden.borrow("lavie_base_unet*", "svd_unet_ldm*", "unet_videocrafter2*"))
@torch.inference_mode()
def test_a_mask_of_strength_reaches_pictures_tokens_and_rows(path: Path) -> None:
    case = golden_video.read(path)
    unet, motion = unet_of(case), case.opened.motion
    h, w = case.sample.shape[-2:]
    with motion_in(unet, motion, frames=case.frames, strength=torch.full((case.frames, h, w), 0.6)):
        masked = call(unet, case)
    with motion_in(unet, motion, frames=case.frames, strength=0.6):
        assert (masked - call(unet, case)).abs().max() < 1e-5
    with motion_in(unet, motion, frames=case.frames, amount=torch.full((1, h, w), 0.7)):
        masked = call(unet, case)
    with motion_in(unet, motion, frames=case.frames, amount=0.7):
        assert (masked - call(unet, case)).abs().max() < 1e-5


@torch.inference_mode()
def test_positions_beyond_the_table_stretch_or_repeat(tmp_path: Path) -> None:
    from layers import own_motion
    from zoetrope.hosts.diffusers.motion import unet_places

    layout = {
        "model_channels": 32, "channel_mult": [1], "num_res_blocks": [1], "transformer_depth": [1], "context_dim": 16,
        "num_heads": 4, "in_channels": 4, "out_channels": 4, "use_linear_in_transformer": False,
    }  # fmt: skip
    unet = diffusers_unet(layout)
    motion = own_motion(unet_places(unet).widths, frames=4)
    outputs = []
    for beyond in ("stretch", "repeat last"):
        with motion_in(unet, motion, frames=6, beyond=beyond):
            outputs.append(unet(noise(6, 4, 8, 8), torch.tensor(5), noise(6, 5, 16)).sample)
    assert all(out.isfinite().all() for out in outputs)
    assert not torch.allclose(*outputs, atol=1e-4)


@pytest.mark.parametrize("path", golden.claim("unet_per_frame_timesteps*"))
@torch.inference_mode()
def test_every_frame_may_have_a_noise_level_of_its_own(path: Path) -> None:
    """FIFO's UNet: VideoCrafter2 of another file, one timestep per frame; the same level for all is the ordinary call."""
    tensors, _ = golden.read(path)
    case = golden_video.read(golden.sibling(path, path.stem, "unet_videocrafter2"))
    unet, motion = unet_of(case), case.opened.motion
    x = rearrange(tensors["x"], "1 c f h w -> f c h w")
    context = tensors["context"].expand(len(x), -1, -1)
    for times, key in (("timesteps", "y"), ("timesteps_same", "y_same"), ("timesteps_same", "y_scalar_500")):
        with motion_in(unet, motion, frames=len(x), fps=tensors["fps"].float().item()):
            out = unet(x, tensors[times].flatten(), context).sample
        error = (out - rearrange(tensors[key], "1 c f h w -> f c h w")).abs().max().item()
        assert parity.within(case.opened.report.title, f"{path.stem} {key}", "diffusers", error, 1e-4)
