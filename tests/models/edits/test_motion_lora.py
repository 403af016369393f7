"""Motion LoRA as an edit, on a block with attention over frames and to the text: which strength each projection gets."""

import copy
from typing import Any

import pytest
import torch
from layers import noise, randomise
from torch import Tensor, nn
from zoetrope.models.backbones.places import Places
from zoetrope.models.edits.lora import LoraLayers
from zoetrope.models.edits.motion_lora import LoraOfModule, MotionLoraEdit, MotionLoraInputs
from zoetrope.models.layers.attention import scaled_dot_product
from zoetrope.models.layers.blend import Residual
from zoetrope.models.layers.low_rank import Factors, LayerShape, shape_of
from zoetrope.models.layers.positions import NoPositions
from zoetrope.models.layers.temporal import (
    FrameAttention,
    Scope,
    TemporalBlock,
    TemporalContext,
    TemporalTransformer,
    TextAttention,
)

CLIPS, FRAMES, WIDTH, TEXT = 2, 4, 32, 6
RAMP = torch.tensor([[0.0, 0.5, 1.0, -2.0]])
BY_CLIP = torch.cat([RAMP, 0.5 - RAMP])


def module_with(reach: Scope) -> TemporalTransformer:
    attentions = [FrameAttention(WIDTH, 2, 16, NoPositions(), nn), TextAttention(WIDTH, 2, 16, TEXT, reach, nn)]
    block = TemporalBlock(WIDTH, [*attentions], nn)
    made = TemporalTransformer(WIDTH, [block], WIDTH, "frame", Residual(), nn)
    return randomise(made, 1).requires_grad_(False).eval()


def lora_for(module: nn.Module) -> LoraLayers:
    """Factors for every linear layer."""
    factors: dict[str, Factors] = {}
    shapes: dict[str, LayerShape] = {}
    for index, (name, layer) in enumerate(module.named_modules()):
        if shape := shape_of(layer):
            factors[name] = Factors(noise(2, shape.inputs, seed=index) * 0.3, noise(shape.outputs, 2, seed=index + 50) * 0.3)
            shapes[name] = shape
    return LoraLayers(factors, shapes, nn)


def called(module: TemporalTransformer) -> Tensor:
    rows = CLIPS * FRAMES
    clip = TemporalContext(FRAMES, 1.0, noise(rows, 7, TEXT, seed=2), scaled_dot_product)
    return module(noise(rows, WIDTH, 3, 5, seed=3), clip)


def projections(module: TemporalTransformer) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """The output, and the inputs and outputs of every linear layer."""
    held: dict[str, tuple[Tensor, Tensor]] = {}
    handles = []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear):

            def note(layer: Any, args: Any, output: Tensor, name: str = name) -> None:
                held[name] = (args[0].clone(), output.clone())

            handles.append(layer.register_forward_hook(note))
    out = called(module)
    for handle in handles:
        handle.remove()
    return out, held


def share_of(name: str, strength: Tensor, output: Tensor, reach: Scope) -> Tensor:
    """The strength of each row and frame of a projection, written out by hand."""
    share = torch.zeros(output.shape[:2])
    of_text = name.endswith(("attentions.1.to_k", "attentions.1.to_v"))
    for row in range(len(output)):
        for column in range(output.shape[1]):
            if not of_text:
                share[row, column] = strength[row // (len(output) // CLIPS), column]
            elif reach == "frame":
                share[row, column] = strength[row // FRAMES, row % FRAMES]
            else:
                share[row, column] = strength[row].mean()
    return share[..., None]


@pytest.mark.parametrize("reach", ["frame", "clip"])
@pytest.mark.parametrize("strength", [RAMP.expand(CLIPS, -1), BY_CLIP])
def test_each_projection_gets_the_strength_of_its_frame(reach: Scope, strength: Tensor) -> None:
    module = module_with(reach)
    lora, edit = lora_for(module), MotionLoraEdit()
    edit.install(LoraOfModule(module, lora), Places({}, {}))
    edit.give(MotionLoraInputs(1 - strength))
    called(module)  # values of one call are not used in the next
    edit.give(MotionLoraInputs(strength))
    _, held = projections(module)
    assert len(held) == 12  # in, out, two attentions of four, two of the feed-forward
    for name, (x, output) in held.items():
        layer: Any = module.get_submodule(name)
        plain = nn.functional.linear(x, layer.weight, layer.bias)
        expected = plain + share_of(name, strength, output, reach) * lora.at(name)(x)
        assert torch.allclose(output, expected, atol=1e-5), name
        assert not torch.allclose(output, plain, atol=1e-2), name


@pytest.mark.parametrize("reach", ["frame", "clip"])
def test_a_constant_strength_is_the_merged_weight(reach: Scope) -> None:
    module = module_with(reach)
    lora, merged = lora_for(module), copy.deepcopy(module)
    for name in lora.names:
        layer, product = merged.get_submodule(name), lora.at(name)
        layer.weight += 0.7 * product.up.weight @ product.down.weight  # type: ignore[union-attr, operator]
    expected, plain = called(merged), called(module)
    edit = MotionLoraEdit()
    edit.install(LoraOfModule(module, lora), Places({}, {}))
    assert torch.equal(called(module), plain)
    for strength in (0.7, torch.full((CLIPS, FRAMES), 0.7)):
        edit.give(MotionLoraInputs(strength))
        assert (called(module) - expected).abs().max() < 1e-5 * expected.abs().max()
    assert not torch.allclose(plain, expected, atol=1e-2)
    edit.give(None)
    assert torch.equal(called(module), plain)
    edit.remove()
    assert not any(layer._forward_hooks for layer in module.modules())


def test_slices_of_pixels_get_the_same_strength(monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_with("frame")
    edit = MotionLoraEdit()
    edit.install(LoraOfModule(module, lora_for(module)), Places({}, {}))
    edit.give(MotionLoraInputs(BY_CLIP))
    whole = called(module)
    monkeypatch.setattr("zoetrope.models.layers.temporal.WIDEST_ON_CPU", 4 * CLIPS * FRAMES * 8 * WIDTH)
    assert module._pixels_at_once(noise(CLIPS, FRAMES, WIDTH, 15)) == 4
    assert torch.allclose(called(module), whole, atol=1e-5)


def test_another_number_of_frames_is_refused() -> None:
    module = module_with("frame")
    edit = MotionLoraEdit()
    edit.install(LoraOfModule(module, lora_for(module)), Places({}, {}))
    edit.give(MotionLoraInputs(torch.tensor([[0.0, 0.5, 1.0]])))
    with pytest.raises(ValueError, match=r"temporal layer for 1 clips of 3 frames, got shape \[30, 4, 32\]"):
        called(module)
