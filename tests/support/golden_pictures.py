"""Golden UNets that are shown pictures: further channels, image tokens, or both, beside what every video UNet is shown."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import golden
import torch
from einops import rearrange, repeat
from golden_video import VideoCase, layout, open_weights
from torch import Tensor, nn
from zoetrope.models.image_prompt.loading import LoadedProjector, projector_of
from zoetrope.models.motion.frame_guide_networks import guide_network
from zoetrope.models.motion.loading import take_apart


@dataclass(frozen=True)
class PictureCase:
    video: VideoCase
    channels: Tensor | None
    """Further channels `(b f) c h w`."""
    tokens: Tensor | None
    """Distinct sets of image tokens `(u, n, d)`."""
    rows: Tensor | None
    """Which set each frame reads `(b f)`."""
    loaded: LoadedProjector | None

    def guide(self, ops: Any = nn) -> nn.Module | None:
        guide = self.video.opened.report.variant.guide
        return guide_network(guide, self.video.opened.parts["image"], ops) if guide and self.channels is not None else None


def read(path: Path, output: str) -> PictureCase:
    """One output of a file; see `OUTPUTS`."""
    return next(reader for pattern, (reader, _) in READERS.items() if golden.matches(path, [pattern]))(path, output)


def parameters() -> list[Any]:
    """pytest parameters (file, output); claims the files."""
    return [
        type(parameter)((parameter.values[0], output), parameter.marks, f"{parameter.id}-{output}")
        for pattern, (_, outputs) in READERS.items()
        for parameter in golden.claim(pattern)
        for output in outputs
    ]


def rows_of(video: Tensor) -> Tensor:
    return rearrange(video, "b c f h w -> (b f) c h w")


def videocrafter(path: Path, output: str) -> PictureCase:
    """VideoCrafter1 I2V and DynamiCrafter; every clip has its own picture."""
    tensors, header = golden.read(path)
    settings = golden.config(header)
    weights = {key[2:]: value for key, value in tensors.items() if key.startswith("w.")}
    if settings.get("image_cross_attention_scale_learnable"):  # the file holds what differs alone
        base, _ = golden.read(path.with_name(path.name.replace("256", "512")))
        weights |= {key[2:]: value for key, value in base.items() if key.startswith("w.")}
    opened = take_apart(weights, {}, path.name, 0)
    frames = tensors["x"].shape[2]
    text = tensors["text_tokens"] if "text_tokens" in tensors else tensors["context"][:, :77]
    image = tensors["image_tokens"] if "image_tokens" in tensors else tensors["context"][:, 77:]
    if output == "y_shared_tokens":
        image = image[:, :16]
    groups = image.shape[1] // 16
    tokens = rearrange(image, "b (g n) d -> (b g) n d", g=groups)
    clips = torch.arange(len(image)).repeat_interleave(frames)
    channels = tensors.get("concat_interp" if output == "y_interp" else "concat")
    levels = [2**level in settings["attention_resolutions"] for level in range(len(settings["channel_mult"]))]
    heads = {"num_heads": -1, "num_head_channels": settings["num_head_channels"], "use_linear_in_transformer": True}
    video = VideoCase(
        opened=opened, spatial=dict(opened.parts["unet"]),
        layout=layout(
            settings["model_channels"], settings["channel_mult"], settings["num_res_blocks"], levels,
            context_dim=settings["context_dim"], **heads,
        ),
        sample=rows_of(tensors["x"]), timesteps=repeat(tensors["timesteps"], "b -> (b f)", f=frames),
        context=repeat(text, "b n d -> (b f) n d", f=frames), classes=None,
        fps=settings.get("default_fs", 16.0), output=rows_of(tensors[output]), frames=frames, tolerance=1e-4,
    )  # fmt: skip
    names = {"latents.table": torch.zeros(1, image.shape[1], 8), **_little(8, text.shape[-1])}
    return PictureCase(
        video, None if channels is None else rows_of(channels), tokens,
        clips * groups + (torch.arange(frames).repeat(len(image)) if groups > 1 else 0),
        projector_of(path.name, names, opened.parts["image"]),
    )  # fmt: skip


def _little(inner: int, width: int) -> dict[str, Tensor]:
    """The smallest network that a file of this family could hold; the golden file begins behind it."""
    norms = {f"layers.0.0.{norm}.{p}": torch.zeros(inner) for norm in ("norm1", "norm2") for p in ("weight", "bias")}
    return {
        **norms, "layers.0.0.to_q.weight": torch.zeros(64, inner), "layers.0.0.to_kv.weight": torch.zeros(128, inner),
        "layers.0.0.to_out.weight": torch.zeros(inner, 64), "layers.0.1.0.weight": torch.zeros(inner),
        "layers.0.1.0.bias": torch.zeros(inner), "layers.0.1.1.weight": torch.zeros(inner, inner),
        "layers.0.1.3.weight": torch.zeros(inner, inner), "proj_in.weight": torch.zeros(inner, inner),
        "proj_in.bias": torch.zeros(inner), "proj_out.weight": torch.zeros(width, inner), "proj_out.bias": torch.zeros(width),
        "norm_out.weight": torch.zeros(width), "norm_out.bias": torch.zeros(width),
    }  # fmt: skip


def pia(path: Path, output: str) -> PictureCase:
    """PIA's file is motion and its first convolution; the UNet's own is SD's."""
    tensors, _ = golden.read(path)
    cases = golden.sibling(path, "pia", "cases")
    case = golden.unet_case(cases, "out.v3")
    motion = golden.member_weights(cases, "v3") | {f"conv_in.{p}": tensors[f"pia.conv_in.{p}"] for p in ("weight", "bias")}
    frames = tensors["sample"].shape[2]
    channels = torch.cat([tensors["mask"], tensors["masked_image_latent"]], dim=1)
    video = VideoCase(
        opened=take_apart(motion, {}, "pia", 0), spatial=case.spatial, layout=case.layout, sample=rows_of(tensors["sample"]),
        timesteps=repeat(tensors["timestep"], "b -> (b f)", f=frames),
        context=repeat(tensors["encoder_hidden_states"], "b n d -> (b f) n d", f=frames), classes=None, fps=None,
        output=rows_of(tensors[output]), frames=frames, tolerance=2e-5,
    )  # fmt: skip
    return PictureCase(video, rows_of(channels), None, None, None)


def seine(path: Path, output: str) -> PictureCase:
    tensors, header = golden.read(path)
    settings = golden.config(header)
    weights = {key[2:]: value for key, value in tensors.items() if key.startswith("w.")}
    opened, _ = open_weights(weights, path.name)
    frames, widths = tensors["in.noisy_latent"].shape[2], settings["block_out_channels"]
    levels = ["CrossAttn" in kind for kind in settings["down_block_types"]]
    video = VideoCase(
        opened=opened, spatial=dict(opened.parts["unet"]),
        layout=layout(
            widths[0], [width // widths[0] for width in widths], settings["layers_per_block"], levels,
            context_dim=settings["cross_attention_dim"], num_heads=settings["attention_head_dim"],
            use_linear_in_transformer=False, groups=settings["norm_num_groups"],
        ),
        sample=rows_of(tensors["in.noisy_latent"]), timesteps=repeat(tensors["in.timestep"], "b -> (b f)", f=frames),
        context=repeat(tensors["in.encoder_hidden_states"], "b n d -> (b f) n d", f=frames), classes=None, fps=None,
        output=rows_of(tensors[output]), frames=frames, tolerance=2e-4 * tensors[output].abs().max().item(),
    )  # fmt: skip
    return PictureCase(video, rows_of(tensors["out.packed"])[:, 4:], None, None, None)


def one_clip(case: PictureCase, clip: int) -> PictureCase:
    """The case of one clip of its batch."""
    video = case.video
    rows = slice(clip * video.frames, (clip + 1) * video.frames)
    cut = {name: getattr(video, name)[rows] for name in ("sample", "timesteps", "context", "output")}
    kept = {name: getattr(case, name)[rows] for name in ("channels", "rows") if getattr(case, name) is not None}
    return replace(case, video=replace(video, **cut), **kept)


READERS: dict[str, tuple[Callable[[Path, str], PictureCase], tuple[str, ...]]] = {
    "unet_videocrafter1_i2v*": (videocrafter, ("y_fps_default16",)),
    "unet_dynamicrafter_512*": (videocrafter, ("y_default_fs", "y_shared_tokens", "y_interp", "y")),
    "unet_dynamicrafter_256*": (videocrafter, ("y_default_fs", "y_shared_tokens", "y_interp", "y")),
    "unet_tiny_pia*": (pia, ("out.pia",)),
    "seine_unet*": (seine, ("out.out",)),
}
"""Pattern -> (reader, outputs that are targets)."""
