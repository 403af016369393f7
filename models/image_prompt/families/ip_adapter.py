"""IP-Adapter for SD1.x, SD2.x and SDXL (arXiv 2308.06721; tencent-ailab/IP-Adapter 62e4af9), plain and plus.

Files hold the projector (`image_proj.`) and the keys and values of every cross-attention (`ip_adapter.1`, `.3`, ...: numbers of
diffusers' attention processors, of which the even ones are self-attention), in the order down, up, middle. The training
script's checkpoints name them `image_proj_model.` and `adapter_modules.`, and also hold the frozen UNet (`unet.`). It has the
same keys and values again, or has them alone where shared tensors were saved only once.

member   projector                          input                             without a picture
plain    linear, 4 tokens                   the pooled embedding              a zero embedding
plus     resampler, 16 tokens of 4 layers   tokens after the layer before     the tokens of a zero picture
                                            the last
"""

from typing import Any

from torch import nn

from ...backbones.unet import SD1, SDXL, Base
from ...errors import WrongFile
from ...formats.facts import axes, largest, shared
from ...formats.keytable import KeyTable, Row, prefixed, product, same, weights
from ...formats.published import Metadata, Shapes, Spelling
from ..family import EncoderInput, ProjectorFamily, head_width
from ..layers import places_of
from ..networks import LinearProjector, Resampler

RESAMPLER = (
    Row("latents", "latents.table"),
    *weights(("proj_in", "proj_in"), ("proj_out", "proj_out"), ("norm_out", "norm_out")),
    *weights(*((f"layers.{{}}.0.{norm}", f"layers.{{}}.0.{norm}") for norm in ("norm1", "norm2"))),
    *same(*(f"layers.{{}}.0.{name}.weight" for name in ("to_q", "to_kv", "to_out"))),
    *weights(("layers.{}.1.0", "layers.{}.1.0")),
    *same("layers.{}.1.1.weight", "layers.{}.1.3.weight"),
)
LINEAR = weights(("proj", "proj"), ("norm", "norm"))


PROJECTORS = ("image_proj", "image_proj_model")
LAYERS = ("ip_adapter", "adapter_modules")
"""Names of the two parts in published files and in those of the training script."""
INSIDE = (
    Row("unet.down_blocks.{}.attentions.{}.transformer_blocks.{}.attn2.processor.", "down.{}.{}.attention.{}."),
    Row("unet.up_blocks.{}.attentions.{}.transformer_blocks.{}.attn2.processor.", "up.{}.{}.attention.{}."),
    Row("unet.mid_block.attentions.0.transformer_blocks.{}.attn2.processor.", "mid.attention.{}."),
)
"""Places of the same layers in the UNet of a training checkpoint."""
TRAINED = Row("unet.{*}", "frozen:{*}")


def table(keys: Shapes, prefix: str) -> KeyTable:
    """Key table of a file with these keys. Raises WrongFile for a number of layers that no base model has."""
    inside = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
    layers = next((name for name in LAYERS if any(key.startswith(f"{name}.") for key in inside)), "unet")
    count = sum(key.startswith(f"{layers}.") and key.endswith(".to_k_ip.weight") for key in inside)
    base = next((base for base in (SD1, SDXL) if len(places_of(base)) == count), None)
    if base is None:
        raise WrongFile(f"it has keys and values for {count} layers; SD1.x and SD2.x have 16, SDXL has 70")
    trained = any(key.startswith(f"{PROJECTORS[1]}.") for key in inside)
    return KeyTable(prefixed(table_for(base, PROJECTORS[trained], layers).rows, prefix))


def table_for(base: Base, projector: str = PROJECTORS[0], layers: str = LAYERS[0]) -> KeyTable:
    """Key table of a file for UNets with the cross-attentions of `base`. projector, layers: the file's names of its parts."""
    numbered = [
        Row(f"{layers}.{2 * index + 1}.to_{kind}_ip.weight", f"image:{place}.to_{kind}.weight")
        for index, place in enumerate(places_of(base))
        for kind in "kv"
    ]
    inside = product(INSIDE, [Row(f"to_{kind}_ip.weight", f"to_{kind}.weight") for kind in "kv"])
    rows = prefixed(inside, ours="image:") if layers == "unet" else numbered
    return KeyTable((*prefixed((*RESAMPLER, *LINEAR), f"{projector}.", "projector:"), *rows, TRAINED))


def look(shapes: Shapes) -> EncoderInput:
    if "latents.table" in shapes:
        return EncoderInput("penultimate", crop=True, null="zero picture")
    return EncoderInput("embedding", crop=True, null="zero embedding")


def build(shapes: Shapes, metadata: Metadata, ops: Any) -> nn.Module:
    if "latents.table" in shapes:
        return resampler(shapes, metadata, 1, ops)
    tokens, states = axes(shapes["proj.weight"], 2)
    width = shapes["norm.weight"][0]
    return LinearProjector(states, width, shared(tokens, width), ops)


def resampler(shapes: Shapes, metadata: Metadata, frames: int, ops: Any) -> Resampler:
    """An empty resampler for these shapes."""
    _, queries, inner = axes(shapes["latents.table"], 3)
    layers = 1 + largest((int(key.split(".")[1]) for key in shapes if key.startswith("layers.")), "its layers")
    head = head_width(metadata)
    return Resampler(
        states=shapes["proj_in.weight"][1], inner=inner, width=shapes["proj_out.weight"][0], queries=queries, layers=layers,
        heads=shapes["layers.0.0.to_q.weight"][0] // head, head_width=head, hidden=shapes["layers.0.1.1.weight"][0],
        frames=frames, ops=ops,
    )  # fmt: skip


IP_ADAPTER = ProjectorFamily(
    name="ip_adapter",
    title="IP-Adapter",
    spellings=(
        Spelling("published", ("ip_adapter.{}.to_k_ip.weight", "image_proj.proj.weight"), (), table),
        Spelling("published", ("ip_adapter.{}.to_k_ip.weight", "image_proj.latents"), (), table),
        *(
            Spelling("its training script's", (layers, f"{projector}.{network}"), (), table)
            for layers in (*(f"{name}.{{}}.to_k_ip.weight" for name in LAYERS), f"{INSIDE[0].published}to_k_ip.weight")
            for projector in PROJECTORS
            for network in ("proj.weight", "latents")
        ),
    ),
    look=look,
    build=build,
)
