"""Masks and given frames are places of the whole picture: under areas, tiles, Deep Shrink, and where nobody says where."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from layers import randomise
from torch import Tensor, nn

pytestmark = pytest.mark.host

TOP = torch.zeros(1, 64, 64)
TOP[:, :32] = 1


@pytest.fixture
def motion(tiny: Any, base: Any, tmp_path: Path) -> Any:
    return tiny.own_file(base, tmp_path / "m.safetensors", seed=1)


def placed(tiny: Any, area: tuple[int, int, int, int]) -> Any:
    """A condition for an area: height, width, top, left, in latent pixels."""
    (tensor, about), *_ = tiny.text()
    return [[tensor, {**about, "area": area, "strength": 1.0}]]


def test_a_strength_mask_lies_over_the_picture_under_an_area(tiny: Any, base: Any, motion: Any) -> None:
    def sampled(strength: Any) -> Tensor:
        model = tiny.applied(base, motion, strength, own_schedule=False)
        return tiny.sample(model, steps=1, guidance=1.0, positive=placed(tiny, (4, 8, 0, 0)))[..., :4, :]

    one, none = sampled(1.0), sampled(0.0)
    assert torch.allclose(sampled(TOP), one, atol=1e-4)
    assert torch.allclose(sampled(1 - TOP), none, atol=1e-4)
    assert not torch.allclose(one, none, atol=1e-2)
    tiny.unload()


def test_two_areas_of_one_size_have_a_place_each(tiny: Any, base: Any, motion: Any) -> None:
    """The host puts both into one call of the model."""
    both = placed(tiny, (4, 8, 0, 0)) + placed(tiny, (4, 8, 4, 0))

    def sampled(strength: Any) -> Tensor:
        model = tiny.applied(base, motion, strength, own_schedule=False)
        return tiny.sample(model, steps=1, guidance=1.0, positive=both)

    masked = sampled(TOP)
    assert torch.allclose(masked[..., :4, :], sampled(1.0)[..., :4, :], atol=1e-4)
    assert torch.allclose(masked[..., 4:, :], sampled(0.0)[..., 4:, :], atol=1e-4)
    tiny.unload()


def test_an_amount_mask_and_windows_too(tiny: Any, base: Any, motion: Any) -> None:
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    def sampled(**settings: Any) -> Tensor:
        model = tiny.applied(base, motion, own_schedule=False, **settings)
        model = in_windows(model, Windows("standard_static", 4, 2))
        return tiny.sample(model, 6, steps=1, guidance=1.0, positive=placed(tiny, (4, 8, 0, 0)))[..., :4, :]

    assert torch.allclose(sampled(amount=1.5, amount_mask=TOP), sampled(amount=1.5), atol=1e-4)
    assert torch.allclose(sampled(amount=1.5, amount_mask=1 - TOP), sampled(), atol=1e-4)
    tiny.unload()


def test_tiles_are_parts_of_the_picture() -> None:
    from zoetrope.hosts.comfyui.call import TILE
    from zoetrope.hosts.comfyui.regions import regions_of

    mask = torch.arange(16.0).reshape(1, 4, 4)
    (place,) = regions_of({TILE: (2, 1, (4, 4))}, 1, (2, 2))
    assert place.cut(mask).tolist() == [[[9, 10], [13, 14]]]
    assert place.cut(torch.ones(3, 1, 1)).shape == (3, 1, 1)


def test_tiles_of_other_nodes_are_refused(tiny: Any, base: Any, motion: Any) -> None:
    def tiled(apply_model: Any, args: Any) -> Tensor:
        halves = [apply_model(x, args["timestep"], **args["c"]) for x in args["input"].chunk(2, dim=-1)]
        return torch.cat(halves, dim=-1)

    model = tiny.applied(base, motion, TOP)
    model.set_model_unet_function_wrapper(tiled)
    with pytest.raises(ValueError, match=r"a mask or a given frame: the model is called for 4x8 of the 8x8 latent"):
        tiny.sample(model, steps=1)
    tiny.unload()


@pytest.mark.parametrize("factor", [1.5, 2.0])
def test_masks_inside_blocks_follow_deep_shrink(tiny: Any, base: Any, factor: float) -> None:
    """A mask that is white, or black, all over acts as the number does, whatever size the levels have."""
    from other_nodes import SHRINK, node
    from zoetrope.models.layers.positions import NoPositions
    from zoetrope.models.layers.temporal import FrameAttention
    from zoetrope.models.layers.tokens import InBlockAttention
    from zoetrope.models.motion.module import MotionModule

    inside = {site: width for site, width in tiny.widths_of(base).items() if site.endswith(".before_ff")}
    layers = {s: InBlockAttention(FrameAttention(w, 2, w // 2, NoPositions(), nn), w, nn) for s, w in inside.items()}
    motion = randomise(MotionModule(layers, None).requires_grad_(False), 2)
    variant = SimpleNamespace(frames=4, schedule=None, notes=(), guide=None)
    made = tiny.host_motion(motion, SimpleNamespace(file="f", name="F", fits=(), variant=variant))

    def sampled(strength: Any) -> Tensor:
        model = tiny.applied(base, made, strength, own_schedule=False)
        settings = {**SHRINK, "downscale_factor": factor}
        return tiny.sample(node("nodes_model_downscale", "PatchModelAddDownscale", model, **settings), steps=1)

    one, none = sampled(1.0), sampled(0.0)
    assert torch.allclose(sampled(torch.ones(1, 64, 64)), one, atol=1e-4)
    assert not torch.allclose(one, none, atol=1e-3)
    half = sampled(TOP)
    assert float((half - one).abs()[..., :2, :].mean()) < float((half - none).abs()[..., :2, :].mean())
    tiny.unload()


def guided_by(tiny: Any, base: Any, guide: Any, network: Any) -> Any:
    import comfy.model_patcher
    from zoetrope.hosts.comfyui.conditioning.frame_guide import GuideImages, GuideSettings, apply_guide
    from zoetrope.models.motion.module import MotionModule

    variant = SimpleNamespace(frames=4, schedule=None, notes=(), guide=guide)
    made = tiny.host_motion(MotionModule({}, None), SimpleNamespace(file="f", name="F", fits=(), variant=variant))
    randomise(network.requires_grad_(False), 4)
    patcher = comfy.model_patcher.ModelPatcher(network, base.load_device, base.offload_device)
    motion = type(made)(made.patcher, made.report, made.path, guide=patcher)
    pictures = GuideImages(tiny.picture(size=(64, 64)), None)
    return apply_guide(base, motion, tiny.PictureVae(), torch.zeros(4, 4, 8, 8), pictures, GuideSettings())


def test_a_guide_gives_an_area_its_part_of_the_picture(tiny: Any, base: Any) -> None:
    import comfy.ops
    from zoetrope.models.motion.frame_guide import PIA
    from zoetrope.models.motion.frame_guide_networks import ConvBranch

    class Noted(ConvBranch):
        seen: list[Tensor] = []  # noqa: RUF012

        def features(self, channels: Tensor, frames: int) -> Any:
            self.seen.append(channels)
            return super().features(channels, frames)

    model = guided_by(tiny, base, PIA, Noted(5, 32, comfy.ops.manual_cast))
    tiny.sample(model, steps=1, guidance=1.0)
    whole = Noted.seen.pop()
    tiny.sample(model, steps=1, guidance=1.0, positive=placed(tiny, (4, 8, 3, 0)))
    assert torch.equal(Noted.seen.pop(), whole[..., 3:7, :])
    tiny.unload()


def test_features_follow_deep_shrink(tiny: Any) -> None:
    import comfy.ops
    from other_nodes import PATCHES
    from zoetrope.models.motion.frame_guide import ANIMATELCM
    from zoetrope.models.motion.frame_guide_networks import PictureEncoder

    layout = {
        **tiny.LAYOUT, "num_res_blocks": [2, 2], "transformer_depth": [1, 1, 0, 0],
        "transformer_depth_output": [1, 1, 1, 0, 0, 0],
    }  # fmt: skip
    base = tiny.model(layout)
    model = guided_by(tiny, base, ANIMATELCM, PictureEncoder([32, 64], comfy.ops.manual_cast))
    shrunk = tiny.sample(PATCHES["Deep Shrink"](model), steps=2)
    assert bool(shrunk.isfinite().all())
    assert not torch.allclose(shrunk, tiny.sample(PATCHES["Deep Shrink"](base), steps=2), atol=1e-3)
    tiny.unload()
