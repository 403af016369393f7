"""The host's NOISE objects: one noise for all frames, and FreeInit's mixture chained with ordinary samplers."""

from pathlib import Path
from typing import Any

import golden
import pytest
import torch
from einops import rearrange
from layers import noise
from torch import Tensor

pytestmark = pytest.mark.host


class Given:
    """A NOISE of given numbers."""

    seed = 3

    def __init__(self, numbers: Tensor):
        self._numbers = numbers

    def generate_noise(self, latent: Any) -> Tensor:
        assert latent["samples"].shape == self._numbers.shape
        return self._numbers


def test_the_same_noise_for_all_frames_is_the_hosts_of_the_first(tiny: Any) -> None:
    import comfy.sample
    from zoetrope.nodes.windows import LongShotNoise

    latent = {"samples": torch.zeros(5, 4, 8, 8), "batch_index": [4, 5, 6, 7, 8]}
    (made,) = LongShotNoise.execute(7, 16, 4, "same for all frames").args
    assert made.seed == 7
    found = made.generate_noise(latent)
    assert torch.equal(found, comfy.sample.prepare_noise(torch.zeros(1, 4, 8, 8), 7).expand(5, 4, 8, 8))
    with pytest.raises(ValueError, match="expected one latent per frame"):
        made.generate_noise({"samples": torch.zeros(1, 4, 3, 8, 8)})


def test_nodes_of_saved_prompts_give_what_they_gave(tiny: Any) -> None:
    import comfy.sample
    from zoetrope.nodes.windows import LongShotNoise
    from zoetrope.sampling.noise import shuffled

    latent = torch.zeros(9, 4, 8, 8)
    (made,) = LongShotNoise.execute(seed=3, window=4, overlap=1).args
    assert torch.equal(made.generate_noise({"samples": latent}), shuffled(comfy.sample.prepare_noise(latent, 3), 4, 1, 3))


@pytest.mark.parametrize("path", golden.borrow("freeinit*"))
def test_a_mixture_is_that_of_the_published_code(tiny: Any, path: Path) -> None:
    """The schedule of AnimateDiff's configuration, latents in units of the VAE."""
    from zoetrope.hosts.comfyui.sampling.noise import FrequencyMix
    from zoetrope.sampling.frequency import LowPass
    from zoetrope.sampling.schedule import SQRT_LINEAR

    tensors, _ = golden.read(path)
    x0, first, fresh, expected = (
        rearrange(tensors[name], "1 c f h w -> f c h w")
        for name in ("in.x0", "in.initial_noise", "in.z_rand", "out.mixed.butterworth_n4_s025_t025")
    )
    model = tiny.model().clone()
    sampling = model.get_model_object("model_sampling")
    sampling.set_sigmas(SQRT_LINEAR.float())
    result = {"samples": model.model.process_latent_out(x0.clone())}
    made = FrequencyMix(Given(fresh), Given(first), model, result, LowPass())
    found = made.generate_noise({"samples": torch.zeros_like(x0)})
    assert ((found - expected).abs().max() / expected.abs().max()).item() < 2e-5
    assert made.seed == 3
    tiny.unload()


def test_passes_are_chained_with_ordinary_samplers(tiny: Any) -> None:
    import comfy.samplers
    from comfy_extras.nodes_custom_sampler import SamplerCustomAdvanced
    from zoetrope.hosts.comfyui.sampling.guider import guider_of
    from zoetrope.nodes.windows import LongShotNoise

    model, empty = tiny.model(), {"samples": torch.zeros(6, 4, 8, 8)}
    guider, sampler = guider_of(model, tiny.text(), tiny.text(seed=2), 1.0), comfy.samplers.sampler_object("euler")
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", 3)
    run = getattr(SamplerCustomAdvanced, "execute", None) or SamplerCustomAdvanced().sample
    first, fresh = (LongShotNoise.execute(seed, 4, 1).args[0] for seed in (1, 2))
    with torch.inference_mode():
        before = run(first, guider, sampler, sigmas, empty)[0]
        (mixed,) = LongShotNoise.execute(2, 4, 1, "frequency mix", model=model, previous=before, first_noise=first).args
        after = run(mixed, guider, sampler, sigmas, empty)[0]["samples"]
    assert bool(after.isfinite().all())
    sigma, clean = float(sigmas[0]), model.model.process_latent_in(before["samples"])
    noised = (clean + sigma * first.generate_noise(empty)) / (1 + sigma**2) ** 0.5
    found, new = mixed.generate_noise(empty), fresh.generate_noise(empty)
    assert torch.allclose(found.mean(dim=(0, 2, 3)), noised.mean(dim=(0, 2, 3)), atol=1e-4)
    assert not torch.allclose(found.mean(dim=(0, 2, 3)), new.mean(dim=(0, 2, 3)), atol=1e-2)
    tiny.unload()


def test_what_a_mixture_needs(tiny: Any) -> None:
    from zoetrope.nodes.windows import LongShotNoise

    model, previous = tiny.model(), {"samples": noise(6, 4, 8, 8)}
    (first,) = LongShotNoise.execute(1, 4, 1).args
    with pytest.raises(ValueError, match="frequency mix needs model, previous, first_noise: connect them"):
        LongShotNoise.execute(2, 4, 1, "frequency mix")
    with pytest.raises(ValueError, match="frequency mix needs previous: connect it"):
        LongShotNoise.execute(2, 4, 1, "frequency mix", model=model, first_noise=first)
    given = {"model": model, "previous": previous, "first_noise": first}
    (made,) = LongShotNoise.execute(2, 4, 1, "frequency mix", **given).args
    message = "previous: expected a result of the same frames and size as the latent, 8 frames of 8x8, got 6 frames of 8x8"
    with pytest.raises(ValueError, match=message):
        made.generate_noise({"samples": torch.zeros(8, 4, 8, 8)})
    with pytest.raises(ValueError, match="filter: expected one of butterworth"):
        LongShotNoise.execute(2, 4, 1, "frequency mix", "sharp", **given)
    with pytest.raises(ValueError, match="mode: expected one of shuffled, same for all frames, frequency mix, got 'mixed'"):
        LongShotNoise.execute(2, 4, 1, "mixed")
    tiny.unload()
