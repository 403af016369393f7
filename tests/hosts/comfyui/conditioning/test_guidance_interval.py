"""Guidance in an interval of noise levels: in ordinary samplers, in windows and in a queue with a level per frame."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host


@pytest.fixture
def model(tiny: Any) -> Any:
    yield (one := tiny.model())
    del one
    tiny.unload()


def limited(model: Any, start: float, end: float) -> Any:
    from zoetrope.hosts.comfyui.conditioning.guidance_interval import limited

    return limited(model, start, end)


def counted(model: Any, halves: list[int]) -> Any:
    """The model, noting how many conditionings each call computes."""

    def note(apply_model: Any, args: Any) -> Any:
        halves.append(len(args["cond_or_uncond"]))
        return apply_model(args["input"], args["timestep"], **args["c"])

    guarded = model.clone()
    guarded.set_model_unet_function_wrapper(note)
    return guarded


def test_the_whole_sampling_is_plain_guidance_and_no_part_of_it_is_none(tiny: Any, model: Any) -> None:
    plain = tiny.sample(model)
    assert torch.equal(tiny.sample(limited(model, 0, 1)), plain)
    assert torch.allclose(tiny.sample(limited(model, 0, 0)), tiny.sample(model, guidance=1.0), atol=1e-6)
    assert torch.equal(tiny.sample(limited(limited(model, 0, 0), 0, 1)), plain)  # the last node counts


def test_steps_outside_compute_the_positive_prompt_alone(tiny: Any, model: Any) -> None:
    halves: list[int] = []
    tiny.sample(counted(limited(model, 0, 0.5), halves), steps=4)
    # the steps are at timesteps 999, 666, 333 and 0, of which half of the sampling ends at 499.5
    assert sum(halves) == 2 + 2 + 1 + 1
    needing = limited(model, 0, 0.5)
    needing.model_options["disable_cfg1_optimization"] = True  # as nodes do that read the negative prompt
    halves.clear()
    assert torch.allclose(
        tiny.sample(counted(needing, halves), steps=4), tiny.sample(limited(model, 0, 0.5), steps=4), atol=1e-6
    )
    assert sum(halves) == 8


def test_each_frame_of_a_queue_has_its_own_level(tiny: Any, model: Any) -> None:
    """Levels 0.2, 0.9, 3 and 12; sigma 3 is a third of the sampling, 0.9 two thirds."""
    conditions = (tiny.text(), tiny.text(seed=2))
    guided, plain = (tiny.denoised(model, *conditions, cfg=cfg) for cfg in (3.0, 1.0))
    between = tiny.denoised(limited(model, 0.2, 0.5), *conditions)
    for row, expected in enumerate((plain, plain, guided, plain)):
        assert torch.allclose(between[row], expected[row], atol=1e-5)
    assert not torch.allclose(guided[2], plain[2], atol=1e-3)
    halves: list[int] = []
    tiny.denoised(counted(limited(model, 0.2, 0.5), halves), *conditions, rows=[0, 2])
    assert sum(halves) == 1 + 2


def test_windows_and_motion_may_stand_before_or_after(tiny: Any, model: Any, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    cut = Windows("standard_static", 4, 2)
    motion = tiny.own_file(model, tmp_path / "m.safetensors", seed=1)
    after = tiny.sample(limited(in_windows(tiny.applied(model, motion), cut), 0, 0.5), frames=6)
    before = tiny.sample(tiny.applied(in_windows(limited(model, 0, 0.5), cut), motion), frames=6)
    assert torch.equal(before, after)
    assert not torch.allclose(after, tiny.sample(in_windows(tiny.applied(model, motion), cut), frames=6), atol=1e-3)


def test_the_interval_is_a_setting_of_a_shot(model: Any) -> None:
    from zoetrope.hosts.comfyui.fingerprint import model_settings

    plain, one, same, other = (model_settings(each) for each in (model, *(limited(model, 0, end) for end in (0.5, 0.5, 0.6))))
    assert one == same
    assert {name for name in one if one[name] != other[name]} == {"guidance interval"}
    assert set(one) - set(plain) == {"guidance interval"}


def test_a_guider_with_a_formula_of_its_own_is_named(tiny: Any, model: Any, caplog: pytest.LogCaptureFixture) -> None:
    import comfy.samplers

    class Own(comfy.samplers.CFGGuider):
        def predict_noise(self, *args: Any, **kwargs: Any) -> Any:
            return super().predict_noise(*args, **kwargs)

    guider = Own(limited(model, 0, 0.5))
    guider.set_conds(tiny.text(), tiny.text(seed=2))
    latent = torch.zeros(1, 4, 8, 8)
    with caplog.at_level(logging.WARNING), torch.inference_mode():
        guider.sample(
            latent, latent, comfy.samplers.sampler_object("euler"), torch.tensor([10.0, 0.0]), disable_pbar=True, seed=1
        )
    assert "the guider Own has a formula of its own" in caplog.text


def test_shares_that_are_none_are_refused(model: Any) -> None:
    with pytest.raises(ValueError, match="expected 0 <= start <= end <= 1, got 0.6 and 0.5"):
        limited(model, 0.6, 0.5)
