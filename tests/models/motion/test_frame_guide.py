"""Given frames: what each family is shown of them, number by number, and the networks that read it."""

from pathlib import Path

import formats
import golden
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from zoetrope.models.edits.features import check_guide_fit
from zoetrope.models.layers.positions import frame_table
from zoetrope.models.motion.frame_guide import (
    AFFINITIES,
    ANIMATELCM,
    CLEAN,
    DYNAMICRAFTER,
    PIA,
    SEINE,
    GivenLatents,
    GuideDesign,
    pack,
)
from zoetrope.models.motion.frame_guide_networks import ConvBranch, PictureEncoder, guide_network
from zoetrope.models.motion.loading import take_apart


def picture(value: float) -> torch.Tensor:
    return torch.full((4, 2, 3), value)


@pytest.mark.parametrize("path", golden.borrow("seine_unet*"))
def test_seine_packs_mask_and_pictures_as_the_original(path: Path) -> None:
    """Its mask is 1 where a frame is to be made; batch item 0 begins with a given frame, item 1 has one at both ends."""
    tensors, _ = golden.read(path)
    packed, masked = tensors["out.packed"], tensors["in.masked_latent"]
    frames = masked.shape[2]
    for item, (given, name) in enumerate((((0,), "mask_first1"), ((0, frames - 1), "mask_onelast1"))):
        mask = tensors[f"out.{name}"][0, 0]  # f h w
        assert [frame for frame in range(frames) if float(mask[frame, 0, 0]) == 0] == list(given)
        for frame in given:  # the hidden frames of the recording are random numbers, so each is looked at by itself
            shown = GivenLatents({n: masked[item, :, n] for n in given}, grey=masked[item, :, 1])
            ours = pack(SEINE, shown, range(frames))
            assert torch.equal(ours[frame], packed[item, 4:, frame])
            assert torch.equal(ours[1], packed[item, 4:, 1])
            assert torch.equal(ours[:, 0], mask)


@pytest.mark.parametrize("path", golden.borrow("unet_dynamicrafter_512*"))
def test_dynamicrafter_repeats_one_picture_and_leaves_frames_between_two_empty(path: Path) -> None:
    tensors, _ = golden.read(path)
    frames = tensors["concat"].shape[2]
    for clip in range(2):
        one = pack(DYNAMICRAFTER, GivenLatents({0: tensors["image_latent"][clip]}), range(frames))
        assert torch.equal(one, tensors["concat"][clip].transpose(0, 1))
        ends = {n: tensors["concat_interp"][clip, :, n] for n in (0, frames - 1)}
        two = pack(DYNAMICRAFTER, GivenLatents(ends), range(frames))
        assert torch.equal(two, tensors["concat_interp"][clip].transpose(0, 1))


def test_pia_says_how_alike_each_frame_is_to_the_nearest_picture() -> None:
    affinity = AFFINITIES["large motion"]
    shown = pack(PIA, GivenLatents({0: picture(1.0), 19: picture(2.0)}, affinity=affinity), range(20))
    assert shown.shape == (20, 5, 2, 3)
    assert shown[:, 0, 0, 0].tolist() == pytest.approx([affinity[min(n, 19 - n, 12)] for n in range(20)])
    assert shown[:, 1, 0, 0].tolist() == [1.0] * 10 + [2.0] * 10
    assert all(values[0] in (1.0, 0.5) and min(values) > 0 for values in AFFINITIES.values())


def test_animatelcm_sees_the_picture_in_every_frame_and_zoetrope_needs_no_channels() -> None:
    assert torch.equal(pack(ANIMATELCM, GivenLatents({0: picture(3.0)}), [0, 5, 900]), torch.full((3, 4, 2, 3), 3.0))
    assert (SEINE.width, PIA.width, DYNAMICRAFTER.width, ANIMATELCM.width, CLEAN.width) == (5, 5, 4, 4, 0)
    assert guide_network(CLEAN, {}, nn) is None


@torch.inference_mode()
def test_animatelcms_encoder_is_what_its_code_says() -> None:
    """Written out once more from the formula, for two clips and an odd size (G-U-N/AnimateLCM f873122, adapter.py)."""
    torch.manual_seed(0)
    encoder = PictureEncoder([32, 64, 64], nn)
    weights = dict(encoder.state_dict())
    x = torch.randn(6, 4, 9, 10)
    features = encoder.features(x, frames=3)
    h = F.conv2d(x, weights["conv_in.weight"], weights["conv_in.bias"], padding=1)
    h = h + 0.8 * frame_table(3, 32)[0].repeat(2, 1)[:, :, None, None]
    for level in range(3):
        for index in (2 * level, 2 * level + 1):
            if level and index % 2 == 0:
                h = F.pad(h, (0, h.shape[3] % 2, 0, h.shape[2] % 2), mode="replicate")
                h = F.avg_pool2d(h, 2)
                if f"body.{index}.in_conv.weight" in weights:
                    h = F.conv2d(h, weights[f"body.{index}.in_conv.weight"], weights[f"body.{index}.in_conv.bias"])
            inner = F.conv2d(h, weights[f"body.{index}.block1.weight"], weights[f"body.{index}.block1.bias"], padding=1).relu()
            h = h + F.conv2d(inner, weights[f"body.{index}.block2.weight"], weights[f"body.{index}.block2.bias"])
        assert torch.allclose(features[f"down.{level}.1.out"], h, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "guide", "widths"),
    [
        ("pia", PIA, {"input": 320}),
        ("diffusers_motion_adapter_pia", PIA, {"input": 320}),
        ("seine", SEINE, {"input": 320}),
        ("dynamicrafter_512", DYNAMICRAFTER, {"input": 320}),
        ("dynamicrafter_1024", DYNAMICRAFTER, {"input": 320}),
        ("animatelcm_i2v", ANIMATELCM, {"down.0.1.out": 320, "down.1.1.out": 640, "down.2.1.out": 1280, "down.3.1.out": 1280}),
        ("dynamicrafter_256", DYNAMICRAFTER, {"input": 320}),
    ],
)
def test_published_files_bring_the_network_that_their_guide_needs(
    name: str, guide: GuideDesign, widths: dict[str, int]
) -> None:
    opened = take_apart(formats.published(name), {}, name, 0)
    assert opened.report.variant.guide == guide
    network = guide_network(guide, opened.parts["image"], nn)
    assert isinstance(network, ConvBranch | PictureEncoder)
    assert network.widths == widths
    check_guide_fit(network, dict.fromkeys(widths, 0) | widths)
    with pytest.raises(ValueError, match="picture input does not fit this model: 320 channels at"):
        check_guide_fit(network, dict.fromkeys(widths, 5))


def test_other_families_take_no_given_frames() -> None:
    for name in ("animatediff_v3", "videocrafter2_t2v_512", "videocrafter1_i2v_512", "lavie_base"):
        assert take_apart(formats.published(name), {}, name, 0).report.variant.guide is None


def test_a_picture_input_that_is_not_whole_is_refused() -> None:
    encoder = {f"img_encoder.{key}": value for key, value in PictureEncoder([32, 64], nn).state_dict().items()}
    assert isinstance(guide_network(ANIMATELCM, encoder, nn), PictureEncoder)
    with pytest.raises(ValueError, match=r"picture input of a motion file, but lacks keys: body.1.block2.bias"):
        guide_network(ANIMATELCM, {k: v for k, v in encoder.items() if k != "img_encoder.body.1.block2.bias"}, nn)
