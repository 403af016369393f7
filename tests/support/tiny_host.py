"""A ComfyUI MODEL of a quarter million parameters, built in memory; conditioning and sampling to go with it.

Import this only where a host is found (the `tiny` fixture): it imports comfy.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import comfy.clip_vision
import comfy.controlnet
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sample
import comfy.supported_models_base
import comfyui_version
import torch
from comfy.cldm.cldm import ControlNet as ControlNetwork
from layers import noise, own_motion, randomise
from safetensors.torch import save_file
from torch import Tensor, nn
from zoetrope.hosts.comfyui.motion.apply import HostMotion, Settings, apply, load
from zoetrope.hosts.comfyui.motion.schedule import FAMILY, MODEL
from zoetrope.hosts.comfyui.unet import unet_places
from zoetrope.models.motion.module import MotionModule
from zoetrope.models.motion.report import Report

NAME = f"ComfyUI {comfyui_version.__version__}"

LAYOUT: dict[str, Any] = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "transformer_depth": [1, 0],
    "transformer_depth_output": [1, 1, 0, 0],
    "transformer_depth_middle": 1,
    "context_dim": 16,
    "num_heads": 4,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": False,
    "adm_in_channels": None,
    "legacy": False,
    "use_checkpoint": False,
}


def model(
    layout: dict[str, Any] | None = None,
    weights: dict[str, Tensor] | None = None,
    prediction: str = "EPS",
    storage: torch.dtype = torch.float32,
    compute: torch.dtype | None = None,
    seed: int = 0,
    groups: int = 32,
) -> Any:
    """A ModelPatcher around the host's own UNet; `storage` and `compute` as the host would set them for a checkpoint.

    groups   of its GroupNorms: the host fixes 32, other numbers are handed in as its layers
    """

    class Config(comfy.supported_models_base.BASE):
        latent_format = comfy.latent_formats.SD15
        unet_extra_config: dict[str, Any] = {}  # noqa: RUF012
        memory_usage_factor = 1.0

        def model_type(self, state_dict: Any, prefix: str = "") -> Any:
            return comfy.model_base.ModelType[prediction]

    config = Config(dict(layout or LAYOUT))
    config.set_inference_dtype(storage, compute)
    if groups != 32:
        config.custom_operations = grouped(groups)
    base = config.get_model({}, "", device=torch.device("cpu")).eval()
    if weights:
        base.diffusion_model.load_state_dict(weights, strict=True)
    else:  # comfy's layers start as uninitialised memory
        randomise(base.diffusion_model, seed)
    load = comfy.model_management.get_torch_device()
    return comfy.model_patcher.ModelPatcher(base, load_device=load, offload_device=comfy.model_management.unet_offload_device())


def grouped(groups: int) -> Any:
    """The host's layers with another number of groups in every GroupNorm."""

    class Layers(comfy.ops.manual_cast):
        class GroupNorm(comfy.ops.manual_cast.GroupNorm):
            def __init__(self, num_groups: int, num_channels: int, *args: Any, **kwargs: Any):
                super().__init__(groups, num_channels, *args, **kwargs)

    return Layers


def host_motion(motion: MotionModule, report: Report) -> HostMotion:
    """A module in the host's hands, as `hosts.comfyui.motion.apply.load` makes it of a file."""
    load = comfy.model_management.get_torch_device()
    patcher = comfy.model_patcher.ModelPatcher(motion, load, comfy.model_management.unet_offload_device())
    return HostMotion(patcher, report, Path(report.file))


def widths_of(model: Any) -> dict[str, int]:
    return unet_places(model.model.diffusion_model).widths


def own_file(base: Any, path: Path, seed: int, dtype: torch.dtype = torch.float32) -> HostMotion:
    """A random motion module of our family, saved to a file and loaded as the node loads it."""
    module = own_motion(widths_of(base), seed=seed)
    save_file({k: v.to(dtype).contiguous() for k, v in module.state_dict().items()}, path, {"zoetrope.frames": "4"})
    return load(str(path))


def applied(
    model: Any, motion: HostMotion, strength: float = 1.0, frames: int = 0, own_schedule: bool = True, **more: Any
) -> Any:
    """`model` with `motion`; `more` are other settings."""
    schedule = FAMILY if own_schedule else MODEL
    return apply(model, motion, Settings(strength=strength, frames=frames, schedule=schedule, **more))


def text(frames: int = 1, seed: int = 1, width: int = 16, **extra: Any) -> list[Any]:
    """Conditioning as CLIPTextEncode gives it; one row for all frames, or one per frame."""
    return [[noise(frames, 7, width, seed=seed), {"pooled_output": noise(1, 16, seed=seed), **extra}]]


def sample(
    patcher: Any,
    frames: int = 4,
    steps: int = 3,
    guidance: float = 3.0,
    sampler: str = "euler",
    positive: Any = None,
    negative: Any = None,
    callback: Any = None,
    noise_mask: Any = None,
) -> Tensor:
    """What KSampler does, on 8x8 latents."""
    latent = torch.zeros(frames, 4, 8, 8)
    start = comfy.sample.prepare_noise(latent, 5)
    with torch.inference_mode():
        return comfy.sample.sample(
            patcher, start, steps, guidance, sampler, "normal", positive or text(), negative or text(seed=2), latent,
            disable_pbar=True, seed=5, callback=callback, noise_mask=noise_mask,
        )  # fmt: skip


def controlnet(seed: int = 7) -> Any:
    """A small ControlNet for the tiny UNet."""
    layout = {k: v for k, v in LAYOUT.items() if k not in ("out_channels", "transformer_depth_output")}
    network = ControlNetwork(**layout, hint_channels=3, operations=comfy.ops.manual_cast, dtype=torch.float32, device="cpu")
    randomise(network, seed)
    load = comfy.model_management.get_torch_device()
    return comfy.controlnet.ControlNet(network.eval(), load_device=load, manual_cast_dtype=torch.float32)


class Vae:
    """A VAE as the host's nodes see one; a magnifying glass inside."""

    def __init__(self, shade: float = 0.5) -> None:
        network = nn.Linear(1, 1)
        nn.init.constant_(network.weight, shade)
        nn.init.zeros_(network.bias)
        cpu = torch.device("cpu")
        self.patcher = comfy.model_patcher.ModelPatcher(network, cpu, cpu)
        self.shade = shade

    def decode(self, latents: Tensor) -> Tensor:
        picture = latents[0, :3].repeat_interleave(8, 1).repeat_interleave(8, 2).permute(1, 2, 0)
        return (picture[None] / 8 + self.shade).clamp(0, 1)


def hooks_in(patcher: Any) -> int:
    """Forward hooks in the model's whole tree."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in patcher.model.modules())


def unload() -> None:
    comfy.model_management.unload_all_models()


def call_unet(
    patched: Any, x: Tensor, timesteps: Tensor, context: Tensor, chunks: int = 1, classes: Tensor | None = None
) -> Tensor:
    """One call of the UNet itself, loaded and injected by the host, with the patcher's wrappers and options."""
    load_unet(patched)
    return call_loaded_unet(patched, x, timesteps, context, chunks, classes)


def load_unet(patched: Any) -> None:
    """Loads and injects as the start of sampling does."""
    comfy.model_management.load_models_gpu([patched, *patched.get_nested_additional_models()])


def call_loaded_unet(
    patched: Any, x: Tensor, timesteps: Tensor, context: Tensor, chunks: int = 1, classes: Tensor | None = None
) -> Tensor:
    """What one step of sampling does."""
    options = {
        **patched.model_options["transformer_options"],
        "wrappers": patched.wrappers,
        "cond_or_uncond": list(range(chunks)),
    }
    return patched.model.diffusion_model(x, timesteps, context=context, y=classes, transformer_options=options)


def vision(folder: Path, width: int = 16, seed: int = 11) -> Any:
    """A CLIP-Vision of the host's own class: 32 pixels, patches of 8, three layers."""
    config = {
        "model_type": "clip_vision_model", "image_size": 32, "patch_size": 8, "num_channels": 3, "hidden_size": width,
        "intermediate_size": 4 * width, "num_hidden_layers": 3, "num_attention_heads": 2, "hidden_act": "gelu",
        "projection_dim": 12,
    }  # fmt: skip
    (folder / "vision.json").write_text(json.dumps(config))
    made = comfy.clip_vision.ClipVisionModel(str(folder / "vision.json"))
    shapes = {key: tuple(value.shape) for key, value in made.model.state_dict().items()}
    generator = torch.Generator().manual_seed(seed)
    made.load_sd({key: torch.randn(shape, generator=generator) * 0.3 for key, shape in shapes.items()})
    return made


def projector(model: Any, seed: int = 0, frames: int = 1, states: int = 16) -> Any:
    """A random image projector (IP-Adapter plus; with frames, as DynamiCrafter's) for a MODEL, in the host's hands."""
    from zoetrope.hosts.comfyui.conditioning.image_prompt import host_projector
    from zoetrope.models.formats.keytable import KeyTable
    from zoetrope.models.image_prompt.families import IP_ADAPTER, VIDEOCRAFTER
    from zoetrope.models.image_prompt.layers import ImageKeys, ImageLayers, widths
    from zoetrope.models.image_prompt.loading import ImageProjector, LoadedProjector
    from zoetrope.models.image_prompt.networks import Resampler

    ops = comfy.ops.manual_cast
    layers = {}
    for place, attention in unet_places(model.model.diffusion_model).cross_attentions.items():
        inner, context = widths(attention)
        layers[place] = ImageKeys(context, inner, False, ops)
    resampler = Resampler(states, 16, 16, 4 * frames, 1, 2, 8, 32, frames, ops)
    network = ImageProjector(resampler, ImageLayers(layers)).requires_grad_(False).eval()
    randomise(network, seed)
    family = IP_ADAPTER if frames == 1 else VIDEOCRAFTER
    look = family.look({"latents.table": (1, 4, 16)})
    return host_projector(LoadedProjector(network, family, look, KeyTable(()), torch.float32, "tiny.safetensors"))


def picture(count: int = 1, seed: int = 3, channels: int = 3, size: tuple[int, int] = (40, 56)) -> Tensor:
    """IMAGE: `n h w c` in [0, 1]."""
    return torch.rand(count, *size, channels, generator=torch.Generator().manual_seed(seed))


def prompted(model: Any, projector: Any, vision: Any, images: Tensor, strength: float = 1.0, **more: Any) -> Any:
    """`model` with an image prompt."""
    from zoetrope.hosts.comfyui.conditioning.image_prompt import ImagePromptSettings, apply_image_prompt

    return apply_image_prompt(model, projector, vision, images, ImagePromptSettings(strength, **more))


class PictureVae:
    """Encodes: a VAE as far as guides need one; latents are pooled pictures."""

    def spacial_compression_encode(self) -> int:
        return 8

    def encode(self, images: Tensor) -> Tensor:
        pooled = torch.nn.functional.avg_pool2d(images[..., :3].movedim(-1, 1), 8) * 4 - 2
        return torch.cat([pooled, pooled.mean(1, keepdim=True)], dim=1)


LEVELS = torch.tensor([0.2, 0.9, 3.0, 12.0])
FRAMES = (4, 5, 6, 7)


def denoised(
    model: Any, positive: Any, negative: Any, *, frames: Sequence[int] = FRAMES, rows: list[int] | None = None,
    cfg: float = 3.0, wrap: Any = None, schedules: Any = None, size: tuple[int, int] = (8, 8),
) -> Tensor:  # fmt: skip
    """What a guider says of four frames at four noise levels, or of some rows alone; without motion frames are strangers."""
    from zoetrope.hosts.comfyui.sampling.guider import guider_of
    from zoetrope.hosts.comfyui.sampling.rounds import RoundRunner
    from zoetrope.sampling.queue import Schedules

    x = noise(4, 4, *size, seed=9) * (1 + LEVELS.reshape(-1, 1, 1, 1))
    count = 4 if rows is None else 1
    calls = [list(range(4))] if rows is None else [[row] for row in rows]
    guider = guider_of(wrap(model) if wrap else model, positive, negative, cfg)
    levels = torch.tensor([14.0, 0.0])
    rounds = RoundRunner(guider, (4, *size), count, levels, 1, "", window=count, schedules=schedules or Schedules())
    answers: list[Tensor] = []

    def asked() -> Iterator[int]:
        for call in calls:
            answers.append(rounds.live(x[call], LEVELS[call], torch.tensor(frames)[call]))
            yield len(answers)

    with torch.inference_mode():
        rounds.run(asked())
    return torch.cat(answers)
