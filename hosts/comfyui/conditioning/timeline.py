"""A prompt timeline as the host's CONDITIONING: one condition per cue, which long shots merge into a row per frame.

Ordinary samplers can use it too, for clips of the mask's length: each condition has a mask with its share of every frame.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ....sampling.timeline import Cue, hard_cuts, mix_at
from .per_frame import CUE, TimelinePart


def encode_timeline(clip: Any, cues: tuple[Cue, ...], clip_frames: int) -> list[Any]:
    """Encodes the cues as CONDITIONING; a single cue gives an ordinary prompt's.

    clip_frames   frames of the masks, which ordinary samplers use
    """
    encoded = {text: clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in dict.fromkeys(cue.text for cue in cues)}
    if len(cues) == 1:
        return encoded[cues[0].text]
    mixes = [mix_at(cues, frame) for frame in range(clip_frames)]
    conditions = []
    for index, cue in enumerate(cues):
        shares = [(share if now == index else 0.0) + (1 - share if before == index else 0.0) for before, now, share in mixes]
        mask = torch.tensor(shares).reshape(-1, 1, 1)
        added = {CUE: TimelinePart(cues, index), "mask": mask, "mask_strength": 1.0}
        conditions += [[tensor, {**attributes, **added}] for tensor, attributes in encoded[cue.text]]
    return conditions


def cuts_of(conditions: Mapping[str, Sequence[Mapping[str, Any]]]) -> frozenset[int]:
    """Frame numbers of the hard cuts in a guider's prompt timelines, the negative one aside. conditions: by name."""
    parts = (part.get(CUE) for name, parts in conditions.items() if name != "negative" for part in parts)
    return frozenset().union(*(hard_cuts(part.cues) for part in parts if part is not None))
