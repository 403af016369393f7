"""Settings of an anchor: finished frames of a shot as an image prompt for all later ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ....sampling.timeline import Numbers
from ..fingerprint import digest, weights
from .image_prompt import HostProjector


@dataclass(frozen=True)
class AnchorSettings:
    """Settings of an anchor. Raises ValueError for values out of range."""

    strength: float = 1.0
    """Weight of the image prompt."""
    frame: int = 0
    """Number of the anchor's first frame."""
    frames: int = 4
    """Number of frames whose image tokens are averaged, from `frame` on; after that the last ones of each segment."""
    refresh: float = 0.0
    """Weight of each newer segment in the moving average; 0: the anchor stays as it is."""
    by_frame: Numbers | None = None
    """Factor of the strength by frame."""

    def __post_init__(self) -> None:
        if self.frame < 0:
            raise ValueError(f"frame: expected 0 or more, got {self.frame}")
        if not 1 <= self.frames <= 16:
            raise ValueError(f"frames: expected 1 to 16, got {self.frames}")
        if not 0 <= self.refresh <= 1:
            raise ValueError(f"refresh: expected 0 to 1, got {self.refresh}")


@dataclass(frozen=True)
class Anchor:
    """An image projector with its image encoder, and settings."""

    projector: HostProjector
    vision: Any
    """CLIP_VISION of the host."""
    settings: AnchorSettings = field(default_factory=AnchorSettings)

    def digests(self) -> Mapping[str, str]:
        """Settings of a shot by their names."""
        networks = [weights(one) for one in (self.projector.patcher, self.projector.keys, self.vision.patcher)]
        return {"anchor": digest([networks, vars(self.settings)])}
