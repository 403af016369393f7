"""A prompt of its own for each latent frame in Wan's networks, whose cross-attention gets one prompt per clip.

A window's prompts `(r f) l d` are passed to the host as one prompt of all their tokens `r (f l) d`. Two hooks around the
cross-attention of each block split frames and prompts: `(r f) n d` attends to `(r f) l d`. Any number of tokens of a frame `n`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor

TEXT = "c_crossattn"


class FramePrompts:
    """Hooks on the blocks of a network while prompts differ by frame."""

    def __init__(self, network: Any, window: int):
        """window: latents per clip."""
        self._blocks, self._window = network.blocks, window

    @contextmanager
    def active(self) -> Iterator[None]:
        handles = []
        try:
            for block in self._blocks:
                handles.append(block.cross_attn.register_forward_pre_hook(self._split, with_kwargs=True))
                handles.append(block.cross_attn.register_forward_hook(self._join))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _split(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        x, context, *more = args
        x, context = (rearrange(part, "r (f n) d -> (r f) n d", f=self._window) for part in (x, context))
        return (x, context, *more), kwargs

    def _join(self, _: Any, __: Any, out: Tensor) -> Tensor:
        return rearrange(out, "(r f) n d -> r (f n) d", f=self._window)

    def folded(self, conds: Sequence[Any], clips: int) -> list[Any] | None:
        """Conditions with the prompts of each clip in one row `r (f l) d`; None where no prompt differs by frame.

        conds   as CALC_COND_BATCH gets them; a prompt that differs by frame has `clips * window` rows
        """
        texts = [part["model_conds"].get(TEXT) for half in conds for part in half or ()]
        if not any(text is not None and len(text.cond) == clips * self._window for text in texts):
            return None
        return [half and [self._fold(part, clips) for part in half] for half in conds]

    def _fold(self, part: dict[str, Any], clips: int) -> dict[str, Any]:
        text = part["model_conds"][TEXT]
        rows: Tensor = text.cond
        if len(rows) == clips * self._window:
            rows = rearrange(rows, "(r f) l d -> r (f l) d", f=self._window)
        else:  # beside one that differs by frame
            rows = repeat(rows, "r l d -> r (f l) d", f=self._window)
        rows = rows if len(rows) == clips else torch.cat([rows] * clips)[:clips]
        return {**part, "model_conds": {**part["model_conds"], TEXT: type(text)(rows)}}
