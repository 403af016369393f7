"""Guidance in an interval of noise levels: outside it the negative prompt is not computed and guidance has no effect.

Outside the interval the conditional prediction is returned for the negative prompt too, so that every guidance formula (plain,
rescaled, by frame) gives the conditional prediction.
"""

import logging
from typing import Any

import comfy.samplers
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ....sampling.guidance import Interval
from ....sampling.guidance import limited as limited_rows
from ..call import INTERVAL, levels_of, wrap_model
from ..patching import check_range

log = logging.getLogger(__name__)


def limited(model: Any, start: float, end: float) -> Any:
    """A clone of MODEL with guidance between two shares of the sampling; replaces an existing interval."""
    check_range(start, end)
    patched = model.clone()
    options = patched.model_options["transformer_options"]
    if INTERVAL not in options:
        wrap_model(patched, WrappersMP.OUTER_SAMPLE, INTERVAL, _warn_of_guider)
        wrap_model(patched, WrappersMP.CALC_COND_BATCH, INTERVAL, _predict)
    options[INTERVAL] = (start, end)
    return patched


def _warn_of_guider(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """An OUTER_SAMPLE wrapper: warns where the guider's formula is not that of classifier-free guidance."""
    guider = type(executor.class_obj)
    if guider.predict_noise is not comfy.samplers.CFGGuider.predict_noise:
        log.warning(
            "Zoetrope: Guidance Interval works with one positive and one negative prompt; the guider %s has a formula of its "
            "own and guides at every step", guider.__name__,
        )  # fmt: skip
    return executor(*args, **kwargs)


def _predict(executor: Any, model: Any, conds: list[Any], x: Tensor, timestep: Tensor, model_options: Any) -> list[Tensor]:
    """A CALC_COND_BATCH wrapper: predictions for the positive and the negative prompt.

    Nodes that use the negative one at every step (SAG) disable core's shortcut for cfg 1, and this shortcut with it.
    """
    if len(conds) != 2 or conds[1] is None:
        return executor(model, conds, x, timestep, model_options)
    start, end = model_options["transformer_options"][INTERVAL]
    sigma_at = model.model_sampling.percent_to_sigma
    acts = Interval(sigma_at(end), sigma_at(start)).holds(levels_of(timestep, x))
    if bool(acts.all()):
        return executor(model, conds, x, timestep, model_options)
    if not (bool(acts.any()) or model_options.get("disable_cfg1_optimization")):
        conditional = executor(model, [conds[0], None], x, timestep, model_options)[0]
        return [conditional, conditional]
    conditional, unconditional = executor(model, conds, x, timestep, model_options)
    return [conditional, limited_rows(conditional, unconditional, acts.to(conditional.device))]
