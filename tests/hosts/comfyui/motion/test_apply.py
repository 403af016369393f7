"""Motion modules in the real ComfyUI: the numbers, the life cycle of hooks."""

import gc
from pathlib import Path
from typing import Any

import golden
import parity
import pytest
import torch
from layers import animatediff_file, diffusers_unet, error_of, noise, own_motion
from safetensors.torch import save_file

pytestmark = pytest.mark.host


@pytest.mark.parametrize(("path", "name"), golden.unet_cases())
@torch.inference_mode()
def test_whole_unet_gives_the_reference_output(tiny: Any, comfyui: Any, tmp_path: Path, path: Path, name: str) -> None:
    case = golden.unet_case(path, name)
    for chunks in (1, 2):  # two clips in one batch; then the same two as conditional and unconditional halves
        patcher = tiny.model(case.layout, case.spatial)
        if case.motion:
            save_file({k: v.contiguous() for k, v in case.motion.items()}, tmp_path / "m.safetensors")
            motion = with_loras(comfyui, comfyui.load(str(tmp_path / "m.safetensors")), case)
            patcher = tiny.applied(patcher, motion, 1.0, case.frames if chunks == 1 else 0)
        elif case.clip_norms:
            patcher = tiny.applied(patcher, tiny.host_motion(*golden.norms_alone(case)), 1.0, case.frames if chunks == 1 else 0)
        out = tiny.call_unet(patcher, case.sample, case.timesteps.float(), case.context, chunks=chunks)
        error = error_of(out, case.output)
        assert parity.within("AnimateDiff", f"{path.stem} {name}", tiny.NAME, error, 2e-5)
        tiny.unload()


def with_loras(comfyui: Any, motion: Any, case: golden.UNetCase) -> Any:
    from zoetrope.models.motion.families.animatediff.lora import lora_from

    return comfyui.with_lora(motion, lora_from(case.lora, "l.ckpt"), case.lora_strength) if case.lora else motion


@torch.inference_mode()
def test_both_hosts_give_the_same_output(tiny: Any, comfyui: Any, tmp_path: Path) -> None:
    """One image UNet and one motion module of ours, with text attention, in both hosts. Needs the golden UNet's key names."""
    from zoetrope.hosts.diffusers.motion import motion_in

    cases = golden.unet_cases()
    if cases[0].values[0] is None:
        pytest.skip("the map of key names between the hosts is a golden file, and there is none here")
    import json

    case = golden.unet_case(*cases[0].values)
    names = json.loads(golden.sibling(cases[0].values[0], "cases", "names", ".json").read_text())
    unet = diffusers_unet(case.layout)
    unet.load_state_dict({names[k]: v for k, v in case.spatial.items()})
    patcher = tiny.model(case.layout, case.spatial)
    module = own_motion(tiny.widths_of(patcher), context=case.context.shape[-1])
    save_file({k: v.contiguous() for k, v in module.state_dict().items()}, tmp_path / "m.safetensors")
    motion = comfyui.load(str(tmp_path / "m.safetensors"))
    for strength in (0.3, 1.0, 1.6):
        patched = tiny.applied(patcher, motion, strength, case.frames, False)
        ours = tiny.call_unet(patched, case.sample, case.timesteps.float(), case.context)
        with motion_in(unet, module, frames=case.frames, strength=strength):
            theirs = unet(case.sample, case.timesteps, case.context).sample
        assert (ours - theirs).abs().max() < 2e-5 * max(1.0, theirs.abs().max().item())


def test_strength_0_is_the_hosts_output_bit_for_bit(tiny: Any, comfyui: Any, base: Any, motion: Any) -> None:
    plain = tiny.sample(base)
    assert torch.equal(tiny.sample(tiny.applied(base, motion, 0.0, 0, True)), plain)
    patched = tiny.applied(base, motion, 1.0, 0, True)
    assert not torch.allclose(tiny.sample(patched), plain, atol=1e-3)
    for options in patched.model_options["transformer_options"].values():
        options["strength"] = 0.0  # hooks in place, and told to do nothing
    assert torch.equal(tiny.sample(patched), plain)


def test_strength_0_keeps_the_models_own_schedule_too(tiny: Any, comfyui: Any, base: Any, tmp_path: Path) -> None:
    motion = comfyui.load(str(animatediff_file(tmp_path / "v3.safetensors")))
    assert torch.equal(tiny.sample(tiny.applied(base, motion, 0.0, 0, True)), tiny.sample(base))


@torch.inference_mode()
def test_hooks_rest_outside_the_calls_that_are_ours(tiny: Any, comfyui: Any, base: Any, motion: Any) -> None:
    """While a patched model is loaded, its UNet called by anybody else gives the image model's bits."""
    x, t, text = noise(4, 4, 8, 8), torch.full((4,), 500.0), noise(4, 7, 16)
    plain = tiny.call_unet(base, x, t, text)
    patched = tiny.applied(base, motion, 1.0, 0, False)
    assert not torch.equal(tiny.call_unet(patched, x, t, text), plain)
    assert tiny.hooks_in(patched) > 0
    assert torch.equal(patched.model.diffusion_model(x, t, context=text, transformer_options={}), plain)


@torch.inference_mode()
def test_two_unets_of_one_patch_keep_their_hooks_apart(tiny: Any, comfyui: Any, base: Any, motion: Any) -> None:
    """Newer hosts clone a patched model onto another UNet; loading the second must not silence the first."""
    x, t, text = noise(4, 4, 8, 8), torch.full((4,), 500.0), noise(4, 7, 16)
    patched = tiny.applied(base, motion, 1.0, 0, False)
    moved = tiny.call_unet(patched, x, t, text)
    twin = patched.clone()
    twin.model = tiny.model().model
    patched.get_injections("zoetrope.motion.0")[0].inject(twin)
    assert torch.equal(tiny.call_loaded_unet(patched, x, t, text), moved)
    assert torch.equal(tiny.call_loaded_unet(twin, x, t, text), moved)
    patched.get_injections("zoetrope.motion.0")[0].eject(twin)
    assert torch.equal(tiny.call_loaded_unet(patched, x, t, text), moved)


def test_numbers_changed_downstream_are_honoured(tiny: Any, comfyui: Any, base: Any, tmp_path: Path) -> None:
    patched = tiny.applied(base, comfyui.load(str(animatediff_file(tmp_path / "v3.safetensors"))), 1.0, 0, False)
    own = patched.model_options["transformer_options"]["zoetrope.motion.0"]
    own["frames"] = 16
    assert tiny.sample(patched, frames=48).isfinite().all()  # three clips
    own.update(frames=0, strength=0.0)
    assert torch.equal(tiny.sample(patched, frames=40), tiny.sample(base, frames=40))


def test_frames_see_each_other_only_with_motion(tiny: Any, comfyui: Any, base: Any, motion: Any) -> None:
    """Change the last frame's noise: without motion the first frame stays the same bits, with motion it does not."""
    x = noise(4, 4, 8, 8)
    other = torch.cat([x[:3], noise(1, 4, 8, 8, seed=9)])
    call = lambda patcher, x: tiny.call_unet(patcher, x, torch.full((4,), 500.0), noise(4, 7, 16))[0]  # noqa: E731
    with torch.inference_mode():
        assert torch.allclose(call(base, x), call(base, other), atol=1e-6)
        patched = tiny.applied(base, motion, 1.0, 0, False)
        assert not torch.allclose(call(patched, x), call(patched, other), atol=1e-3)


def test_the_schedule_is_the_familys_unless_the_user_keeps_the_models(
    tiny: Any, comfyui: Any, tmp_path: Path, base: Any
) -> None:
    motion = comfyui.load(str(animatediff_file(tmp_path / "v3.safetensors")))
    top = lambda patcher: float(patcher.get_model_object("model_sampling").sigma_max)  # noqa: E731
    assert top(base) == pytest.approx(14.61, abs=0.01)
    assert top(tiny.applied(base, motion, 1.0, 0, True)) == pytest.approx(25.15, abs=0.01)  # reference/animatediff: "linear"
    assert top(tiny.applied(base, motion, 1.0, 0, False)) == top(base)
    assert top(base) == pytest.approx(14.61, abs=0.01)


def test_v_prediction_keeps_its_kind(tiny: Any, comfyui: Any, tmp_path: Path) -> None:
    import comfy.model_sampling

    motion = comfyui.load(str(animatediff_file(tmp_path / "v3.safetensors")))
    patched = tiny.applied(tiny.model(prediction="V_PREDICTION"), motion, 1.0, 0, True)
    assert isinstance(patched.get_model_object("model_sampling"), comfy.model_sampling.V_PREDICTION)


def test_base_and_two_patched_models_interleave_bit_stably(
    tiny: Any, comfyui: Any, base: Any, motion: Any, tmp_path: Path
) -> None:
    other = tiny.own_file(base, tmp_path / "two.safetensors", seed=2)
    models = [base, tiny.applied(base, motion, 1.0, 0, True), tiny.applied(base, other, 0.7, 0, True)]
    first = [tiny.sample(model) for model in models]
    assert not torch.allclose(first[1], first[2], atol=1e-3)
    for index in (2, 0, 1, 1, 0, 2):
        assert torch.equal(tiny.sample(models[index]), first[index]), index


def test_two_motion_modules_on_one_model_both_act(tiny: Any, comfyui: Any, base: Any, motion: Any, tmp_path: Path) -> None:
    one = tiny.applied(base, motion, 1.0, 0, True)
    both = tiny.applied(one, tiny.own_file(base, tmp_path / "two.safetensors", seed=2), 1.0, 0, True)
    out = tiny.sample(one)
    assert not torch.allclose(tiny.sample(both), out, atol=1e-3)
    assert torch.equal(tiny.sample(one), out)


def test_a_clone_that_dies_while_sampling_changes_nothing(tiny: Any, comfyui: Any, base: Any, motion: Any) -> None:
    patched = tiny.applied(base, motion, 1.0, 0, True)
    plain = tiny.sample(patched)

    def kill(step: int, *args: Any) -> None:
        clone = patched.clone()
        del clone
        gc.collect()

    assert torch.equal(tiny.sample(patched, callback=kill), plain)
    assert torch.equal(tiny.sample(patched), plain)


def test_unloading_and_dropping_leave_the_base_clean(tiny: Any, comfyui: Any, base: Any, motion: Any) -> None:
    weights = {key: value.clone() for key, value in base.model.state_dict().items()}
    plain = tiny.sample(base)
    patched = tiny.applied(base, motion, 1.0, 0, True)
    moved = tiny.sample(patched)
    assert tiny.hooks_in(base) > 0
    tiny.unload()
    assert tiny.hooks_in(base) == 0
    assert list(base.model.state_dict()) == list(weights)
    assert all(torch.equal(value, weights[key]) for key, value in base.model.state_dict().items())
    assert torch.equal(tiny.sample(patched), moved)
    del patched
    gc.collect()
    assert torch.equal(tiny.sample(base), plain)
    tiny.unload()
    assert tiny.hooks_in(base) == 0


def test_a_saved_checkpoint_carries_no_foreign_key(tiny: Any, comfyui: Any, base: Any, motion: Any) -> None:
    keys = {f"model.{key}" for key in base.model.state_dict() if key.startswith("diffusion_model.")}
    patched = tiny.applied(base, motion, 1.0, 0, True)
    tiny.sample(patched)
    assert tiny.hooks_in(patched) > 0
    saving = getattr(patched, "state_dict_for_saving", None) or patched.model.state_dict_for_saving  # newer hosts: the patcher
    assert {key for key in saving() if "diffusion_model" in key} == keys


def test_hooks_that_vanish_stop_the_run_instead_of_the_motion(tiny: Any, comfyui: Any, base: Any, motion: Any) -> None:
    patched = tiny.applied(base, motion, 1.0, 0, True)

    def steal(step: int, *args: Any) -> None:
        patched.eject_model()

    with pytest.raises(RuntimeError, match="were removed during sampling"):
        tiny.sample(patched, callback=steal)


def test_an_interrupt_is_honoured_within_a_call_and_the_next_run_is_sound(
    tiny: Any, comfyui: Any, base: Any, motion: Any
) -> None:
    import comfy.model_management as management

    patched = tiny.applied(base, motion, 1.0, 0, True)
    plain = tiny.sample(patched)

    def interrupt(step: int, *args: Any) -> None:
        management.interrupt_current_processing()

    with pytest.raises(management.InterruptProcessingException):
        tiny.sample(patched, callback=interrupt)
    assert torch.equal(tiny.sample(patched), plain)
