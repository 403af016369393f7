"""SparseCtrl as the host's CONTROL_NET: the host's ControlNet network with hooked temporal layers, pictures at given frames.

Apply ControlNet takes it like any other. Pictures belong to the frame numbers in `frames`; the other frames have zeros and a
mask of zero.
"""

from copy import deepcopy
from typing import Any

import comfy.controlnet
import comfy.latent_formats
import comfy.model_management
import comfy.ops
import comfy.utils
import torch
from comfy.cldm.cldm import ControlNet as ControlNetwork
from comfy.ldm.modules.diffusionmodules.openaimodel import TimestepEmbedSequential
from torch import Tensor, nn

from ....models.backbones.places import Places
from ....models.edits.temporal import TemporalEdit, TemporalInputs, frames_per_clip
from ....models.layers.positions import Beyond
from ....models.layers.temporal import TemporalContext
from ....models.motion.families.animatediff.sparsectrl import STAGES, SparseCtrl, load_sparsectrl, place
from ..call import MOTION, clip_frames, host_attention, numbering
from ..unet import down_sites


class SparseNetwork(nn.Module):
    """The host's ControlNet network with temporal layers; its noisy latent is replaced by zeros, as published."""

    def __init__(self, opened: SparseCtrl, dtype: torch.dtype):
        super().__init__()
        with torch.device("meta"):
            self.network = ControlNetwork(**opened.layout, operations=comfy.ops.manual_cast, dtype=dtype, device="meta")
            self.network.input_hint_block = _hint_block(opened)
        self.network.load_state_dict({key: value.to(dtype) for key, value in opened.control.items()}, assign=True)
        self.motion = opened.motion.to(dtype)
        self.dtype = dtype
        self.requires_grad_(False).eval()
        self._edit = TemporalEdit()
        self.motion.check_fit(Places(down_sites(self.network), {}).widths)
        self._install()

    def _install(self) -> None:
        self._edit.install(self.motion, Places(down_sites(self.network), {}))

    def __deepcopy__(self, memo: dict[int, Any]) -> "SparseNetwork":
        """A copy with separate hooks: the host copies networks onto other GPUs."""
        self._edit.remove()
        try:
            copied = type(self).__new__(type(self))
            nn.Module.__init__(copied)
            copied.network, copied.motion, copied.dtype = deepcopy((self.network, self.motion, self.dtype), memo)
        finally:
            self._install()
        copied._edit = TemporalEdit()
        copied._install()
        return copied.eval()

    def forward(self, x: Tensor, hint: Tensor, timesteps: Tensor, context: Tensor, clip: TemporalContext, **more: Any) -> Any:
        """Control outputs. x: `(b f) c h w`; hint: `(b f) c h w` of the latent's (rgb) or the picture's size (scribble)."""
        before = self._edit.give(TemporalInputs(clip, x.shape[0]))
        try:
            return self.network(x=torch.zeros_like(x), hint=hint, timesteps=timesteps, context=context, **more)
        finally:
            self._edit.give(before)


def _hint_block(opened: SparseCtrl) -> Any:
    """Layers that encode the hint: one convolution for latents, a stack with three downsamplings for drawings."""
    weights = opened.control
    if opened.kind == "rgb":
        width, channels = weights["input_hint_block.0.weight"].shape[:2]
        return TimestepEmbedSequential(comfy.ops.manual_cast.Conv2d(channels, width, 3, padding=1))
    layers: list[nn.Module] = []
    for stage in range(STAGES + 2):
        width, before = weights[f"input_hint_block.{2 * stage}.weight"].shape[:2]
        halves = 0 < stage <= STAGES and stage % 2 == 0
        layers += [comfy.ops.manual_cast.Conv2d(before, width, 3, padding=1, stride=2 if halves else 1), nn.SiLU()]
    return TimestepEmbedSequential(*layers[:-1])


class SparseControl(comfy.controlnet.ControlNet):
    """The host's ControlNet with a few pictures and their frame numbers as the hint."""

    places_frames = True
    """Whether pictures are placed by frame number here; `per_frame_control` then selects no rows."""

    def __init__(self, network: SparseNetwork | None, kind: str, frames: str, load_device: Any):
        rgb = kind == "rgb"
        super().__init__(
            network, load_device=load_device, compression_ratio=1 if rgb else 8, extra_conds=[],
            latent_format=comfy.latent_formats.SD15() if rgb else None,
        )  # fmt: skip
        self.kind, self.frames = kind, frames
        self._pictures: dict[tuple[int, int], Tensor] = {}

    def get_control(self, x_noisy: Tensor, t: Tensor, cond: Any, batched_number: int, transformer_options: Any) -> Any:
        part = frames_per_clip(x_noisy.shape[0], batched_number, 0)
        numbers, length = numbering(transformer_options, part)
        self.cond_hint = self._hint(x_noisy, numbers, length).repeat(batched_number, 1, 1, 1)
        motions = [entry for key, entry in transformer_options.items() if str(key).startswith(f"{MOTION}.")]
        beyond: Beyond = next((entry["beyond"] for entry in motions if "beyond" in entry), "refuse")
        clip, size = clip_frames(transformer_options, part), (x_noisy.shape[-2], x_noisy.shape[-1])
        self.control_model.motion.check_frames(clip, beyond)
        context = TemporalContext(clip, 1.0, None, host_attention(transformer_options), size=size, beyond=beyond)
        self.extra_args = {"clip": context}
        try:
            return super().get_control(x_noisy, t, cond, batched_number, transformer_options)
        finally:
            self.extra_args = {}  # digests of settings include it

    def _hint(self, x: Tensor, numbers: list[int], length: int | None) -> Tensor:
        """Hint and mask of these frames `(f, c + 1, h, w)`."""
        pictures = self._prepared(x)
        at = dict(zip(place(self.frames, len(pictures), length), pictures, strict=True))
        empty = torch.cat([torch.zeros_like(pictures[0]), torch.zeros_like(pictures[0, :1])])
        rows = []
        for number in (max(number, 0) for number in numbers):
            picture = at.get(number)
            rows.append(empty if picture is None else torch.cat([picture, torch.ones_like(picture[:1])]))
        return torch.stack(rows).to(x.device, self.manual_cast_dtype or self.control_model.dtype)

    def _prepared(self, x: Tensor) -> Tensor:
        """Pictures (scribble) or their latents (rgb) at the size of x; cached per size."""
        h, w = x.shape[-2] * self.compression_ratio, x.shape[-1] * self.compression_ratio
        if (h, w) in self._pictures:
            return self._pictures[h, w]
        if self.kind == "rgb" and self.vae is None:
            raise ValueError("SparseCtrl rgb encodes the pictures: connect the checkpoint's VAE to Apply ControlNet too")
        side = self.vae.spacial_compression_encode() if self.vae is not None else 1
        hint = self.cond_hint_original[:, :3]
        if len(hint) == 0:
            raise ValueError("image: SparseCtrl expected at least one picture on Apply ControlNet, got none")
        pictures = comfy.utils.common_upscale(hint, w * side, h * side, "bicubic", "center").clamp(0, 1)
        if self.vae is not None:
            loaded = comfy.model_management.loaded_models(only_currently_used=True)
            latents = torch.cat([self.vae.encode(picture[None].movedim(1, -1)) for picture in pictures])
            comfy.model_management.load_models_gpu(loaded)
            pictures = self.latent_format.process_in(latents)
        self._pictures[h, w] = pictures.to(x.device)
        return self._pictures[h, w]

    def cleanup(self) -> None:
        super().cleanup()
        self._pictures = {}

    def copy(self) -> "SparseControl":
        other = SparseControl(None, self.kind, self.frames, self.load_device)
        other.manual_cast_dtype = self.manual_cast_dtype
        other.control_model = self.control_model
        other.control_model_wrapped = self.control_model_wrapped
        self.copy_to(other)
        return other


def load(path: str, frames: str) -> SparseControl:
    """Loads a SparseCtrl file as a CONTROL_NET.

    frames   frame numbers of the pictures (`0, 8, -1`); empty: evenly spread over the clip
    Raises ValueError for other files, and for frame numbers that cannot be parsed.
    """
    place(frames, 1 + frames.count(","), 1 << 20)  # raises now rather than in the middle of a run
    opened = load_sparsectrl(path, comfy.ops.manual_cast)
    manager = comfy.model_management
    device = manager.get_torch_device()
    dtypes = [torch.float16, torch.bfloat16, torch.float32]
    stored = next(iter(opened.control.values())).dtype
    dtype = manager.unet_dtype(model_params=-1, supported_dtypes=dtypes, weight_dtype=stored)
    control = SparseControl(SparseNetwork(opened, dtype), opened.kind, frames, device)
    control.manual_cast_dtype = manager.unet_manual_cast(dtype, device, dtypes)
    return control
