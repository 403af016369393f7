"""Settings of a training run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """Settings that all stages share."""

    stage: str
    """Name of the stage, defined by the trainer."""
    seed: int
    steps: int
    batch: int
    """Pictures (vae, image) or clips (decoder, video) per step."""
    rate: float
    warmup: int
    """Steps of linear warm-up; then the learning rate decays to zero along a cosine."""
    ema: float
    """Decay of the averaged weights, which are exported."""
    size: int
    """Picture side in pixels."""
    save_every: int
    show_every: int
    """Steps between sample sheets, made with the averaged weights."""
