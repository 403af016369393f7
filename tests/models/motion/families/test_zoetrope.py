"""Our own family: silent at birth, alpha as DESIGN says, files that come back as they went."""

from pathlib import Path

import pytest
import torch
from layers import clip_of, noise, own_motion
from safetensors.torch import save_file
from torch import nn
from zoetrope.models.backbones.unet import BASES, Base, sites_of
from zoetrope.models.motion.families import detect
from zoetrope.models.motion.families.zoetrope import ZOETROPE, design
from zoetrope.models.motion.loading import load_motion
from zoetrope.models.motion.module import MotionModule

TINY = Base("tiny", (32, 64), 1, (True, False), 16)


def places(base: Base) -> dict[str, int]:
    return {site: width for site, width in sites_of(base).items() if not site.endswith("out")}


@pytest.mark.parametrize("base", [*BASES, TINY], ids=lambda base: base.name)
def test_every_key_is_in_the_table_and_found_again(base: Base) -> None:
    with torch.device("meta"):
        motion = MotionModule(design(places(base), base.context, 16, nn), 16)
    keys = list(motion.state_dict())
    table = ZOETROPE.spellings[0].table({}, "")
    assert [table.published(k) for k in keys] == keys == [table.ours(k) for k in keys]
    assert detect(keys) is ZOETROPE


def test_a_file_comes_back_bit_for_bit(tmp_path: Path) -> None:
    motion = own_motion(places(TINY))
    save_file(
        {k: v.contiguous() for k, v in motion.state_dict().items()}, tmp_path / "m.safetensors", {"zoetrope.frames": "12"}
    )
    loaded, report = load_motion(tmp_path / "m.safetensors")
    assert (report.family, report.variant.frames, report.variant.max_frames) == ("zoetrope", 12, 16)
    assert loaded.widths == motion.widths
    theirs = loaded.state_dict()
    assert set(theirs) == set(motion.state_dict())
    assert all(torch.equal(value, theirs[name]) for name, value in motion.state_dict().items())


def test_new_layers_add_nothing_until_trained() -> None:
    motion = MotionModule(design(places(TINY), 16, 8, nn), 8)
    x, text = noise(8, 32, 4, 4), noise(8, 5, 16)
    for site in ("down.0.0.resnet", "down.0.0.attention"):
        assert torch.equal(motion.layer(site)(x, clip_of(8, context=text)), x), site


@pytest.mark.parametrize("site", ["down.0.0.resnet", "down.0.0.attention"])
def test_alpha_1_gives_the_image_model_and_strength_scales_its_distance(site: str) -> None:
    layer = own_motion(places(TINY)).layer(site)
    x, clip = noise(8, 32, 4, 4), clip_of(8, context=noise(8, 5, 16))
    full = layer(x, clip) - x
    half = layer(x, clip_of(8, 0.5, clip.context)) - x
    assert full.abs().max() > 0.1
    assert torch.allclose(half, 0.5 * full, atol=1e-6)  # alpha' = 1 - s (1 - alpha)
    layer.get_submodule("blend").mix.data.fill_(100.0)  # sigmoid(100) is 1 in float32
    assert torch.equal(layer(x, clip), x)
