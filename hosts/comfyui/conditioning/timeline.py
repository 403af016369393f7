"""A prompt timeline as the host's CONDITIONING: one condition per cue, which long shots turn into a row per frame.

Ordinary samplers understand it too, for a clip of the length that the mask was made for: each condition carries a mask with its
share of every frame.
"""

from typing import Any

import torch

from ....sampling.timeline import Cue, mix_at
from .per_frame import CUE, TimelinePart


def encode_timeline(clip: Any, cues: tuple[Cue, ...], clip_frames: int) -> list[Any]:
    """CONDITIONING of the cues; that of a single one is an ordinary prompt's.

    clip_frames   length of the clips of ordinary samplers that this may be used with
    """
    encoded = {text: clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in dict.fromkeys(cue.text for cue in cues)}
    if len(cues) == 1:
        return encoded[cues[0].text]
    mixes = [mix_at(cues, frame) for frame in range(clip_frames)]
    conditions = []
    for index, cue in enumerate(cues):
        shares = [(share if now == index else 0.0) + (1 - share if before == index else 0.0) for before, now, share in mixes]
        mask = torch.tensor(shares).reshape(-1, 1, 1)
        own = {CUE: TimelinePart(cues, index), "mask": mask, "mask_strength": 1.0}
        conditions += [[tensor, {**about, **own}] for tensor, about in encoded[cue.text]]
    return conditions
