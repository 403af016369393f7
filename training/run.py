"""What every training run has, whatever it trains."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """Settings that every run has."""

    stage: str
    """Name of the kind of run; whoever trains defines which there are."""
    seed: int
    steps: int
    batch: int
    """Pictures (vae, image) or clips (decoder, video) per step."""
    rate: float
    warmup: int
    """Steps until the learning rate is reached; after them it falls to zero along a cosine."""
    ema: float
    """Decay of the averaged weights, the ones that are shipped."""
    size: int
    """Picture side in pixels."""
    save_every: int
    show_every: int
    """Steps between sample sheets, made with the averaged weights."""
