"""LoRA by frame: each frame as core's LoRA at that frame's strength, in the host's own UNet."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_calls import call, near
from torch import Tensor

pytestmark = pytest.mark.host

RAMP = (0.0, 0.25, 0.5, 1.0)


@pytest.fixture
def loras(tiny: Any) -> Any:
    import tiny_loras

    return tiny_loras


def core_by_frame(tiny: Any, loras: Any, model: Any, lora: dict[str, Tensor], strengths: Any = RAMP) -> Tensor:
    """Each frame of a call of the model with core's LoRA at the frame's strength."""
    return torch.stack([call(loras.core(model, lora, s))[frame] for frame, s in enumerate(strengths)])


@pytest.mark.parametrize("spelling", ["kohya", "kohya, diffusers' names", "diffusers", "diffusers without processor", "peft"])
def test_a_ramp_is_cores_lora_at_each_frames_strength(tiny: Any, base: Any, loras: Any, spelling: str, tmp_path: Path) -> None:
    same = loras.random_lora(base, alpha=None)
    expected = core_by_frame(tiny, loras, base, same)
    found = call(loras.by_frame(base, loras.saved(loras.random_lora(base, spelling, None), tmp_path), loras.ramp(*RAMP)))
    assert near(found, expected)
    plain = call(base)
    assert not torch.allclose(found[1], plain[1], atol=1e-2)
    assert torch.equal(found[0], plain[0])


def test_alpha_by_rank_and_every_sort_of_layer(tiny: Any, base: Any, loras: Any, tmp_path: Path) -> None:
    for only in ("", "attn1", "in_layers", "emb_layers", "time_embed", "ff.net", "op", "skip_connection"):
        lora = loras.random_lora(base, alpha=1.0, only=only)
        assert lora, only
        found = call(loras.by_frame(base, loras.saved(lora, tmp_path), loras.ramp(*RAMP)))
        assert near(found, core_by_frame(tiny, loras, base, lora)), only


def test_strength_zero_and_steps_outside_are_the_models_own_bits(tiny: Any, base: Any, loras: Any, tmp_path: Path) -> None:
    path = loras.saved(loras.random_lora(base), tmp_path)
    plain = tiny.sample(base, steps=4)
    for model in (
        loras.by_frame(base, path, 0.0),
        loras.by_frame(base, path, loras.ramp(0, 0)),
        loras.by_frame(base, path, 1, 1),
    ):
        assert torch.equal(tiny.sample(model, steps=4), plain)
    seen: list[Tensor] = []

    def note(apply_model: Any, args: Any) -> Any:
        seen.append(apply_model(args["input"], args["timestep"], **args["c"]).clone())
        return seen[-1]

    def noted(model: Any) -> list[Tensor]:
        seen.clear()
        guarded = model.clone()
        guarded.set_model_unet_function_wrapper(note)
        tiny.sample(guarded, steps=4)
        return list(seen)

    alone, late = noted(base), noted(loras.by_frame(base, path, 1.0, 0.5))
    half = len(alone) // 2
    assert all(torch.equal(one, other) for one, other in zip(alone[:half], late[:half], strict=True))
    assert not torch.equal(alone[-1], late[-1])
    assert tiny.hooks_in(base) == 0


def test_guidance_samplers_and_cores_loader_agree(tiny: Any, base: Any, loras: Any, tmp_path: Path) -> None:
    lora = loras.random_lora(base)
    path = loras.saved(lora, tmp_path)
    for strength in (1.0, -0.5):
        expected = tiny.sample(loras.core(base, lora, strength))
        assert torch.allclose(tiny.sample(loras.by_frame(base, path, strength)), expected, atol=1e-4)
    two = loras.by_frame(loras.by_frame(base, path, 0.5), path, 0.5)
    assert torch.allclose(tiny.sample(two), tiny.sample(loras.core(base, lora, 1.0)), atol=1e-4)
    both = call(loras.by_frame(base, path, loras.ramp(*RAMP)), chunks=2)
    assert both.shape == (8, 4, 8, 8)
    for row in (1, 5):
        assert near(both[row], call(loras.core(base, lora, RAMP[row % 4]), chunks=2)[row])


@pytest.mark.parametrize("kind", ["tucker", "loha", "loha tucker", "lokr", "lokr factors"])
def test_other_adapters_are_cores_at_each_strength(tiny: Any, base: Any, loras: Any, kind: str, tmp_path: Path) -> None:
    lora = loras.other_adapter(base, kind)
    expected = core_by_frame(tiny, loras, base, lora)
    found = call(loras.by_frame(base, loras.saved(lora, tmp_path), loras.ramp(*RAMP)))
    assert near(found, expected)
    assert not torch.allclose(found[3], call(base)[3], atol=1e-3)


def test_a_mask_acts_where_it_is_white(tiny: Any, base: Any, loras: Any, tmp_path: Path) -> None:
    last = loras.saved(loras.random_lora(base, only="out.2"), tmp_path)  # the last layer: nothing after it spreads the change
    mask = torch.zeros(1, 16, 16)
    mask[:, :, 8:] = 1
    plain, masked, full = (call(model) for model in (base, loras.by_frame(base, last, mask), loras.by_frame(base, last)))
    assert torch.equal(masked[..., :4], plain[..., :4])
    assert near(masked[..., 4:], full[..., 4:])
    assert not torch.allclose(full, plain, atol=1e-2)
    white = loras.saved(loras.random_lora(base), tmp_path, "all.safetensors")
    assert near(call(loras.by_frame(base, white, torch.ones(4, 8, 8))), call(loras.by_frame(base, white)))
    frames = torch.ones(4, 64, 64) * torch.tensor(RAMP).reshape(-1, 1, 1)
    assert near(call(loras.by_frame(base, white, frames)), call(loras.by_frame(base, white, loras.ramp(*RAMP))))


def test_a_mask_is_cut_to_the_area_of_a_condition(tiny: Any, base: Any, loras: Any, tmp_path: Path) -> None:
    lora = loras.random_lora(base, only="out.2")
    path, mask = loras.saved(lora, tmp_path), torch.zeros(1, 8, 8)
    mask[:, :, 4:] = 1
    for left, model in ((0, base), (4, loras.core(base, lora, 1.0))):
        area = tiny.text(area=(8, 4, 0, left))
        expected = tiny.sample(model, steps=1, guidance=1.0, positive=area)
        found = tiny.sample(loras.by_frame(base, path, mask), steps=1, guidance=1.0, positive=area)
        assert torch.allclose(found[..., left : left + 4], expected[..., left : left + 4], atol=1e-4)


def test_windows_and_queues_use_absolute_frames(tiny: Any, base: Any, loras: Any, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    path = loras.saved(lora := loras.random_lora(base), tmp_path)
    conditions = (tiny.text(), tiny.text(seed=2))
    queue = tiny.denoised(loras.by_frame(base, path, loras.ramp(0, 0, 0, 0, 0, 0.5, 1)), *conditions)  # frames 4 to 7
    for row, strength in enumerate((0.0, 0.5, 1.0, 1.0)):
        expected = tiny.denoised(loras.core(base, lora, strength), *conditions)[row]
        assert torch.allclose(queue[row], expected, atol=1e-4)
    cut = Windows("standard_static", 4, 2)
    for strength in (loras.ramp(*(i / 9 for i in range(10))), torch.tensor([0.0, 1.0]).reshape(-1, 1, 1)):
        model = loras.by_frame(base, path, strength)
        assert torch.allclose(tiny.sample(in_windows(model, cut), frames=10), tiny.sample(model, frames=10), atol=1e-4)


def test_together_with_motion_image_prompt_and_cores_patches(
    tiny: Any, base: Any, loras: Any, motion: Any, vision: Any, tmp_path: Path
) -> None:
    import other_nodes

    lora = loras.random_lora(base)
    path = loras.saved(lora, tmp_path)
    wraps = {
        "motion": lambda model: tiny.applied(model, motion),
        "image prompt": lambda model: tiny.prompted(model, tiny.projector(model), vision, tiny.picture()),
        **{name: other_nodes.PATCHES[name] for name in ("HyperTile", "Token Merging", "FreeU")},
    }
    for name, wrap in wraps.items():
        torch.manual_seed(0)
        expected = tiny.sample(wrap(loras.core(base, lora, 0.7)))
        for model in (wrap(loras.by_frame(base, path, 0.7)), loras.by_frame(wrap(base), path, 0.7)):
            torch.manual_seed(0)
            assert torch.allclose(tiny.sample(model), expected, atol=1e-3), name
        assert bool(tiny.sample(wrap(loras.by_frame(base, path, loras.ramp(*RAMP)))).isfinite().all())


def test_a_shot_notices_the_file_the_strength_and_alpha(tiny: Any, base: Any, loras: Any, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.fingerprint import model_settings

    def settings(strength: Any = 1.0, **lora: Any) -> dict[str, str]:
        return model_settings(loras.by_frame(base, loras.saved(loras.random_lora(base, **lora), tmp_path), strength))

    first = settings()
    assert settings() == first
    assert set(first) - set(model_settings(base)) == {"LoRAs by frame"}
    listed, timed = torch.tensor([0.0, 1.0]).reshape(-1, 1, 1), loras.ramp(0, 1)
    for other in (settings(0.5), settings(timed), settings(seed=2), settings(alpha=3.0), settings(only="attn1")):
        assert [name for name in first if first[name] != other[name]] == ["LoRAs by frame"]
    assert settings(listed) != settings(timed)


def test_newer_hosts_read_the_factors_again(tiny: Any, base: Any, loras: Any, tmp_path: Path) -> None:
    patched = loras.by_frame(base, loras.saved(loras.random_lora(base), tmp_path))
    (patcher,) = patched.get_additional_models_with_key("zoetrope.lora.0")
    if not hasattr(patcher, "cached_patcher_init"):
        pytest.skip("this ComfyUI makes no network anew")
    made = patcher.clone(force_deepcopy=True)
    expected, found = patcher.model.state_dict(), made.model.state_dict()
    assert made.model is not patcher.model
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
