"""The embedded decoders without ComfyUI: what the one that sees the frames around is worth, and that windows do not cost it."""

import pytest
import torch
from torch import Tensor
from zoetrope.demo.layout import TEMPORAL_VAE, part_path
from zoetrope.demo.world import RATES, draw, film
from zoetrope.hosts.diffusers.vae import decode, encode, open_vae, trip
from zoetrope.models.vae.loading import Loaded
from zoetrope.video.quality.image_metrics import jump_error, psnr

CLIPS, FRAMES, HELD_OUT = 24, 16, 9_000_000
FEW = 6
"""Clips of the quick suite: each kind of frame rate twice."""


@pytest.fixture(scope="module")
def clips() -> list[Tensor]:
    scenes = [draw(torch.Generator().manual_seed(HELD_OUT + n)) for n in range(CLIPS)]
    return [film(scene, FRAMES, 64, RATES[n % len(RATES)]) for n, scene in enumerate(scenes)]


@pytest.fixture(scope="module")
def still() -> Loaded:
    return open_vae(part_path("vae"))


@pytest.fixture(scope="module")
def temporal() -> Loaded:
    return open_vae(part_path(TEMPORAL_VAE))


def figures(clips: list[Tensor], made: list[Tensor]) -> tuple[float, float]:
    """Mean jump error and PSNR."""
    pairs = list(zip(made, clips, strict=True))
    return tuple(float(torch.stack([of(a, b).mean() for a, b in pairs]).mean()) for of in (jump_error, psnr))  # type: ignore[return-value]


@pytest.mark.parametrize("count", [FEW, pytest.param(CLIPS, marks=pytest.mark.slow)])
def test_it_flickers_a_third_less_and_looks_no_worse(clips: list[Tensor], still: Loaded, temporal: Loaded, count: int) -> None:
    """Align Your Latents' prize, on clips that training never saw."""
    clips = clips[:count]
    before, after = (figures(clips, [trip(vae)(clip) for clip in clips]) for vae in (still, temporal))
    assert after[0] < 0.7 * before[0]
    assert after[1] > before[1]


def test_both_decode_the_same_latents(clips: list[Tensor], still: Loaded, temporal: Loaded) -> None:
    latents = encode(still, clips[0])
    assert torch.allclose(encode(temporal, clips[0]), latents, atol=2e-2), "half precision in other spellings"
    assert psnr(decode(temporal, latents), clips[0]).mean() > 25


def test_its_windows_cost_little(clips: list[Tensor], temporal: Loaded) -> None:
    scene = draw(torch.Generator().manual_seed(HELD_OUT + 500), motion="moving right")
    clip = film(scene, 48, 64)
    latents = encode(temporal, clip)
    with torch.inference_mode():
        whole = (temporal.network.decode(latents) / 2 + 0.5).clamp(0, 1)
    windows = decode(temporal, latents)
    assert jump_error(windows, clip).mean() < 1.1 * jump_error(whole, clip).mean()
    assert psnr(windows, clip).mean() > psnr(whole, clip).mean() - 0.3
