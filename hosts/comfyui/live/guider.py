"""Guider of a live shot: either prompt by itself, because guidance is computed by `sampling.live`."""

from typing import Any

import comfy.samplers
from torch import Tensor


class LiveGuider(comfy.samplers.CFGGuider):
    """Predicts with the prompt `half`, "positive" or "negative"."""

    half = "positive"

    def predict_noise(self, x: Tensor, timestep: Tensor, model_options: Any = {}, seed: Any = None) -> Tensor:  # noqa: B006
        conds = self.conds.get(self.half)
        return comfy.samplers.sampling_function(
            self.inner_model, x, timestep, None, conds, 1.0, model_options=model_options, seed=seed
        )


def live_guider(model: Any, positive: Any, negative: Any) -> LiveGuider:
    """A guider with its conditions set."""
    guider = LiveGuider(model)
    guider.set_conds(positive, negative)
    return guider
