"""Nodes that reuse the last call of the model, in Sliding Windows and in the queue, where that call was of other frames."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.host


def windows(model: Any) -> Any:
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    return in_windows(model, Windows("standard_static", 4, 2))


def in_queue(tiny: Any, model: Any) -> Tensor:
    from zoetrope.hosts.comfyui.sampling.fifo import FifoSampler
    from zoetrope.hosts.comfyui.sampling.guider import guider_of
    from zoetrope.sampling.queue import QueueSettings, Schedules

    sampler = FifoSampler(
        QueueSettings(window=2, partitions=3, context=0, shift=0, start="noise"), 4, Schedules(), published=True
    )
    latent = torch.zeros(2, 4, 8, 8)
    with torch.inference_mode():
        guider = guider_of(model, tiny.text(), tiny.text(seed=2), 3.0)
        return guider.sample(latent, latent, sampler, torch.tensor([14.0, 0.0]), disable_pbar=True, seed=1)


WAYS: dict[str, Callable[[Any, Any], Tensor]] = {
    "Sliding Windows": lambda tiny, model: tiny.sample(windows(model), 6, steps=4),
    "a long shot": in_queue,
}


@pytest.mark.parametrize("name", ["EasyCache", "LazyCache"])
@pytest.mark.parametrize("way", WAYS)
def test_core_caches_are_disabled_with_a_warning(tiny: Any, caplog: pytest.LogCaptureFixture, name: str, way: str) -> None:
    from other_nodes import PATCHES

    base = tiny.model()
    expected = WAYS[way](tiny, base)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert torch.allclose(WAYS[way](tiny, PATCHES[name](base)), expected, atol=1e-5)
    assert any(f"{name} on this MODEL is disabled" in line and way in line for line in caplog.messages)
    tiny.unload()


def over_the_model(apply_model: Any, args: Any, memory: list[Tensor] = []) -> Tensor:  # noqa: B006  it remembers
    """A step cache as a function around the model (TeaCache's place)."""
    if len(memory) == 3:
        return memory[0]
    memory.append(apply_model(args["input"], args["timestep"], **args["c"]))
    return memory[-1]


def inside_the_model(base: Any) -> Any:
    """A step cache that passes over the inner blocks (First Block Cache's place)."""
    calls: list[int] = []

    def cached(executor: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        calls.append(1)
        return (
            executor(x, *args, **kwargs) if len(calls) < 3 else executor.class_obj.out(executor.class_obj.input_blocks[0][0](x))
        )

    patched = base.clone()
    patched.add_wrapper_with_key("diffusion_model", "cache", cached)
    return patched


def over_the_conditions(base: Any) -> Any:
    """A step cache that answers for all conditions at once."""
    answers: list[Any] = []

    def cached(executor: Any, *args: Any) -> Any:
        answers.append(answers[-1] if len(answers) > 1 else executor(*args))
        return answers[-1]

    patched = base.clone()
    patched.add_wrapper_with_key("calc_cond_batch", "cache", cached)
    return patched


def over_the_call(base: Any) -> Any:
    patched = base.clone()
    memory: list[Tensor] = []
    patched.set_model_unet_function_wrapper(lambda apply_model, args: over_the_model(apply_model, args, memory))
    return patched


@pytest.mark.parametrize("cache", [over_the_call, inside_the_model, over_the_conditions])
@pytest.mark.parametrize("way", WAYS)
def test_caches_of_other_packs_are_noticed(tiny: Any, way: str, cache: Callable[[Any], Any]) -> None:
    base = tiny.model()
    with pytest.raises(RuntimeError, match=rf"returned frames -?\d+ to -?\d+ without running the model.*in {way} was for"):
        WAYS[way](tiny, cache(base))
    tiny.unload()
    assert not tiny.hooks_in(base)


def test_guidance_that_looks_at_what_was_just_computed_works_in_windows(tiny: Any) -> None:
    from other_nodes import PATCHES

    base = tiny.model()
    guided = PATCHES["Self-Attention Guidance"](base)
    whole = tiny.sample(guided, 6, steps=2)
    assert torch.allclose(tiny.sample(windows(guided), 6, steps=2), whole, atol=1e-4)
    assert not torch.allclose(whole, tiny.sample(base, 6, steps=2), atol=1e-3)
    tiny.unload()


def test_momentum_of_guidance_stays_with_its_window(tiny: Any) -> None:
    """Frames that do not know each other come out as without windows, although guidance adds up from step to step."""
    from other_nodes import PATCHES

    base = tiny.model()
    guided = PATCHES["Adaptive Projected Guidance"](base)
    assert torch.allclose(tiny.sample(windows(guided), 6, steps=4), tiny.sample(guided, 6, steps=4), atol=1e-4)
    tiny.unload()


def test_a_condition_that_holds_nowhere_is_no_cache(tiny: Any) -> None:
    base = tiny.model()
    late = tiny.text(start_percent=0.9, end_percent=1.0)
    out = tiny.sample(windows(base), 6, steps=2, positive=late, negative=late)
    assert bool(out.isfinite().all())
    tiny.unload()
