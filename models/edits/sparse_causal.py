"""Sparse-causal attention: each frame's picture looks at frame 0 and at the frame before it, not at itself.

Tune-A-Video (arXiv 2212.11565, 4.2), LaVie's interpolation model (arXiv 2309.15103, 3.3). Keys and values of a token do not
depend on who looks, so the image UNet's own `to_k` and `to_v` are asked once per frame, and two hooks exchange their answers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..layers.strength import over_tokens
from ..layers.temporal import Clip


def sparse_causal(attention: nn.Module, clip: Callable[[], Clip | None]) -> list[RemovableHandle]:
    """Hooks that make a self-attention over pictures a sparse-causal one while there is a clip; strength blends the outcome."""
    resting: list[bool] = []

    def exchange(module: nn.Module, args: Any, output: Tensor) -> Any:
        now = clip()
        return None if now is None or resting else of_first_and_before(output, now.frames)

    def blend(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> Any:
        now = clip()
        if now is None or resting or (not isinstance(now.strength, Tensor) and now.strength == 1):
            return None
        with _set(resting):
            own = module.forward(*args, **kwargs)
        return own + over_tokens(now.strength, own, now.frames, now.size) * (output - own)

    keyed = [attention.get_submodule(name).register_forward_hook(exchange) for name in ("to_k", "to_v")]
    return [*keyed, attention.register_forward_hook(blend, with_kwargs=True)]


def of_first_and_before(tokens: Tensor, frames: int) -> Tensor:
    """Tokens `(b f) p d` to those of frame 0 and of the frame before (of frame 0: itself) `(b f) (2 p) d`."""
    tokens = rearrange(tokens, "(b f) p d -> b f p d", f=frames)
    first = tokens[:, :1].expand_as(tokens)
    before = torch.cat([tokens[:, :1], tokens[:, :-1]], dim=1)
    return rearrange([first, before], "two b f p d -> (b f) (two p) d")


@contextmanager
def _set(flag: list[bool]) -> Iterator[None]:
    flag.append(True)
    try:
        yield
    finally:
        flag.pop()
