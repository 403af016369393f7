"""Site names and widths of the three Stable Diffusion UNets, against the host's own code where it is at hand."""

from typing import Any

import pytest
from zoetrope.models.backbones.unet import BASES, SD1, SD2, SDXL, Base, fitting, misfits, sites_of


def test_counts_are_animatediffs() -> None:
    """reference/animatediff, section 1: 20 modules besides the mid block on SD1.x, 15 on SDXL."""
    count = lambda base: sum(site.endswith("out") for site in sites_of(base))  # noqa: E731
    assert (count(SD1), count(SD2), count(SDXL)) == (20, 20, 15)


def test_widths_follow_the_levels() -> None:
    sites = sites_of(SDXL)
    assert (sites["down.0.0.out"], sites["down.2.1.attention"], sites["up.0.2.attention"], sites["up.2.0.out"]) == (
        320,
        1280,
        1280,
        320,
    )
    assert "down.0.0.attention" not in sites
    assert "up.2.0.attention" not in sites


def test_misfits_and_fitting() -> None:
    assert misfits({"a": 1, "b": 2}, {"b": 3}) == ["a: the UNet has no such place", "b: 2 channels in the file, 3 in the UNet"]
    assert fitting({"down.0.0.attention": 320}) == ["SD1.x", "SD2.x"]
    assert fitting({"down.2.0.attention": 1280, "up.2.0.resnet": 320}) == ["SDXL"]
    assert fitting({"down.0.0.resnet": 31}) == []


DEPTHS: dict[str, tuple[list[int], list[int]]] = {
    "SD1.x": ([1] * 6 + [0] * 2, [1] * 9 + [0] * 3),
    "SD2.x": ([1] * 6 + [0] * 2, [1] * 9 + [0] * 3),
    "SDXL": ([0] * 2 + [2] * 2 + [10] * 2, [0] * 3 + [2] * 3 + [10] * 3),
    "SD x4 upscaler": ([0] * 2 + [1] * 6, [0] * 3 + [1] * 9),
}
"""Transformer blocks per residual block, down and up, as the host detects them."""


@pytest.mark.host
@pytest.mark.parametrize("base", BASES, ids=lambda base: base.name)
def test_the_hosts_own_unet_has_exactly_these_sites(base: Base, tiny: Any) -> None:
    import torch
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from zoetrope.hosts.comfyui.unet import unet_places

    down, up = DEPTHS[base.name]
    unet = UNetModel(
        image_size=32,
        in_channels=4,
        out_channels=4,
        model_channels=base.widths[0],
        channel_mult=[width // base.widths[0] for width in base.widths],
        num_res_blocks=[base.blocks] * len(base.widths),
        num_heads=8,
        use_spatial_transformer=True,
        context_dim=base.context,
        legacy=False,
        use_checkpoint=False,
        transformer_depth=down,
        transformer_depth_output=up,
        transformer_depth_middle=base.attention[-1] or 1,
        device="meta",
        dtype=torch.float16,
    )
    assert unet_places(unet).widths == sites_of(base)
