"""Every published autoencoder at full size: known by its keys, mapped without one missing or left over, and mapped back."""

import formats
import parity
import pytest
import torch
from torch import Tensor
from zoetrope.models.formats.strict import spell
from zoetrope.models.motion.loading import take_apart
from zoetrope.models.vae.families import VAES, detect
from zoetrope.models.vae.loading import autoencoder_of, vae_from
from zoetrope.sampling.windowing import TimeRatio as Time

LISTS: dict[str, tuple[str, str, int, Time]] = {
    "sd_vae_kl": ("sd", "published", 8, Time()),
    "sd_x4_upscaler_vae": ("sd", "published", 4, Time()),
    "upscale_a_video_vae_3d": ("sd", "diffusers before 0.18", 4, Time()),
    "svd_temporal_decoder_diffusers": ("svd", "diffusers", 8, Time()),
    "svd_xt": ("svd", "published", 8, Time()),
    "upscale_a_video_vae_video": ("upscale_a_video", "published", 4, Time()),
    "lvdm_short": ("lvdm", "published", 8, Time(4, 4)),
    "cv_vae": ("cv_vae", "published", 8, Time(4, 1)),
    "opensora_v1_2_vae": ("open_sora", "published", 8, Time(4, 1, 5)),
}
"""List -> family, spelling, pixels per latent and side, what it does to time."""


@pytest.mark.parametrize("name", LISTS)
def test_known_mapped_and_mapped_back(name: str) -> None:
    family, spelling, side, time = LISTS[name]
    tensors = autoencoder_of(formats.published(name))
    loaded = vae_from(formats.published(name))  # strict: raises on keys missing or unexpected
    assert (loaded.family.name, loaded.spelling, loaded.network.side, loaded.family.time(loaded.network)) == LISTS[name][:1] + (
        spelling, side, time,
    )  # fmt: skip
    assert [one.name for one in VAES if one.spelling(tensors)] == [family], "one family alone knows it"
    spelled = spell(loaded.family, tensors)
    back = spelled.published()
    assert {key: tuple(value.shape) for key, value in back.items()} == {k: tuple(v.shape) for k, v in tensors.items()}
    parity.mapped(loaded.family.title, spelling, name, len(tensors), len(loaded.network.state_dict()))


def test_stable_video_diffusions_two_spellings_are_one_network() -> None:
    """Key by key as the recorded map has it; the last layer of its encoder lies elsewhere in a checkpoint."""
    record = formats.record("keymap_svd_vae_ldm_to_diffusers")
    prefixes = {"first_stage_model.": "", "conditioner.embedders.3.encoder.": ""}
    published, diffusers = formats.published("svd_xt"), formats.published("svd_temporal_decoder_diffusers")
    theirs, ours = (autoencoder_of(tensors) for tensors in (published, diffusers))
    tables = [spell(found, tensors).table for tensors in (theirs, ours) if (found := detect(tensors))]
    for source, target in record["map"].items():
        plain = next(source.removeprefix(prefix) for prefix in prefixes if source.startswith(prefix))
        assert tables[0].ours(plain) == tables[1].ours(target) is not None, source
    assert len(record["map"]) == len(theirs) == len(ours)


def tiny() -> dict[str, Tensor]:
    """An image autoencoder of two levels."""
    from zoetrope.models.vae.kl import KLVae, Layout

    network = KLVae(Layout((32, 32), 1, 4, quant=True, post_quant=True))
    flat = network.state_dict()
    return {key: value[..., None, None] if ".attn_1." in key and value.ndim == 2 else value for key, value in flat.items()}


def test_what_training_leaves_in_a_file_is_left_out() -> None:
    more = {"loss.perceptual_loss.lin0.weight": torch.zeros(1), "model_ema.decay": torch.zeros(1)}
    assert len(vae_from(tiny() | more).network.state_dict()) == len(tiny())


def test_a_vae_alone_or_within_a_checkpoint_is_the_same() -> None:
    alone = tiny()
    within = {f"first_stage_model.{key}": value for key, value in alone.items()}
    loaded = vae_from(within | {"model.diffusion_model.out.2.bias": torch.zeros(4), "cond_stage_model.x": torch.zeros(1)})
    for key, value in vae_from(alone).network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[key], value)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda t: {k: v for k, v in t.items() if k != "decoder.conv_in.bias"}, r"lacks keys: decoder\.conv_in\.bias"),
        (lambda t: t | {"decoder.surprise.weight": torch.zeros(1)}, r"does not have: decoder\.surprise\.weight"),
        (lambda t: t | {"quant_conv.bias": torch.zeros(5)}, r"quant_conv\.bias: expected \[8\], got \[5\]"),
        (lambda t: t | {"quant_conv.bias": torch.full((8,), torch.nan)}, r"NaN weights: quant_conv\.bias"),
        (lambda t: {"a.weight": torch.zeros(1)}, r"not a VAE that Zoetrope supports.* got a\.weight"),
        (
            lambda t: {"unet.lora_down.weight": torch.zeros(1)},
            r"a LoRA \(recognised by unet.lora_down.weight; .*\): load it with core's Load LoRA",
        ),
    ],
)
def test_a_file_that_is_not_whole_is_refused_by_name(broken: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        vae_from(broken(tiny()))  # type: ignore[operator]


@pytest.mark.parametrize("name", ["svd_temporal_decoder_diffusers", "lvdm_short"])
def test_motion_loaders_say_where_a_vae_belongs(name: str) -> None:
    with pytest.raises(ValueError, match="load it with Load Temporal VAE"):
        take_apart(autoencoder_of(formats.published(name)), {}, "vae", 0)
