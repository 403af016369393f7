"""Image projectors and decoupled cross-attention against the original codes; published key lists at full size."""

from pathlib import Path
from typing import Any

import formats
import golden
import parity
import pytest
import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from safetensors.torch import save_file
from torch import Tensor, nn
from zoetrope.models.backbones.places import places_of, transformer_sites
from zoetrope.models.edits.image_attention import ImageAttention, ImageInputs
from zoetrope.models.formats.keytable import KeyTable
from zoetrope.models.image_prompt.families import ip_adapter
from zoetrope.models.image_prompt.layers import ImageKeys, ImageLayers
from zoetrope.models.image_prompt.loading import load_projector, projector_from, published
from zoetrope.models.layers.attention import scaled_dot_product


def network(tensors: dict[str, Tensor], prefix: str, head_width: int) -> nn.Module:
    ours, left = KeyTable((*ip_adapter.RESAMPLER, *ip_adapter.LINEAR)).rename(
        {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    )
    assert not left
    shapes = {key: tuple(value.shape) for key, value in ours.items()}
    made = ip_adapter.build(shapes, {"zoetrope.head_width": str(head_width)}, nn)
    made.load_state_dict(ours)
    return made


@pytest.mark.parametrize(
    "path", golden.claim("ip_adapter_plus_resampler*", "image_proj_resampler*", "dynamicrafter_resampler*")
)
@torch.inference_mode()
def test_resampler(path: Path) -> None:
    tensors, header = golden.read(path)
    prefix = "w.image_proj." if any(key.startswith("w.image_proj.") for key in tensors) else "w.image_proj_model."
    made = network(tensors, prefix, golden.config(header)["dim_head"])
    seen = tensors.get("in.hidden_states", tensors.get("image_tokens"))
    expected = tensors.get("out.tokens", tensors.get("tokens"))
    assert expected is not None
    error, tolerance = (made(seen) - expected).abs().max().item(), 2e-4 * expected.abs().max().item()
    assert parity.within("image projectors", path.stem, "core", error, min(tolerance, 1e-4))


@pytest.mark.parametrize("path", golden.claim("ip_adapter_proj*", "image_proj_linear*"))
@torch.inference_mode()
def test_linear_projector(path: Path) -> None:
    tensors, _ = golden.read(path)
    prefix = "w.image_proj." if "w.image_proj.norm.weight" in tensors else "w.image_proj_model."
    made = network(tensors, prefix, 1)
    seen = tensors.get("in.image_embeds", tensors.get("image_embeds"))
    assert seen is not None
    pairs = [(seen, tensors.get("out.tokens", tensors.get("tokens")))]
    if "out.tokens_of_zero" in tensors:  # the unconditional side
        pairs.append((torch.zeros_like(seen), tensors["out.tokens_of_zero"]))
    for states, expected in pairs:
        assert expected is not None
        error = (made(states[:, None]) - expected).abs().max().item()
        assert parity.within("image projectors", path.stem, "core", error, 1e-4)


def keys_of(tensors: dict[str, Tensor], prefix: str, learned: bool = False) -> ImageKeys:
    to_k = tensors[f"{prefix}to_k_ip.weight"]
    keys = ImageKeys(to_k.shape[1], to_k.shape[0], learned, nn)
    weights = {"to_k.weight": to_k, "to_v.weight": tensors[f"{prefix}to_v_ip.weight"]}
    keys.load_state_dict(weights | ({"weight.alpha": tensors["w.alpha"]} if learned else {}))
    return keys


def attention_of(tensors: dict[str, Tensor], settings: dict[str, Any], prefix: str) -> Any:
    width, context = settings["query_dim"], settings.get("context_dim", settings.get("context"))
    made = Attention(width, context, heads=settings["heads"], dim_head=settings["dim_head"])
    names = ("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight", "to_out.0.bias")
    made.load_state_dict({name: tensors[prefix + name] for name in names})
    return made


def beside(attention: Any, keys: ImageKeys) -> tuple[ImageAttention, ImageLayers]:
    """The hooks on a single attention, as in a UNet that has no other."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn2 = attention
            self.norm2 = self.norm3 = nn.Identity()

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.transformer_blocks = nn.ModuleList([Block()])

    injection, layers = ImageAttention(), ImageLayers({"mid.attention.0": keys})
    injection.install(layers, places_of(transformer_sites("mid", Transformer(), attention.to_q.in_features), {}))
    return injection, layers


@pytest.mark.parametrize("path", golden.claim("dual_cross_attention*", "ip_adapter_cross_attention*"))
@torch.inference_mode()
def test_decoupled_cross_attention(path: Path) -> None:
    """One query, two attentions, summed before the output projection; strength 0 is the attention without us, bit for bit."""
    tensors, header = golden.read(path)
    settings = golden.config(header)
    if "in.x" in tensors:
        x, text, image = (tensors[f"in.{name}"] for name in ("x", "text", "image_tokens"))
        outputs = {key: float(key.rpartition("_")[2]) for key in tensors if key.startswith("out.")}
        attention, keys = attention_of(tensors, settings, "w.attn2."), keys_of(tensors, "w.ip.")
    else:
        x, (text, image) = tensors["x"], tensors["context"].split([settings["text_tokens"], settings["image_tokens"]], dim=1)
        outputs = {"y": 1.0, "y_image_scale_0": 0.0, "y_image_scale_0_5": 0.5}
        attention, keys = attention_of(tensors, settings, "w."), keys_of(tensors, "w.", "w.alpha" in tensors)
    plain = attention(x, text)
    injection, _ = beside(attention, keys)
    assert torch.equal(attention(x, text), plain)
    rows = torch.arange(len(x))
    for name, strength in outputs.items():
        if name not in tensors:
            continue
        injection.give(ImageInputs(image, rows, strength, scaled_dot_product) if strength else None)
        error = (attention(x, text) - tensors[name]).abs().max().item()
        assert parity.within("image projectors", f"{path.stem} {name}", "core", error, 1e-4)
    injection.remove()
    assert torch.equal(attention(x, text), plain)


@pytest.mark.parametrize("path", golden.claim("spatial_transformer_dual*"))
@torch.inference_mode()
def test_whole_spatial_transformer_with_image_tokens(path: Path) -> None:
    tensors, header = golden.read(path)
    settings = golden.config(header)
    made = Transformer2DModel(
        settings["heads"], settings["dim_head"], settings["channels"], norm_num_groups=32,
        cross_attention_dim=settings["context_dim"], use_linear_projection=True,
    )  # fmt: skip
    weights = {key[2:]: value for key, value in tensors.items() if key.startswith("w.") and "_ip." not in key}
    made.load_state_dict(weights)
    keys = keys_of(tensors, "w.transformer_blocks.0.attn2.")
    injection, layers = ImageAttention(), ImageLayers({"mid.attention.0": keys})
    places = places_of(transformer_sites("mid", made, settings["channels"]), {})
    assert list(places.cross_attentions) == ["mid.attention.0"]
    layers.check_fit(places)
    injection.install(layers, places)
    text, image = tensors["context"][:, :77], tensors["context"][:, 77:]
    injection.give(ImageInputs(image, torch.arange(len(image)), 1.0, scaled_dot_product))
    out = made(tensors["x"], encoder_hidden_states=text).sample
    error = (out - tensors["y"]).abs().max().item()
    assert parity.within("image projectors", path.stem, "core", error, 1e-4)


@torch.inference_mode()
def test_every_row_reads_its_own_tokens_at_its_own_strength() -> None:
    """A batch of rows with tokens, strengths and levels of their own against each row alone."""
    generator = torch.Generator().manual_seed(0)
    attention, keys = Attention(16, 8, heads=2, dim_head=8), ImageKeys(8, 16, False, nn)
    x, text = torch.randn(4, 5, 16, generator=generator), torch.randn(4, 3, 8, generator=generator)
    tokens, rows = torch.randn(2, 6, 8, generator=generator), torch.tensor([1, 0, 0, 1])
    strength = torch.tensor([0.0, 0.5, 1.0, 2.0])
    plain = attention(x, text)
    injection, _ = beside(attention, keys)
    injection.give(ImageInputs(tokens, rows, strength, scaled_dot_product))
    together = attention(x, text)
    assert torch.equal(together[0], plain[0])
    for row in range(1, 4):
        injection.give(ImageInputs(tokens[rows[row]][None], torch.zeros(1).long(), float(strength[row]), scaled_dot_product))
        assert torch.allclose(together[row : row + 1], attention(x[row : row + 1], text[row : row + 1]), atol=1e-6)
    injection.give(ImageInputs(tokens, rows, 1.0, scaled_dot_product, {"mid": 0.25}))
    quarter = attention(x, text)
    injection.give(ImageInputs(tokens, rows, 0.25, scaled_dot_product))
    assert torch.allclose(quarter, attention(x, text), atol=1e-6)


LISTS = {
    "ip_adapter_sd15": ("IP-Adapter", 16, 1024, "embedding", 1),
    "ip_adapter_sdxl": ("IP-Adapter", 70, 1280, "embedding", 1),
    "ip_adapter_plus_sd15": ("IP-Adapter", 16, 1280, "penultimate", 1),
    "videocrafter1_i2v_512": ("VideoCrafter and DynamiCrafter", 16, 1280, "last", 1),
    "dynamicrafter_256": ("VideoCrafter and DynamiCrafter", 16, 1280, "last", 16),
    "dynamicrafter_512": ("VideoCrafter and DynamiCrafter", 16, 1280, "last", 16),
    "dynamicrafter_512_interp": ("VideoCrafter and DynamiCrafter", 16, 1280, "last", 16),
    "dynamicrafter_1024": ("VideoCrafter and DynamiCrafter", 16, 1280, "last", 16),
}


@pytest.mark.parametrize("name", LISTS)
def test_published_list_maps_and_maps_back(name: str) -> None:
    title, layers, states, look, frames = LISTS[name]
    tensors = formats.published(name)
    loaded = projector_from(tensors, {}, name)
    assert (loaded.family.title, len(loaded.network.image.places), loaded.states) == (title, layers, states)
    assert (loaded.look.states, loaded.frames) == (look, frames)
    back = published(loaded)
    wanted = tensors if name.startswith("ip_adapter") else {key: value for key, value in tensors.items() if key in back}
    assert {key: value.shape for key, value in back.items()} == {key: value.shape for key, value in wanted.items()}
    assert name.startswith("ip_adapter") or sum("_ip." in k or k.startswith("image_proj_model.") for k in tensors) <= len(back)
    parity.mapped("image projectors", loaded.family.title, name, len(back), layers)


def test_a_file_that_is_not_whole_or_not_a_projector_is_refused_with_its_name(tmp_path: Path) -> None:
    linear = {f"ip_adapter.{2 * n + 1}.to_{kind}_ip.weight": torch.zeros(8, 4) for n in range(16) for kind in "kv"}
    linear |= {"image_proj.proj.weight": torch.zeros(16, 6), "image_proj.proj.bias": torch.zeros(16)}
    linear |= {"image_proj.norm.weight": torch.zeros(4), "image_proj.norm.bias": torch.zeros(4)}
    save_file(linear, tmp_path / "good.safetensors")
    assert load_projector(tmp_path / "good.safetensors").report.startswith(
        "IP-Adapter: 4 tokens of the pooled embedding (6 wide)"
    )
    nested = {
        part: {k.partition(".")[2]: v for k, v in linear.items() if k.startswith(part)} for part in ("ip_adapter", "image_proj")
    }
    torch.save(nested, tmp_path / "good.bin")  # as the authors publish it
    assert load_projector(tmp_path / "good.bin").states == 6
    for name, change, message in (
        (
            "lacks",
            {"ip_adapter.1.to_k_ip.weight": None},
            "incomplete|lacks keys: ip_adapter.1.to_k_ip.weight|31 layers|15 layers",
        ),
        ("odd", {"image_proj.more": torch.zeros(1)}, "has keys that IP-Adapter does not have: image_proj.more"),
        (
            "nan",
            {"image_proj.norm.bias": torch.full((4,), float("nan"))},
            "infinite or NaN weights: image_proj.norm.bias",
        ),
        ("half", {"image_proj.proj.weight": None}, "looks like an IP-Adapter .*no key such as image_proj.proj.weight"),
        ("face", {"image_proj.proj.0.weight": torch.zeros(1)}, "IP-Adapter of a kind that Zoetrope does not support"),
    ):
        tensors = {key: value for key, value in (linear | change).items() if value is not None}
        save_file(tensors, tmp_path / f"{name}.safetensors")
        with pytest.raises(ValueError, match=f"{name}.safetensors: .*({message})"):
            load_projector(tmp_path / f"{name}.safetensors")
    plus = {key: value for key, value in linear.items() if key.startswith("ip_adapter.")}
    faces = {"image_proj.latents": torch.zeros(1, 2, 4), "image_proj.proj_in.weight": torch.zeros(4, 512)}
    save_file(plus | faces, tmp_path / "instant.safetensors")
    with pytest.raises(ValueError, match="instant.safetensors: this is an IP-Adapter for faces .*Use a plain or plus"):
        load_projector(tmp_path / "instant.safetensors")
    save_file({"visual.transformer.resblocks.0.attn.in_proj_weight": torch.zeros(1)}, tmp_path / "v.safetensors")
    with pytest.raises(ValueError, match="not an image projector but a CLIP vision encoder .* with core's Load CLIP Vision"):
        load_projector(tmp_path / "v.safetensors")
