"""LVDM's unconditional video UNet (arXiv 2211.13221; YingqingHe/LVDM d251dcc, `lvdm_short`: sky, taichi, ucf).

A network of its own: residual blocks with scale and shift by time, norms over the clip, and attention blocks that go over the
picture and then over the frames. It sees latents of LVDM's 3D autoencoder `(b f) 4 h w`, frame index fastest.
"""

import re
from collections.abc import Mapping
from typing import cast

import torch
from einops import einsum, rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional as F
from zoetrope.models.formats.keytable import Drop, KeyTable, Row, prefixed, product, weights
from zoetrope.models.formats.shared_rows import SCHEDULE_BUFFERS
from zoetrope.models.layers.attention import attend, scaled_dot_product
from zoetrope.models.layers.positions import sinusoid
from zoetrope.models.layers.temporal import group_norm
from zoetrope.models.motion.family import NoiseSchedule

SCHEDULE = NoiseSchedule(curve="root", start=0.0015, end=0.0155, steps=1000)
PREFIX = "model.diffusion_model."


def _flat(axis: int, *names: tuple[str, str]) -> tuple[Row, ...]:
    """Rows for kernels that are stored with an axis of size one at `axis`."""
    return tuple(
        Row(row.published, row.ours, Drop(axis) if row.published.endswith("weight") else None) for row in weights(*names)
    )


class RelativeFrames(nn.Module):
    """Attention over frames with Shaw et al.'s tables (2018) as LVDM computes it: the key term is added transposed, query and
    key index swapped, and divided by the fourth root of the head's width instead of the second."""

    def __init__(self, furthest: int, head: int):
        super().__init__()
        self.furthest = furthest
        self.keys = nn.Parameter(torch.zeros(2 * furthest + 1, head))
        self.values = nn.Parameter(torch.zeros(2 * furthest + 1, head))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # each n h f e -> n h f e
        frame = torch.arange(q.shape[2], device=q.device)
        distance = (frame[None] - frame[:, None]).clamp(-self.furthest, self.furthest) + self.furthest
        to_key, to_value = self.keys[distance], self.values[distance]  # (f, f, e)
        scale = q.shape[-1] ** -0.25
        logits = einsum(q * scale, k * scale, "n h i e, n h j e -> n h i j")
        logits = logits + einsum(q * scale, to_key, "n h j e, j i e -> n h i j")
        weights = logits.softmax(dim=-1)
        return einsum(weights, v, "n h i j, n h j e -> n h i e") + einsum(weights, to_value, "n h i j, i j e -> n h i e")


class SpaceTimeAttention(nn.Module):
    """Attention over the pixels of each frame, then over the frames at each pixel; its temporal norm spans the frames there."""

    def __init__(self, channels: int, furthest: int, head: int):
        super().__init__()
        self.heads = channels // head
        self.norm_s, self.norm_t = nn.GroupNorm(32, channels), nn.GroupNorm(32, channels)
        self.qkv_s, self.qkv_t = nn.Linear(channels, 3 * channels), nn.Linear(channels, 3 * channels)
        self.relative = RelativeFrames(furthest, head)
        self.proj_out_s, self.proj_out_t = nn.Linear(channels, channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor, emb: Tensor, frames: int) -> Tensor:  # (b f) c h w
        h, w = x.shape[-2:]
        tokens = rearrange(self.norm_s(x), "n c h w -> n (h w) c")
        q, k, v = self.qkv_s(tokens).chunk(3, dim=-1)
        out = self.proj_out_s(attend(scaled_dot_product, q, k, v, self.heads))
        x = x + rearrange(out, "n (h w) c -> n c h w", h=h)
        tokens = self.norm_t(rearrange(x, "(b f) c h w -> (b h w) c f", f=frames))
        q, k, v = (
            rearrange(part, "n f (heads e) -> n heads f e", heads=self.heads)
            for part in self.qkv_t(rearrange(tokens, "n c f -> n f c")).chunk(3, dim=-1)
        )
        out = self.proj_out_t(rearrange(self.relative(q, k, v), "n heads f e -> n f (heads e)"))
        return x + rearrange(out, "(b h w) f c -> (b f) c h w", h=h, w=w)


class Residual(nn.Module):
    """GroupNorm over the clip, SiLU, convolution, twice; the second norm scaled and shifted by the time embedding."""

    def __init__(self, channels: int, out: int, embedding: int):
        super().__init__()
        self.norm_in, self.norm_out = nn.GroupNorm(32, channels), nn.GroupNorm(32, out)
        self.conv_in, self.conv_out = nn.Conv2d(channels, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        self.from_time = nn.Linear(embedding, 2 * out)
        self.skip = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor, frames: int) -> Tensor:
        scale, shift = rearrange(self.from_time(F.silu(emb)), "n (two c) -> two n c 1 1", two=2)
        h = self.conv_in(F.silu(group_norm(self.norm_in, x, frames, "clip")))
        h = group_norm(self.norm_out, h, frames, "clip") * (1 + scale) + shift
        return self.skip(x) + self.conv_out(F.silu(h))


class Convolution(nn.Module):
    """The first convolution, or a sampler that halves or doubles the picture."""

    def __init__(self, channels: int, out: int, way: str):
        """way: `first`, `halve` or `enlarge`; also the name of its weights."""
        super().__init__()
        self.way = way
        self.add_module(way, nn.Conv2d(channels, out, 3, stride=2 if way == "halve" else 1, padding=1))

    def forward(self, x: Tensor, emb: Tensor, frames: int) -> Tensor:
        return self.get_submodule(self.way)(F.interpolate(x, scale_factor=2.0) if self.way == "enlarge" else x)


class LvdmUNet(nn.Module):
    """Built from the shapes of a file in our spelling (`table`)."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]):
        super().__init__()
        self.width = shapes["time.0.weight"][1]
        embedding = shapes["time.0.weight"][0]
        self.time = nn.ModuleList([nn.Linear(self.width, embedding), nn.Linear(embedding, embedding)])
        self.down = _blocks("down", shapes)
        self.middle = _blocks("middle", shapes)
        self.up = _blocks("up", shapes)
        out, channels = shapes["conv_out.weight"][:2]
        self.norm_out, self.conv_out = nn.GroupNorm(32, channels), nn.Conv2d(channels, out, 3, padding=1)

    def forward(self, x: Tensor, timesteps: Tensor, frames: int) -> Tensor:
        """x, result `(b f) c h w`; timesteps `(b f)`, which may differ from frame to frame, or `(b,)`."""
        if timesteps.shape[0] != x.shape[0]:
            timesteps = repeat(timesteps, "b -> (b f)", f=frames)
        emb = self.time[1](F.silu(self.time[0](sinusoid(timesteps, self.width).to(x.dtype))))
        kept = []
        for block in self.down:
            x = _run(block, x, emb, frames)
            kept.append(x)
        for block in self.middle:
            x = _run(block, x, emb, frames)
        for block in self.up:
            x = _run(block, torch.cat([x, kept.pop()], dim=1), emb, frames)
        return self.conv_out(F.silu(group_norm(self.norm_out, x, frames, "clip")))


def _run(block: nn.Module, x: Tensor, emb: Tensor, frames: int) -> Tensor:
    for layer in cast(nn.ModuleList, block):
        x = layer(x, emb, frames)
    return x


def _blocks(name: str, shapes: Mapping[str, tuple[int, ...]]) -> nn.ModuleList:
    """`name.{block}.{child}`: each child is known by its keys."""
    found = {(int(m.group(1)), int(m.group(2))) for key in shapes if (m := re.match(rf"{name}\.(\d+)\.(\d+)\.", key))}
    count = 1 + max(block for block, _ in found)
    return nn.ModuleList(
        nn.ModuleList(_layer(f"{name}.{block}.{child}.", shapes) for b, child in sorted(found) if b == block)
        for block in range(count)
    )


def _layer(place: str, shapes: Mapping[str, tuple[int, ...]]) -> nn.Module:
    if relative := shapes.get(f"{place}relative.keys"):
        return SpaceTimeAttention(shapes[f"{place}norm_s.weight"][0], relative[0] // 2, relative[1])
    if embedding := shapes.get(f"{place}from_time.weight"):
        out, channels = shapes[f"{place}conv_in.weight"][:2]
        return Residual(channels, out, embedding[1])
    way = next(way for way in ("first", "halve", "enlarge") if f"{place}{way}.weight" in shapes)
    out, channels = shapes[f"{place}{way}.weight"][:2]
    return Convolution(channels, out, way)


LAYERS = (
    *weights(("in_layers.0", "norm_in"), ("emb_layers.1", "from_time"), ("out_layers.0", "norm_out")),
    *weights(("norm_s", "norm_s"), ("norm_t", "norm_t")),
    *_flat(2, ("in_layers.2", "conv_in"), ("out_layers.3", "conv_out"), ("skip_connection", "skip")),
    *_flat(2, ("op", "halve"), ("conv", "enlarge")),
    *_flat(2, ("qkv_s", "qkv_s"), ("qkv_t", "qkv_t"), ("proj_out_s", "proj_out_s"), ("proj_out_t", "proj_out_t")),
    Row("relative_position_k.embeddings_table", "relative.keys"),
    Row("relative_position_v.embeddings_table", "relative.values"),
)
PLACES = (
    Row("input_blocks.{}.{}.", "down.{}.{}."),
    Row("middle_block.{}.", "middle.0.{}."),
    Row("output_blocks.{}.{}.", "up.{}.{}."),
)
INSIDE = (
    *weights(("time_embed.0", "time.0"), ("time_embed.2", "time.1"), ("out.0", "norm_out")),
    *_flat(2, ("input_blocks.0.0", "down.0.0.first"), ("out.2", "conv_out")),
    *product(PLACES, LAYERS),
)
TABLE = KeyTable(
    (
        *prefixed(INSIDE, PREFIX),
        *SCHEDULE_BUFFERS,
        Row("first_stage_model.{*}", "vae:{*}"),
        Row("model_ema.{*}", "average:{*}"),
    )
)
"""Published files <-> ours; kernels and attention matrices lose an axis of size one."""


def load_lvdm(tensors: Mapping[str, Tensor]) -> LvdmUNet:
    """The UNet of a published file. Raises ValueError that names the keys which are missing or not known."""
    ours, unexpected = TABLE.rename(tensors)
    weights_of_unet = {key: value for key, value in ours.items() if ":" not in key}
    if unexpected or "time.0.weight" not in ours:
        raise ValueError(f"expected LVDM's unconditional UNet, got keys such as {(unexpected or sorted(tensors))[0]}")
    shapes = {key: tuple(value.shape) for key, value in weights_of_unet.items()}
    with torch.device("meta"):
        unet = LvdmUNet(shapes)
    unet.load_state_dict(weights_of_unet, strict=True, assign=True)
    return unet.requires_grad_(False).eval()
