"""ControlNets in LDM's spelling: the layout that a file's shapes give."""

from collections.abc import Mapping
from typing import Any

from .facts import largest
from .published import Shapes


def control_layout(shapes: Shapes, heads: Mapping[str, int]) -> dict[str, Any]:
    """Constructor arguments of ComfyUI's ControlNet for weights in LDM spelling. Raises WrongFile for missing layers.

    heads   `num_heads` or `num_head_channels` of the attentions, which no shape contains
    """
    width = shapes["input_blocks.0.0.weight"][0]
    blocks = 1 + largest((int(key.split(".")[1]) for key in shapes if key.startswith("input_blocks.")), "its input blocks")
    downs = [n for n in range(1, blocks) if f"input_blocks.{n}.0.op.weight" in shapes]
    each = (downs[0] if downs else blocks) - 1
    firsts = range(1, blocks, each + 1)
    return {
        "image_size": 32,
        "in_channels": shapes["input_blocks.0.0.weight"][1],
        "hint_channels": shapes["input_hint_block.0.weight"][1],
        "model_channels": width,
        "num_res_blocks": [each] * len(firsts),
        "channel_mult": [shapes[f"input_blocks.{n}.0.out_layers.3.weight"][0] // width for n in firsts],
        "transformer_depth": [
            int(f"input_blocks.{first + n}.1.proj_in.weight" in shapes) for first in firsts for n in range(each)
        ],
        "transformer_depth_middle": 1,
        "context_dim": shapes["middle_block.1.transformer_blocks.0.attn2.to_k.weight"][1],
        **heads,
        "use_spatial_transformer": True,
        "use_linear_in_transformer": len(shapes["middle_block.1.proj_in.weight"]) == 2,
        "adm_in_channels": None,
        "legacy": False,
    }
