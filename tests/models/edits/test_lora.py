"""LoRA as an edit, on a backbone of four layers: which strength each output gets, and that nothing is left behind."""

import copy
from typing import Any

import pytest
import torch
from layers import noise
from torch import Tensor, nn
from zoetrope.models.backbones.places import Places, layers_of
from zoetrope.models.edits.lora import LoraEdit, LoraInputs, LoraLayers
from zoetrope.models.errors import DoesNotFit
from zoetrope.models.layers.low_rank import Factors, LayerShape, shape_of
from zoetrope.models.layers.strength import ByFrame

STRENGTHS = torch.tensor([0.0, 0.5, 1.0, -2.0]).reshape(-1, 1, 1)


class Attention(nn.Module):
    """Only as far as the edit reads one."""

    def __init__(self) -> None:
        super().__init__()
        self.to_k, self.to_v = nn.Linear(6, 8), nn.Linear(6, 8)


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.tokens, self.time = nn.Conv2d(4, 8, 3, padding=1), nn.Linear(8, 8), nn.Linear(5, 8)
        self.attention = Attention()

    @property
    def places(self) -> Places:
        return Places({}, {}, {}, {"down.0.0.attention.0": self.attention}, layers_of(self))

    def call(self, size: tuple[int, int] = (4, 6), rows: int = 4) -> dict[str, Tensor]:
        picture, text = noise(rows, 4, *size, seed=1), noise(rows, 7, 6, seed=2)
        tokens = noise(rows, size[0] * size[1], 8, seed=3)
        return {
            "conv": self.conv(picture), "tokens": self.tokens(tokens), "time": self.time(noise(rows, 5, seed=4)),
            "attention.to_k": self.attention.to_k(text),
        }  # fmt: skip


@pytest.fixture
def backbone() -> Any:
    torch.manual_seed(0)
    return Backbone().requires_grad_(False)


def layers_for(backbone: Any, rank: int = 2) -> LoraLayers:
    factors: dict[str, Factors] = {}
    shapes: dict[str, LayerShape] = {}
    for name in ("conv", "tokens", "time", "attention.to_k"):
        shape = shape_of(backbone.get_submodule(name))
        assert shape is not None
        factors[name] = Factors(noise(rank, shape.inputs, *shape.kernel, seed=7), noise(shape.outputs, rank, seed=8))
        shapes[name] = shape
    return LoraLayers(factors, shapes, nn)


def installed(backbone: Any) -> LoraEdit:
    edit = LoraEdit()
    edit.install(layers_for(backbone), backbone.places)
    return edit


def test_every_row_gets_its_own_strength_and_none_is_the_backbone_itself(backbone: Any) -> None:
    plain, edit = backbone.call(), installed(backbone)
    assert all(torch.equal(out, plain[name]) for name, out in backbone.call().items())
    edit.give(LoraInputs(1.0))
    change = {name: out - plain[name] for name, out in backbone.call().items()}
    edit.give(LoraInputs(STRENGTHS))
    for name, out in backbone.call().items():
        share = STRENGTHS.reshape(-1, *[1] * (out.ndim - 1))
        assert torch.allclose(out, plain[name] + share * change[name], atol=1e-5), name
        assert torch.equal(out[0], plain[name][0])
    edit.remove()
    assert all(torch.equal(out, plain[name]) for name, out in backbone.call().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in backbone.modules())


def test_a_mask_acts_at_positions_and_by_its_mean_where_there_are_none(backbone: Any) -> None:
    plain, edit = backbone.call(), installed(backbone)
    edit.give(LoraInputs(1.0))
    change = {name: out - plain[name] for name, out in backbone.call().items()}
    mask = torch.zeros(4, 4, 6)
    mask[:, :, 3:] = 1
    edit.give(LoraInputs(mask))
    edit._size.now = (4, 6)  # as the spatial transformer around the layer sets it
    found = {name: out - plain[name] for name, out in backbone.call().items()}
    assert torch.allclose(found["conv"], change["conv"] * mask[:, None], atol=1e-5)
    assert torch.allclose(found["tokens"], change["tokens"] * mask.flatten(1)[..., None], atol=1e-5)
    for name in ("time", "attention.to_k"):
        assert torch.allclose(found[name], change[name] * 0.5, atol=1e-5), name
    edit._size.now = (4, 5)
    with pytest.raises(ValueError, match=r"expected the picture of each of 4 frames, got an output of shape \[4, 24, 8\]"):
        backbone.call()


def test_rows_that_another_node_cuts_or_merges(backbone: Any) -> None:
    edit = installed(backbone)
    plain = backbone.tokens(x := noise(8, 6, 8, seed=3))
    edit.give(LoraInputs(1.0))
    change = backbone.tokens(x) - plain
    edit.give(LoraInputs(STRENGTHS))
    tiles = STRENGTHS.repeat_interleave(2, 0)
    assert torch.allclose(backbone.tokens(x), plain + tiles * change, atol=1e-5)
    merged = torch.tensor([0.25, -0.5]).reshape(-1, 1, 1)  # two rows with the tokens of two frames each
    assert torch.allclose(backbone.tokens(x[:2]), plain[:2] + merged * change[:2], atol=1e-5)
    with pytest.raises(ValueError, match="expected a layer's output for 4 frames, got 3 rows"):
        backbone.tokens(x[:3])


def test_gradients_pass_through(backbone: Any) -> None:
    edit = installed(backbone)
    edit.give(LoraInputs(STRENGTHS))
    x = noise(4, 24, 8, seed=3).requires_grad_()
    backbone.tokens(x).square().mean().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


def test_a_layer_that_the_backbone_lacks_is_named_and_nothing_is_installed(backbone: Any) -> None:
    network = layers_for(backbone)
    network.names = ("conv", "elsewhere")
    edit = LoraEdit()
    with pytest.raises(DoesNotFit, match="layer elsewhere in this model, got none of that name"):
        edit.install(network, backbone.places)
    assert not edit.installed


def test_strengths_by_frame_are_copied_with_the_options_of_a_model() -> None:
    strength = ByFrame.of([0.0, 1.0])
    copied = copy.deepcopy({"strength": strength})["strength"]
    assert isinstance(copied, ByFrame)
    assert torch.equal(copied, strength)
    assert copied.data_ptr() != strength.data_ptr()


@torch.inference_mode()
def test_compiled_code_uses_the_strengths_of_each_call(backbone: Any) -> None:
    """With the setting of torch that hosts/comfyui/compiled.py makes, and no compiler."""
    import torch._dynamo

    def forward(picture: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        return backbone.conv(picture), backbone.attention.to_k(text)

    config: Any = torch._dynamo.config
    inputs = noise(4, 4, 4, 6, seed=1), noise(4, 7, 6, seed=2)
    plain, edit = forward(*inputs), LoraEdit()
    edit.install(layers_for(backbone), backbone.places)
    torch._dynamo.reset()
    compiled: Any = torch.compile(forward, backend="eager")
    with config.patch(skip_nnmodule_hook_guards=False):
        for strength in (0.5, 1.0, STRENGTHS, STRENGTHS.flip(0), None):
            edit.give(None if strength is None else LoraInputs(strength))
            expected = forward(*inputs)
            for found, one, before in zip(compiled(*inputs), expected, plain, strict=True):
                assert torch.allclose(found, one, atol=1e-6)
                assert torch.equal(one, before) == (strength is None)
    edit.remove()
    torch._dynamo.reset()
