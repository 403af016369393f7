"""diffusers' fused projections and processors of one's own: an edit acts, or says that it cannot; never neither."""

from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import SlicedAttnProcessor
from layers import diffusers_unet, noise
from zoetrope.hosts.diffusers.image_prompt import picture_in
from zoetrope.hosts.diffusers.motion import motion_in, unet_places
from zoetrope.models.image_prompt.layers import ImageKeys, ImageLayers, widths
from zoetrope.models.motion.module import MotionModule

LAYOUT = {
    "model_channels": 32, "channel_mult": [1, 2], "num_res_blocks": [1, 1], "transformer_depth": [1, 0], "context_dim": 16,
    "num_heads": 4, "in_channels": 4, "out_channels": 4, "use_linear_in_transformer": False,
}  # fmt: skip
SPARSE = MotionModule({}, None, sparse_causal=True)
"""Sparse-causal attention alone."""


@pytest.fixture
def unet() -> Any:
    torch.manual_seed(0)
    return diffusers_unet(LAYOUT)


def call(unet: Any) -> torch.Tensor:
    with torch.inference_mode():
        return unet(noise(4, 4, 8, 8), torch.tensor(500), encoder_hidden_states=noise(4, 5, 16, seed=2)).sample


def test_fused_projections_are_refused_before_and_inside_the_block(unet: Any) -> None:
    plain = call(unet)
    with motion_in(unet, SPARSE, frames=4):
        right = call(unet)
        assert (right - plain).abs().max() > 1e-3
        unet.fuse_qkv_projections()
        with pytest.raises(ValueError, match=r"fused into one .*unfuse_qkv_projections"):
            call(unet)
    with (
        pytest.raises(ValueError, match=r"sparse-causal attention .*unfuse_qkv_projections"),
        motion_in(unet, SPARSE, frames=4),
    ):
        pass
    unet.unfuse_qkv_projections()
    with motion_in(unet, SPARSE, frames=4):
        assert torch.allclose(call(unet), right, atol=1e-5)
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in unet.modules()) == 0


class Silent:
    """A processor that calls none of the attention's projections."""

    def __call__(self, attn: Any, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return hidden_states


def test_a_processor_that_passes_by_is_told_and_one_that_slices_is_right(unet: Any) -> None:
    with motion_in(unet, SPARSE, frames=4):
        right = call(unet)
        unet.set_attn_processor(SlicedAttnProcessor(2))
        assert torch.allclose(call(unet), right, atol=1e-5)
        unet.set_attn_processor(Silent())
        with pytest.raises(ValueError, match=r"did not call \(processor Silent\)"):
            call(unet)


def test_image_prompts_act_on_fused_projections_and_say_where_they_cannot(unet: Any) -> None:
    torch.manual_seed(1)
    found = unet_places(unet).cross_attentions
    layers = {place: ImageKeys(widths(each)[1], widths(each)[0], False, torch.nn) for place, each in found.items()}
    image, tokens, rows = ImageLayers(layers).requires_grad_(False), noise(1, 3, 16, seed=5), torch.zeros(4, dtype=torch.long)
    plain = call(unet)
    with picture_in(unet, image, tokens, rows):
        right = call(unet)
        unet.fuse_qkv_projections()
        assert torch.allclose(call(unet), right, atol=1e-5)
        unet.unfuse_qkv_projections()
        unet.set_attn_processor(Silent())
        with pytest.raises(ValueError, match="an image prompt acts through"):
            call(unet)
    assert (right - plain).abs().max() > 1e-3
