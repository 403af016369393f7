"""Keyframes, noise masks and closed loops of long shots in the host."""

from typing import Any

import pytest
import torch
from host_shots import WINDOW, all_latents, interrupting
from host_vaes import host_vae
from torch import Tensor

pytestmark = pytest.mark.host
SCALE = 0.18215


def latents(frames: int, seed: int = 1) -> Tensor:
    return torch.randn(frames, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [pytest.param(8, marks=pytest.mark.slow), 64])
def test_outside_a_mask_a_shot_has_the_given_latents(film: Any, size: int) -> None:
    given, mask = latents(5), torch.zeros(5, size, size)
    mask[:, : size // 2] = 1.0
    shot, reason = film(9, samples=given, mask=mask)
    made = all_latents(shot, 9) / SCALE
    assert reason == []
    assert torch.allclose(made[:5, :, 4:], given[:, :, 4:], atol=1e-6)
    assert (made[:5, :, :4] - given[:, :, :4]).abs().mean() > 0.1
    assert film(9, samples=given, mask=1 - mask)[1] == ["noise mask"]
    again, reason = film(11, samples=given, mask=mask)
    assert (reason, again.resumed) == ([], 9)


@pytest.mark.one_host
def test_a_mask_that_does_not_fit_is_refused(film: Any) -> None:
    with pytest.raises(ValueError, match=r"noise_mask: expected 8x8, the size of the latents, or 64x64, .* got 30x20; scale"):
        film(4, samples=latents(5), mask=torch.zeros(5, 20, 30))
    with pytest.raises(ValueError, match="noise_mask: expected 1 mask or 5, one for each latent, got 3"):
        film(4, samples=latents(5), mask=torch.zeros(3, 8, 8))
    with pytest.raises(ValueError, match="noise_mask: the latent is empty, so there is nothing to keep"):
        film(4, samples=torch.zeros(1, 4, 8, 8), mask=torch.zeros(1, 8, 8))


def test_a_shot_passes_through_its_keyframes(film: Any) -> None:
    import comfy.model_management as management
    from zoetrope.hosts.comfyui.conditioning.frame_guide import encode_pictures
    from zoetrope.hosts.comfyui.sampling.known import Keyframes

    pictures, vae = torch.rand(2, 96, 128, 3, generator=torch.Generator().manual_seed(1)), host_vae("sd")
    keyframes = Keyframes(pictures, (2, 7), reach=1)
    shot, _ = film(10, vae=vae, keyframes=keyframes)
    made = all_latents(shot, 10)

    class Sampling:
        class model:  # noqa: N801
            process_latent_in = staticmethod(lambda latent: latent * SCALE)

    with torch.inference_mode():
        expected = encode_pictures(Sampling, vae, pictures, 8, 8)
    assert torch.allclose(made[[2, 7]], expected, atol=1e-6)
    with pytest.raises(management.InterruptProcessingException):
        film(10, "parts", vae=vae, keyframes=keyframes, tell=interrupting(WINDOW + 5))
    parts, _ = film(10, "parts", vae=vae, keyframes=keyframes)
    assert torch.equal(all_latents(parts, 10), made)
    assert film(10, vae=vae, keyframes=Keyframes(pictures, (2, 8), reach=1))[1] == ["keyframes"]


@pytest.mark.one_host
def test_keyframes_that_cannot_be_are_refused(film: Any) -> None:
    from zoetrope.hosts.comfyui.sampling.known import Keyframes

    one = torch.rand(1, 64, 64, 3)
    with pytest.raises(ValueError, match="keyframes: expected frames 0 to 7 in this closed loop, got 8"):
        film(8, vae=host_vae("sd"), keyframes=Keyframes(one, (8,)), loop=True)
    with pytest.raises(
        ValueError, match=r"keyframes: this VAE makes 2 frames of each latent, but one latent per frame is needed"
    ):
        film(8, vae=host_vae("cv_vae"), keyframes=Keyframes(one, (3,)))
    with pytest.raises(ValueError, match="loop: this VAE makes 2 frames of each latent"):
        film(8, vae=host_vae("cv_vae"), loop=True)
    with pytest.raises(ValueError, match="loop: expected 4 frames or more, as many as a window has, got 3"):
        film(3, loop=True)


def test_a_closed_shot_is_resumed_to_the_same_bits_and_its_length_is_a_setting(film: Any) -> None:
    import comfy.model_management as management

    whole, _ = film(9, "whole", loop=True)
    made = all_latents(whole, 9)
    for at in (WINDOW + 1, 4, 3):
        with pytest.raises(management.InterruptProcessingException):
            film(9, loop=True, tell=interrupting(at))
    assert torch.equal(all_latents(film(9, loop=True)[0], 9), made)
    assert film(10, loop=True)[1] == ["closed loop of frames (9, now 10)"]
    open_end = all_latents(film(9, "open")[0], 9)
    assert (made[-1] - made[0]).norm() < (open_end[-1] - open_end[0]).norm()


@pytest.mark.one_host
def test_the_sampler_takes_masks_and_loops_too(tiny: Any, film: Any, tmp_path: Any) -> None:
    from comfy_extras.nodes_custom_sampler import Noise_RandomNoise, SamplerCustomAdvanced
    from host_shots import guider_for
    from zoetrope.hosts.comfyui.sampling.fifo import FifoSampler
    from zoetrope.sampling.queue import QueueSettings, Schedules

    given, mask = latents(5), torch.zeros(5, 8, 8)
    mask[:, :4] = 1.0
    queue, guider = QueueSettings(window=WINDOW, partitions=2, context=1), guider_for(tiny, tmp_path)
    run = getattr(SamplerCustomAdvanced, "execute", None) or SamplerCustomAdvanced().sample
    sigmas = torch.tensor([14.0, 1.0, 0.0])
    with torch.inference_mode():
        sampler = FifoSampler(queue, 8, Schedules(), True, True)
        out = run(Noise_RandomNoise(3), guider, sampler, sigmas, {"samples": given, "noise_mask": mask})[0]["samples"]
    shot, _ = film(8, samples=given, mask=mask, seed=3, loop=True)
    assert torch.allclose(out, all_latents(shot, 8) / SCALE, atol=1e-4)
    assert torch.allclose(out[:5, :, 4:], given[:, :, 4:], atol=1e-5)
