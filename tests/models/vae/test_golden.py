"""Autoencoders against what the original codes computed: whole clips, cut into chunks, frame by frame."""

import json
import zlib
from pathlib import Path
from typing import Any

import golden
import parity
import pytest
import torch
from einops import rearrange
from layers import clip_of
from torch import Tensor, nn
from zoetrope.models.layers.blend import Alpha
from zoetrope.models.layers.svd import TimeStackConv
from zoetrope.models.vae.guided import over_clip
from zoetrope.models.vae.kl import Downsample, parts
from zoetrope.models.vae.loading import Loaded, vae_from
from zoetrope.models.vae.skeleton import ResBlock

pytestmark = pytest.mark.usefixtures("inference")


@pytest.fixture
def inference() -> Any:
    with torch.inference_mode():
        yield


class Case:
    """One golden file: its network, its tensors, and the comparison that its README asks for."""

    def __init__(self, path: Path):
        self.path = path
        self.tensors, self.header = golden.read(path)
        weights = {key[2:]: value for key, value in self.tensors.items() if key.startswith("w.")}
        self.loaded: Loaded = vae_from(weights or drawn(json.loads(self.header["shapes"])))
        self.network: Any = self.loaded.network
        self.config = json.loads(self.header["config"])

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def within(self, ours: Tensor, name: str) -> bool:
        theirs = self.tensors[name]
        error = (ours - theirs).abs().max().item()
        return parity.within(
            self.loaded.family.title, f"{self.path.stem} {name}", "core", error, 2e-4 * theirs.abs().max().item()
        )


def drawn(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """Weights that a file describes instead of holding (its header says how)."""

    def draw(key: str, shape: list[int]) -> Tensor:
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
        if key in ("scale", "shift"):
            return 0.1 * noise + (2 if key == "scale" else 0)
        if len(shape) == 1:
            return 1 + 0.1 * noise if "norm" in key and key.endswith("weight") else 0.05 * noise
        return noise * 1.3 / torch.Size(shape[1:]).numel() ** 0.5

    return {key: draw(key, shape) for key, shape in shapes.items()}


@pytest.mark.parametrize("path", golden.claim("vae_plain_*", "vae_temporal_*"))
def test_stable_diffusions_and_stable_video_diffusions(path: Path) -> None:
    """One network in two spellings; what is decoded together decides about every frame."""
    case = Case(path)
    mean, logvar = case.network.moments(case["in.frames"])
    assert case.within(mean, "out.latent_mean")
    assert "out.latent_logvar" not in case.tensors or case.within(logvar, "out.latent_logvar")
    latents = case["out.latent_mean"]
    chunks = {
        "out.decoded": 99,
        "out.decoded_full": 99,
        "out.decoded_chunks": case.config.get("chunk", 4),
        "out.decoded_one_by_one": 1,
    }
    compared = [name for name in chunks if name in case.tensors]
    assert compared
    for name in compared:
        assert case.within(torch.cat([case.network.decode(part) for part in latents.split(chunks[name])]), name)


@pytest.mark.parametrize("path", golden.claim("lvdm_autoencoder3d*"))
def test_lvdms(path: Path) -> None:
    case = Case(path)
    mean, logvar = case.network.moments(case["video"])
    assert case.within(torch.cat([mean, logvar], 1), "moments")
    assert case.within(torch.exp(logvar / 2), "std")
    assert case.within(case.network.encode(case["video"]), "latent_mode")
    assert case.within(mean + torch.exp(logvar / 2) * case["eps"], "latent_sample")
    for kind in ("mode", "sample"):
        assert case.within(case.network.decode(case[f"latent_{kind}"]), f"recon_{kind}")


def by_frame(clip: Tensor) -> Tensor:
    return rearrange(clip, "1 c f h w -> f c h w")


@pytest.mark.parametrize("path", golden.claim("uav_vae_video*"))
def test_upscale_a_videos(path: Path) -> None:
    case = Case(path)
    latents, low = by_frame(case["in.z"]), by_frame(case["in.img"])

    def clip(frames: Tensor) -> Tensor:
        return rearrange(frames, "f c h w -> 1 c f h w")

    assert case.within(clip(torch.cat(case.network.moments(by_frame(case["in.frames"])), 1)), "out.moments")
    assert case.within(clip(case.network.decode(latents, low)), "out.decoded_full")
    assert case.within(clip(case.network.decode(latents, low, weight=0.5)), "out.decoded_w05")
    assert torch.equal(case.network.decode(torch.cat([latents, low], dim=1)), case.network.decode(latents, low))
    chunks = [case.network.decode(*part) for part in zip(latents.split(3), low.split(3), strict=True)]
    assert case.within(clip(torch.cat(chunks)), "out.decoded_chunks3")
    assert torch.equal(case.network.decode(latents), case.network.decode(latents, low, weight=0.0))


@pytest.mark.parametrize("path", golden.claim("uav_vae_resblock_plus*"))
def test_upscale_a_videos_block(path: Path) -> None:
    tensors, header = golden.read(path)
    c = golden.config(header)
    block = ResBlock(c["in_channels"], c["out_channels"], parts(Downsample, "clip", over_clip))
    names = {"conv_shortcut": "nin_shortcut", "norm_3d": "time.layer.norm", "conv_3d": "time.layer.conv"}
    weights = {key[2:].rpartition(".")[::2]: value for key, value in tensors.items() if key.startswith("w.")}
    block.load_state_dict({f"{names.get(name, name)}.{p}": value for (name, p), value in weights.items()}, strict=True)
    out = rearrange(block(by_frame(tensors["in.x"])), "f c h w -> 1 c f h w")
    tolerance = 2e-4 * tensors["out.out"].abs().max().item()
    assert parity.within("Upscale-A-Video's VAE", path.stem, "core", (out - tensors["out.out"]).abs().max().item(), tolerance)


@pytest.mark.parametrize("path", golden.claim("uav_temporal_module_vae*"))
def test_the_layer_that_upscale_a_video_does_not_publish(path: Path) -> None:
    """x + w * conv(time stack): its time stack is the one that we have, with the norms' epsilon of a VAE."""
    tensors, header = golden.read(path)
    channels, frames = (golden.config(header)[name] for name in ("in_channels", "T"))
    stack, spatial = (
        TimeStackConv(channels, None, Alpha("temporal", "raw", 1.0), nn),
        nn.Conv2d(channels, channels, 3, padding=1),
    )
    for norm in stack.norms:
        norm.eps = 1e-6
    inner = {"norm1": "norms.0", "conv1": "convs.0", "norm2": "norms.1", "conv2": "convs.1"}
    prefix = "w.resblocks_3d_temporal."
    weights = {f"{inner[name]}.{p}": tensors[f"{prefix}{name}.{p}"] for name in inner for p in ("weight", "bias")}
    stack.load_state_dict(weights | {"blend.mix": torch.ones(1)}, strict=True)
    spatial.load_state_dict({p: tensors[f"w.resblocks_3d_spatial.{p}"] for p in ("weight", "bias")})
    x = rearrange(tensors["in.x"], "b c f h w -> (b f) c h w")
    change = spatial(stack(x, clip_of(frames)))
    for name, weight in (("out.out_w1", 1.0), ("out.out_w05", 0.5)):
        out = rearrange(x + weight * change, "(b f) c h w -> b c f h w", f=frames)
        assert (out - tensors[name]).abs().max() <= 2e-4 * tensors[name].abs().max()


@pytest.mark.parametrize("path", golden.claim("cv_vae*"))
def test_cv_vaes(path: Path) -> None:
    """Whole short clips and single pictures; longer clips as its code cuts them: windows that share one latent."""
    case = Case(path)
    frames, latents = case["in.frames"], case["in.z"]
    for name, count in (("out.mean_short", 9), ("out.mean_still", 1)):
        assert case.within(case.network.encode(frames[:, :, :count]), name)
    for name, count in (("out.decoded_short", 3), ("out.decoded_still", 1)):
        assert case.within(case.network.decode(latents[:, :, :count]), name)
    windows = case.loaded.family.windows
    assert (windows.size, windows.overlap, windows.fade) == (5, 1, False)
    assert case.within(joined(case.network.encode, frames, 17, 16), "out.mean")
    assert case.within(joined(case.network.decode, latents, 5, 4), "out.decoded")


def joined(work: Any, clip: Tensor, size: int, onwards: int) -> Tensor:
    made = [work(clip[:, :, start : start + size]) for start in range(0, clip.shape[2] - 1, onwards)]
    return torch.cat([made[0], *(part[:, :, 1:] for part in made[1:])], dim=2)


@pytest.mark.parametrize("path", golden.claim("opensora_v1_2_vae*"))
def test_open_soras(path: Path) -> None:
    case = Case(path)
    frames, latents = case["in.frames"], case["in.z"]
    assert case.within(case.network.encode(frames), "out.mean")
    assert case.within(case.network.encode(frames[:, :, :17]), "out.mean_block")
    assert case.within(case.network.decode(latents), "out.decoded")
    assert case.within(case.network.decode(latents[:, :, :5]), "out.decoded_block")
