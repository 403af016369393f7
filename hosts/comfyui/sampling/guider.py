"""The host's guiders as denoisers with a noise level and an absolute frame number per row."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import comfy.model_management
import comfy.model_sampling
import comfy.samplers
import torch
from torch import Tensor

from ....models.layers.strength import rows_at, spread
from ....sampling.queue import Schedules
from ....sampling.timeline import Numbers
from ..call import CLIP, DIT, FRAMES, MOTION, Wrapper, wrap_call
from ..call_guard import call_states_of, for_other_frames, guarded
from ..conditioning.per_frame import add_frames
from ..dit.clips import clips_for

LONG_SHOT = "a long shot"


def guider_of(model: Any, positive: Any, negative: Any, cfg: float) -> Any:
    """A CFGGuider with its conditions and scale set."""
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    return guider


@contextmanager
def enough_memory(work: str, remedy: str, kept: str = "Finished frames are kept.") -> Iterator[None]:
    """Raises RuntimeError with a remedy where the device runs out of memory.

    work     what needed the memory; remedy: inputs to lower; kept: what is not lost
    """
    try:
        yield
    except comfy.model_management.OOM_EXCEPTION as error:
        comfy.model_management.soft_empty_cache()
        raise RuntimeError(f"the device ran out of memory in {work}; lower {remedy}. {kept}") from error


def denoiser(
    guided: Any, extra_args: dict[str, Any], window: int, schedules: Schedules, wrappers: Mapping[str, Wrapper] | None = None
) -> Callable[..., Tensor]:
    """The guider as a denoiser `(x, sigma (f,), frame (f,), **options)`; options go into the call's `transformer_options`.

    window     frames per clip; 0: the rows of a call are one clip
    wrappers   further CALC_COND_BATCH wrappers of the run, by their key in `call.ORDER`
    To be called inside a sampler's `sample` only; latents may be on any device. Raises ValueError for flow models of images,
    video models that take one noise level per clip, and a guidance scale per frame with guiders that it does not work with.
    """
    device = guided.model_patcher.load_device
    base = guided.inner_model
    clips = clips_for(guided, window)
    if clips is None:
        _check_sampling(base.model_sampling)
    options = add_frames(for_other_frames(extra_args.get("model_options", {}), base.model_sampling, LONG_SHOT))
    options = clips.add_to(options) if clips else options
    for key, wrapper in (wrappers or {}).items():
        options = wrap_call(options, key, wrapper)
    transformer_options, call_states = options["transformer_options"], call_states_of(options)
    motions = motion_options(transformer_options)
    if schedules.cfg:
        _check_guidance(guided, options)
        options["sampler_post_cfg_function"] = [_cfg_by_frame(schedules.cfg), *options.get("sampler_post_cfg_function", ())]
        options["disable_cfg1_optimization"] = True

    def denoise(x: Tensor, sigma: Tensor, frame: Tensor, **more: Any) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        numbers = frame.tolist()
        transformer_options[FRAMES], transformer_options[CLIP] = numbers, window or len(numbers)
        transformer_options.update(motions(numbers, window or len(numbers), schedules.strength), **more)
        # no step is counted: the same frames never form a window again, so other nodes begin with their initial state
        with call_states.of(None), guarded(base, transformer_options, LONG_SHOT, numbers) as guard:
            transformer_options.update(guard)
            return guided(x.to(device), sigma.to(device), model_options=options, seed=extra_args.get("seed"))

    return clips.denoiser(denoise, transformer_options) if clips else denoise


def motion_options(
    transformer_options: dict[str, Any], clip: int = 0
) -> Callable[[list[int], int, Numbers | None], dict[str, Any]]:
    """A function of (frame numbers of the rows, window, strength by frame) that returns the motion modules' options of a call.

    clip   length that shorter lists are stretched to; 0: lists have a value per frame
    """
    defaults = {key: dict(value) for key, value in transformer_options.items() if key.startswith(MOTION + ".")}
    for entry in defaults.values():
        for name in ("strength", "amount"):
            if clip and isinstance(entry.get(name), Tensor) and 1 < len(entry[name]) < clip:
                entry[name] = spread(entry[name], clip)

    def at(numbers: list[int], window: int, strength: Numbers | None) -> dict[str, Any]:
        return {key: _motion_at(value, numbers, window, strength) for key, value in defaults.items()}

    return at


def _motion_at(entry: dict[str, Any], numbers: list[int], window: int, strength: Numbers | None) -> dict[str, Any]:
    """A motion module's options for these rows: clips of one window, lists by absolute frame, the last value repeated."""
    at = {**entry, "frames": window}
    for name in ("strength", "amount"):
        if isinstance(entry.get(name), Tensor) and len(entry[name]) > 1:
            at[name] = rows_at(entry[name], numbers)
    if strength:
        at["strength"] = at["strength"] * torch.tensor([strength.at(number) for number in numbers]).reshape(-1, 1, 1)
    return at


def _check_sampling(sampling: Any) -> None:
    """Raises ValueError for flow models: the queue and the streams add noise to clean frames, flow models interpolate."""
    if isinstance(sampling, comfy.model_sampling.CONST):
        raise ValueError(
            "this MODEL samples by flow (ModelSamplingSD3, AuraFlow, Flux), which interpolates between frames and noise; long "
            "shots and streams need a model that adds noise. Remove that node, or use Sliding Windows with an ordinary sampler."
        )


def _check_guidance(guided: Any, options: dict[str, Any]) -> None:
    """Raises ValueError for anything but plain classifier-free guidance, whose formula `_cfg_by_frame` assumes."""
    plain = type(guided).predict_noise is comfy.samplers.CFGGuider.predict_noise and guided.conds.get("negative") is not None
    if not plain or "sampler_cfg_function" in options:
        which = "a node that rescales guidance (RescaleCFG and the like)" if plain else f"the guider {type(guided).__name__}"
        raise ValueError(
            f"cfg_by_frame works with positive, negative and plain guidance, not with {which}. "
            "Empty cfg_by_frame, or use a CFGGuider."
        )


def _cfg_by_frame(cfg: Numbers) -> Callable[[dict[str, Any]], Tensor]:
    """A post-cfg function that corrects the guider's scale to each frame's; exact, as classifier-free guidance is linear."""

    def post_cfg(args: dict[str, Any]) -> Tensor:
        options, denoised = args["model_options"]["transformer_options"], args["denoised"]
        numbers = options.get(DIT) or options.get(FRAMES)
        if numbers is None:
            return denoised
        scales = torch.tensor([cfg.at(number) for number in numbers]).to(denoised)
        scales = scales.reshape(len(denoised), 1, -1, 1, 1) if denoised.ndim == 5 else scales.reshape(-1, 1, 1, 1)
        return denoised + (scales - args["cond_scale"]) * (args["cond_denoised"] - args["uncond_denoised"])

    return post_cfg


class LongShot(comfy.samplers.Sampler):
    """A sampler with its own windows, whatever the latent's length; `motion/hooks.py` then does not check that length."""

    has_own_windows = True


class RoundSampler(LongShot):
    """A sampler that iterates over a stream while the guider is ready, for sampling in rounds."""

    def __init__(
        self, live: "LiveModel", stream: Iterator[Any], window: int, schedules: Schedules,
        wrappers: Mapping[str, Wrapper] | None = None,
    ):  # fmt: skip
        self._live, self._stream, self._window, self._schedules, self._wrappers = live, stream, window, schedules, wrappers

    def sample(
        self, model_wrap: Any, sigmas: Any, extra_args: Any, callback: Any, noise: Tensor, latent_image: Any = None,
        denoise_mask: Any = None, disable_pbar: bool = False,
    ) -> Tensor:  # fmt: skip
        self._live.ready(denoiser(model_wrap, extra_args, self._window, self._schedules, self._wrappers))
        try:
            for _ in self._stream:
                pass
        finally:
            self._live.ready(None)
        return noise


class LiveModel:
    """The guider as a denoiser `(x, sigma (f,), frame (f,), **options) -> clean`, only while a `RoundSampler` runs."""

    def __init__(self) -> None:
        self._denoise: Callable[..., Tensor] | None = None

    def __call__(self, x: Tensor, sigma: Tensor, frame: Tensor, **more: Any) -> Tensor:
        assert self._denoise is not None, "a stream must be iterated inside a round"
        return self._denoise(x, sigma, frame, **more)

    def at_level(self, x: Tensor, sigma: float, numbers: Sequence[int], **more: Any) -> Tensor:
        """Denoises frames `(f, c, h, w)` of one noise level; the result is on the CPU, in float32."""
        return self(x, torch.full((len(x),), sigma), torch.tensor(list(numbers)), **more).to("cpu", torch.float32)

    def ready(self, denoise: Callable[..., Tensor] | None) -> None:
        """Sets the denoiser of the current round; None after it."""
        self._denoise = denoise
