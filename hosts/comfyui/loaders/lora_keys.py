"""The keys of a LoRA file of an image model: which layer of the MODEL each one is for, and which adapters are refused.

The host's own table has the names of layers in kohya's and diffusers' spelling. Names that differ from the table only in signs
and wrapping words (PEFT's, and diffusers' without `processor`) are found by their words.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import comfy.lora
import torch
from torch import Tensor

from ....models.backbones.unet import BASES
from ....models.errors import DoesNotFit, WrongFile
from ....models.formats.kinds import Kind
from ....models.formats.lora import Part, Scaling, alpha_in, part_of
from ....models.formats.quantised import is_plain
from ....models.formats.recognise import kind_of
from ....models.formats.strict import abbreviated, is_finite
from ....models.layers.low_rank import LayerShape, shape_of
from ..unet import unet_of, unet_places

MOTION = "motion_modules"
"""In the name of every layer of a motion module."""
UNET, WEIGHT = "diffusion_model.", ".weight"
TEXT = re.compile(r"(?:base_model\.model\.)?(?:lora_(?:prior_)?te\d*_|lycoris_text_|text_encoders?[._\d]|clip_[lgh]\.)")
"""How a key of a text encoder begins."""
WRAPPING = re.compile(r"^(?:base_model\.model\.|unet\.|lora_unet_|lycoris_|diffusion_model\.)+")
ENDINGS = {"down": "lora_down.weight", "up": "lora_up.weight", "a LoCon in Tucker form": "lora_mid.weight", "alpha": "alpha"}
"""What a key is -> how the host's adapters spell its end."""
PRODUCTS = ("a LoHa", "a LoKr")
REASONS = {
    "a DoRA": "its change depends on the norms of the model's own weights",
    "an OFT": "it rotates the model's own weights",
    "a difference of whole weights": "it changes norms and biases as well",
}
"""Adapters that are not products of two factors."""
TEXT_KEYS = "attn2_to_k"
"""Words of the layers whose inputs are as wide as the base model's text tokens."""


@dataclass(frozen=True)
class LoraTarget:
    """What a LoRA may change in a MODEL; plain data."""

    names: Mapping[str, str]
    """Name of a layer in LoRA files -> its name in the UNet."""
    shapes: Mapping[str, LayerShape]
    """Name of a linear or convolution layer in the UNet -> its shape."""

    @property
    def context(self) -> int | None:
        """Width of the text tokens."""
        return next((shape.inputs for name, shape in self.shapes.items() if words_of(name).endswith(TEXT_KEYS)), None)


def target_of(model: Any) -> LoraTarget:
    """Raises ValueError for a MODEL whose network is not a Stable Diffusion UNet."""
    layers = unet_places(unet_of(model)).layers
    table = comfy.lora.model_lora_keys_unet(model.model, {})
    found = {name: key for name, key in table.items() if isinstance(key, str) and key.endswith(WEIGHT)}
    names = {name: key.removeprefix(UNET).removesuffix(WEIGHT) for name, key in found.items()}
    return LoraTarget(names, {name: shape for name, layer in layers.items() if (shape := shape_of(layer))})


def words_of(layer: str) -> str:
    """A layer's name without what spellings differ in."""
    joined = re.sub(r"[._]+", "_", WRAPPING.sub("", layer).replace("processor", ""))
    return re.sub(r"to_out_0$", "to_out", joined.strip("_"))


@dataclass
class SortedKeys:
    """The keys of a file by what they are."""

    layers: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """The UNet's name of a layer -> its tensors by the end of their key, as the host's adapters spell it."""
    text: list[str] = field(default_factory=list)
    """Of text encoders."""
    motion: list[str] = field(default_factory=list)
    """Of motion modules."""
    unknown: list[str] = field(default_factory=list)
    """Without a layer in this MODEL."""

    @property
    def resting(self) -> int:
        """Tensors that do not act."""
        return len(self.text) + len(self.motion) + len(self.unknown)


def sorted_keys(file: str, tensors: Mapping[str, Tensor], target: LoraTarget, header: Scaling) -> SortedKeys:
    """The tensors by layer.

    header   the scale that the file's header gives; used for layers whose spelling the host's own loader does not read, which
             takes no notice of it
    Raises WrongFile for adapters that are no products, DoesNotFit where nothing fits the MODEL.
    """
    parts = {key: part for key in tensors if (part := part_of(key))}
    kind = kind_of(tensors)
    if kind and kind.id == "lora":
        _check_base(file, tensors, parts, target)
    by_words = {words_of(name): layer for name, layer in target.names.items()}
    found, unscaled = SortedKeys(), {}
    for key, value in tensors.items():
        part = parts.get(key)
        layer = part and (target.names.get(part.module) or by_words.get(words_of(part.module)))
        if TEXT.match(key):
            found.text.append(key)
        elif part and MOTION in part.module:
            found.motion.append(key)
        elif part and layer and (layer in target.shapes or part.role in REASONS):
            _put(found.layers.setdefault(layer, {}), part, key, value)
            if part.module not in target.names:
                unscaled[layer] = part.module
        else:
            found.unknown.append(key)
    for layer, module in unscaled.items():
        _scale(found.layers[layer], module, header)
    if not found.layers:
        raise _nothing_acts(file, tensors, found, kind)
    return found


def _put(held: dict[str, Tensor], part: Part, key: str, value: Tensor) -> None:
    if part.role not in ENDINGS and part.role not in PRODUCTS:
        raise WrongFile(
            f"this is {part.role} ({key}): {REASONS[part.role]}, which is no product of two factors, so it can have no "
            "strength by frame. Use core's Load LoRA, which applies it to all frames alike, or a plain LoRA"
        )
    ending = ENDINGS.get(part.role) or key[len(part.module) + 1 :].removesuffix(WEIGHT)
    if ending in held:
        raise WrongFile(f"the file holds two adapters for one layer ({key}); save the one to use to a file of its own")
    if part.role == "alpha":
        held[ending] = torch.tensor(alpha_in(value, key))
        return
    if not is_plain(value) or value.ndim < 2 or not value.numel() or not is_finite(value):
        raise WrongFile(
            f"{key}: expected a matrix of finite floating-point numbers, got {value.dtype} of shape {list(value.shape)}; use a "
            "file that was saved whole, in fp16, bf16 or fp32"
        )
    held[ending] = value if value.element_size() > 1 else value.to(torch.float16)


def _scale(held: dict[str, Tensor], module: str, header: Scaling) -> None:
    """Writes the header's scale as the layer's alpha, where it has none of its own."""
    if (down := held.get(ENDINGS["down"])) is not None and "alpha" not in held and header != Scaling():
        held["alpha"] = torch.tensor(header.of(module, len(down)) * len(down))


def _check_base(file: str, tensors: Mapping[str, Tensor], parts: Mapping[str, Part], target: LoraTarget) -> None:
    """Layers of several base models have the same names and sizes; those that read the text tell them apart."""
    widths = {
        tensors[key][0].numel()
        for key, part in parts.items()
        if part.role == "down" and words_of(part.module).endswith(TEXT_KEYS) and tensors[key].ndim > 1 and len(tensors[key])
        if MOTION not in part.module and not TEXT.match(key)
    }
    here = target.context
    if widths and here and widths != {here}:
        there = max(widths - {here})
        raise DoesNotFit(
            f"{file}: this LoRA was made for {_base(there)}, this MODEL is {_base(here)}. Use a LoRA for {_base(here)}, or a "
            f"checkpoint of {_base(there)}"
        )


def _base(context: int) -> str:
    name = next((base.name for base in BASES if base.context == context), "another base model")
    return f"{name} (text tokens of {context} numbers)"


def _nothing_acts(file: str, tensors: Mapping[str, Tensor], found: SortedKeys, kind: Kind | None) -> ValueError:
    """Why no key of a file acts, and which node takes the file."""
    if found.motion:
        return WrongFile(
            f"this is a LoRA for a motion module ({found.motion[0]}): Apply Motion LoRA takes it "
            "(models/animatediff_motion_lora), with one strength for all frames. For motion by frame use strength_per_frame of "
            "Motion Settings"
        )
    if found.text and not found.unknown:
        return WrongFile(
            f"this LoRA changes text encoders only ({found.text[0]}), which read a prompt once for all frames: core's Load "
            "LoRA applies it to CLIP"
        )
    if kind and kind.id != "lora":
        return WrongFile(f"this is no LoRA for the UNet of an image model but {kind.name}: {kind.place}")
    if kind is None:
        return WrongFile(
            f"this is no LoRA: expected keys such as lora_unet_..._to_q.lora_down.weight, got {abbreviated(sorted(tensors))}. "
            "Pick another file"
        )
    return DoesNotFit(
        f"{file}: this LoRA has no layer that this MODEL has (its keys: {abbreviated(sorted(found.unknown))}). Use a LoRA for "
        "the base model of this checkpoint"
    )
