"""The original codes' UNets with pictures, as diffusers' image UNet with our layers; open_clip's towers."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import golden
import golden_pictures
import parity
import pytest
import torch
from layers import as_diffusers, diffusers_unet
from zoetrope.hosts.diffusers.image_prompt import null_states, picture_in, states_of
from zoetrope.hosts.diffusers.motion import motion_in, unet_places
from zoetrope.models.edits.features import FeatureEdit
from zoetrope.models.image_prompt.family import EncoderInput
from zoetrope.models.image_prompt.pixels import pixels_of


def answer(case: golden_pictures.PictureCase, unet: Any, strength: float = 1.0, fps: float | None = None) -> torch.Tensor:
    video, injection = case.video, FeatureEdit()
    with ExitStack() as stack:
        stack.enter_context(motion_in(unet, video.opened.motion, frames=video.frames, fps=fps or video.fps))
        if case.loaded is not None and case.tokens is not None and case.rows is not None:
            image = case.loaded.network.image
            stack.enter_context(picture_in(unet, image, case.tokens, case.rows, strength=strength))
        network: Any = case.guide()
        if network is not None and case.channels is not None and strength:
            injection.install(network, unet_places(unet))
            injection.give(network.features(case.channels, video.frames))
            stack.callback(injection.remove)
        return unet(video.sample, video.timesteps, video.context).sample


@pytest.mark.parametrize(("path", "output"), golden_pictures.parameters())
@torch.inference_mode()
def test_whole_unet_with_pictures_gives_the_reference_output(path: Path, output: str) -> None:
    case = golden_pictures.read(path, output)
    unet = diffusers_unet(case.video.layout)
    unet.load_state_dict(as_diffusers(case.video.spatial, unet))
    tensors, _ = golden.read(path)
    if output == "y":  # every clip has a frame rate of its own
        alone = [golden_pictures.one_clip(case, clip) for clip in range(len(tensors["fs"]))]
        out = torch.cat([answer(each, unet, fps=float(fs)) for each, fs in zip(alone, tensors["fs"], strict=True)])
    else:
        out = answer(case, unet)
    error = (out - case.video.output).abs().max().item()
    what = f"{path.stem} {output}"
    assert parity.within(case.video.opened.report.title, what, "diffusers", error, case.video.tolerance)
    without = answer(case, unet, strength=0.0)
    assert (without - case.video.output).abs().max() > 10 * case.video.tolerance
    with motion_in(unet, case.video.opened.motion, frames=case.video.frames, fps=case.video.fps):
        assert torch.equal(without, unet(case.video.sample, case.video.timesteps, case.video.context).sample)


def tower(seed: int = 0) -> Any:
    from open_clip.transformer import VisionTransformer

    torch.manual_seed(seed)
    return VisionTransformer(32, 8, 64, 3, 2, 4.0, output_dim=24).eval()


@torch.inference_mode()
def test_a_tower_gives_tokens_before_its_last_norm_and_its_embedding() -> None:
    """By hand, layer after layer."""
    visual = tower()
    pixels = pixels_of(torch.rand(2, 3, 40, 30, generator=torch.Generator().manual_seed(1)), 32, crop=True)
    before = x = visual._embeds(pixels)
    for block in visual.transformer.resblocks:
        before, x = x, block(x)
    assert torch.allclose(states_of(visual, pixels, EncoderInput("last", True, "grey picture")), x, atol=1e-5)
    assert torch.allclose(states_of(visual, pixels, EncoderInput("penultimate", True, "zero picture")), before, atol=1e-5)
    embedding = visual.ln_post(x[:, 0]) @ visual.proj
    assert torch.allclose(
        states_of(visual, pixels, EncoderInput("embedding", True, "zero embedding"))[:, 0], embedding, atol=1e-5
    )


def test_no_picture_is_what_each_family_was_trained_with() -> None:
    visual = tower()
    zero = torch.zeros(1, 3, 32, 32)
    assert torch.equal(null_states(visual, EncoderInput("embedding", True, "zero embedding"), 32), torch.zeros(1, 1, 24))
    look = EncoderInput("penultimate", True, "zero picture")
    assert torch.equal(null_states(visual, look, 32), states_of(visual, zero, look))
    look = EncoderInput("last", False, "grey picture")
    assert torch.equal(null_states(visual, look, 32), states_of(visual, pixels_of(zero + 0.5, 32, False), look))


def test_a_wide_picture_is_cut_about_its_middle_or_squashed() -> None:
    picture = torch.zeros(1, 3, 32, 96)
    picture[..., 32:64] = 1
    white = pixels_of(torch.ones(1, 3, 32, 32), 32, crop=True)
    assert torch.allclose(pixels_of(picture, 32, crop=True), white)
    squashed = pixels_of(picture, 32, crop=False)
    assert torch.allclose(squashed[..., 16], white[..., 16], atol=1e-4)
    assert torch.allclose(squashed[..., 0], pixels_of(torch.zeros(1, 3, 32, 32), 32, crop=False)[..., 0], atol=1e-4)
