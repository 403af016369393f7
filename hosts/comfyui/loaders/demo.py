"""The embedded model as the host's types: MODEL, CLIP and VAE that every core node accepts.

The host's detector does not recognise networks this small, so its classes are constructed here; nothing else depends on its
being the demo. Keys are converted by the host's tables for diffusers files.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.clip_vision
import comfy.diffusers_convert
import comfy.model_base
import comfy.model_management
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.utils
import torch
from torch import Tensor, nn

from ....demo.layout import (
    FOLDER,
    GUIDANCE_END,
    HEADS,
    LEVELS,
    PROJECTOR,
    TEMPORAL_VAE,
    TRANSFORMERS,
    UNET_BLOCKS,
    VAE_BLOCKS,
    VISION,
    WIDTH,
    load_text,
    part_path,
    read_part,
)
from ....demo.prompt import read_tokens, tokens_of
from ....demo.text import PAD, TextEncoder
from ..conditioning.guidance_interval import limited
from ..conditioning.image_prompt import HostProjector
from ..conditioning.image_prompt import load as load_picture
from ..motion.apply import HostMotion, load
from ..rebuild import patcher_for, rebuilt_by
from ..vae.from_file import load_temporal_vae
from .demo_notes import PromptNotes

# Field names are those of the host's UNetModel and of LDM's `ddconfig`; the numbers are demo/layout.py's.
DOWN = [int(attention) for attention in TRANSFORMERS for _ in range(UNET_BLOCKS)]
UP = [int(attention) for attention in TRANSFORMERS for _ in range(UNET_BLOCKS + 1)]

UNET_LAYOUT: dict[str, Any] = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": WIDTH,
    "num_res_blocks": [UNET_BLOCKS] * LEVELS,
    "channel_mult": [1] * LEVELS,
    "transformer_depth": DOWN,
    "transformer_depth_output": UP,
    "transformer_depth_middle": 1,
    "context_dim": WIDTH,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": False,
    "adm_in_channels": None,
    "use_temporal_attention": False,
    "legacy": False,
}
VAE_LAYOUT: dict[str, Any] = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": WIDTH,
    "ch_mult": [1] * LEVELS,
    "num_res_blocks": VAE_BLOCKS,
    "attn_resolutions": [],
    "dropout": 0.0,
}


@dataclass(frozen=True)
class HostDemo:
    """The embedded model's parts as the host's types."""

    model: Any
    clip: Any
    vae: Any
    motion: HostMotion
    temporal_vae: Any
    """A VAE for the same latents whose decoder uses neighbouring frames."""
    projector: HostProjector
    clip_vision: Any
    """The image encoder that the projector was trained with."""


def load_demo(folder: Path = FOLDER) -> HostDemo:
    """Loads the embedded model. Raises ValueError where a file is missing, corrupt or another model's."""
    motion, projector = load(str(part_path("motion", folder))), load_picture(str(part_path(PROJECTOR, folder)))
    model = limited(unet_part("unet", DemoConfig, UNET_LAYOUT, folder), 0.0, GUIDANCE_END)
    parts = (model, demo_clip(folder), _vae(folder))
    return HostDemo(*parts, motion, _temporal_vae(folder), projector, _vision(folder))


def _temporal_vae(folder: Path) -> Any:
    return load_temporal_vae(str(part_path(TEMPORAL_VAE, folder)))


class DemoConfig(comfy.supported_models.SD15):
    """Stable Diffusion 1.5 with two heads and v-prediction."""

    unet_extra_config = {"num_heads": HEADS, "num_head_channels": -1}  # noqa: RUF012  as in the host

    def model_type(self, state_dict: Any, prefix: str = "") -> Any:
        return comfy.model_base.ModelType.V_PREDICTION


def unet_part(name: str, config: Any, layout: dict[str, Any], folder: Path, disable_dynamic: bool = False) -> Any:
    """Loads a UNet of the embedded model, with diffusers' keys, as a MODEL.

    config   class of a model config of the host, for this layout
    """
    patcher = _unet_part(name, config(dict(layout)), folder, disable_dynamic)
    return rebuilt_by(patcher, unet_part, name, config, layout, folder)


def _unet_part(name: str, config: Any, folder: Path, disable_dynamic: bool) -> Any:
    tensors, _ = read_part(name, folder)
    names = {"class_embedding.weight": "label_emb.weight", **comfy.utils.unet_to_diffusers(config.unet_config)}
    weights = {names.get(key, key): value for key, value in tensors.items()}
    manager = comfy.model_management
    device, offload = manager.get_torch_device(), manager.unet_offload_device()
    supported = list(config.supported_inference_dtypes)
    dtype = manager.unet_dtype(
        model_params=sum(value.numel() for value in weights.values()), supported_dtypes=supported, weight_dtype=torch.float16
    )
    config.set_inference_dtype(dtype, manager.unet_manual_cast(dtype, device, supported))
    base = config.get_model(weights, "").to(offload)
    patcher = patcher_for(base, disable_dynamic)
    streams = hasattr(patcher, "is_dynamic") and patcher.is_dynamic()  # then layers have no weights before they are assigned
    with _load_errors(name, folder):
        base.load_model_weights(dict(weights), "", **({"assign": True} if streams else {}))
    _check(name, folder, base.diffusion_model, weights)
    return patcher


def _vae(folder: Path) -> Any:
    tensors, _ = read_part("vae", folder)
    weights = comfy.diffusers_convert.convert_vae_state_dict(tensors)
    with _load_errors("vae", folder):
        vae = comfy.sd.VAE(sd=dict(weights), config={"params": {"ddconfig": dict(VAE_LAYOUT), "embed_dim": 4}})
    _check("vae", folder, vae.first_stage_model, weights)
    rebuilt_by(vae.patcher, _reload_patcher, _vae, folder)
    return vae


def _reload_patcher(load: Callable[[Path], Any], folder: Path, disable_dynamic: bool = False) -> Any:
    """The patcher of a part whose network the host does not stream."""
    return load(folder).patcher


def _vision(folder: Path) -> Any:
    """The host's CLIP-Vision, with keys converted from open_clip's by the host."""
    tensors, _ = read_part(VISION, folder)
    weights = comfy.clip_vision.convert_to_transformers({f"visual.{k}": v for k, v in tensors.items()}, "visual.")
    vision = comfy.clip_vision.ClipVisionModel(str(folder / "vision.json"))
    with _load_errors(VISION, folder):
        missing, unexpected = vision.load_sd(dict(weights))
    if wrong := [*missing, *unexpected]:
        raise ValueError(
            f"vision.safetensors in {folder}: not the embedded model's vision ({wrong[0]}). Install the pack again."
        )
    return vision


@contextmanager
def _load_errors(name: str, folder: Path) -> Iterator[None]:
    """Raises ValueError, naming the file, where tensors have another shape."""
    try:
        yield
    except RuntimeError as error:
        raise ValueError(f"{name}.safetensors in {folder}: not the embedded model's {name} ({error})") from error


def _check(name: str, folder: Path, network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Raises ValueError unless all tensors fit: the host's loading ignores missing and unexpected ones."""
    expected = {key: value.shape for key, value in network.state_dict().items()}
    if wrong := [k for k in sorted(expected.keys() | weights) if k not in weights or weights[k].shape != expected.get(k)]:
        raise ValueError(
            f"{name}.safetensors in {folder}: not the embedded model's {name}; {len(wrong)} of {len(expected)} tensors are "
            f"missing, unexpected or of another shape, {wrong[0]!r} among them. Install the pack again."
        )


def demo_clip(folder: Path = FOLDER, completes: bool = True) -> Any:
    """Loads the embedded model's text encoder as CLIP. completes: as in `DemoTokenizer`."""
    text = load_text(folder)
    target = comfy.supported_models_base.ClipTarget(lambda **_: DemoTokenizer(text, completes), lambda **_: DemoEncoder(text))
    clip = comfy.sd.CLIP(target)
    rebuilt_by(clip.patcher, _reload_patcher, demo_clip, folder)
    return clip


class DemoTokenizer:
    """Tokenizer with the host's interface: prompts as read by `demo/prompt.py`, weights such as `(red:1.3)` as in the host.

    completes   whether to assume what a prompt leaves out (the ground, the frame rate)
    """

    def __init__(self, text: TextEncoder, completes: bool):
        self.text, self.completes, self._notes = text, completes, PromptNotes()

    def tokenize_with_weights(self, text: str, return_word_ids: bool = False, **_: Any) -> dict[str, list[list[Any]]]:
        weighted = comfy.sd1_clip.token_weights(comfy.sd1_clip.escape_important(text), 1.0)
        parts = ((comfy.sd1_clip.unescape_important(part), weight) for part, weight in weighted)
        words = [(word, weight) for part, weight in parts for word in tokens_of(part)]
        reading = read_tokens([word for word, _ in words], ground=self.completes, usual_rate=self.completes)
        self._notes.report(reading)
        pairs = []
        for word in reading.prompt.split():
            source = reading.source(word)
            pairs += [(token, 1.0 if source is None else words[source][1]) for token in self.text.tokens_of(word)]
        length = self.text.config.length
        row = (pairs + [(PAD, 1.0)] * length)[:length]
        return {"demo": [[(*pair, index) for index, pair in enumerate(row, start=1)] if return_word_ids else row]}

    def untokenize(self, pairs: Collection[Any]) -> list[Any]:
        return [(pair, self.text.word_of(pair[0])) for pair in pairs]

    def state_dict(self) -> dict[str, Tensor]:
        return {}


class DemoEncoder(nn.Module, comfy.sd1_clip.ClipTokenWeightEncoder):
    """The text encoder with the host's interface; the host's class applies the weights of words."""

    disable_offload = True  # 0.1 M weights in plain torch layers, which the host cannot stream
    special_tokens = {"pad": PAD}  # noqa: RUF012  as in the host

    def __init__(self, text: TextEncoder):
        super().__init__()
        self.text = text
        self.dtypes = {torch.float32}

    def set_clip_options(self, options: dict[str, Any]) -> None:
        """Ignores options of CLIP, such as the layer to stop at."""

    def reset_clip_options(self) -> None:
        """Does nothing, as no option is set."""

    def encode_token_weights(self, token_weight_pairs: dict[str, Any]) -> Any:
        return super().encode_token_weights(token_weight_pairs["demo"])

    def encode(self, tokens: list[list[int]]) -> tuple[Tensor, Tensor]:
        out = self.text(torch.tensor(tokens, device=self.text.embedding.weight.device))  # (b, n, d)
        return out, out.mean(1)

    def load_sd(self, sd: dict[str, Tensor]) -> Any:
        return self.text.load_state_dict(sd)
