"""Levels per frame in the host's own video transformers, against its scalar level and the network called by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.host
NAMES = ["wan21", "wan22", "ltxv", "cosmos"]
WINDOW = 5


def level_of(name: str) -> float:
    return 2.0 if name == "cosmos" else 0.6


def mixed_of(name: str) -> Tensor:
    return torch.linspace(0.2, 1.0, WINDOW) * level_of(name) / 0.6


def clean(dits: Any, name: str, x: Tensor, levels: Tensor, cfg: float = 3.0, **more: Any) -> Tensor:
    frames = torch.arange(len(x))
    return dits.in_round(dits.guider(name, cfg=cfg), name, WINDOW, lambda live: live(x, levels, frames), **more)


@pytest.mark.parametrize("cfg", [3.0, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_equal_levels_are_the_host_s_scalar_level(dits: Any, name: str, cfg: float) -> None:
    x, level = dits.latents(name, WINDOW), level_of(name)
    ours = clean(dits, name, x, torch.full((WINDOW,), level), cfg)

    class AtOneLevel(dits.comfy.samplers.Sampler):
        def sample(self, model_wrap: Any, sigmas: Any, extra_args: Any, *_: Any, **__: Any) -> Tensor:
            clip = x.movedim(0, 1)[None]
            self.made = model_wrap(clip, torch.tensor([level]), model_options=extra_args["model_options"], seed=0)
            return clip

    sampler, empty = AtOneLevel(), torch.zeros(1, *x.movedim(0, 1).shape)
    with torch.inference_mode():
        dits.guider(name, cfg=cfg).sample(empty, empty, sampler, torch.tensor([1.0, 0.0]), seed=0)
    assert torch.allclose(ours, sampler.made[0].movedim(0, 1), rtol=2e-6, atol=5e-6)  # predictions are up to 6


@pytest.mark.parametrize("name", NAMES)
def test_mixed_levels_are_the_network_called_by_hand(dits: Any, name: str) -> None:
    x, levels, patcher = dits.latents(name, WINDOW), mixed_of(name), dits.model(name)
    base = patcher.model
    sampling, rows = base.model_sampling, levels.reshape(-1, 1, 1, 1)
    times = sampling.timestep(levels)[None].float()
    clip = x / (1 + rows) if name == "cosmos" else x
    clip = clip.movedim(0, 1)[None]
    if name == "cosmos":
        clip = torch.cat([clip, torch.zeros(1, 1, *clip.shape[2:])], 1)
    if name == "ltxv":
        times = times.repeat_interleave(12, 1)
    ((context, more),) = dits.text(name)
    with torch.inference_mode():
        said = base.diffusion_model(clip, times, context=context, transformer_options={}, **more)[0].movedim(0, 1)
    by_hand = x / (1 + rows) - rows / (1 + rows) * said if name == "cosmos" else x - rows * said
    assert (clean(dits, name, x, levels, 1.0) - by_hand).abs().max() <= 5e-6


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_has_a_level_of_its_own_and_windows_of_a_call_are_apart(dits: Any, name: str) -> None:
    x, levels = dits.latents(name, 2 * WINDOW), torch.cat([mixed_of(name), mixed_of(name).flip(0)])
    both = clean(dits, name, x, levels, together=2)
    alone = [clean(dits, name, x[half], levels[half]) for half in (slice(0, WINDOW), slice(WINDOW, None))]
    assert (both - torch.cat(alone)).abs().max() <= 2e-5
    other = levels.clone()
    other[1] *= 0.5
    changed = (clean(dits, name, x, other, together=2) - both).abs().mean((1, 2, 3))
    assert changed[1] > 1e-2
    assert bool((changed[WINDOW:] == 0).all()), "frames of the other window"


@pytest.mark.parametrize("name", NAMES)
def test_given_frames_have_level_0(dits: Any, name: str) -> None:
    """The prediction of a frame without noise is the frame, and other frames see it."""
    x, levels = dits.latents(name, WINDOW), mixed_of(name)
    levels[0] = 0.0
    made = clean(dits, name, x, levels)
    assert torch.allclose(made[0], x[0], atol=1e-6)
    other = x.clone()
    other[0] += 1
    assert (clean(dits, name, other, levels) - made)[1:].abs().mean() > 1e-3
    assert torch.allclose(clean(dits, name, x, levels * 0), x), "all frames given"


@pytest.mark.one_host
def test_guidance_by_frame(dits: Any) -> None:
    from zoetrope.sampling.queue import Schedules
    from zoetrope.sampling.timeline import read_numbers

    x, levels = dits.latents("wan21", WINDOW), mixed_of("wan21")
    cfg = Schedules(cfg=read_numbers("0: 3 / 9: 6", "cfg", 0, 9))  # latents 3 and 4 begin at frames 9 and 13
    low, high = (clean(dits, "wan21", x, levels, scale) for scale in (3.0, 6.0))
    made = clean(dits, "wan21", x, levels, 3.0, schedules=cfg)
    assert torch.allclose(made[:3], low[:3], atol=1e-5)
    assert torch.allclose(made[3:], high[3:], atol=1e-5)


@pytest.mark.one_host
def test_a_lora_is_that_of_merged_weights(dits: Any) -> None:
    import comfy.sd

    x, levels, place = dits.latents("wan21", WINDOW), mixed_of("wan21"), "diffusion_model.blocks.0.ffn.0"
    down, up = (torch.randn(shape, generator=torch.Generator().manual_seed(7)) for shape in ((4, 48), (96, 4)))
    lora = {f"{place}.lora_A.weight": down, f"{place}.lora_B.weight": up}
    patched, _ = comfy.sd.load_lora_for_models(dits.model("wan21"), None, lora, 0.5, 0.0)
    merged = dits.model("wan21")
    with torch.no_grad():
        merged.model.diffusion_model.blocks[0].ffn[0].weight += 0.5 * up @ down
    made = [
        dits.in_round(dits.guider("wan21", one), "wan21", WINDOW, lambda live: live(x, levels, torch.arange(WINDOW)))
        for one in (patched, merged)
    ]
    assert torch.allclose(made[0], made[1], atol=1e-5)
    assert (made[0] - clean(dits, "wan21", x, levels)).abs().mean() > 1e-2


@pytest.mark.one_host
def test_a_network_that_does_not_use_levels_per_frame_is_refused(dits: Any) -> None:
    """Of the class that usually takes them, but with parts that another node replaced."""
    patcher = dits.model("wan21")
    network = patcher.model.diffusion_model
    usual = network.forward_orig
    network.forward_orig = lambda x, t, *args, **kwargs: usual(x, t[:, :1] if t.ndim > 1 else t, *args, **kwargs)
    with pytest.raises(ValueError, match="WAN21 cannot make a long shot: its network does not use a noise level per frame"):
        dits.in_round(
            dits.guider("wan21", patcher), "wan21", WINDOW,
            lambda live: live(dits.latents("wan21", WINDOW), mixed_of("wan21"), torch.arange(WINDOW)),
        )  # fmt: skip
