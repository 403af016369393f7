"""Attention across frames against the original codes: Text2Video-Zero, Tune-A-Video, Rerender-A-Video."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import golden
import parity
import pytest
import torch
from einops import rearrange, repeat
from golden_layers import weights_of
from torch import Tensor, nn
from zoetrope.hosts.diffusers.motion import unet_places
from zoetrope.models.backbones.places import Places
from zoetrope.models.edits.frame_table import FIRST, FIRST_AND_PREVIOUS, FrameTable
from zoetrope.models.edits.shared_attention import SharedAttention, SharedInputs


def within(ours: Tensor, theirs: Tensor, path: Path, what: str = "") -> bool:
    """golden/zeroshot/README.md: 2e-4 times the largest value."""
    error, tolerance = (ours - theirs).abs().max().item(), 2e-4 * theirs.abs().max().item()
    return parity.within("Attention across frames", f"{path.stem} {what}".strip(), "core", error, tolerance)


@contextmanager
def shared(places: Places, pattern: str, frames: int, rows: int) -> Iterator[SharedAttention]:
    edit = SharedAttention()
    edit.install(None, places)
    edit.give(SharedInputs(FrameTable(pattern).of(range(frames)), rows))
    yield edit
    edit.remove()


def attention_of(c: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[Any, Places]:
    from diffusers.models.attention_processor import Attention

    attention = Attention(c["heads"] * c["dim_head"], heads=c["heads"], dim_head=c["dim_head"])
    attention.load_state_dict(weights_of(tensors))
    return attention, Places({"mid.attention": (nn.Identity(), 1)}, {}, {"mid.attention.0": attention})


@pytest.mark.parametrize("path", golden.claim("cross_frame_attention"))
@torch.inference_mode()
def test_keys_of_the_first_frame_of_each_half(path: Path) -> None:
    tensors, header = golden.read(path)
    c = golden.config(header)
    attention, places = attention_of(c, tensors)
    for halves in c["halves"]:
        x = tensors[f"in.x_halves{halves}"]
        assert within(attention(x), tensors[f"out.self_halves{halves}"], path, f"self, {halves}")
        with shared(places, FIRST, c["frames"], len(x)):
            assert within(attention(x), tensors[f"out.out_halves{halves}"], path, f"{halves} halves")


@pytest.mark.parametrize("path", golden.claim("sparse_causal_attention"))
@torch.inference_mode()
def test_keys_of_the_first_and_the_previous_frame(path: Path) -> None:
    tensors, header = golden.read(path)
    c = golden.config(header)
    attention, places = attention_of(c, tensors)
    x = tensors["in.x"]
    assert within(attention(x), tensors["out.self"], path, "self")
    with shared(places, FIRST_AND_PREVIOUS, c["frames"], len(x)):
        assert within(attention(x), tensors["out.out"], path)


@pytest.mark.parametrize("path", golden.claim("cross_frame_unet"))
@torch.inference_mode()
def test_a_whole_unet(path: Path) -> None:
    tensors, header = golden.read(path)
    c = golden.config(header)
    unet = unet_of(c, weights_of(tensors))
    arguments = [tensors[f"in.{name}"] for name in ("sample", "timestep", "encoder_hidden_states")]
    assert within(unet(*arguments).sample, tensors["out.plain"], path, "plain")
    places = unet_places(unet)
    with shared(places, FIRST, c["frames"], len(arguments[0])) as edit:
        assert within(unet(*arguments).sample, tensors["out.out"], path)
        assert edit.acted == set(places.self_attentions)


def unet_of(c: dict[str, Any], weights: dict[str, Tensor]) -> Any:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    unet = UNet2DConditionModel(**{name: value for name, value in c.items() if name != "frames"})
    unet.load_state_dict(weights)
    return unet.eval()


@pytest.mark.parametrize("path", golden.claim("tuneavideo_block"))
@torch.inference_mode()
def test_tune_a_videos_block(path: Path) -> None:
    """Its temporal attention follows the feed-forward, over frames at each token; only the spatial one is ours."""
    from diffusers.models.attention import BasicTransformerBlock
    from diffusers.models.attention_processor import Attention

    tensors, header = golden.read(path)
    c = golden.config(header)
    weights, width = weights_of(tensors), c["heads"] * c["dim_head"]
    block = BasicTransformerBlock(width, c["heads"], c["dim_head"], cross_attention_dim=c["cross_attention_dim"])
    block.load_state_dict({key: value for key, value in weights.items() if "_temp" not in key})
    over_time, norm = Attention(width, heads=c["heads"], dim_head=c["dim_head"]), nn.LayerNorm(width)
    over_time.load_state_dict({k.removeprefix("attn_temp."): v for k, v in weights.items() if k.startswith("attn_temp.")})
    norm.load_state_dict({k.removeprefix("norm_temp."): v for k, v in weights.items() if k.startswith("norm_temp.")})
    places = Places({"mid.attention": (nn.Identity(), 1)}, {}, {"mid.attention.0": block.attn1})
    with shared(places, FIRST_AND_PREVIOUS, c["frames"], len(tensors["in.x"])):
        x = block(tensors["in.x"], encoder_hidden_states=tensors["in.context"])
    tokens = rearrange(x, "(b f) n d -> (b n) f d", f=c["frames"])
    moved = rearrange(over_time(norm(tokens)), "(b n) f d -> (b f) n d", b=c["clips"])
    assert within(x + moved, tensors["out.out"], path)


@pytest.mark.parametrize("path", golden.claim("tuneavideo_unet"))
@torch.inference_mode()
def test_tune_a_videos_unet(path: Path) -> None:
    """The image UNet with three edits: this one, norms over the clip, and a layer over frames after each block."""
    tensors, header = golden.read(path)
    c = golden.config(header)
    weights = weights_of(tensors)
    unet = unet_of(
        c
        | {"down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")},
        {key: value for key, value in weights.items() if "_temp" not in key},
    )
    x = tensors["in.sample"]
    frames = x.shape[2]
    places = unet_places(unet)
    handles = [*norms_over_the_clip(places, frames), *layers_over_time(unet, weights, frames, c["attention_head_dim"])]
    with shared(places, FIRST_AND_PREVIOUS, frames, len(x) * frames):
        context = repeat(tensors["in.encoder_hidden_states"], "b n d -> (b f) n d", f=frames)
        out = unet(rearrange(x, "b c f h w -> (b f) c h w"), tensors["in.timestep"], context).sample
    for handle in handles:
        handle.remove()
    assert within(rearrange(out, "(b f) c h w -> b c f h w", f=frames), tensors["out.out"], path)


def norms_over_the_clip(places: Places, frames: int) -> list[Any]:
    """GroupNorms whose statistics are those of all frames of a clip."""

    def fold(module: nn.Module, args: Any) -> Any:
        return (rearrange(args[0], "(b f) c h w -> b c (f h) w", f=frames),)

    def unfold(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        return rearrange(output, "b c (f h) w -> (b f) c h w", f=frames)

    norms = [norm for kind in ("resnet", "out") for norm in places.norms[kind]]
    return [handle for n in norms for handle in (n.register_forward_pre_hook(fold), n.register_forward_hook(unfold))]


def layers_over_time(unet: nn.Module, weights: dict[str, Tensor], frames: int, heads: int) -> list[Any]:
    """Attention over frames at each token, after every transformer block."""
    from diffusers.models.attention_processor import Attention

    handles = []
    for name, block in unet.named_modules():
        own = {k.removeprefix(f"{name}."): v for k, v in weights.items() if k.startswith(f"{name}.") and "_temp" in k}
        if not name or "norm_temp.weight" not in own or type(block).__name__ != "BasicTransformerBlock":
            continue
        width = len(own["norm_temp.weight"])
        layer = nn.ModuleDict(
            {"norm_temp": nn.LayerNorm(width), "attn_temp": Attention(width, heads=heads, dim_head=width // heads)}
        )
        layer.load_state_dict(own)

        def add(module: nn.Module, args: Any, output: Tensor, layer: Any = layer) -> Tensor:
            tokens = rearrange(output, "(b f) n d -> (b n) f d", f=frames)
            moved = layer["attn_temp"](layer["norm_temp"](tokens))
            return output + rearrange(moved, "(b n) f d -> (b f) n d", n=output.shape[1])

        handles.append(block.register_forward_hook(add))
    return handles
