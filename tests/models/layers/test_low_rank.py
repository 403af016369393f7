"""Factors of LoRA, LoHa and LoKr against the weights that they stand for."""

from typing import Any

import pytest
import torch
from layers import noise
from torch import Tensor, nn
from torch.nn import functional as F
from zoetrope.models.layers.low_rank import Factors, LowRank, as_product, of_loha, of_lokr, of_lora, shape_of, tucker_product

LAYERS: dict[str, nn.Module] = {
    "linear": nn.Linear(12, 8, bias=False),
    "pointwise": nn.Conv2d(12, 8, 1, bias=False),
    "convolution": nn.Conv2d(12, 8, 3, stride=2, padding=1, bias=False),
    "circular": nn.Conv2d(12, 8, 3, padding=1, padding_mode="circular", bias=False),
}
SCALE = 0.5


def inputs_of(layer: nn.Module) -> Tensor:
    return noise(2, 7, 12, seed=9) if isinstance(layer, nn.Linear) else noise(2, 12, 6, 7, seed=9)


def check(layer: Any, factors: Factors, weight: Tensor) -> None:
    """The low-rank layer gives what the layer gives with this weight."""
    shape = shape_of(layer)
    assert shape is not None
    x = inputs_of(layer)
    if isinstance(layer, nn.Linear):
        expected = F.linear(x, weight)
    else:
        changed = nn.Conv2d(12, 8, shape.kernel, bias=False, **dict(shape.geometry))
        changed.weight = nn.Parameter(weight)
        expected = changed(x)
    assert (LowRank(factors, shape, nn)(x) - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("name", LAYERS)
def test_lora_is_its_product_in_every_layer(name: str) -> None:
    layer: Any = LAYERS[name]
    shape = shape_of(layer)
    assert shape is not None
    up, down = noise(8, 4, seed=1), noise(4, shape.inputs, *shape.kernel, seed=2)
    weight = SCALE * (up @ down.flatten(1)).reshape(layer.weight.shape)
    check(layer, of_lora(up, down, None, SCALE, shape), weight)
    stored_as_convolution = of_lora(up[..., None, None], down.flatten(1)[..., None, None], None, SCALE, shape)
    check(layer, stored_as_convolution, weight)


def test_lora_of_a_convolution_in_tucker_form() -> None:
    layer: Any = LAYERS["convolution"]
    up, mid, down = noise(8, 4, seed=1), noise(4, 4, 3, 3, seed=2), noise(4, 12, 1, 1, seed=3)
    weight = SCALE * torch.einsum("o p, p q h w, q i -> o i h w", up, mid, down[..., 0, 0])
    check(layer, of_lora(up, down, mid, SCALE, shape_of(layer)), weight)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("rank", [2, 4])
def test_loha_is_a_product_of_rank_r_squared_or_the_whole_matrix(name: str, rank: int) -> None:
    layer: Any = LAYERS[name]
    shape = shape_of(layer)
    assert shape is not None
    a, c = noise(8, rank, seed=1), noise(8, rank, seed=2)
    b, d = noise(rank, shape.columns, seed=3), noise(rank, shape.columns, seed=4)
    factors = of_loha([(a, b, None), (c, d, None)], SCALE, shape)
    assert (factors.up is None) == (rank == 4)
    check(layer, factors, SCALE * ((a @ b) * (c @ d)).reshape(layer.weight.shape))


def test_loha_in_tucker_form() -> None:
    layer: Any = LAYERS["convolution"]
    pairs = [(noise(2, 8, seed=s), noise(2, 12, seed=s + 1), noise(2, 2, 3, 3, seed=s + 2)) for s in (1, 4)]
    one, two = (torch.einsum("p q h w, q i, p o -> o i h w", core, b, a) for a, b, core in pairs)
    check(layer, of_loha(pairs, SCALE, shape_of(layer)), SCALE * one * two)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("second", ["product", "matrix"])
@pytest.mark.parametrize("first", ["product", "matrix"])
def test_lokr_is_a_product(name: str, first: str, second: str) -> None:
    layer: Any = LAYERS[name]
    shape = shape_of(layer)
    assert shape is not None
    a, b = (noise(2, 1, seed=1), noise(1, 3, seed=2)) if first == "product" else as_product(noise(2, 3, seed=1))
    c, d = noise(4, 2, seed=3), noise(2, 4, *shape.kernel, seed=4)
    if second == "matrix":
        c, d = as_product(noise(4, 4, *shape.kernel, seed=5))
    weight = SCALE * torch.kron(a @ b, (c @ d.flatten(1))).reshape(layer.weight.shape)
    check(layer, of_lokr((a, b), (c, d), SCALE, shape), weight)
    check(layer, of_lokr((a, b), (c, d.flatten(1)), SCALE, shape), weight)  # as files have it that is not in Tucker form


def test_lokr_in_tucker_form_and_a_tall_matrix() -> None:
    layer: Any = LAYERS["convolution"]
    a, b, core = noise(2, 4, seed=1), noise(2, 4, seed=2), noise(2, 2, 3, 3, seed=3)
    w1, w2 = noise(2, 3, seed=4), torch.einsum("p q h w, q i, p o -> o i h w", core, b, a).contiguous()
    weight = torch.kron(w1[..., None, None], w2)
    check(layer, of_lokr(as_product(w1), tucker_product(a, b, core), 1.0, shape_of(layer)), weight)  # type: ignore[arg-type]
    tall = noise(8, 3, seed=5)
    up, down = as_product(tall)
    assert torch.equal(up @ down, tall)
    assert up.shape == (8, 3)


def test_a_factor_for_another_layer_is_named_with_both_sizes() -> None:
    shape = shape_of(LAYERS["linear"])
    assert shape is not None
    with pytest.raises(ValueError, match="its down factor is 4 x 16, a layer of 8 x 12 needs 4 x 12"):
        of_lora(noise(8, 4), noise(4, 16), None, 1.0, shape)
    with pytest.raises(ValueError, match="its up factor is 8 x 3, a layer of 8 x 12 needs 8 x 4"):
        of_lora(noise(8, 3), noise(4, 12), None, 1.0, shape)
    with pytest.raises(ValueError, match=r"two factors of a linear layer \(8 x 12\), got a third"):
        of_lora(noise(8, 4), noise(4, 12), noise(4, 4), 1.0, shape)
    assert shape_of(nn.Conv2d(4, 4, 3, groups=2)) is None
    assert shape_of(nn.LayerNorm(4)) is None
