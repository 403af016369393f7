"""The interface of edits: wanted places are checked, inputs are given and given back, nothing is left behind."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from layers import noise
from torch import nn
from torch.utils.hooks import RemovableHandle
from zoetrope.models.backbones.places import Places
from zoetrope.models.edits.features import FeatureEdit
from zoetrope.models.edits.hooks import Edit, on_pictures, rewrite
from zoetrope.models.edits.image_attention import ImageAttention
from zoetrope.models.edits.merging import TokenMerging
from zoetrope.models.edits.shared_attention import SharedAttention
from zoetrope.models.edits.temporal import TemporalEdit


class Doubling(Edit[float]):
    """The smallest edit: a factor behind one place."""

    reads = ("factor",)

    def wanted(self, network: Any) -> Mapping[str, int]:
        return {"input": 4}

    def hooks(self, network: Any, places: Places) -> Iterator[RemovableHandle]:
        def follow(module: nn.Module, args: Any, output: Any) -> Any:
            return None if self.inputs is None else on_pictures(output, lambda x: x * self.inputs)

        yield places.sites["input"][0].register_forward_hook(follow)


def hooks_in(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


def test_an_edit_acts_on_its_inputs_alone_and_leaves_nothing() -> None:
    module, x, edit = nn.Linear(4, 4), noise(2, 4), Doubling()
    plain = module(x)
    edit.install(None, Places({"input": (module, 4)}, {}))
    assert torch.equal(module(x), plain)
    assert edit.give(2.0) is None
    assert torch.equal(module(x), 2 * plain)
    edit.install(None, Places({"input": (module, 4)}, {}))  # once more: leftovers go first
    assert hooks_in(module) == 1
    assert edit.give(None) == 2.0
    assert torch.equal(module(x), plain)
    edit.remove(), edit.remove()
    assert (hooks_in(module), edit.installed) == (0, False)


@pytest.mark.parametrize(("sites", "got"), [({}, "no such place"), ({"input": (nn.Linear(4, 8), 8)}, "8")])
def test_a_place_that_is_missing_or_of_another_width_is_refused_and_nothing_is_installed(sites: Any, got: str) -> None:
    edit = Doubling()
    with pytest.raises(ValueError, match=f"Doubling: expected 4 channels at input, got {got}"):
        edit.install(None, Places(sites, {}))
    assert not edit.installed
    assert all(hooks_in(module) == 0 for module, _ in sites.values())


@pytest.mark.parametrize("kind", [TemporalEdit, FeatureEdit, ImageAttention, SharedAttention, TokenMerging])
def test_every_edit_has_the_interface(kind: type[Edit[Any]]) -> None:
    edit = kind()
    assert (edit.installed, edit.inputs) == (False, None)
    assert all(isinstance(name, str) for name in kind.reads)
    assert kind.install is Edit.install
    assert kind.remove is Edit.remove


def test_a_tensor_is_rewritten_with_the_same_bits_whether_gradients_are_recorded_or_not() -> None:
    weight = torch.nn.Parameter(noise(4))
    held = noise(2, 4)

    def change(x: torch.Tensor) -> torch.Tensor:
        return x + x.square() * weight

    with torch.no_grad():
        rewrite(plain := held.clone(), change)
    recorded = held.clone()
    rewrite(recorded, change)
    assert torch.equal(recorded, plain)
    (recorded * 3).sum().backward()
    assert weight.grad is not None
    assert torch.allclose(weight.grad, 3 * held.square().sum(0))
