"""Classifier-free guidance: the noise levels it acts at, and guidance rescale (Lin et al. 2023, arXiv 2305.08891, 3.4)."""

from dataclasses import dataclass
from math import inf

from torch import Tensor


@dataclass(frozen=True)
class Interval:
    """Noise levels (sigma) at which guidance acts (Kynkaanniemi et al. 2024, arXiv 2404.07724), both ends included."""

    low: float
    high: float

    def holds(self, sigma: Tensor) -> Tensor:
        """Which of the levels `(f,)` are in the interval, bool."""
        return (sigma >= self.low) & (sigma <= self.high)

    @classmethod
    def between(cls, start: float, end: float, sigmas: Tensor) -> "Interval":
        """The interval between two shares of the sampling, 0 being pure noise.

        sigmas   noise level of each timestep, cleanest first
        """
        return cls(_sigma_at(end, sigmas), _sigma_at(start, sigmas))


EVERYWHERE = Interval(0.0, inf)


def _sigma_at(share: float, sigmas: Tensor) -> float:
    if not 0 < share < 1:
        return inf if share <= 0 else 0.0
    place = (1 - share) * (len(sigmas) - 1)
    log = sigmas.double().log()
    return float(log[int(place)].lerp(log[int(place) + 1], place % 1).exp())


def limited(conditional: Tensor, unconditional: Tensor, acts: Tensor) -> Tensor:
    """The unconditional prediction in the rows where guidance `acts` `(f,)`, elsewhere the conditional one.

    Guidance of any scale, a formula linear in the difference of the two, then changes nothing in the other rows.
    """
    return unconditional.where(acts.reshape(-1, *[1] * (conditional.ndim - 1)), conditional)


def rescaled(guided: Tensor, conditional: Tensor, share: float, clips: int = 1) -> Tensor:
    """The guided prediction, rescaled by `share` towards the standard deviation of the conditional one.

    guided, conditional   `(b f) c h w`, outputs of the network (v for v-prediction)
    clips                 b: the standard deviation is taken over each clip
    """
    if share == 0:
        return guided
    spread = conditional.reshape(clips, -1).std(dim=1) / guided.reshape(clips, -1).std(dim=1)  # (b,)
    factor = (share * spread + 1 - share).repeat_interleave(len(guided) // clips)
    return guided * factor.reshape(-1, *[1] * (guided.ndim - 1))
