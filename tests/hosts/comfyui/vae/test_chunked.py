"""The host's VAEs in windows and tiles: no bit depends on free memory."""

from typing import Any

import pytest
import torch
from host_vaes import decoded, encoded, host_vae, noise
from torch import Tensor

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("inference")]

TILES_AND_WHOLE, WORST = 27.0, 20.0
"""dB, stated in docs/vae-and-time.md: how like the whole decode that of tiles half as wide is, on average and at worst."""


def fake_memory(monkeypatch: pytest.MonkeyPatch, vae: Any, free: float) -> None:
    import comfy.model_management

    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *_, **__: free)
    if hasattr(vae.patcher, "get_free_memory"):
        monkeypatch.setattr(vae.patcher, "get_free_memory", lambda *_, **__: free)


def test_free_memory_changes_cores_result_and_not_ours(svd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import comfy.sd

    latents, ours, cores = noise(24, 4, 4, 4), [], []
    for free in (1e5, 3e5, 1e9):
        with monkeypatch.context() as patch:
            fake_memory(patch, svd, free)
            ours.append(decoded(svd, latents))
            cores.append(comfy.sd.VAE.decode(svd, latents))
    assert torch.equal(ours[0], ours[1])
    assert torch.equal(ours[0], ours[2])
    assert (cores[0] - cores[2]).abs().max() > 0.05, "this is what it is for"


def test_more_overlap_is_nearer_to_the_whole(svd: Any) -> None:
    latents = noise(20, 4, 4, 4)
    whole = decoded(svd, latents, 20, 0)
    errors = [(decoded(svd, latents, 8, overlap) - whole).abs().mean().item() for overlap in (0, 2, 4)]
    assert errors[0] > 1.1 * errors[1] > 1.1 * errors[2] > 0


def test_short_clips_are_one_window(svd: Any) -> None:
    for frames in (1, 2, 14):
        latents = noise(frames, 4, 4, 4)
        assert torch.equal(decoded(svd, latents), svd.process_output(svd.first_stage_model.decode(latents)).movedim(1, -1))


def test_an_image_vae_gives_each_frame_as_it_is_alone(tiny: Any) -> None:
    vae, latents = host_vae("sd"), noise(7, 4, 4, 4)
    alone = torch.cat([decoded(vae, latent[None]) for latent in latents])
    for way in ((0, -1), (3, 0), (4, 2)):
        assert (decoded(vae, latents, *way) - alone).abs().max() < 1e-5


def test_an_interrupt_stops_between_windows(svd: Any) -> None:
    import comfy.model_management

    comfy.model_management.interrupt_current_processing(True)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        decoded(svd, noise(4, 4, 4, 4), 2)


@pytest.mark.parametrize(("kind", "frames", "latents"), [("cv_vae", 25, 13), ("lvdm", 16, 8), ("open_sora", 22, 7)])
def test_vaes_that_squeeze_time_give_as_many_frames_back(tiny: Any, kind: str, frames: int, latents: int) -> None:
    vae = host_vae(kind)
    pictures = torch.rand(frames, 16, 16, 3)
    made = encoded(vae, pictures)
    assert made.shape == (1, 4, latents, 16 // vae.spacial_compression_encode(), 16 // vae.spacial_compression_encode())
    assert decoded(vae, made).shape == pictures.shape
    longer = encoded(vae, torch.cat([pictures, pictures[-1:]]))  # a latent that the frames do not fill
    assert longer.shape[2] == latents + 1
    assert encoded(vae, pictures[:1]).shape[2] == 1


def test_cv_vaes_windows_are_its_own_codes(tiny: Any) -> None:
    """Windows of 5 latents that share one, the first frame of each later one left out (tests/models/vae/test_golden.py)."""
    vae, latents = host_vae("cv_vae"), noise(1, 4, 9, 4, 4)
    network = vae.first_stage_model
    parts = [network.decode(latents[:, :, start : start + 5]) for start in (0, 4)]
    theirs = torch.cat([parts[0], parts[1][:, :, 1:]], 2)
    assert torch.equal(decoded(vae, latents), vae.process_output(theirs)[0].movedim(0, -1))


def alike(one: Tensor, other: Tensor) -> tuple[float, float]:
    """dB, the mean over frames and the worst one."""
    from zoetrope.video.quality.image_metrics import psnr

    found = psnr(one.movedim(-1, 1), other.movedim(-1, 1))
    return float(found.mean()), float(found.min())


def world(frames: int, size: int) -> Tensor:
    """Frames of as many scenes."""
    from zoetrope.demo.world import draw, film

    return torch.cat([film(draw(torch.Generator().manual_seed(n)), 1, size) for n in range(frames)]).movedim(1, -1)


@pytest.mark.one_host
def test_tiles_keep_time_whole_and_the_picture_nearly(demo_vae: Any) -> None:
    latents = encoded(demo_vae, world(4, 256))
    seen: list[tuple[int, ...]] = []
    decode = demo_vae.first_stage_model.decode
    demo_vae.first_stage_model.decode = lambda x: seen.append(tuple(x.shape)) or decode(x)
    whole, tiles = decoded(demo_vae, latents), decoded(demo_vae, latents, tile=128)
    assert seen[0] == (4, 4, 32, 32)
    assert set(seen[1:]) == {(4, 4, 16, 16)}
    mean, worst = alike(tiles, whole)
    assert mean > TILES_AND_WHOLE
    assert worst > WORST
    demo_vae.first_stage_model.decode = decode
    assert not any(module._forward_hooks for module in demo_vae.first_stage_model.modules()), "nothing stays behind"
    assert torch.equal(decoded(demo_vae, latents), whole)


@pytest.mark.one_host
def test_tiles_of_an_encoder_are_parts_of_one_picture(demo_vae: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoetrope.models.vae import norms

    pictures = world(3, 256)
    whole, tiles = encoded(demo_vae, pictures), encoded(demo_vae, pictures, tile=128)
    monkeypatch.setattr(norms, "SHARE", 0.0)
    plain = encoded(demo_vae, pictures, tile=128)
    assert (whole - tiles).square().mean() < 0.6 * (whole - plain).square().mean()
    assert ((whole - tiles).square().mean() / whole.square().mean()).sqrt() < 0.25


@pytest.mark.one_host
def test_out_of_memory_makes_the_tiles_smaller_and_says_so(demo_vae: Any) -> None:
    import comfy.model_management

    latents = encoded(demo_vae, world(6, 256))
    whole, decode, seen = decoded(demo_vae, latents), demo_vae.first_stage_model.decode, []

    def little(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape))
        if x.shape[-1] > 16:
            raise comfy.model_management.OOM_EXCEPTION("out of memory\nand more")
        return decode(x)

    demo_vae.first_stage_model.decode = little
    told: list[str] = []
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae, ChunkOptions
    from zoetrope.hosts.comfyui.vae.video import decode_all

    through = ChunkedVae(demo_vae, ChunkOptions(window=3), told.append)
    out = decode_all(latents, through)
    assert alike(out, whole)[1] > WORST
    assert told == through.notes
    assert "tiles of 128 pixels" in told[0]
    assert len([shape for shape in seen if shape[-1] > 16]) == 1, "later windows begin with the smaller tiles"
    assert {shape[0] for shape in seen} == {3}, "windows stay as they are"


@pytest.mark.parametrize("kind", ["svd", "cv_vae"])
def test_the_host_is_told_the_memory_of_a_whole_window(tiny: Any, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Twice the frames of a window, twice the memory, whether the host's estimate is of a picture or of a clip."""
    import comfy.model_management

    vae, asked = host_vae(kind), []
    monkeypatch.setattr(
        comfy.model_management, "load_models_gpu", lambda *_, memory_required, **__: asked.append(memory_required)
    )
    latents = noise(1, 4, 9, 4, 4) if kind == "cv_vae" else noise(9, 4, 4, 4)
    for window in (3, 5):  # latents; 5 and 9 frames where time is halved
        decoded(vae, latents, window, 1)
    frames = (5, 9) if kind == "cv_vae" else (3, 5)
    assert max(asked) / min(asked) == pytest.approx(frames[1] / frames[0])


def test_decoders_that_see_time_are_known(tiny: Any) -> None:
    from zoetrope.hosts.comfyui.vae.chunked import sees_time

    assert [sees_time(host_vae(kind)) for kind in ("sd", "svd", "cv_vae")] == [False, True, True]


def test_no_room_at_all_is_said_with_the_number_to_lower(demo_vae: Any) -> None:
    import comfy.model_management

    def full(x: Tensor) -> Tensor:
        raise comfy.model_management.OOM_EXCEPTION("out of memory")

    demo_vae.first_stage_model.decode = full
    with pytest.raises(RuntimeError, match=r"tiles of 128 pixels and 16 latents.*window \(now 16\)"):
        decoded(demo_vae, noise(16, 4, 32, 32))
