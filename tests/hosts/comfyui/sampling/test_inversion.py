"""DDIM inversion in the host's hands, and the way back with its own samplers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from layers import noise
from torch import Tensor

pytestmark = pytest.mark.host

STEPS, CONVERGED = 4, 12
"""Steps of the sampling; refinements after which nothing changes any more."""


@pytest.fixture
def model(tiny: Any) -> Any:
    yield (one := weak(tiny.model()))
    del one
    tiny.unload()


def weak(model: Any) -> Any:
    """A network whose answer changes little with its input, so that a few refinements converge at few steps."""
    with torch.no_grad():
        model.model.diffusion_model.out[2].weight *= 0.3
    return model


def sigmas_of(model: Any, steps: int = STEPS, scheduler: str = "normal") -> Tensor:
    import comfy.samplers

    return comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), scheduler, steps)


def clip(frames: int = 2) -> dict[str, Any]:
    return {"samples": noise(frames, 4, 8, 8, seed=4) * 4}


def inverted(model: Any, positive: Any, refine: int = 0, latent: Any = None, sigmas: Any = None) -> dict[str, Any]:
    from zoetrope.hosts.comfyui.sampling.inversion import invert

    with torch.inference_mode():
        return invert(model, positive, latent or clip(), sigmas_of(model) if sigmas is None else sigmas, refine)


def sampled(model: Any, positive: Any, latent: dict[str, Any], sampler: str = "euler", **more: Any) -> Tensor:
    """KSampler Advanced with add_noise disabled, cfg 1."""
    import comfy.sample

    samples = latent["samples"]
    with torch.inference_mode():
        return comfy.sample.sample(
            model, torch.zeros_like(samples), STEPS, 1.0, sampler, "normal", positive, positive, samples,
            disable_noise=True, disable_pbar=True, seed=5, **more,
        )  # fmt: skip


def round_trip(model: Any, positive: Any, refine: int, latent: Any = None) -> float:
    """Largest difference that is left, as a share of the clip's largest value."""
    latent = latent or clip()
    found = sampled(model, positive, inverted(model, positive, refine, latent))
    return ((found - latent["samples"]).abs().max() / latent["samples"].abs().max()).item()


def controlled(tiny: Any, frames: int) -> Any:
    """A prompt with a control picture per frame, in a part of the sampling."""
    hint = tiny.picture(frames, seed=8, size=(64, 64)).movedim(-1, 1)
    control = tiny.controlnet().set_cond_hint(hint, 0.7, (0.0, 0.6))
    return tiny.text(control=control, control_apply_to_uncond=True)


@pytest.mark.parametrize(("prediction", "many"), [("EPS", CONVERGED), ("V_PREDICTION", 80)])
def test_the_hosts_sampler_leads_back_to_the_clip(tiny: Any, prediction: str, many: int) -> None:
    model = weak(tiny.model(prediction=prediction))
    errors = [round_trip(model, tiny.text(), refine) for refine in (0, 1, 3, many)]
    assert errors[3] < 1e-4 < errors[2] < errors[0]
    tiny.unload()


def test_core_nodes_take_the_latent_without_added_noise(tiny: Any, model: Any) -> None:
    """KSampler Advanced with add_noise disabled, and Sampler Custom."""
    import comfy.samplers
    from comfy_extras.nodes_custom_sampler import SamplerCustom

    import nodes as core

    positive, sigmas, latent = tiny.text(), sigmas_of(model), clip()
    found = inverted(model, positive, CONVERGED, latent)
    custom = getattr(SamplerCustom, "execute", None) or SamplerCustom().sample
    with torch.inference_mode():
        (advanced,) = core.KSamplerAdvanced().sample(
            model, "disable", 1, STEPS, 1.0, "euler", "normal", positive, positive, found, 0, 10000, "disable"
        )
        euler = comfy.samplers.sampler_object("euler")
        out = custom(model, False, 1, 1.0, positive, positive, euler, sigmas, found)[0]
    for one in (advanced, out):
        assert torch.allclose(one["samples"], latent["samples"], atol=2e-3)


def test_a_part_of_the_sampling_is_inverted_by_its_own_sigmas(tiny: Any, model: Any) -> None:
    latent, sigmas = clip(), sigmas_of(model)
    half = inverted(model, tiny.text(), CONVERGED, latent, sigmas[2:])
    back = sampled(model, tiny.text(), half, start_step=2)
    assert torch.allclose(back, latent["samples"], atol=2e-3)
    on = inverted(model, tiny.text(), CONVERGED, half, sigmas[:3])
    assert torch.allclose(on["samples"], inverted(model, tiny.text(), CONVERGED, latent)["samples"], atol=2e-3)


def test_under_motion_modules_and_controlnets(tiny: Any, model: Any, tmp_path: Path) -> None:
    moving = tiny.applied(model, tiny.own_file(model, tmp_path / "m.safetensors", seed=1))
    for one, positive in ((moving, tiny.text()), (moving, controlled(tiny, 2))):
        errors = [round_trip(one, positive, refine) for refine in (0, 3, CONVERGED)]
        assert errors[2] < 1e-4 < errors[1] < errors[0]
    plain, other = inverted(model, tiny.text()), inverted(moving, controlled(tiny, 2))
    assert not torch.allclose(plain["samples"], other["samples"], atol=0.1)


@pytest.mark.parametrize("schedule", ["standard_static", "standard_uniform"])
def test_in_windows_the_network_gets_no_more_frames_than_a_window(tiny: Any, model: Any, tmp_path: Path, schedule: str) -> None:
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    rows: list[int] = []

    def note(apply_model: Any, args: Any) -> Any:
        rows.append(len(args["input"]))
        return apply_model(args["input"], args["timestep"], **args["c"])

    moving = tiny.applied(model, tiny.own_file(model, tmp_path / "m.safetensors", seed=1))
    cut = in_windows(moving, Windows(schedule, 4, 2))
    cut.set_model_unet_function_wrapper(note)
    errors = [round_trip(cut, controlled(tiny, 6), refine, clip(6)) for refine in (0, CONVERGED)]
    assert errors[1] < 1e-4 < errors[0]
    assert set(rows) == {4}  # of one conditioning: guidance is off
    rows.clear()
    inverted(cut, controlled(tiny, 6), 2, clip(6))
    assert len(rows) >= 3 * STEPS * 2  # steps and refinements, windows


def test_families_with_scaled_latents(tiny: Any, model: Any) -> None:
    """VideoCrafter's MODEL: the network gets clean latents times a factor that falls with the noise."""
    from zoetrope.hosts.comfyui.motion.schedule import set_schedule
    from zoetrope.models.motion.families.videocrafter import MEMBERS, SCHEDULE
    from zoetrope.models.motion.family import Variant

    scaled = Variant("vc2", 16, None, SCHEDULE, (), (), (), "eps", MEMBERS["VideoCrafter2 T2V 512"].scale)
    for prediction, many in (("eps", CONVERGED), ("v", 80)):
        patched = model.clone()
        set_schedule(patched, scaled, prediction, scaled=True)
        assert patched.get_model_object("model_sampling").scales.min() < 1
        errors = [round_trip(patched, tiny.text(), refine) for refine in (0, many)]
        assert errors[1] < 1e-3 < errors[0]


def test_what_cannot_be_inverted(tiny: Any, model: Any, caplog: pytest.LogCaptureFixture) -> None:
    from zoetrope.nodes.inversion import InvertVideo

    def run(latent: Any = None, sigmas: Any = None, refine: int = 0, model: Any = model) -> Any:
        with torch.inference_mode():
            return InvertVideo.execute(
                model, tiny.text(), latent or clip(), sigmas_of(model) if sigmas is None else sigmas, refine
            ).args[0]

    with pytest.raises(ValueError, match="sigmas: expected one step or more"):
        run(sigmas=torch.FloatTensor([]))
    with pytest.raises(ValueError, match="remove Flip Sigmas"):
        run(sigmas=sigmas_of(model).flip(0))
    with pytest.raises(ValueError, match="refine: expected 0 to 3, got 4"):
        run(refine=4)
    with pytest.raises(ValueError, match="expected an encoded clip to invert, got an empty latent"):
        run(latent={"samples": torch.zeros(4, 4, 8, 8)})
    with pytest.raises(ValueError, match="expected one latent per frame"):
        run(latent={"samples": torch.ones(1, 4, 3, 8, 8)})
    with pytest.raises(ValueError, match="this MODEL samples by flow"):
        run(model=tiny.model(prediction="FLOW"), sigmas=torch.tensor([1.0, 0.0]))
    masked = run(latent={**clip(), "noise_mask": torch.ones(1, 1, 64, 64), "batch_index": [0, 1]})
    assert set(masked) == {"samples", "batch_index"}
    assert "noise mask of the latent is removed" in caplog.text
