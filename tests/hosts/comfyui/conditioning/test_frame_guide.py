"""Given frames in the real ComfyUI: clean frames, and further channels."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from given_frames import square
from layers import noise, randomise
from torch import Tensor

pytestmark = pytest.mark.host


def guided(tiny: Any, model: Any, motion: Any, first: Tensor | None = None, last: Tensor | None = None, **more: Any) -> Any:
    from zoetrope.hosts.comfyui.conditioning.frame_guide import GuideImages, GuideSettings, apply_guide

    latent = torch.zeros(4, 4, 8, 8)
    return apply_guide(model, motion, tiny.PictureVae(), latent, GuideImages(first, last), GuideSettings(**more))


def latent_of(tiny: Any, model: Any, image: Tensor) -> Tensor:
    """What a picture of 64 pixels a side becomes."""
    return model.model.process_latent_in(tiny.PictureVae().encode(image))


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "euler_ancestral", "ddim"])
def test_given_frames_come_back_and_the_others_know_of_them(tiny: Any, base: Any, motion: Any, sampler: str) -> None:
    moving = tiny.applied(base, motion)
    plain = tiny.sample(moving, sampler=sampler)
    first, last = square(tiny, seed=1), square(tiny, seed=2)
    out = tiny.sample(guided(tiny, moving, motion, first, last), sampler=sampler)
    process = base.model.process_latent_out
    assert torch.allclose(out[0], process(latent_of(tiny, base, first))[0], atol=1e-4)
    assert torch.allclose(out[3], process(latent_of(tiny, base, last))[0], atol=1e-4)
    assert not torch.allclose(out[1:3], plain[1:3], atol=1e-3)
    assert bool(out.isfinite().all())


def test_guide_of_strength_0_is_the_model_without_the_node_bit_for_bit(tiny: Any, base: Any, motion: Any) -> None:
    moving = tiny.applied(base, motion)
    assert torch.equal(tiny.sample(guided(tiny, moving, motion, square(tiny), strength=0.0)), tiny.sample(moving))
    outside = tiny.sample(guided(tiny, moving, motion, square(tiny), end=0.0))
    assert torch.allclose(outside, tiny.sample(moving), atol=1e-5)
    half = tiny.sample(guided(tiny, moving, motion, square(tiny), strength=0.5))
    assert not torch.allclose(half[0], tiny.sample(moving)[0], atol=1e-3)


def test_every_clip_of_a_batch_begins_with_the_picture(tiny: Any, base: Any, motion: Any) -> None:
    """Two clips of four frames in one batch, by the motion module's own setting; more than strength 1 is 1."""
    first, last = square(tiny, seed=1), square(tiny, seed=2)
    moving = tiny.applied(base, motion, 1.0, 4)
    process = base.model.process_latent_out
    for strength in (1.0, 1.7):
        out = tiny.sample(guided(tiny, moving, motion, first, last, strength=strength), 8)
        for clip in (0, 4):
            assert torch.allclose(out[clip], process(latent_of(tiny, base, first))[0], atol=1e-4)
            assert torch.allclose(out[clip + 3], process(latent_of(tiny, base, last))[0], atol=1e-4)
        assert bool(out.isfinite().all())


@pytest.mark.parametrize("frames", [1, 16, 64])
def test_any_number_of_frames_in_windows_too(tiny: Any, base: Any, motion: Any, frames: int) -> None:
    """Sliding Windows cuts the clip before the frames are put in, whichever node comes first."""
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    first = square(tiny)
    moving = tiny.applied(base, motion, 1.0)
    wanted = base.model.process_latent_out(latent_of(tiny, base, first))[0]
    cut = Windows("standard_static", 8, 2)
    models = [guided(tiny, in_windows(moving, cut), motion, first), in_windows(guided(tiny, moving, motion, first), cut)]
    if frames <= 16:
        models.append(guided(tiny, moving, motion, first))
    outs = [tiny.sample(model, frames, steps=2) for model in models]
    for out in outs:
        assert torch.allclose(out[0], wanted, atol=1e-4)
    assert torch.allclose(outs[0], outs[1], atol=1e-4)


@torch.inference_mode()
@pytest.mark.one_host
def test_a_long_shot_begins_with_the_picture_and_goes_on_without_it(tiny: Any, base: Any, motion: Any) -> None:
    """The queue meets the given frame at every level on its way out; later frames are made from those before them."""
    from zoetrope.hosts.comfyui.sampling.fifo import FifoSampler
    from zoetrope.hosts.comfyui.sampling.guider import guider_of
    from zoetrope.sampling.queue import QueueSettings, Schedules

    first = square(tiny)
    moving = tiny.applied(base, motion)

    def shot(model: Any, start: str) -> Tensor:
        sampler = FifoSampler(
            QueueSettings(window=4, partitions=2, context=1, shift=1, start=start), 10, Schedules(), published=True
        )
        empty = torch.zeros(4, 4, 8, 8)
        guider = guider_of(model, tiny.text(), tiny.text(seed=2), 3.0)
        return guider.sample(empty, empty, sampler, torch.tensor([14.0, 0.0]), disable_pbar=True, seed=1)

    for start in ("base clip", "noise"):
        plain, out = shot(moving, start), shot(guided(tiny, moving, motion, first), start)
        assert out.shape == (10, 4, 8, 8)
        wanted = base.model.process_latent_out(latent_of(tiny, base, first))[0]
        left = 0.0292 / 0.18215  # what the published levels leave of the noise, as the host hands latents out
        assert (out[0] - wanted).std() < 1.2 * left < 0.7 * (plain[0] - wanted).std()
        assert not torch.allclose(out[1:], plain[1:], atol=1e-3)
        assert bool(out.isfinite().all())


def test_more_pictures_than_frames_and_other_sizes_are_refused(tiny: Any, base: Any, motion: Any) -> None:
    from zoetrope.hosts.comfyui.conditioning.frame_guide import GuideImages, GuideSettings, apply_guide

    moving = tiny.applied(base, motion)
    with pytest.raises(ValueError, match="has 5 pictures for 4 frames; give it fewer"):
        tiny.sample(guided(tiny, moving, motion, square(tiny, 5)))
    with pytest.raises(ValueError, match="has 3 pictures for 2 frames; give it fewer"):
        tiny.sample(guided(tiny, tiny.applied(base, motion, 1.0, 2), motion, square(tiny, 2), square(tiny)))
    with pytest.raises(ValueError, match="needs a picture; connect first, last or both"):
        guided(tiny, moving, motion)
    with pytest.raises(ValueError, match=r"image: expected at least one picture .* got \(0, 64, 64, 3\)"):
        guided(tiny, moving, motion, square(tiny)[:0])
    small = apply_guide(
        moving, motion, tiny.PictureVae(), torch.zeros(4, 4, 4, 6), GuideImages(square(tiny), None), GuideSettings()
    )
    with pytest.raises(ValueError, match="made for latents of 6x4, the sampler works on 8x8. Connect the latent"):
        tiny.sample(small)
    other = SimpleNamespace(
        report=SimpleNamespace(file="v3.safetensors", name="AnimateDiff v3", variant=SimpleNamespace(guide=None))
    )
    with pytest.raises(ValueError, match="v3.safetensors is AnimateDiff v3, which takes no given frames. PIA, AnimateLCM-I2V"):
        guided(tiny, moving, other, square(tiny))
    alpha = torch.cat([square(tiny), torch.zeros(1, 64, 64, 1)], dim=-1)
    assert torch.allclose(
        tiny.sample(guided(tiny, moving, motion, alpha)), tiny.sample(guided(tiny, moving, motion, square(tiny)))
    )


def test_ranges_of_other_nodes_count_the_given_frame_as_the_sampler_does(tiny: Any, base: Any, motion: Any) -> None:
    """It is shown at level zero, but motion with a range acts on it as on the others."""
    shares: list[Any] = []
    moving = tiny.applied(base, motion, end=0.9)
    hooks = moving.wrappers["diffusion_model"]["zoetrope.motion.0"][0].__self__
    real = hooks.active
    hooks.active = lambda *args: shares.append(real(*args)) or shares[-1]
    tiny.sample(guided(tiny, moving, motion, square(tiny)), steps=6)
    assert shares[0] == 1.0
    assert shares[-1] == 0.0


def test_two_guides_of_one_picture_each_are_one_of_both(tiny: Any, base: Any, motion: Any) -> None:
    """Clean frames add up, in batches of several clips too; families with channels take both pictures in one node."""
    import comfy.ops
    from zoetrope.models.motion.frame_guide import DYNAMICRAFTER
    from zoetrope.models.motion.frame_guide_networks import ConvBranch

    first, last = square(tiny, seed=1), square(tiny, seed=2)
    moving = tiny.applied(base, motion, 1.0, 4)
    one = tiny.sample(guided(tiny, moving, motion, first, last), 8)
    two = tiny.sample(guided(tiny, guided(tiny, moving, motion, first), motion, None, last), 8)
    assert torch.allclose(one, two, atol=1e-4)
    channels = with_channels(tiny, base, DYNAMICRAFTER, ConvBranch(4, 32, comfy.ops.manual_cast))
    with pytest.raises(ValueError, match="has a First/Last Frame Guide already; connect first and last to one of them"):
        guided(tiny, guided(tiny, base, channels, first), channels, None, last)


def test_a_condition_for_an_area_or_with_a_mask_is_given_its_part_of_the_picture(tiny: Any, base: Any) -> None:
    import comfy.ops
    from zoetrope.models.motion.frame_guide import PIA
    from zoetrope.models.motion.frame_guide_networks import ConvBranch

    patched = guided(tiny, base, with_channels(tiny, base, PIA, ConvBranch(5, 32, comfy.ops.manual_cast)), square(tiny))
    area = [*tiny.text(), [tiny.text(seed=3)[0][0], {"area": (4, 8, 0, 0), "strength": 1.0}]]
    assert bool(tiny.sample(patched, positive=area).isfinite().all())
    mask = torch.zeros(1, 64, 64)
    mask[:, :32] = 1
    masked = [*tiny.text(), [tiny.text(seed=3)[0][0], {"mask": mask, "mask_strength": 1.0}]]
    assert bool(tiny.sample(patched, positive=masked).isfinite().all())


def with_channels(tiny: Any, base: Any, guide: Any, network: Any) -> Any:
    """A motion module without layers that brings a network for given frames."""
    import comfy.model_patcher
    from zoetrope.models.motion.module import MotionModule

    variant = SimpleNamespace(frames=4, schedule=None, notes=(), guide=guide)
    made = tiny.host_motion(MotionModule({}, None), SimpleNamespace(file="f", name="F", fits=(), variant=variant))
    randomise(network.requires_grad_(False), 4)
    patcher = comfy.model_patcher.ModelPatcher(network, base.load_device, base.offload_device)
    return type(made)(made.patcher, made.report, made.path, guide=patcher)


@pytest.mark.parametrize("family", ["PIA", "SEINE", "DYNAMICRAFTER"])
@torch.inference_mode()
def test_further_channels_are_those_of_a_wider_first_convolution(tiny: Any, base: Any, family: str) -> None:
    """The host's own UNet with a convolution for all channels, whose weights are ours side by side, packed by hand."""
    import comfy.ops
    from zoetrope.models.motion import frame_guide as guides
    from zoetrope.models.motion.frame_guide_networks import ConvBranch

    guide = getattr(guides, family)
    network = ConvBranch(guide.width, 32, comfy.ops.manual_cast)
    motion = with_channels(tiny, base, guide, network)
    first, last = square(tiny, seed=1), square(tiny, seed=2)
    patched = guided(tiny, base, motion, first, last)
    out = tiny.sample(patched, steps=1, sampler="euler")
    assert not torch.allclose(out, tiny.sample(base, steps=1), atol=1e-3)
    weights = dict(base.model.diffusion_model.state_dict())
    name = "input_blocks.0.0.weight"
    weights[name] = torch.cat([weights[name], network.conv.weight], dim=1)
    wide = tiny.model({**tiny.LAYOUT, "in_channels": 4 + guide.width}, weights)
    grey = latent_of(tiny, base, torch.full((1, 64, 64, 3), 0.5))[0]
    frames = {0: latent_of(tiny, base, first)[0], 3: latent_of(tiny, base, last)[0]}
    channels = guides.pack(guide, guides.GivenLatents(frames, grey), range(4))
    x, t, text = noise(4, 4, 8, 8), torch.full((4,), 500.0), noise(4, 7, 16)
    ours = tiny.call_unet(patched, torch.cat([x, x]), torch.cat([t, t]), torch.cat([text, text]), chunks=2)
    tiny.unload()
    theirs = tiny.call_unet(wide, torch.cat([x, channels], dim=1), t, text)
    assert torch.allclose(ours[:4], theirs, atol=2e-5)  # conditional and unconditional halves are shown the same
    assert torch.allclose(ours[4:], theirs, atol=2e-5)
    none = guided(tiny, base, motion, first, strength=0.0)
    assert torch.equal(tiny.sample(none), tiny.sample(base))
    tiny.unload()
    assert tiny.hooks_in(base) == 0


@torch.inference_mode()
def test_a_guide_adds_before_a_temporal_layer_that_was_put_in_earlier(tiny: Any, base: Any) -> None:
    from zoetrope.hosts.comfyui.unet import unet_places
    from zoetrope.models.edits.features import FeatureEdit
    from zoetrope.models.motion.frame_guide_networks import ConvBranch

    places = unet_places(base.model.diffusion_model)
    module, _ = places.sites["input"]
    x = noise(2, 4, 8, 8).to(next(module.parameters()))
    plain = module(x)
    seen: list[Tensor] = []
    later = module.register_forward_hook(lambda _module, _args, output: seen.append(output))
    injection = FeatureEdit()
    injection.install(ConvBranch(4, plain.shape[1], torch.nn), places)
    injection.give({"input": torch.ones_like(plain)})
    assert torch.equal(module(x), plain + 1)
    assert torch.equal(seen.pop(), plain + 1)  # what the earlier layer reads
    injection.remove()
    assert torch.equal(module(x), plain)
    later.remove()
