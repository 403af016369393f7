"""Long shots through VAEs that use neighbouring frames or compress time: the same pixels, however the run was interrupted."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from films import read_video
from host_shots import WINDOW, all_latents, interrupting
from host_vaes import decoded, host_vae
from torch import Tensor

pytestmark = pytest.mark.host
FRAMES = 9


def vae_of(kind: str) -> Any:
    """A VAE of this kind with short windows: 5 latents that share 2 or, compressed in time, 4 that share 1."""
    from zoetrope.sampling.windowing import WindowSpec

    vae = host_vae(kind)
    vae.zoetrope_cut = WindowSpec(5, 2) if kind == "svd" else WindowSpec(4, 1)
    return vae


def pixels(shot: Any) -> Tensor:
    return read_video(shot.video)[0]


@pytest.mark.parametrize("kind", ["svd", "cv_vae"])
def test_interrupted_lengthened_and_resumed_shots_have_the_pixels_of_an_undisturbed_one(film: Any, kind: str) -> None:
    import comfy.model_management as management

    whole, _ = film(FRAMES, "whole", vae=vae_of(kind))
    first = pixels(whole)
    assert first.shape[0] == FRAMES
    assert pixels(film(3, vae=vae_of(kind))[0]).shape[0] == 3
    for at in (1, 2):
        with pytest.raises(management.InterruptProcessingException):
            film(FRAMES, vae=vae_of(kind), tell=interrupting(at))
    parts, reason = film(FRAMES, vae=vae_of(kind))
    assert reason == []
    assert torch.equal(pixels(parts), first)
    count = len(all_latents(whole, 999))
    assert torch.equal(all_latents(parts, count), all_latents(whole, count))
    assert torch.equal(pixels(film(3, vae=vae_of(kind))[0]), first[:3]), "a shorter shot is cut, not decoded in another way"


@pytest.mark.one_host
def test_noise_of_a_decoder_is_that_of_the_window(film: Any) -> None:
    """LTX-Video's decoder adds noise from torch's own generator."""
    import comfy.model_management as management

    def noisy() -> Any:
        vae = vae_of("svd")
        decode = vae.first_stage_model.decode
        vae.first_stage_model.decode = lambda x: decode(x + torch.randn_like(x))
        return vae

    whole, _ = film(FRAMES, "whole", vae=noisy())
    with pytest.raises(management.InterruptProcessingException):
        film(FRAMES, vae=noisy(), tell=interrupting(WINDOW + 8))
    parts, _ = film(FRAMES, vae=noisy())
    assert torch.equal(pixels(parts), pixels(whole))
    assert not torch.equal(pixels(film(FRAMES, "without", vae=vae_of("svd"))[0]), pixels(whole))


def test_the_frames_are_those_of_decode_video(film: Any) -> None:
    """The latents of whole windows, decoded as a clip, give the same pixels."""
    vae, made = vae_of("svd"), dict[int, Tensor]()

    def tell(done: int, total: int, decoded: Any, left: float) -> None:
        if decoded is not None and decoded.frame not in made:
            made[decoded.frame] = decoded.picture

    shot, _ = film(8, vae=vae, tell=tell)  # three windows of 5 that share 2: 11 latents
    latents = all_latents(shot, 99)
    assert len(latents) == 11
    frames = decoded(vae, latents / 0.18215).movedim(-1, 1)
    assert torch.allclose(torch.stack([made[number] for number in range(8)]), frames[:8], atol=1e-5)


def test_another_vae_or_frame_rate_decodes_the_stored_latents_again(film: Any) -> None:
    shot, _ = film(6)
    latents, image = all_latents(shot, 6), pixels(shot)
    again, reason = film(6, vae=vae_of("svd"))
    assert reason == []
    assert again.video.parent == shot.video.parent / "decoded_2"
    assert torch.equal(all_latents_of(shot.video.parent)[:6], latents)
    assert "decoded again because of: vae, " in again.message(6, [])
    faster, _ = film(6, fps=12.0)
    assert faster.message(6, []).startswith(
        "6 frames, all finished earlier; decoded again because of: fps (8.0, now 12.0), vae"
    )
    assert read_video(faster.video)[1] == 12.0
    back, _ = film(6)
    assert back.video == shot.video
    assert torch.equal(pixels(back), image)


def all_latents_of(folder: Path) -> Tensor:
    from types import SimpleNamespace

    return all_latents(SimpleNamespace(video=folder / "x.mp4"), 999)


@pytest.mark.slow
def test_tiles_after_out_of_memory_are_stored_and_used_by_a_resumed_run(film: Any, tmp_path: Path) -> None:
    """The window in which memory ran out, and all after it, are decoded in tiles; earlier ones stay as they were."""
    import comfy.model_management as management

    def limited(after: int) -> Any:
        vae, calls = vae_of("svd"), list[int]()
        decode = vae.first_stage_model.decode

        def little(x: Tensor) -> Tensor:
            calls.append(x.shape[-1])
            if x.shape[0] == 5 and x.shape[-1] > 16 and len(calls) > after:
                raise management.OOM_EXCEPTION("out of memory")
            return decode(x)

        vae.first_stage_model.decode = little
        return vae

    large = torch.zeros(1, 4, 8, 32)
    whole, _ = film(8, "whole", vae=limited(1), samples=large)
    record = (whole.video.parent / "video.json").read_text()
    assert '"1": 32' in record
    with pytest.raises(management.InterruptProcessingException):
        film(8, vae=limited(1), samples=large, tell=interrupting(WINDOW + 8))
    parts, _ = film(8, vae=limited(99), samples=large)  # memory is free again, and yet
    assert torch.equal(pixels(parts), pixels(whole))
    shutil.rmtree(parts.video.parent)
    other, _ = film(8, vae=limited(99), samples=large)
    assert not torch.equal(pixels(other), pixels(whole))


def test_latents_of_other_channels_are_refused_before_sampling(film: Any) -> None:
    vae = vae_of("svd")
    vae.latent_channels = 16
    with pytest.raises(
        ValueError, match=r"vae: this VAE decodes latents of 16 channels, .* makes latents of 4; connect the VAE"
    ):
        film(4, vae=vae)


@pytest.mark.slow
def test_windows_of_a_preview_do_not_change_the_video(film: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoetrope.shots import record

    whole, _ = film(FRAMES, "whole", vae=vae_of("svd"))
    monkeypatch.setattr(record, "ROUND", 0.0)
    looks: list[int] = []

    def tell(done: int, total: int, picture: Any, left: float) -> None:
        if picture is not None:
            looks.append(picture.frame)

    often, _ = film(FRAMES, vae=vae_of("svd"), tell=tell)
    assert torch.equal(pixels(often), pixels(whole))
    assert set(looks) == set(range(FRAMES))
