"""VAEs from files in the host: NaN, core's nodes, saving, what is refused."""

from typing import Any

import pytest
import torch
from host_vaes import chunked_vae, decoded, encoded, host_vae, noise, published

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("inference")]


def overflowing() -> Any:
    """A VAE that half precision is too small for, in half precision."""
    vae = host_vae("svd")
    vae.first_stage_model.decoder.conv_in.weight.mul_(3e4)
    vae.first_stage_model.to(torch.float16)
    vae.vae_dtype = torch.float16
    return vae


def test_a_window_that_overflows_is_made_again_with_wider_numbers() -> None:
    vae, latents = overflowing(), noise(6, 4, 4, 4)
    assert not torch.isfinite(vae.first_stage_model.decode(latents.half())).all()
    through, before = chunked_vae(vae), {k: v.clone() for k, v in vae.first_stage_model.state_dict().items()}
    frames = torch.stack(list(through.decode(latents)))
    assert torch.isfinite(frames).all()
    assert "NaN in float16: decoded again in" in through.notes[0]
    after = vae.first_stage_model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items()), "the VAE stays as it was"
    wide = vae.first_stage_model.float()
    assert (frames - vae.process_output(wide.decode(latents))).abs().max() < 0.05


def test_undefined_latents_are_not_decoded_to_black(svd: Any) -> None:
    latents = noise(4, 4, 4, 4)
    latents[2, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN.*the sampler made them"):
        decoded(svd, latents)
    svd.first_stage_model.decoder.conv_in.bias.fill_(torch.inf)
    with pytest.raises(ValueError, match="NaN.*they are sound, so it is the VAE"):
        decoded(svd, noise(4, 4, 4, 4))


@pytest.mark.parametrize("kind", ["sd", "svd", "cv_vae", "lvdm", "open_sora"])
def test_core_nodes_take_it(tiny: Any, kind: str) -> None:
    import nodes

    vae, pictures = host_vae(kind), torch.rand(17, 32, 32, 3)
    (latent,) = nodes.VAEEncode().encode(vae, pictures)
    assert torch.equal(latent["samples"], encoded(vae, pictures))
    (images,) = nodes.VAEDecode().decode(vae, latent)
    assert torch.equal(images, decoded(vae, latent["samples"]))
    (tiled,) = nodes.VAEDecodeTiled().decode(vae, latent, tile_size=64, overlap=16, temporal_size=64, temporal_overlap=8)
    assert tiled.shape == images.shape
    (again,) = nodes.VAEEncodeTiled().encode(vae, pictures, tile_size=64, overlap=16, temporal_size=64, temporal_overlap=8)
    assert again["samples"].shape == latent["samples"].shape


def test_it_is_saved_as_it_was_published(svd: Any) -> None:
    from zoetrope.models.vae.loading import vae_from

    back = svd.get_sd()
    assert set(back) == set(published("svd"))
    assert vae_from(back).family.name == "svd"


def test_sides_are_cut_about_the_middle_and_transparency_is_left_out(demo_vae: Any) -> None:
    pictures = torch.rand(2, 67, 82, 4)
    assert torch.equal(encoded(demo_vae, pictures), encoded(demo_vae, pictures[:, 1:65, 1:81, :3]))


@pytest.mark.parametrize(
    ("kind", "shape", "words"),
    [
        ("sd", (1, 4, 3, 8, 8), r"one latent per frame.*\(1, 4, 3, 8, 8\)"),
        ("sd", (3, 16, 8, 8), "4 channels, got 16"),
        ("sd", (0, 4, 8, 8), "one latent or more"),
        ("cv_vae", (3, 4, 8, 8), "with compressed time"),
    ],
)
def test_latents_of_another_kind_are_refused(tiny: Any, kind: str, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decoded(host_vae(kind), torch.zeros(shape))


def test_one_picture_in_a_clips_shape_is_a_picture(tiny: Any) -> None:
    vae, latents = host_vae("sd"), noise(2, 4, 4, 4)
    assert torch.equal(decoded(vae, latents[:, :, None]), decoded(vae, latents))


def test_pictures_that_cannot_be_are_refused(demo_vae: Any) -> None:
    with pytest.raises(ValueError, match="one frame or more"):
        encoded(demo_vae, torch.rand(0, 64, 64, 3))
    with pytest.raises(ValueError, match="8x8 pixels or more, got 64x5"):
        encoded(demo_vae, torch.rand(2, 5, 64, 3))
    demo_vae.latent_dim = 1
    with pytest.raises(ValueError, match="for sound"):
        encoded(demo_vae, torch.rand(2, 64, 64, 3))
