"""Blends: which side alpha multiplies, what gates it, and strength."""

import pytest
import torch
from layers import noise
from zoetrope.models.layers.blend import Alpha, AlphaOfResidual, Residual

X, T = noise(4, 8, 3, 3), noise(4, 8, 3, 3, seed=1)


@pytest.mark.parametrize(("side", "expected"), [("spatial", 0.3 * X + 0.7 * T), ("temporal", 0.3 * T + 0.7 * X)])
def test_alpha_multiplies_the_named_side(side: str, expected: torch.Tensor) -> None:
    assert torch.allclose(Alpha(side, "raw", 0.3)(X, T, 1.0), expected, atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gate", "stored", "alpha"), [("sigmoid", 0.0, 0.5), ("clamp", 1.7, 1.0), ("clamp", -2.0, 0.0), ("raw", 0.25, 0.25)]
)
def test_gates(gate: str, stored: float, alpha: float) -> None:
    assert Alpha("spatial", gate, stored).alpha().item() == alpha  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "blend",
    [Residual(), Alpha("spatial", "raw", 0.3), Alpha("temporal", "sigmoid", -1), AlphaOfResidual("spatial", "raw", 0.3)],
)
@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0, 2.0])
def test_strength_multiplies_the_whole_change(blend: torch.nn.Module, strength: float) -> None:
    full = blend(X, T, 1.0) - X
    assert torch.allclose(blend(X, T, strength) - X, strength * full, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_silent_branch_changes_no_bit_and_a_small_strength_is_not_rounded_away(dtype: torch.dtype) -> None:
    x, blend = X.to(dtype), AlphaOfResidual("spatial", "sigmoid", 0.37)
    assert torch.equal(blend(x, torch.zeros_like(x), 0.7), x)
    assert blend.weight(0.003, x).item() == pytest.approx(0.003 * (1 - blend.alpha().item()), rel=0.01)


def test_an_inner_residual_is_x_plus_change() -> None:
    assert torch.allclose(AlphaOfResidual("spatial", "raw", 0.3)(X, T, 1.0), X + 0.7 * T, atol=1e-6)
