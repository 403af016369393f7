"""Noise schedules and VideoCrafter's scaled latents in the host's sampling objects."""

from pathlib import Path
from typing import Any

import golden
import golden_video
import parity
import pytest
import torch
from video_units import unet_with_motion

pytestmark = pytest.mark.host


@pytest.mark.parametrize("path", golden.claim("beta_schedules*"))
def test_named_schedules_are_those_that_people_know(path: Path) -> None:
    from zoetrope.sampling.schedule import NAMED

    tensors, _ = golden.read(path)
    names = {
        "sigmas.linear (HotshotXL/default)": "linear (Stable Diffusion)",
        "sigmas.sqrt_linear (AnimateDiff)": "sqrt_linear (AnimateDiff)",
        "sigmas.avg(sqrt_linear,linear)": "average of the two",
        "sigmas.linear (AnimateDiff-SDXL)": "linear to 0.020 (AnimateDiff SDXL)",
        "sigmas.lcm": "lcm",
        "sigmas.lcm[100_ots]": "lcm, 100 levels",
        "sigmas.lcm >> sqrt_linear": "lcm on sqrt_linear",
    }
    assert set(names) == set(tensors)
    for theirs, ours in names.items():
        error = ((NAMED[ours] - tensors[theirs]).abs() / tensors[theirs]).max().item()
        assert parity.within("noise schedules", f"{path.stem} {ours} (relative)", "core", error, 1e-6), ours


TRAJECTORY = golden.claim("ddim_videocrafter_trajectory*")


def predicted(sampling: Any, y: torch.Tensor, sigma: torch.Tensor, t: float, c: torch.Tensor) -> torch.Tensor:
    """The clean estimate of a UNet that is the recorded formula."""
    seen = sampling.calculate_input(sigma, y)
    mean = seen.mean(dim=2, keepdim=True).tanh()
    noise = 0.3 * seen + 0.1 * mean + 0.2 * (1 - t / 1000) * c
    return sampling.calculate_denoised(sigma, noise, y)


@pytest.mark.parametrize("kind", ["vc2", "vc1_1024", "vc1_512"])
@pytest.mark.parametrize("path", TRAJECTORY)
@torch.inference_mode()
def test_the_models_sampling_object_knows_videocrafters_scale(tiny: Any, path: Path, kind: str) -> None:
    """The reference's DDIM (eta 1, guidance 4), step by step, with a MODEL whose UNet is the recorded formula.

    The sampler sees the host's own variable and the MODEL's own sigmas alone; DDIM is written in them, and the noise is the
    recorded one. So a host sampler that takes the MODEL's word for sigma and clean estimate is right too.
    """
    tensors, header = golden.read(path)
    guidance = golden.config(header)["cfg"]
    sampling = sampling_of(tiny, kind)
    steps = tensors[f"{kind}.ddim_timesteps"].long()
    kept = 1 / (1 + plain_sigmas() ** 2)  # the reference's alphas_cumprod
    alphas = kept[steps]
    before = torch.cat([kept[:1], alphas[:-1]])
    scale = tensors.get(f"{kind}.ddim_scale_arr", torch.ones(len(steps))).double()
    scale_before = tensors.get(f"{kind}.ddim_scale_arr_prev", torch.ones(len(steps))).double()
    x = tensors[f"{kind}.x_inter"][0].double()
    cond, uncond = tensors["cond"].double(), tensors["uncond"].double()
    for done, index in enumerate(reversed(range(len(steps)))):
        t = float(steps[index])
        y = x / alphas[index].sqrt() / scale[index]  # the host's variable
        sigma = sampling.sigma(steps[index : index + 1].float()).double()
        assert (sigma - ((1 - alphas[index]) / alphas[index]).sqrt() / scale[index]).abs() < 1e-5 * sigma

        told, untold = (predicted(sampling, y, sigma, t, c) for c in (cond, uncond))
        clean = untold + guidance * (told - untold)
        assert (clean - tensors[f"{kind}.pred_x0"][done + 1]).abs().max() < 1e-4
        noise = (y - clean) / sigma
        up = ((1 - before[index]) / (1 - alphas[index]) * (1 - alphas[index] / before[index])).sqrt()  # eta 1
        x = (
            before[index].sqrt() * scale_before[index] * clean
            + (1 - before[index] - up**2).sqrt() * noise
            + up * tensors[f"{kind}.step_noise"][done].double()
        )
        assert (x - tensors[f"{kind}.x_inter"][done + 1]).abs().max() < 1e-4
    error = (x - tensors[f"{kind}.result"]).abs().max().item()
    assert parity.within("VideoCrafter and DynamiCrafter", f"{path.stem} {kind}", tiny.NAME, error, 1e-4)


def plain_sigmas() -> torch.Tensor:
    from zoetrope.sampling.schedule import LINEAR

    return LINEAR


def sampling_of(tiny: Any, kind: str) -> Any:
    """The sampling object of the MODEL that the node gives for a file of this member."""
    from types import SimpleNamespace

    from zoetrope.models.motion.families.videocrafter import MEMBERS, SCHEDULE
    from zoetrope.models.motion.family import Variant
    from zoetrope.models.motion.module import MotionModule
    from zoetrope.nodes.motion import ApplyMotionModule

    member = {"vc2": "VideoCrafter2 T2V 512", "vc1_1024": "VideoCrafter1 T2V 1024", "vc1_512": "VideoCrafter1 T2V 512"}[kind]
    variant = Variant(member, 16, None, SCHEDULE, (), (), (), "eps", MEMBERS[member].scale)
    motion = tiny.host_motion(MotionModule({}, None), SimpleNamespace(file="none", fits=(), variant=variant))
    (patched,) = ApplyMotionModule.execute(tiny.model(), motion, 1.0, "from motion module").args
    return patched.get_model_object("model_sampling")


@torch.inference_mode()
def test_scaled_sampling_is_exact_for_eps_and_v_with_one_or_many_noise_levels(tiny: Any) -> None:
    """A model that answers truly about `scale * clean + sigma * noise` gives the clean latent back, from pure noise on down."""
    from zoetrope.hosts.comfyui.motion.schedule import set_schedule
    from zoetrope.models.motion.families.videocrafter import SCHEDULE, ZERO_SNR
    from zoetrope.models.motion.family import InputScale, Variant

    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(5, 4, 8, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    for prediction, schedule in (("eps", SCHEDULE), ("v", ZERO_SNR)):
        patched = tiny.model()
        set_schedule(patched, Variant("m", 16, None, schedule, (), (), (), prediction, InputScale(0.3, 400)), prediction, True)
        sampling = patched.get_model_object("model_sampling")
        for times in ([700.0], [0.0, 100.0, 399.0, 400.0, 990.0]):
            sigma = sampling.sigma(torch.tensor(times))
            scale = sampling.scales[torch.tensor(times).long()].double()
            level = sigma.double().reshape(-1, 1, 1, 1)
            y = clean + level * noise
            x = sampling.calculate_input(sigma, y)
            own = (sigma.double() * scale).reshape(-1, 1, 1, 1)
            root = (1 + own**2).sqrt()
            wide = scale.reshape(-1, 1, 1, 1)
            assert torch.allclose(x, (wide * clean + own * noise) / root, atol=1e-5)
            answer = noise if prediction == "eps" else (noise - own * wide * clean) / root
            assert torch.allclose(sampling.calculate_denoised(sigma, answer, y), clean, atol=2e-4), (prediction, times)
        top = sampling.sigma_max
        start = sampling.noise_scaling(top, noise.clone(), torch.zeros_like(clean), max_denoise=True)
        assert torch.allclose(sampling.calculate_input(top, start), noise, atol=1e-3)  # the network first sees plain noise


@torch.inference_mode()
def test_reference_leaves_the_scale_out_and_keeping_the_models_schedule_changes_nothing(tiny: Any) -> None:
    cases = golden.borrow("unet_videocrafter2*")
    if cases[0].values[0] is None:
        pytest.skip("no golden VideoCrafter UNet here")
    case = golden_video.read(cases[0].values[0])
    base, motion = unet_with_motion(tiny, case)
    sigmas = {
        "model": tiny.applied(base, motion, own_schedule=False),
        "reference": tiny.applied(base, motion, scaled=False),
        "scaled": tiny.applied(base, motion),
    }
    found = {name: patched.get_model_object("model_sampling").sigma_max.item() for name, patched in sigmas.items()}
    assert found["model"] == pytest.approx(found["reference"], rel=1e-6)
    assert found["scaled"] == pytest.approx(found["reference"] / 0.7, rel=1e-6)
    out = tiny.sample(sigmas["scaled"], frames=8, positive=tiny.text(width=48), negative=tiny.text(seed=2, width=48))
    assert out.isfinite().all()


def sigma_of(patched: Any) -> tuple[float, bool]:
    sampling = patched.get_model_object("model_sampling")
    return sampling.sigma_max.item(), hasattr(sampling, "scales")


def test_a_scale_is_put_around_once_and_taken_away_again(tiny: Any) -> None:
    from types import SimpleNamespace

    from zoetrope.hosts.comfyui.motion.schedule import set_named, set_schedule
    from zoetrope.models.motion.families.videocrafter import MEMBERS, SCHEDULE, ZERO_SNR
    from zoetrope.models.motion.family import Variant
    from zoetrope.sampling.schedule import LINEAR

    scaled = Variant("vc2", 16, None, SCHEDULE, (), (), (), "eps", MEMBERS["VideoCrafter2 T2V 512"].scale)
    plain = Variant("ms", 16, None, SCHEDULE, (), (), (), "eps")
    top, patched = LINEAR[-1].item(), tiny.model()
    set_schedule(patched, scaled, None, scaled=True)
    assert sigma_of(patched) == (pytest.approx(top / 0.7, rel=1e-5), True)
    again = patched.clone()
    set_schedule(again, scaled, None, scaled=True)
    assert sigma_of(again) == sigma_of(patched)
    x, sigma = torch.ones(1, 4, 8, 8), torch.tensor([3.0])
    shown = [model.get_model_object("model_sampling").calculate_input(sigma, x) for model in (patched, again)]
    assert torch.equal(*shown)
    for change in (
        lambda model: set_schedule(model, scaled, None, scaled=False),
        lambda model: set_schedule(model, plain, None, scaled=True),
        lambda model: set_named(model, "linear (Stable Diffusion)"),
    ):
        other = patched.clone()
        change(other)
        assert sigma_of(other) == (pytest.approx(top, rel=1e-5), False)
    crafter = SimpleNamespace(schedule=ZERO_SNR, scale=None)
    for prediction, expected in (("EPS", top), ("V_PREDICTION", 4518.0)):
        model = tiny.model(prediction=prediction)
        set_schedule(model, crafter, None, scaled=True)  # type: ignore[arg-type]
        assert sigma_of(model)[0] == pytest.approx(expected, rel=1e-3)


@torch.inference_mode()
def test_scaled_sampling_inpaints_and_starts_from_a_picture(tiny: Any) -> None:
    """Set Latent Noise Mask shows the sampling object sigma as `(b, 1, 1, 1)`."""
    import comfy.sample

    patched = patched_like_videocrafter2(tiny)
    latent = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(4, 1, 8, 8)
    mask[..., :4] = 1
    for scheduler, denoise in (("karras", 1.0), ("sgm_uniform", 0.5), ("ddim_uniform", 1.0)):
        noise = comfy.sample.prepare_noise(latent, 5)
        out = comfy.sample.sample(
            patched, noise, 3, 2.0, "euler", scheduler, tiny.text(), tiny.text(seed=2), latent, denoise=denoise,
            noise_mask=mask, disable_pbar=True, seed=5,
        )  # fmt: skip
        assert out.isfinite().all()
        assert torch.allclose(out[..., 4:], latent[..., 4:], atol=1e-4), scheduler


def patched_like_videocrafter2(tiny: Any) -> Any:
    from zoetrope.hosts.comfyui.motion.schedule import set_schedule
    from zoetrope.models.motion.families.videocrafter import MEMBERS, SCHEDULE
    from zoetrope.models.motion.family import Variant

    patched = tiny.model()
    variant = Variant("vc2", 16, None, SCHEDULE, (), (), (), "eps", MEMBERS["VideoCrafter2 T2V 512"].scale)
    set_schedule(patched, variant, None, scaled=True)
    return patched


@pytest.mark.parametrize("what", ["FreeU", "ModelSamplingDiscrete", "noise mask", "timestep range", "weight patch"])
@torch.inference_mode()
def test_core_nodes_on_a_patched_model_give_what_they_gave(tiny: Any, what: str) -> None:
    """Strength 0 with a core patch is the base with that patch bit for bit; full strength with it is finite and differs."""
    from layers import own_motion
    from zoetrope.hosts.comfyui.unet import unet_places
    from zoetrope.models.motion.loading import take_apart

    base = tiny.model()
    module = own_motion(unet_places(base.model.diffusion_model).widths, seed=1)
    opened = take_apart(dict(module.state_dict()), {"zoetrope.frames": "4"}, "m", 0)
    motion = tiny.host_motion(opened.motion, opened.report)

    def sampled(model: Any) -> torch.Tensor:
        positive = tiny.text(start_percent=0.3, end_percent=1.0) if what == "timestep range" else None
        if what == "FreeU":
            model = free_u(model)
        if what == "ModelSamplingDiscrete":
            from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

            (model,) = ModelSamplingDiscrete().patch(model, "v_prediction", True)
        if what == "weight patch":
            key = "diffusion_model.input_blocks.1.1.proj_in.weight"
            model = model.clone()
            weight = model.model.state_dict()[key]
            model.add_patches({key: ("diff", (torch.full_like(weight, 0.05),))}, 0.7)
        if what == "noise mask":
            return tiny.sample(model, noise_mask=torch.ones(4, 1, 8, 8).tril())
        return tiny.sample(model, positive=positive)

    plain = sampled(base)
    assert torch.equal(sampled(tiny.applied(base, motion, 0.0)), plain)
    moved = sampled(tiny.applied(base, motion))
    assert moved.isfinite().all()
    assert not torch.allclose(moved, plain, atol=1e-3)
    assert not torch.allclose(moved, tiny.sample(tiny.applied(base, motion)), atol=1e-3)
    assert torch.equal(sampled(base), plain)
    tiny.unload()


def free_u(model: Any) -> Any:
    """Core's FreeU, strong; it acts at twice and four times the model's channels, and the tiny model has the former."""
    from comfy_extras.nodes_freelunch import FreeU

    given: Any = FreeU().patch(model, 1.5, 1.5, 0.5, 0.5)
    return getattr(given, "args", given)[0]
