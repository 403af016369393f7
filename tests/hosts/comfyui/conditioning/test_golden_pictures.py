"""Whole UNets with pictures against the original codes, and DynamiCrafter's sampling step by step."""

from pathlib import Path
from typing import Any

import golden
import golden_pictures
import parity
import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.host


@pytest.mark.parametrize(("path", "output"), golden_pictures.parameters())
@torch.inference_mode()
def test_whole_unet_with_pictures_gives_the_reference_output(tiny: Any, path: Path, output: str) -> None:
    """The host's own UNet, motion as a node applies it, pictures by the hooks that the nodes put in."""
    import comfy.ops
    from zoetrope.hosts.comfyui.unet import unet_places
    from zoetrope.models.edits.features import FeatureEdit
    from zoetrope.models.edits.image_attention import ImageAttention, ImageInputs
    from zoetrope.models.layers.attention import scaled_dot_product

    whole = golden_pictures.read(path, output)
    tensors, _ = golden.read(path)
    rates = [float(rate) for rate in tensors["fs"]] if output == "y" else [whole.video.fps or 0.0]
    for clip, rate in enumerate(rates):
        case = golden_pictures.one_clip(whole, clip) if output == "y" else whole
        video, layout = case.video, dict(case.video.layout)
        base = tiny.model(layout, video.spatial, groups=layout.pop("groups", 32))
        motion = tiny.host_motion(video.opened.motion, video.opened.report)
        patched = tiny.applied(base, motion, 1.0, video.frames, fps=rate)
        arguments = (video.sample, video.timesteps.float(), video.context)
        tiny.load_unet(patched)
        places = unet_places(base.model.diffusion_model)
        words, frames = ImageAttention(), FeatureEdit()
        without = tiny.call_loaded_unet(patched, *arguments)
        if case.loaded is not None and case.tokens is not None and case.rows is not None:
            words.install(case.loaded.network.image, places)
            words.give(ImageInputs(case.tokens, case.rows, 1.0, scaled_dot_product))
        network: Any = case.guide(comfy.ops.manual_cast)
        if network is not None and case.channels is not None:
            frames.install(network, places)
            frames.give(network.features(case.channels, video.frames))
        out = tiny.call_loaded_unet(patched, *arguments)
        error = (out - video.output).abs().max().item()
        what = f"{path.stem} {output}"
        assert parity.within(video.opened.report.title, what, tiny.NAME, error, video.tolerance)
        assert (without - video.output).abs().max() > 10 * video.tolerance
        words.remove(), frames.remove()
        assert torch.equal(tiny.call_loaded_unet(patched, *arguments), without)
        del base, patched, motion
        tiny.unload()


class DynamiCrafterSteps:
    """The reference's DDIM (eta 1) in the host's variable, with a UNet that is the recorded formula."""

    def __init__(self, sampling: Any, tensors: dict[str, Tensor], settings: dict[str, Any]):
        self.model_sampling, self.tensors, self.settings = sampling, tensors, settings
        self.steps = tensors["ddim_timesteps"].long()
        kept = 1 / (1 + (sampling.sigmas.double() * sampling.scales.double()) ** 2)
        self.alphas = kept[self.steps]
        self.exact = torch.where(self.steps == 999, 0.0, self.alphas)  # the sampler's own: the last level is pure noise
        self.before = torch.cat([kept[:1], self.exact[:-1]])
        self.scales = tensors["ddim_scale_arr"].double()

    def rows(self, name: str, index: int | None = None) -> Tensor:
        held = self.tensors[name]
        return (held if index is None else held[index])[0].movedim(1, 0).double()

    def predicted(self, c: Tensor, y: Tensor, sigma: Tensor, t: float) -> Tensor:
        seen = self.model_sampling.calculate_input(sigma, y)
        v = 0.3 * seen + 0.1 * seen.mean(dim=0, keepdim=True).tanh() - 0.2 * (1 - t / 1000) * c
        return self.model_sampling.calculate_denoised(sigma, v, y)

    def clean(self, x: Tensor, index: int) -> Tensor:
        """Guided and rescaled as the nodes do it."""
        from zoetrope.hosts.comfyui.motion.schedule import _rescaled

        y = x / self.alphas[index].sqrt() / self.scales[index]
        sigma = self.model_sampling.sigma(self.steps[index : index + 1].float()).double()
        told, untold = (self.predicted(self.rows(name), y, sigma, float(self.steps[index])) for name in ("cond", "uncond"))
        guided = untold + self.settings["cfg"] * (told - untold)
        args = {"input": y, "denoised": guided, "cond_denoised": told, "sigma": sigma, "model": self, "model_options": {}}
        return _rescaled(args, self.settings["guidance_rescale"])

    def next(self, x: Tensor, clean: Tensor, index: int, noise: Tensor) -> Tensor:
        before, exact = self.before[index], self.exact[index]
        own = (x - exact.sqrt() * self.scales[index] * clean) / (1 - exact).sqrt()
        up = ((1 - before) / (1 - exact) * (1 - exact / before)).sqrt()
        after = float(self.tensors["ddim_scale_arr_prev"][index])
        return before.sqrt() * after * clean + (1 - before - up**2).clamp(min=0).sqrt() * own + up * noise


@pytest.mark.parametrize("path", golden.claim("ddim_v_zero_snr_trajectory*"))
@torch.inference_mode()
def test_dynamicrafters_sampling_step_by_step(tiny: Any, path: Path) -> None:
    """v-prediction from pure noise on, latents whose scale follows the level, guidance rescaled: the reference's DDIM (eta 1).

    As in the test of VideoCrafter's, the sampler sees the host's variable and the MODEL's own sigmas alone. The first step
    starts where nothing of the clean latent is left; there the MODEL keeps 5e-8 of it, so that sigma is a number.
    """
    from zoetrope.hosts.comfyui.motion.schedule import set_schedule
    from zoetrope.models.motion.families.videocrafter import ZERO_SNR
    from zoetrope.models.motion.family import InputScale, Variant

    tensors, header = golden.read(path)
    settings, patched = golden.config(header), tiny.model()
    scale = InputScale(settings["base_scale"], 400)
    set_schedule(patched, Variant("m", 16, None, ZERO_SNR, (), (), (), "v", scale), "v", True)
    reference = DynamiCrafterSteps(patched.get_model_object("model_sampling"), tensors, settings)
    x = reference.rows("x_inter", 0)
    for done, index in enumerate(reversed(range(len(reference.steps)))):
        clean, tolerance = reference.clean(x, index), 2e-3 if done < 2 else 5e-4
        after = float(tensors["ddim_scale_arr_prev"][index])
        assert (clean * after - reference.rows("pred_x0", done + 1)).abs().max() < tolerance
        x = reference.next(x, clean, index, reference.rows("step_noise", done))
        assert (x - reference.rows("x_inter", done + 1)).abs().max() < tolerance
    error = (x - reference.rows("result")).abs().max().item()
    assert parity.within("VideoCrafter and DynamiCrafter", path.stem, tiny.NAME, error, 1e-4)
