"""Guidance in an interval of noise levels: elsewhere the negative prompt is not computed and guidance changes nothing.

In core's terms: where the second of two conditionings is left out, its prediction is that of the first, so every formula of
guidance (plain, rescaled, by frame) gives the first one's.
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
    """A clone of MODEL with guidance between two shares of the sampling; replaces an interval that it has already."""
    check_range(start, end)
    patched = model.clone()
    options = patched.model_options["transformer_options"]
    if INTERVAL not in options:
        wrap_model(patched, WrappersMP.OUTER_SAMPLE, INTERVAL, _note_guider)
        wrap_model(patched, WrappersMP.CALC_COND_BATCH, INTERVAL, _predict)
    options[INTERVAL] = (start, end)
    return patched


def _note_guider(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """An OUTER_SAMPLE wrapper."""
    guider = type(executor.class_obj)
    if guider.predict_noise is not comfy.samplers.CFGGuider.predict_noise:
        log.warning(
            "Zoetrope: Guidance Interval works with one positive and one negative prompt; the guider %s has a formula of its "
            "own and guides at every step", guider.__name__,
        )  # fmt: skip
    return executor(*args, **kwargs)


def _predict(executor: Any, model: Any, conds: list[Any], x: Tensor, timestep: Tensor, model_options: Any) -> list[Tensor]:
    """A CALC_COND_BATCH wrapper: predictions of the positive and the negative prompt.

    Nodes that read the negative one at every step (SAG) switch core's shortcut for cfg 1 off, and this one with it.
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
