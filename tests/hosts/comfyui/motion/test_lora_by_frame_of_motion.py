"""Motion LoRA by frame: each frame as the merged weights at that frame's strength, in the host's own UNet."""

from pathlib import Path
from typing import Any

import pytest
import torch
from layers import animatediff_file, noise
from tiny_calls import call, near
from torch import Tensor

pytestmark = pytest.mark.host

RAMP = (0.0, 0.25, 0.5, 1.0)
PLACE = "down_blocks.0.motion_modules.0.temporal_transformer."
BLOCK = f"{PLACE}transformer_blocks.0."
AFTER_ATTENTION = {
    f"{BLOCK}attention_blocks.1.to_out.0": (32, 32), f"{BLOCK}ff.net.0.proj": (256, 32), f"{BLOCK}ff.net.2": (32, 128),
    f"{PLACE}proj_out": (32, 32),
}  # fmt: skip
"""Layers after which no frame attends to another: name -> (outputs, inputs)."""
ALL = {
    **AFTER_ATTENTION, f"{PLACE}proj_in": (32, 32),
    **{f"{BLOCK}attention_blocks.{n}.to_{kind}": (32, 32) for n in (0, 1) for kind in "qkv"},
}  # fmt: skip


def lora(layers: dict[str, tuple[int, int]] = ALL, seed: int = 1, rank: int = 4) -> Any:
    from zoetrope.models.motion.families.animatediff.lora import lora_from

    made: dict[str, Tensor] = {}
    for index, (name, (outputs, inputs)) in enumerate(layers.items(), start=100 * seed):
        made[f"{name}.lora_down.weight"] = noise(rank, inputs, seed=index) * 0.3
        made[f"{name}.lora_up.weight"] = noise(outputs, rank, seed=index + 50) * 0.3
    return lora_from(made, "pan.safetensors")


def strengths(*values: float) -> Tensor:
    from zoetrope.models.layers.strength import ByFrame

    return ByFrame.of(values)


@pytest.fixture
def module(tmp_path: Path, comfyui: Any) -> Any:
    return comfyui.load(str(animatediff_file(tmp_path / "v3.safetensors")))


@pytest.fixture
def turned(tiny: Any, base: Any, comfyui: Any, module: Any) -> Any:
    """The MODEL with the module and a LoRA of this strength: a number is patched into the weights."""

    def make(strength: Any, which: Any = None, **settings: Any) -> Any:
        return tiny.applied(base, comfyui.with_lora(module, which or lora(), strength), own_schedule=False, **settings)

    return make


def test_a_constant_strength_is_the_merged_weights(tiny: Any, turned: Any) -> None:
    plain = call(turned(0.0))
    for strength in (1.0, -0.5):
        expected = call(turned(strength))
        assert near(call(turned(strengths(strength))), expected)
        assert near(call(turned(torch.full((4, 1, 1), strength))), expected)
        assert not torch.allclose(expected, plain, atol=1e-2)


@pytest.mark.parametrize("name", AFTER_ATTENTION)
def test_a_ramp_is_the_merged_weights_at_each_frames_strength(tiny: Any, turned: Any, name: str) -> None:
    one = lora({name: AFTER_ATTENTION[name]})
    expected = [call(turned(strength, one), chunks=2) for strength in RAMP]
    found = call(turned(strengths(*RAMP), one), chunks=2)
    for row in range(8):
        assert near(found[row], expected[row % 4][row])
    assert torch.equal(found[0], expected[0][0])
    assert not torch.allclose(found[3], expected[0][3], atol=1e-3)
    assert near(
        call(turned(torch.tensor([0.0, 1.0]).reshape(-1, 1, 1), one), frames=3)[1],
        call(turned(0.5, one), 3)[1],
    )


def test_strength_zero_is_the_modules_own_bits(tiny: Any, turned: Any) -> None:
    plain = tiny.sample(turned(0.0))
    assert torch.equal(tiny.sample(turned(strengths(0, 0))), plain)
    later = turned(strengths(0, 0, 0, 0, 1))
    assert torch.equal(tiny.sample(later), plain)
    assert not torch.equal(tiny.sample(later, frames=5), tiny.sample(turned(0.0), frames=5))


def test_windows_use_absolute_frames(tiny: Any, turned: Any) -> None:
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    def sampled(strength: Any) -> Tensor:
        return tiny.sample(in_windows(turned(strength), Windows("standard_static", 4, 0)), frames=8)

    found = sampled(strengths(0, 0, 0, 0, 1))
    assert torch.equal(found[:4], sampled(0.0)[:4])
    assert torch.allclose(found[4:], sampled(1.0)[4:], atol=1e-4)
    assert not torch.allclose(found[4:], sampled(0.0)[4:], atol=1e-3)
    ramps = [sampled(strengths(*values)) for values in ((*RAMP, *RAMP), (*RAMP, 0, 0, 0, 0))]
    assert torch.allclose(ramps[0][:4], ramps[1][:4], atol=1e-4)
    assert not torch.allclose(ramps[0][4:], ramps[1][4:], atol=1e-3)


def test_queues_use_absolute_frames(tiny: Any, turned: Any) -> None:
    conditions = (tiny.text(), tiny.text(seed=2))

    def denoised(strength: Any, frames: Any) -> Tensor:
        return tiny.denoised(turned(strength), *conditions, frames=frames)

    ramp = denoised(strengths(*RAMP), (0, 1, 2, 3))
    assert torch.equal(denoised(strengths(9, 9, 9, 9, *RAMP), (4, 5, 6, 7)), ramp)
    assert torch.allclose(denoised(strengths(*RAMP), (40, 41, 42, 43)), denoised(1.0, (40, 41, 42, 43)), atol=1e-4)
    assert not torch.allclose(ramp, denoised(1.0, (0, 1, 2, 3)), atol=1e-3)


def test_several_clips_in_a_batch_are_numbered_each_from_0(tiny: Any, turned: Any) -> None:
    found = call(turned(strengths(*RAMP), frames=4), frames=8)
    x, times, text = noise(8, 4, 8, 8), torch.full((4,), 500.0), noise(8, 7, 16)
    for part in (slice(0, 4), slice(4, 8)):
        with torch.inference_mode():
            assert near(found[part], tiny.call_unet(turned(strengths(*RAMP)), x[part], times, text[part]))


def test_several_windows_in_a_call_use_absolute_frames(tiny: Any, turned: Any) -> None:
    """Two windows, each conditional and unconditional."""
    model, numbers = turned(strengths(*RAMP, 0.3, 0.1), frames=4), [0, 1, 2, 3, 2, 3, 4, 5]
    model.model_options["transformer_options"]["zoetrope.frames"] = numbers
    found = call(model, frames=8, chunks=2)
    x, times, text = noise(16, 4, 8, 8), torch.full((4,), 500.0), noise(16, 7, 16)
    for row in range(0, 16, 4):
        alone = turned(strengths(*RAMP, 0.3, 0.1))
        alone.model_options["transformer_options"]["zoetrope.frames"] = numbers[row % 8 : row % 8 + 4]
        with torch.inference_mode():
            assert near(found[row : row + 4], tiny.call_unet(alone, x[row : row + 4], times, text[row : row + 4])), row


def test_several_loras_add_up(tiny: Any, base: Any, comfyui: Any, module: Any) -> None:
    pan, zoom = lora(), lora(seed=2)
    patched = comfyui.with_lora(comfyui.with_lora(module, pan, 0.7), zoom, 0.4)
    expected = call(tiny.applied(base, patched, own_schedule=False))
    for first, second in ((0.7, strengths(0.4)), (strengths(0.7), 0.4), (strengths(0.7), strengths(0.4))):
        both = comfyui.with_lora(comfyui.with_lora(module, pan, first), zoom, second)
        assert near(call(tiny.applied(base, both, own_schedule=False)), expected)


def test_one_module_applied_twice_keeps_its_loras_apart(tiny: Any, base: Any, comfyui: Any, module: Any) -> None:
    pan, zoom = lora(), lora(seed=2)
    turns = [comfyui.with_lora(module, pan, strengths(*RAMP)), comfyui.with_lora(module, zoom, 0.5), module]

    def chained(*loaded: Any) -> Tensor:
        model = base
        for each in loaded:
            model = tiny.applied(model, each, own_schedule=False)
        return tiny.sample(model)

    for first, second in ((0, 1), (1, 0), (0, 2), (2, 0)):
        fresh = comfyui.load(str(module.path))
        again = {0: (pan, strengths(*RAMP)), 1: (zoom, 0.5), 2: None}[second]
        apart = comfyui.with_lora(fresh, *again) if again else fresh
        expected = chained(turns[first], apart)
        assert torch.allclose(chained(turns[first], turns[second]), expected, atol=1e-4), (first, second)


def test_models_of_one_module_do_not_mix(tiny: Any, turned: Any) -> None:
    models = [turned(0.0), turned(strengths(*RAMP)), turned(strengths(1, 0)), turned(0.7)]
    first = [tiny.sample(model) for model in models]
    assert not torch.allclose(first[1], first[2], atol=1e-3)
    for index in (2, 0, 1, 3, 1, 0, 2):
        assert torch.equal(tiny.sample(models[index]), first[index]), index
    assert torch.equal(tiny.sample(models[1].clone().clone()), first[1])


def test_hooks_leave_the_module_with_the_model(tiny: Any, turned: Any, module: Any) -> None:
    def hooks() -> int:
        return sum(len(layer._forward_hooks) for layer in module.patcher.model.modules())

    patched = turned(strengths(*RAMP))
    tiny.sample(patched)
    assert hooks() == len(ALL)
    tiny.unload()
    assert hooks() == 0


def test_a_shot_notices_the_lora_and_its_strength(tiny: Any, base: Any, module: Any, turned: Any) -> None:
    from zoetrope.hosts.comfyui.fingerprint import model_settings

    def settings(strength: Any = None, **which: Any) -> dict[str, str]:
        return model_settings(turned(strengths(*RAMP) if strength is None else strength, lora(**which)))

    first, plain = settings(), model_settings(tiny.applied(base, module, own_schedule=False))
    assert settings() == first
    assert set(first) - set(plain) == {"LoRAs by frame"}
    assert {name: first[name] for name in plain} == plain
    same_numbers = torch.tensor(RAMP).reshape(-1, 1, 1)
    for other in (settings(strengths(0, 1)), settings(same_numbers), settings(seed=2), settings(layers=AFTER_ATTENTION)):
        assert [name for name in first if first[name] != other[name]] == ["LoRAs by frame"]


def test_files_that_do_not_fit_are_refused(tiny: Any, comfyui: Any, module: Any) -> None:
    from zoetrope.models.motion.families.animatediff.lora import lora_from

    with pytest.raises(ValueError, match="does not fit this motion module"):
        comfyui.with_lora(module, lora({f"{PLACE}proj_out": (64, 32)}), strengths(*RAMP))
    place = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora"
    adapter = lora_from({f"{place}.down.weight": noise(4, 32), f"{place}.up.weight": noise(32, 4)}, "v3_sd15_adapter.ckpt")
    assert len(comfyui.with_lora(module, adapter, 0.5).spatial) == 1
    with pytest.raises(ValueError, match=r"v3_sd15_adapter.ckpt is a LoRA for the image model.*use LoRA by Frame"):
        comfyui.with_lora(module, adapter, strengths(*RAMP))


def test_newer_hosts_build_the_factors_again(tiny: Any, turned: Any) -> None:
    (patcher,) = turned(strengths(*RAMP)).get_additional_models_with_key("zoetrope.lora.0")
    if not hasattr(patcher, "cached_patcher_init"):
        pytest.skip("this ComfyUI makes no network anew")
    made = patcher.clone(force_deepcopy=True)
    expected, found = patcher.model.state_dict(), made.model.state_dict()
    assert made.model is not patcher.model
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


@pytest.mark.slow
def test_it_acts_on_a_compiled_model(tiny: Any, turned: Any) -> None:
    import torch._dynamo
    from other_nodes import compiled

    plain = tiny.sample(turned(0.0), steps=1)
    model = turned(strengths(*RAMP))
    expected = tiny.sample(model, steps=1)
    torch._dynamo.reset()
    assert torch.allclose(tiny.sample(compiled(model), steps=1), expected, atol=1e-4)
    assert not torch.allclose(plain, expected, atol=1e-3)
    torch._dynamo.reset()
