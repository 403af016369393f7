"""Low-rank changes of a layer: the factors of LoRA, LoHa and LoKr, and layers that compute `up(down(x))` of them.

LoRA (arXiv 2106.09685, 4.1) adds up @ down to a weight. The rest is LyCORIS (arXiv 2309.14859): in a convolution (LoCon) the
down factor spans the kernel and the up factor is 1x1; in Tucker form the down factor is 1x1, too, and a third one between them
spans the kernel. LoHa multiplies two such products by element, LoKr takes the Kronecker product of two matrices, each of which
may itself be a product. Both are products of two factors again: of rank r * r, and of the two ranks multiplied.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn


@dataclass(frozen=True)
class LayerShape:
    """Sizes of a linear layer or of a 2D convolution, and the geometry of the latter."""

    outputs: int
    inputs: int
    kernel: tuple[int, ...] = ()
    """Empty for a linear layer."""
    geometry: tuple[tuple[str, Any], ...] = ()
    """Arguments of the convolution: `stride`, `padding`, `dilation`, `padding_mode`."""

    @property
    def columns(self) -> int:
        """Of the weight as a matrix."""
        return self.inputs * prod(self.kernel)

    @property
    def text(self) -> str:
        return " x ".join(map(str, (self.outputs, self.inputs, *self.kernel)))


def shape_of(layer: nn.Module) -> LayerShape | None:
    """The shape of a linear layer or ungrouped 2D convolution; None for any other layer. Weights are not read."""
    if isinstance(layer, nn.Linear):
        return LayerShape(layer.out_features, layer.in_features)
    if isinstance(layer, nn.Conv2d) and layer.groups == 1:
        names = ("stride", "padding", "dilation", "padding_mode")
        geometry = tuple((name, getattr(layer, name)) for name in names)
        return LayerShape(layer.out_channels, layer.in_channels, tuple(layer.kernel_size), geometry)
    return None


@dataclass(frozen=True)
class Factors:
    """Factors of one layer's change."""

    down: Tensor
    """`(rank, inputs, *kernel)`; `(rank, inputs)` where there is a `mid`."""
    up: Tensor | None
    """`(outputs, rank)`, with alpha / rank in it; None: `down` is the whole change `(outputs, inputs, *kernel)`."""
    mid: Tensor | None = None
    """`(rank, rank, *kernel)`, of a convolution in Tucker form."""

    @property
    def rank(self) -> int:
        return len(self.down)


def scaled(up: Tensor, scale: float) -> Tensor:
    """The factor times a number: in float32, unless the number is 1."""
    return up if scale == 1 else up.float() * scale


def compact(up: Tensor, down: Tensor, dtype: torch.dtype) -> Factors:
    """`up (o, r)` and `down (r, i, *k)` in this dtype; their product where that is no larger."""
    if len(down) < min(len(up), down[0].numel()):
        return Factors(down.to(dtype), up.to(dtype))
    return Factors((up @ down.flatten(1)).reshape(len(up), *down.shape[1:]).to(dtype), None)


def of_lora(up: Tensor, down: Tensor, mid: Tensor | None, scale: float, shape: LayerShape) -> Factors:
    """Of a LoRA, in whatever shape the file stores the factors. Raises ValueError where they do not fit the layer."""
    rank = len(down)
    flat = _checked("up", up.flatten(1), (shape.outputs, rank), shape)
    if mid is not None:
        if not shape.kernel:
            raise ValueError(f"expected the two factors of a linear layer ({shape.text}), got a third one")
        small = _checked("down", down.flatten(1), (rank, shape.inputs), shape)
        return Factors(small, scaled(flat, scale), _checked("mid", mid, (rank, rank, *shape.kernel), shape))
    wide = _checked("down", down.flatten(1), (rank, shape.columns), shape)
    return Factors(wide.reshape(rank, shape.inputs, *shape.kernel), scaled(flat, scale))


def of_loha(pairs: Sequence[tuple[Tensor, Tensor, Tensor | None]], scale: float, shape: LayerShape) -> Factors:
    """Of a LoHa: (a b) * (c d) is the sum over both ranks of column times column, row times row.

    pairs   both products: `a (o, r)`, `b (r, i*k)`; in Tucker form `a (r, o)`, `b (r, i)` and the core `(r, r, *k)`
    """
    (a, b), (c, d) = (_product(*pair) for pair in pairs)
    for name, up, down in (("first", a, b), ("second", c, d)):
        _checked(f"{name} product's up", up, (shape.outputs, len(down)), shape)
        _checked(f"{name} product's down", down.flatten(1), (up.shape[1], shape.columns), shape)
    up = rearrange(a[:, :, None] * c[:, None], "o i j -> o (i j)")
    down = rearrange(b.flatten(1)[:, None] * d.flatten(1)[None], "i j n -> (i j) n")
    return compact(up * scale, down.reshape(-1, shape.inputs, *shape.kernel), pairs[0][0].dtype)


def of_lokr(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], scale: float, shape: LayerShape) -> Factors:
    """Of a LoKr: kron(a b, c d) = kron(a, c) kron(b, d).

    first    `a (l, r)`, `b (r, m)`
    second   `c (o/l, s)`, `d (s, i/m, *k)`, also with the kernel in its columns; a matrix of its own is `as_product`
    """
    (a, b), (c, d) = ((up.float().contiguous(), down.float().contiguous()) for up, down in (first, second))
    up = _checked("up", torch.kron(a, c), (shape.outputs, len(b) * len(d)), shape)
    if shape.columns % (b.shape[1] * prod(shape.kernel)) == 0:
        d = d.reshape(len(d), -1, *shape.kernel)
    down = torch.kron(b.reshape(*b.shape, *[1] * len(shape.kernel)), d)
    return compact(up * scale, _checked("down", down, (up.shape[1], shape.inputs, *shape.kernel), shape), second[1].dtype)


def as_product(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix `(o, i, *k)` as a product with an identity on its smaller side."""
    outputs, columns = len(matrix), matrix[0].numel()
    if outputs <= columns:
        return torch.eye(outputs), matrix
    return matrix.flatten(1), torch.eye(columns, dtype=matrix.dtype).reshape(columns, *matrix.shape[1:])


def tucker_product(a: Tensor, b: Tensor, core: Tensor) -> tuple[Tensor, Tensor]:
    """`a (r, o)`, `b (r, i)` and a core `(r, r, *k)` as two factors `(o, r)`, `(r, i, *k)`."""
    return a.float().T, torch.einsum("p q ..., q i -> p i ...", core.float(), b.float())


def _product(a: Tensor, b: Tensor, core: Tensor | None) -> tuple[Tensor, Tensor]:
    return (a.float(), b.float()) if core is None else tucker_product(a, b, core)


def _checked(name: str, factor: Tensor, expected: tuple[int, ...], shape: LayerShape) -> Tensor:
    if tuple(factor.shape) != expected:
        got = " x ".join(map(str, factor.shape))
        raise ValueError(f"its {name} factor is {got}, a layer of {shape.text} needs {' x '.join(map(str, expected))}")
    return factor


class LowRank(nn.Module):
    """`up(mid(down(x)))` of one layer, with the geometry of the layer whose output it is added to.

    ops   namespace of `Linear` and `Conv2d`: `torch.nn`, or the host's, which casts weights to the dtype and device of x
    """

    def __init__(self, factors: Factors, shape: LayerShape, ops: Any):
        super().__init__()
        self.down = _layer(factors.down, shape, factors.mid is None, ops)
        self.mid = None if factors.mid is None else _layer(factors.mid, shape, True, ops)
        self.up = None if factors.up is None else _layer(factors.up, shape, False, ops)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.down, self.mid, self.up):
            x = x if layer is None else layer(x)
        return x


def _layer(factor: Tensor, shape: LayerShape, spans: bool, ops: Any) -> nn.Module:
    """A layer with this weight. spans: whether it has the kernel and geometry of the whole layer; else it is 1x1."""
    outputs, inputs = factor.shape[:2]
    if not shape.kernel:
        made = ops.Linear(inputs, outputs, bias=False, device="meta")
    elif spans:
        made = ops.Conv2d(inputs, outputs, shape.kernel, bias=False, device="meta", **dict(shape.geometry))
    else:
        made = ops.Conv2d(inputs, outputs, 1, bias=False, device="meta")
        factor = factor.reshape(outputs, inputs, 1, 1)
    made.weight = nn.Parameter(factor, requires_grad=False)
    return made
