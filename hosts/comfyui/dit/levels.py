"""A noise level per latent frame in the host's calls of a video transformer, which the host gives one level per clip.

The guider gets clips `(r, c, f, h, w)` at one reference level. Two wrappers of ours, the innermost ones, replace the network's
timestep by one per frame, and compute the clean prediction again from the network's output with each frame's own level. So
guidance, and nodes that change predictions, get the right ones. Nothing of the host is patched.
"""

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP
from einops import rearrange
from torch import Tensor, nn

from ....models.backbones.dit import VideoDit, refusal
from ..call import DIT, wrap_call
from .model import network_of

PROBED = "its network does not use a noise level per frame, unlike others of its class; remove nodes that replace parts of it"
"""Reason for refusing a network whose behaviour differs from its class's."""
PROBE_SIDE = 4
"""Height and width in latent pixels of the calls that test a network."""
SMALLEST = 1e-4
"""Smallest reference level, where all frames of a call are given without noise."""

_probed: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()


class FrameLevels:
    """Levels per frame for the calls of one run; counts the network's runs."""

    def __init__(self, dit: VideoDit, base: Any, window: int):
        """base: the host's BaseModel; window: latents per clip."""
        self._dit, self._base, self._window = dit, base, window
        self._levels = torch.zeros(0, window)
        self.runs = 0

    def add_to(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of a run's options with the wrappers."""
        options = wrap_call(options, DIT, self.apply_model, WrappersMP.APPLY_MODEL)
        return wrap_call(options, DIT, self.network, WrappersMP.DIFFUSION_MODEL)

    def clips(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Clips `(r, c, f, h, w)` of the rows `(r f, c, h, w)` of a call, and their reference level `(r,)`.

        sigma   level of each row `(r f,)`, which the next run of the network uses
        """
        clips = rearrange(x, "(r f) c h w -> r c f h w", f=self._window)
        self._levels = sigma.reshape(-1, self._window)
        return clips, self._levels.max().clamp(min=SMALLEST).expand(len(clips))

    @staticmethod
    def rows(clips: Tensor) -> Tensor:
        """Clips `(r, c, f, h, w)` as rows `(r f, c, h, w)`."""
        return rearrange(clips, "r c f h w -> (r f) c h w")

    def apply_model(self, executor: Any, x: Tensor, t: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """An APPLY_MODEL wrapper: x `(b, c, f, h, w)` at its frames' levels -> clean predictions of the same shape."""
        levels = self._rows_of(x)
        gain, kept, out = (_by_frame(factors) for factors in _factors(self._base.model_sampling, levels))
        gain_then, kept_then, out_then = (factors[:1] for factors in _factors(self._base.model_sampling, t[:1].to(levels)))
        more, share = gain / gain_then, out / out_then
        clean = executor(x * more.to(x), t, *args, **kwargs)  # the host scales its input for the reference level
        # kept * x - out * output, with the output solved from clean; exact where a frame has the reference level
        return share.to(clean) * clean + (kept - share * kept_then * more).to(clean) * x

    def network(self, executor: Any, x: Tensor, timestep: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """A DIFFUSION_MODEL wrapper: gives the network a timestep per frame."""
        self.runs += 1
        levels = self._rows_of(x)
        if self._dit.marks_given:
            x = x.clone()
            x[:, self._base.latent_format.latent_channels] = _by_frame(levels == 0)[:, 0].to(x)
        network = network_of(self._base)
        if network not in _probed:
            self._probe(lambda part, times: executor(part, times, *args, **kwargs), x, timestep)
            _probed.add(network)
        return executor(x, self._times(levels, x), *args, **kwargs)

    def _times(self, levels: Tensor, x: Tensor) -> Tensor:
        """The network's timesteps for levels `(b, f)`."""
        times = self._base.model_sampling.timestep(levels).to(x.device, torch.float32)
        return self._dit.levels_input(times, (x.shape[-2], x.shape[-1]))

    def _rows_of(self, x: Tensor) -> Tensor:
        """Levels `(b, f)` of a batch of clips, one after another for each condition."""
        copies, rest = divmod(len(x), len(self._levels))
        assert (rest, x.shape[2]) == (0, self._window), (tuple(x.shape), tuple(self._levels.shape))
        return self._levels.to(x.device).repeat(copies, 1)

    def _probe(self, run: Callable[[Tensor, Tensor], Tensor], x: Tensor, scalar: Tensor) -> None:
        """Raises ValueError unless equal levels per frame act like one level of the clip, and others otherwise."""
        part = x[..., :PROBE_SIDE, :PROBE_SIDE].contiguous()
        high, low = (self._times(torch.full((len(x), self._window), level).to(x.device), part) for level in (0.75, 0.25))
        usual = run(part, self._base.model_sampling.timestep(torch.full((len(x),), 0.75)).to(scalar)).float()
        same, other = run(part, high).float(), run(part, low).float()
        if not bool(usual.isfinite().all()):
            return  # the shot stops at NaN by itself
        first = high.shape[1] // self._window
        mixed = run(part, torch.cat([high[:, :first], low[:, first:]], 1)).float()
        unused = torch.equal(mixed[:, :, 1], same[:, :, 1]) or torch.equal(mixed[:, :, 0], other[:, :, 0])
        if unused or (same - usual).abs().mean() > 0.02 * usual.abs().mean():
            raise refusal(type(self._base).__name__, PROBED)


def _by_frame(values: Tensor) -> Tensor:
    """Values `(b, f)`, shaped to multiply clips."""
    return values[:, None, :, None, None]


def _factors(sampling: Any, levels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(gain, kept, out) by level, of the levels' shape, from the sampling object's own formulas.

    The host's network gets gain * x, and the clean prediction is kept * x - out * output.
    """
    flat = levels.reshape(-1).float()
    one, zero = torch.ones(len(flat), 1, device=flat.device), torch.zeros(len(flat), 1, device=flat.device)
    gain = sampling.calculate_input(flat, one)
    kept, out = sampling.calculate_denoised(flat, zero, one), -sampling.calculate_denoised(flat, one, zero)
    return gain.reshape(levels.shape), kept.reshape(levels.shape), out.reshape(levels.shape)
